"""What the processes of one run agree on. Alone, a process agrees with itself at once."""

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
    """Whether this is the process that writes metrics and results."""
    return jax.process_index() == 0


def gathered(value: Any) -> list[Any]:
    """What each process gives here, in their order; JSON values. All wait for each other."""
    if jax.process_count() == 1:
        return [value]
    text = np.frombuffer(json.dumps(value).encode(), np.uint8)
    lengths = multihost_utils.process_allgather(np.int32(text.size))
    padded = np.pad(text, (0, int(lengths.max()) - text.size), constant_values=ord(" "))
    return [json.loads(bytes(row)) for row in multihost_utils.process_allgather(padded)]


def from_first(value: Callable[[], Any]) -> Any:
    """What `value` gives in process 0, in every process; JSON values."""
    return gathered(value() if is_first() else None)[0]


@contextmanager
def together() -> Iterator[None]:
    """What one process refuses in the block is refused by all, so that none waits in vain.

    Raises:
        InputError: of the first process that raised one.
    """
    refused = None
    try:
        yield
    except InputError as error:
        refused = str(error)
    for reason in gathered(refused):
        if reason is not None:
            raise InputError(reason)


class Agreement:
    """The greatest of what the processes want, known to all of them one call later.

    It is asked for beside the training steps, so nobody waits for it.
    """

    def __init__(self) -> None:
        mesh = Mesh(np.array(jax.devices()), "all")
        self._each = NamedSharding(mesh, PartitionSpec("all"))
        self._greatest = jax.jit(jnp.max, out_shardings=NamedSharding(mesh, PartitionSpec()))
        self._asked: jax.Array | None = None

    def __call__(self, wish: int) -> int:
        """Say what this process wants, and hear what all wanted at the call before."""
        if jax.process_count() == 1:
            return wish
        wishes = np.full(jax.local_device_count(), wish, np.int32)
        before, asked = self._asked, jax.make_array_from_process_local_data(self._each, wishes)
        self._asked = self._greatest(asked)
        return 0 if before is None else int(before)

    def forget(self) -> None:
        """Drop what is wished for and not heard yet: it was wished before what is now done.

        All processes must do so between the same two calls.
        """
        self._asked = None
