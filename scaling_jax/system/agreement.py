"""Values that the processes of one run exchange, so that all take the same decisions.

With a single process, every function here returns at once.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from scaling_jax.errors import InputError


def is_first() -> bool:
    """Whether this is process 0, which writes metrics and results."""
    return jax.process_index() == 0


def gathered(value: Any) -> list[Any]:
    """The JSON values that all processes pass to this call, in the order of the processes.

    Every process must call it, and waits for the others.
    """
    if jax.process_count() == 1:
        return [value]
    text = np.frombuffer(json.dumps(value).encode(), np.uint8)
    lengths = multihost_utils.process_allgather(np.int32(text.size))
    padded = np.pad(text, (0, int(lengths.max()) - text.size), constant_values=ord(" "))
    return [json.loads(bytes(row)) for row in multihost_utils.process_allgather(padded)]


def from_first(value: Callable[[], Any]) -> Any:
    """The JSON value that `value()` returns in process 0, in every process."""
    return gathered(value() if is_first() else None)[0]


@contextmanager
def together() -> Iterator[None]:
    """Raise an `InputError` of one process in all processes, so that no process waits for it.

    Raises:
        InputError: that of the first process that raised one in the block.
    """
    message = None
    try:
        yield
    except InputError as error:
        message = str(error)
    for first in gathered(message):
        if first is not None:
            raise InputError(first)


class Agreement:
    """The largest request of any process, which every process gets one call later.

    It is computed along with the training steps, so that no process waits for it.
    """

    def __init__(self) -> None:
        mesh = Mesh(np.array(jax.devices()), "all")
        self._each = NamedSharding(mesh, PartitionSpec("all"))
        self._greatest = jax.jit(jnp.max, out_shardings=NamedSharding(mesh, PartitionSpec()))
        self._pending: jax.Array | None = None

    def __call__(self, request: int) -> int:
        """Submit this process's request, and return the largest request of the previous call."""
        if jax.process_count() == 1:
            return request
        requests = np.full(jax.local_device_count(), request, np.int32)
        previous = self._pending
        self._pending = self._greatest(jax.make_array_from_process_local_data(self._each, requests))
        return 0 if previous is None else int(previous)

    def forget(self) -> None:
        """Drop the requests of the last call, which have just been met.

        All processes must call this between the same two requests.
        """
        self._pending = None
