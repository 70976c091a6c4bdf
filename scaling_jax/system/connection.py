"""Several processes, on one machine or on many, that train one run together.

Nothing here imports JAX before it is used, so that the command line can offer the options.
"""

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

_RETRY_SECONDS = 0.2
# Time for a visitor to say who it is.
_HEAR_SECONDS = 5.0


@dataclass(frozen=True)
class Processes:
    """Processes that train together: those named here, or of a Slurm step or a TPU slice.

    Attributes:
        coordinator: HOST:PORT at which the others find process 0.
        num_processes: how many there are.
        process_id: which of them this is, from 0.
        wait: seconds in which all must have come.

    Raises:
        InputError: some of the first three without the others, or a value out of range.
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
        """Make one program of the processes; returns at once where there is only this one.

        To be called before anything of JAX is used.

        Raises:
            InputError: not all came in time, or they do not agree on how many they are.
        """
        import jax

        if self.coordinator is not None:
            meet(self)
            # All are there, so JAX's own wait, which ends in an abort, is short.
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
        # Accelerators run programs in the order they were dispatched. A CPU runs two side by
        # side, where a sum of one process can meet another sum of its peer.
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
    """Return when every process has come to the coordinator's address and all agree.

    JAX would wait too, but ends the program without a word when it has waited in vain.

    Raises:
        InputError: in every process that came, who was missing or did not agree.
    """
    assert us.coordinator is not None
    host, port = us.coordinator.rsplit(":", 1)
    deadline = time.monotonic() + us.wait
    if us.process_id == 0:
        problem = _host(us, int(port), deadline)
    else:
        problem = _visit(us, (host, int(port)), deadline)
    if problem:
        raise InputError(problem)


def _host(us: Processes, port: int, deadline: float) -> str:
    """Wait for the others and tell them all what is wrong, if anything."""
    assert us.num_processes is not None
    came: dict[int, socket.socket] = {}
    problem = ""
    try:
        server = socket.create_server(("", port))
    except OSError as error:
        return f"coordinator {us.coordinator}: cannot listen ({error.strerror}); choose a free port"
    with closing(server):
        while not problem and len(came) < us.num_processes - 1:
            server.settimeout(max(deadline - time.monotonic(), 0.01))
            try:
                peer = server.accept()[0]
            except TimeoutError:
                missing = sorted(set(range(1, us.num_processes)) - set(came))
                problem = (
                    f"processes {missing} of {us.num_processes} have not come to "
                    f"{us.coordinator} within {us.wait} s: start them, or set num_processes"
                )
                break
            except OSError:
                continue
            said = _hear(peer)
            if said is None:
                peer.close()
                continue  # Whoever it was is none of ours, or comes again.
            their_id, their_count = said
            problem = _disagreement(us.num_processes, their_id, their_count, came)
            came[len(came) + us.num_processes if problem else their_id] = peer
    for peer in came.values():
        # One that is gone needs no answer; JAX's own start will miss it.
        with closing(peer), suppress(OSError):
            peer.sendall(json.dumps(problem).encode() + b"\n")
    return problem


def _hear(peer: socket.socket) -> tuple[int, int] | None:
    """Number and count of processes that a visitor says; None from one that is none of ours."""
    peer.settimeout(_HEAR_SECONDS)
    try:
        match json.loads(peer.makefile().readline()):
            case [int(their_id), int(their_count)] if 0 <= their_id < their_count:
                return their_id, their_count
    except (OSError, ValueError):
        pass
    return None


def _disagreement(n: int, their_id: int, their_count: int, came: dict[int, Any]) -> str:
    if their_count != n:
        return (
            f"process {their_id} was started with num_processes {their_count}, process 0 with {n}: "
            "start all with the same"
        )
    if their_id == 0 or their_id in came:
        return f"two processes were started with process_id {their_id}: number them from 0"
    return ""


def _visit(us: Processes, address: tuple[str, int], deadline: float) -> str:
    """Come to process 0, as soon as it is there, and hear what it says."""
    while (left := deadline - time.monotonic()) > 0:
        try:
            with socket.create_connection(address, timeout=left) as host:
                host.sendall(json.dumps([us.process_id, us.num_processes]).encode() + b"\n")
                # Process 0 gives up when its own time is over, which may have begun later.
                host.settimeout(us.wait + left)
                return json.loads(host.makefile().readline())
        except (OSError, ValueError):
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
