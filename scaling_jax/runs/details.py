"""Losses of held-out sets by window and by position, and their file `held_out.npz`."""

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from etils import epath

from scaling_jax.errors import InputError
from scaling_jax.system.files import retried, write_bytes_atomically

if TYPE_CHECKING:
    import pandas as pd

DETAILS_FILE = "held_out.npz"

_ARRAYS = ("window_N", "position_T", "position_stderr_T")


@dataclass(frozen=True, eq=False)
class HeldOutDetails:
    """Losses of one model on the windows of one held-out set, in nats per token.

    Attributes:
        window_N: mean loss of each window, in the order of the text (float32).
        position_T: mean loss at each position of a window. The first position has one token
            before it.
        position_stderr_T: standard error of `position_T` over windows; NaN for a single window.
        windows: hash of the tokens of the windows.
    """

    window_N: np.ndarray
    position_T: np.ndarray
    position_stderr_T: np.ndarray
    windows: str

    def by_position(self) -> "pd.DataFrame":
        """A table with the columns position (from 1), loss and loss_stderr.

        Windows start anywhere in a document, so the first positions are not starts of documents.
        """
        import pandas as pd

        return pd.DataFrame(
            {
                "position": np.arange(1, len(self.position_T) + 1),
                "loss": self.position_T,
                "loss_stderr": self.position_stderr_T,
            }
        )


def details_of(loss_N: np.ndarray, loss_NxT: np.ndarray, tokens_NxT1: np.ndarray) -> HeldOutDetails:
    """The details of a set, from the losses of its windows and of their targets."""
    losses_NxT, n = np.asarray(loss_NxT, np.float64), len(loss_NxT)
    spread_T = losses_NxT.std(axis=0, ddof=1) if n > 1 else np.full(losses_NxT.shape[1], np.nan)
    return HeldOutDetails(
        np.asarray(loss_N, np.float32),
        losses_NxT.mean(axis=0),
        spread_T / np.sqrt(n),
        windows_digest(tokens_NxT1),
    )


def windows_digest(tokens_NxT1: np.ndarray) -> str:
    """A hash of the tokens of windows, equal only for equal windows."""
    tokens = np.ascontiguousarray(tokens_NxT1, "<i4")
    return hashlib.sha256(f"{tokens.shape}".encode() + tokens.tobytes()).hexdigest()[:32]


def write_details(directory: epath.Path, details: Mapping[str, HeldOutDetails]) -> str:
    """Write the details of each of a run's sets, and return the hash of the file.

    Raises:
        OSError: the file cannot be written.
    """
    arrays = {
        f"{name}/{field}": getattr(each, field)
        for name, each in details.items()
        for field in (*_ARRAYS, "windows")
    }
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    content = buffer.getvalue()
    write_bytes_atomically(directory / DETAILS_FILE, content)
    return _digest(content)


def read_details(directory: epath.Path, digest: str) -> dict[str, HeldOutDetails]:
    """The details of a finished run by set; `digest` is the hash that its result holds.

    Raises:
        InputError: the file is missing, or was changed after the run had ended.
    """
    path = directory / DETAILS_FILE
    try:
        content = retried(path.read_bytes)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): restore it") from error
    if _digest(content) != digest:
        raise InputError(
            f"{path} is damaged, or was changed after the run had ended: restore it, or delete it "
            "to measure its losses again from the run's model"
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        names = [key.removesuffix("/windows") for key in arrays if key.endswith("/windows")]
        return {
            name: HeldOutDetails(
                window_N=arrays[f"{name}/window_N"],
                position_T=arrays[f"{name}/position_T"],
                position_stderr_T=arrays[f"{name}/position_stderr_T"],
                windows=str(arrays[f"{name}/windows"]),
            )
            for name in names
        }


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]
