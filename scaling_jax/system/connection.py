"""The connection of several processes, on one or more machines, that train one run together.

This module imports JAX only when it connects, so that the command line can offer the options
without loading JAX.
"""

import errno
import hmac
import importlib.util
import json
import os
import socket
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaling_jax.errors import InputError
from scaling_jax.system.secret import VARIABLE, secret_file, shared_secret

_RETRY_SECONDS = 0.2
# Process 0 waits this long for the first message on a new connection.
_MESSAGE_SECONDS = 5.0
# No message is longer, in bytes; whoever sends more is no process of the run.
_LONGEST_MESSAGE = 4096


@dataclass(frozen=True)
class Processes:
    """Processes that train together; by default those of the Slurm step or the TPU slice.

    Attributes:
        coordinator: HOST:PORT at which the other processes reach process 0. On machines that do
            not share this user's cache, set SCALING_JAX_TOKEN to the same secret for all.
        num_processes: number of processes.
        process_id: number of this process, counted from 0.
        wait: seconds within which all processes must have connected.

    Raises:
        InputError: only some of the first three are given, or a value is out of range.
    """

    coordinator: str | None = None
    num_processes: int | None = None
    process_id: int | None = None
    wait: int = 300

    def __post_init__(self) -> None:
        if self.wait < 1:
            raise InputError(f"wait {self.wait} must be at least 1 second")
        given = (self.coordinator, self.num_processes, self.process_id)
        if given == (None, None, None):
            return
        if None in given:
            raise InputError("coordinator, num_processes and process_id go together: give all")
        host, _, port = str(self.coordinator).rpartition(":")
        if not (host and port.isdecimal() and 0 < int(port) < 65536):
            raise InputError(f"coordinator {self.coordinator!r} must be HOST:PORT")
        if not 0 <= int(self.process_id or 0) < int(self.num_processes or 0):
            raise InputError(
                f"process_id {self.process_id} must be at least 0 and below num_processes "
                f"{self.num_processes}"
            )

    def connect(self) -> None:
        """Connect the processes through `jax.distributed`; a single process returns at once.

        Call it before JAX is used.

        Raises:
            InputError: a process did not connect in time, or the processes disagree on their
                number.
        """
        import jax

        if self.coordinator is not None:
            meet(self)
            # All processes have connected, so JAX, which aborts when it times out, does not wait.
            jax.distributed.initialize(
                self.coordinator,
                self.num_processes,
                self.process_id,
                cluster_detection_method="deactivate",
            )
        elif int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) > 1:
            self._initialize("slurm")
        elif _on_tpu_host():
            self._initialize(None)
        else:
            return
        # Accelerators run programs in the order of their dispatch. A CPU runs several programs at
        # once, so that an all-reduce of one program could be matched with that of another.
        jax.config.update("jax_cpu_enable_async_dispatch", False)

    def _initialize(self, cluster: str | None) -> None:
        import jax

        try:
            jax.distributed.initialize(
                cluster_detection_method=cluster, initialization_timeout=self.wait
            )
        except (RuntimeError, ValueError) as error:
            raise InputError(
                f"cannot join the other processes of this {cluster or 'TPU slice'}: {error}; give "
                "--coordinator, --num-processes and --process-id"
            ) from error


ALONE = Processes()


def meet(us: Processes) -> None:
    """Wait until every process has connected to the coordinator and all agree on their number.

    JAX would wait too, but it aborts the program without a message when it times out.

    Raises:
        InputError: in every connected process; the message names the missing process or the
            disagreement.
    """
    assert us.coordinator is not None
    host, port = us.coordinator.rsplit(":", 1)
    deadline = time.monotonic() + us.wait
    if us.process_id == 0:
        problem = _host(us, (host, int(port)), deadline)
    else:
        problem = _visit(us, (host, int(port)), deadline)
    if problem:
        raise InputError(problem)


def _host(us: Processes, address: tuple[str, int], deadline: float) -> str:
    """Wait for the other processes, and send each the problem, or an empty message."""
    assert us.num_processes is not None
    connected: dict[int, socket.socket] = {}
    problem = ""
    try:
        server = _listening(address)
    except OSError as error:
        return f"coordinator {us.coordinator}: cannot listen ({error.strerror}); choose a free port"
    with closing(server):
        while not problem and len(connected) < us.num_processes - 1:
            server.settimeout(max(deadline - time.monotonic(), 0.01))
            try:
                peer = server.accept()[0]
            except TimeoutError:
                missing = sorted(set(range(1, us.num_processes)) - set(connected))
                problem = (
                    f"processes {missing} of {us.num_processes} have not connected to "
                    f"{us.coordinator} within {us.wait} s: start them, or set num_processes"
                )
                break
            except OSError:
                continue
            introduction = _introduction(peer)
            if introduction is None:
                peer.close()
                continue  # Not a process of this run, or one that will retry.
            their_id, their_count, their_proof = introduction
            if not hmac.compare_digest(their_proof, _proof(us, their_id, their_count)):
                _answer(
                    peer,
                    f"process {their_id} has another secret than process 0: set {VARIABLE} to the "
                    f"same for all processes, or let them share {secret_file()}",
                )
                continue
            problem = _disagreement(us.num_processes, their_id, their_count, connected)
            connected[len(connected) + us.num_processes if problem else their_id] = peer
    for peer in connected.values():
        _answer(peer, problem)
    return problem


def _listening(address: tuple[str, int]) -> socket.socket:
    """A server at the coordinator's own address, so that other networks do not reach it.

    Where the address belongs to no interface of this machine, as behind a gateway that forwards
    it, the server listens on all.
    """
    family = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0][0]
    try:
        return socket.create_server(address, family=family)
    except OSError as error:
        if error.errno != errno.EADDRNOTAVAIL:
            raise
        return socket.create_server(("", address[1]))


def _answer(peer: socket.socket, problem: str) -> None:
    # A process that has ended needs no answer; `jax.distributed` will report it as missing.
    with closing(peer), suppress(OSError):
        peer.sendall(json.dumps(problem).encode() + b"\n")


def _introduction(peer: socket.socket) -> tuple[int, int, str] | None:
    """The peer's `process_id`, `num_processes` and proof; None if the peer does not send them."""
    try:
        match json.loads(_line(peer, _MESSAGE_SECONDS)):
            case [int(their_id), int(their_count), str(proof)] if 0 <= their_id < their_count:
                return their_id, their_count, proof
    except (OSError, ValueError, RecursionError):
        pass
    return None


def _proof(us: Processes, process_id: int, num_processes: int) -> str:
    """Shows that a process knows the secret, without sending it."""
    message = f"{us.coordinator} {process_id} {num_processes}"
    return hmac.new(shared_secret().encode(), message.encode(), "sha256").hexdigest()


def _line(peer: socket.socket, seconds: float) -> bytes:
    """The line that the peer sends within `seconds`, however slowly.

    Raises:
        OSError: it does not come in time.
        ValueError: it is too long.
    """
    line, until = b"", time.monotonic() + seconds
    while not line.endswith(b"\n"):
        peer.settimeout(max(until - time.monotonic(), 1e-3))
        more = peer.recv(_LONGEST_MESSAGE)
        line += more
        if not more:
            break
        if len(line) > _LONGEST_MESSAGE or time.monotonic() > until:
            raise ValueError("no line of a process of this run")
    return line


def _disagreement(n: int, their_id: int, their_count: int, connected: dict[int, Any]) -> str:
    if their_count != n:
        return (
            f"process {their_id} was started with num_processes {their_count}, process 0 with {n}: "
            "start all with the same"
        )
    if their_id == 0 or their_id in connected:
        return f"two processes were started with process_id {their_id}: number them from 0"
    return ""


def _visit(us: Processes, address: tuple[str, int], deadline: float) -> str:
    """Connect to process 0, retrying until the deadline, and return the problem that it reports."""
    while (left := deadline - time.monotonic()) > 0:
        try:
            with socket.create_connection(address, timeout=left) as host:
                assert us.process_id is not None
                assert us.num_processes is not None
                proof = _proof(us, us.process_id, us.num_processes)
                introduction = [us.process_id, us.num_processes, proof]
                host.sendall(json.dumps(introduction).encode() + b"\n")
                # Process 0 may have started later, so its own deadline may be later too.
                return str(json.loads(_line(host, us.wait + left)))
        except (OSError, ValueError, RecursionError):
            time.sleep(_RETRY_SECONDS)
    return (
        f"process 0 of {us.num_processes} does not answer at {us.coordinator} within {us.wait} s: "
        "start it, or correct the address"
    )


def _on_tpu_host() -> bool:
    """Whether this machine has TPU chips and JAX is to use them."""
    platforms = os.environ.get("JAX_PLATFORMS", "tpu")
    if "tpu" not in platforms or importlib.util.find_spec("libtpu") is None:
        return False
    return any(next(Path("/dev").glob(name), None) for name in ("accel[0-9]*", "vfio/[0-9]*"))
