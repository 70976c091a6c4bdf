"""Where the unfinished runs of a study will end, judged by the curves of its finished runs."""

import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from scaling_jax import formatting
from scaling_jax.errors import InputError
from scaling_jax.study.store.loss_curves import curves
from scaling_jax.study.store.records import collect
from scaling_jax.study.store.store import Store
from scaling_jax.text_table import Table

if TYPE_CHECKING:
    from scaling_jax.laws.curves import RunEnd

COLUMNS = ("run", "done", "ends at", "interval", "moved by")


def run_ends(store: Store | os.PathLike | str, *, level: float = 0.9) -> "tuple[RunEnd, ...]":
    """The expected final loss of each unfinished run of a study, from a tenth of the run on.

    `laws.run_ends` has the method. Training curves are read, since every run has one; the loss at
    the end is the held-out loss.

    Args:
        store: a study's directory, or a root that holds one study.
        level: of the intervals.

    Raises:
        InputError: no study, or fewer than 6 finished runs of the recipe of an unfinished run.
    """
    from scaling_jax import laws

    store = store if isinstance(store, Store) else Store.open(store)
    read = curves(store, unfinished=True, of="training", roles=None)
    return laws.run_ends(read, collect(store), level=level)


@dataclass(frozen=True)
class EndsSoFar:
    """The ends that the finished runs of a study foresee so far.

    Attributes:
        runs: the expected ends.
        refused: why there are none; empty if there are, or if no run is under way.
    """

    runs: "tuple[RunEnd, ...]" = ()
    refused: str = ""

    @classmethod
    def of(cls, store: Store) -> "EndsSoFar":
        """The ends of the study's unfinished runs, or why they cannot be foreseen yet."""
        try:
            return cls(run_ends(store))
        except InputError as error:
            return cls(refused=str(error))

    def data(self) -> dict[str, Any]:
        """Plain data: the runs, and why there are none."""
        return {"runs": [asdict(end) for end in self.runs], "refused": self.refused or None}

    def text(self) -> list[str | Table]:
        """A table of expected ends, and a warning of each run that has left its ladder's band."""
        if self.refused:
            return [f"No end is foreseen yet: {self.refused}"]
        if not self.runs:
            return ["No unfinished run has reached a tenth of its tokens: no end is foreseen yet"]
        level, n_finished = self.runs[0].level, self.runs[0].n_finished
        title = (
            f"Expected ends with {formatting.level(level)} intervals, from the curves of "
            f"{n_finished} finished runs"
        )
        table = Table(COLUMNS, [_cells(end) for end in self.runs], COLUMNS[:1])
        return [title, table, *(_warning(end) for end in self.runs if end.has_left)]


def _cells(end: "RunEnd") -> tuple[str, ...]:
    return (
        end.run_id,
        f"{end.progress:.0%}",
        formatting.loss(end.loss),
        formatting.interval(end.interval, formatting.loss),
        f"{end.drift:+.2%}",
    )


def _warning(end: "RunEnd") -> str:
    return (
        f"warning: run {end.run_id} has left the band of its ladder: it has moved away from the "
        f"ladder's course by {end.drift:+.2%} since earlier in the run, and healthy runs move by "
        f"{end.expected_drift:.2%} (one standard deviation). Look at the run's curve, gradient "
        "norms and learning rate"
    )
