"""How the training of a study ended: what became of its runs, and whether that is all of them."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from scaling_jax.study.store.store import Store
from scaling_jax.study.store.stored_run import State, StoredRun
from scaling_jax.system.buckets import in_bucket


@dataclass(frozen=True)
class Ending:
    """The runs of a study after its training, each with its state.

    Attributes:
        store: the study.
        runs: its runs with their states, cheapest first.
        problems: why runs are left out of tables and laws, a sentence for each.
    """

    store: Store
    runs: tuple[tuple[StoredRun, State], ...]
    problems: tuple[str, ...]

    @classmethod
    def of(cls, store: Store) -> "Ending":
        """The ending of a study, read from its directory."""
        runs = store.runs()
        problems = store.problems_of((run, run.check_result()) for run in runs)
        return cls(store, tuple((run, run.state) for run in runs), tuple(problems))

    def __str__(self) -> str:
        states = ", ".join(f"{n} {state}" for state, n in self._counts.items())
        return f"{len(self.runs)} runs in {self.store.directory}: {states}"

    def data(self) -> dict[str, Any]:
        """The number of runs in each state as plain data."""
        directory = str(self.store.directory)
        return {"store": directory, "runs": len(self.runs), "states": dict(self._counts)}

    @property
    def failure(self) -> str | None:
        """How many runs failed, why the first did, and the remedy; None if none failed."""
        failed = [run for run, state in self.runs if state == "failed"]
        if not failed:
            return None
        return (
            f"{len(failed)} of {len(self.runs)} runs failed, {failed[0].run_id} with: "
            f"{failed[0].failure}; see scaling-jax status {self.store.directory}, and run with "
            "--retry-failed once the cause is gone"
        )

    @property
    def held(self) -> str | None:
        """How many runs in a bucket a process holds that may be dead; None if none.

        Whoever restarts a killed command within the lease must not take the study for finished.
        """
        held = [run for run, state in self.runs if state in ("leased", "running")]
        if not held or not in_bucket(self.store.directory):
            return None
        return (
            f"{len(held)} of {len(self.runs)} runs are held by another process, or by one that was "
            "killed within the last five minutes: run the same command again"
        )

    @property
    def _counts(self) -> Counter[State]:
        return Counter(state for _, state in self.runs)
