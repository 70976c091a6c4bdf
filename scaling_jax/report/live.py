"""A report of a study under way, written again as the study goes on."""

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from scaling_jax.report.build import build_report, compare_finished, not_fitted
from scaling_jax.report.content import ReportData
from scaling_jax.report.page import write_report
from scaling_jax.study import Store
from scaling_jax.study.status.standing import Onlooker

if TYPE_CHECKING:
    from scaling_jax.laws import Comparison

# Of the time between two pages, what may go into fitting.
_SHARE_OF_TIME = 0.1


class LiveReport:
    """Writes a page of a store again and again; laws are fitted anew when a run has finished.

    Readers see the old page or the new one, and their browsers look again by themselves.
    """

    def __init__(
        self,
        store: Store,
        path: Path,
        *,
        every: float,
        target_flops: float | None = None,
        law: str = "chinchilla",
        bootstrap: int = 1000,
    ) -> None:
        self._store, self._path, self._every = store, path, every
        self._target_flops, self._law, self._bootstrap = target_flops, law, bootstrap
        self._onlooker = Onlooker(store)
        self._compared: Comparison | None = None
        self._fitted: frozenset[str] = frozenset()
        self._not_before = 0.0

    def update(self) -> bool:
        """Write the page as the study is now; say whether any training is left.

        Raises:
            InputError: a store without runs.
        """
        standing = self._onlooker.look()
        is_over = standing.seconds_left == 0
        if self._compared is None:
            # The first fit takes a while to compile, and the curves need not wait for it.
            waiting = "the fit is being made" if standing.finished_ids else "no run is finished yet"
            self._compared = not_fitted(waiting)
            self._write(self._data(frozenset()), self._every)
        data = self._data(standing.finished_ids, must_be_new=is_over)
        self._write(data, None if is_over else self._every)
        return not is_over

    def end(self) -> None:
        """Write the page once more, as one that nobody writes again."""
        self._write(self._data(self._fitted), None)

    def _data(self, finished: frozenset[str], must_be_new: bool = False) -> ReportData:
        if finished != self._fitted and (must_be_new or time.monotonic() >= self._not_before):
            began = time.monotonic()
            self._compared = compare_finished(self._store, law=self._law, bootstrap=self._bootstrap)
            spent = time.monotonic() - began
            self._fitted, self._not_before = finished, time.monotonic() + spent / _SHARE_OF_TIME
        return build_report(
            self._store,
            target_flops=self._target_flops,
            law=self._law,
            compared=self._compared,
        )

    def _write(self, data: ReportData, every: float | None) -> None:
        write_report(replace(data, refresh=every), self._path)
