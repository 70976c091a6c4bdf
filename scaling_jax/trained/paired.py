"""The difference between two runs, measured in pairs on the windows of one held-out set."""

import math
import os
from dataclasses import dataclass

import numpy as np

from scaling_jax.config import RunConfig
from scaling_jax.config.evaluation import HELD_OUT
from scaling_jax.errors import InputError
from scaling_jax.trained.run import TrainedRun, load_run

LEVEL = 0.9

# Blocks of neighbouring windows. Neighbours come from the same source, and models differ alike on
# windows of one source, so that windows alone would give too small an error.
_BLOCKS = 32


@dataclass(frozen=True)
class PairedDifference:
    """The loss of run A minus that of run B on the same windows, in nats per token.

    Attributes:
        a, b: the run ids.
        held_out: name of the held-out set.
        n_windows: number of windows.
        loss_a, loss_b: the mean losses.
        difference: `loss_a - loss_b`.
        stderr: paired standard error of `difference`: from blocks of neighbouring windows or from
            windows, whichever is larger.
        stderr_windows: paired standard error if all windows were independent.
        stderr_unpaired: standard error if the windows of A and B were different ones.
        low, high: interval of level `LEVEL`, by Student's t over blocks.
        share_a_lower: share of the windows on which A has the lower loss.
    """

    a: str
    b: str
    held_out: str
    n_windows: int
    loss_a: float
    loss_b: float
    difference: float
    stderr: float
    stderr_windows: float
    stderr_unpaired: float
    low: float
    high: float
    share_a_lower: float

    def __str__(self) -> str:
        if self.low > 0:
            verdict = "B has the lower loss"
        elif self.high < 0:
            verdict = "A has the lower loss"
        else:
            verdict = "their order is not determined"
        return (
            f"A {self.a}: loss {self.loss_a:.4f}; B {self.b}: loss {self.loss_b:.4f}; "
            f"{self.n_windows:,} windows of {self.held_out}\n"
            f"A - B: {self.difference:+.4f} ± {self.stderr:.4f} nats per token, {LEVEL:.0%} "
            f"interval {self.low:+.4f} to {self.high:+.4f}: {verdict}\n"
            f"A is lower on {self.share_a_lower:.0%} of the windows. Unpaired, the error would be "
            f"{self.stderr_unpaired:.4f}. The interval holds the choice of the text, not that of "
            "the seed."
        )


def compare_runs(
    a: TrainedRun | os.PathLike | str,
    b: TrainedRun | os.PathLike | str,
    held_out: str = HELD_OUT,
) -> PairedDifference:
    """Compare two finished runs in pairs, window by window of one held-out set.

    Runs that were trained with `eval_details` are compared by their stored losses; the losses of
    other runs are measured from their models.

    Args:
        a, b: the runs, or their directories.
        held_out: the runs' own held-out text by default, or the name of a further set.

    Raises:
        InputError: the runs have different windows (the message says why), a set of one window, or
            a reason of `load_run` and `TrainedRun.details`.
    """
    runs = [each if isinstance(each, TrainedRun) else load_run(each) for each in (a, b)]
    details = [run.details(held_out) for run in runs]
    one, other = (run.config for run in runs)
    if details[0].windows != details[1].windows:
        raise InputError(
            f"runs {one.run_id} and {other.run_id} have different windows of {held_out!r}, so that "
            f"they cannot be compared in pairs: {_reason(runs, held_out)}"
        )
    loss_a_N, loss_b_N = (np.asarray(each.window_N, np.float64) for each in details)
    return paired_difference(loss_a_N, loss_b_N, one.run_id, other.run_id, held_out)


def paired_difference(
    loss_a_N: np.ndarray, loss_b_N: np.ndarray, a: str = "A", b: str = "B", held_out: str = HELD_OUT
) -> PairedDifference:
    """The difference of the losses of two models on the same windows, in the order of the text.

    >>> import numpy as np
    >>> loss_N = np.linspace(1, 3, 64)
    >>> found = paired_difference(loss_N, loss_N - np.tile([0.1, 0.2], 32))
    >>> round(found.difference, 2), found.stderr < found.stderr_unpaired / 10
    (0.15, True)

    Raises:
        InputError: a single window.
    """
    from scipy.stats import t

    n = len(loss_a_N)
    if n < 2:
        raise InputError(f"{held_out!r} has {n} window, which shows no error: raise eval_tokens")
    difference_N = loss_a_N - loss_b_N
    blocks = np.array([block.mean() for block in np.array_split(difference_N, min(_BLOCKS, n))])
    difference = float(difference_N.mean())
    of_windows, of_blocks = _stderr(difference_N), _stderr(blocks)
    stderr = max(of_windows, of_blocks)
    reach = float(t.ppf((1 + LEVEL) / 2, len(blocks) - 1)) * stderr
    return PairedDifference(
        a=a,
        b=b,
        held_out=held_out,
        n_windows=n,
        loss_a=float(loss_a_N.mean()),
        loss_b=float(loss_b_N.mean()),
        difference=difference,
        stderr=stderr,
        stderr_windows=of_windows,
        stderr_unpaired=math.hypot(_stderr(loss_a_N), _stderr(loss_b_N)),
        low=difference - reach,
        high=difference + reach,
        share_a_lower=float((difference_N < 0).mean()),
    )


def _stderr(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / math.sqrt(len(values)))


def _reason(runs: list[TrainedRun], held_out: str) -> str:
    one, other = (_windows_of(run.config, held_out) for run in runs)
    differences = [
        f"{name} {one[name]} and {other[name]}" for name in one if one[name] != other[name]
    ]
    return ", ".join(differences) or "the text has changed between their trainings"


def _windows_of(config: RunConfig, held_out: str) -> dict[str, object]:
    """What the windows of a set follow from, besides the text itself."""
    further = {each.name: each for each in config.evals}.get(held_out)
    return {
        "corpus": config.data.corpus if further is None else further.corpus,
        "part": "held_out" if further is None else further.part,
        "tokenizer": config.data.tokenizer,
        "seq_len": config.shape.seq_len,
        "eval_tokens": config.eval_tokens,
    }
