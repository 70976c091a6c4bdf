"""The data of a run: training batches and held-out text, checked before training."""

import os
from dataclasses import dataclass

import numpy as np
from etils import epath

from scaling_jax import data
from scaling_jax.config import RunConfig
from scaling_jax.errors import InputError
from scaling_jax.system.files import read_text, write_text_atomically

_FINGERPRINT_FILE = "data_fingerprint"


@dataclass(frozen=True)
class Inputs:
    """Training batches, held-out windows `held_out_NxT1`, and facts about the text."""

    batches: data.Batches
    held_out_NxT1: np.ndarray
    bytes_per_token: float | None
    fingerprint: str


def load_inputs(config: RunConfig, cache_dir: os.PathLike | str | None, progress: bool) -> Inputs:
    """The batches and the held-out text of a run; the corpus is tokenized if necessary.

    Raises:
        InputError: the tokenizer's vocabulary exceeds the shape's, or the text is too short.
    """
    cache = data.prepare(config.data.corpus, config.data.tokenizer, cache_dir, progress=progress)
    shape = config.shape
    if cache.vocab_size > shape.vocab_size:
        raise InputError(
            f"tokenizer {config.data.tokenizer!r} has {cache.vocab_size} ids, but the shape's "
            f"vocab_size is {shape.vocab_size}: raise vocab_size to at least {cache.vocab_size}"
        )
    batches = data.Batches(
        cache.train, shape.seq_len, config.batch_size, config.seed, repeat=config.data.repeat
    )
    batches.check_enough(config.steps)
    return Inputs(
        batches=batches,
        held_out_NxT1=data.held_out_windows(cache, shape.seq_len, config.eval_tokens),
        bytes_per_token=cache.bytes_per_token,
        fingerprint=cache.fingerprint,
    )


def check_same_text(directory: epath.Path, fingerprint: str) -> None:
    """Check that a run continues on the text that it started with.

    The first call stores the fingerprint in the run's directory.

    Raises:
        InputError: the corpus or the tokenizer has changed since the run's first step.
    """
    path = directory / _FINGERPRINT_FILE
    try:
        theirs = read_text(path)
    except FileNotFoundError:
        write_text_atomically(path, fingerprint)
        return
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} is damaged ({getattr(error, 'strerror', None) or error}): delete the run to "
            "train it again"
        ) from error
    if theirs != fingerprint:
        raise InputError(
            f"{directory} was started on text with fingerprint {theirs[:80]}, but the corpus "
            f"now has {fingerprint}: restore the corpus, or delete the run to train it again"
        )
