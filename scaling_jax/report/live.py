"""Rewrite the report of a study that is being trained."""

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from scaling_jax.laws.conventions import DRAWS
from scaling_jax.report.build import build_report, compare_finished, not_fitted
from scaling_jax.report.content import ReportData
from scaling_jax.report.page import write_report
from scaling_jax.study import Store
from scaling_jax.study.status.standing import StudyMonitor

if TYPE_CHECKING:
    from scaling_jax.laws import Comparison

# The share of the time between two pages that fitting may take.
_SHARE_OF_TIME = 0.1


class LiveReport:
    """Rewrites the page of a store, and fits the laws again after another run has finished.

    A reader sees the old page or the new page, and a browser reloads the page.
    """

    def __init__(
        self,
        store: Store,
        path: Path,
        *,
        every: float,
        target_flops: float | None = None,
        law: str = "chinchilla",
        bootstrap: int = DRAWS,
    ) -> None:
        self._store, self._path, self._every = store, path, every
        self._target_flops, self._law, self._bootstrap = target_flops, law, bootstrap
        self._monitor = StudyMonitor(store)
        self._compared: Comparison | None = None
        self._fitted: frozenset[str] = frozenset()
        self._not_before = 0.0

    def update(self) -> bool:
        """Write the page of the study's present state; return whether any training is left.

        Raises:
            InputError: a store without runs.
        """
        standing = self._monitor.look()
        is_over = standing.seconds_left == 0
        if self._compared is None:
            # The first fit has to compile; show the curves before it ends.
            waiting = "the fit is running" if standing.finished_ids else "no run has finished yet"
            self._compared = not_fitted(waiting)
            self._write(self._data(frozenset()), self._every)
        data = self._data(standing.finished_ids, fit_now=is_over)
        self._write(data, None if is_over else self._every)
        return not is_over

    def end(self) -> None:
        """Write the page a last time, without the instruction to reload."""
        self._write(self._data(self._fitted), None)

    def keep_writing(self) -> None:
        """Rewrite the page until no training is left, or until Ctrl-C."""
        try:
            while self.update():
                time.sleep(self._every)
        except KeyboardInterrupt:
            self.end()

    def _data(self, finished: frozenset[str], fit_now: bool = False) -> ReportData:
        if finished != self._fitted and (fit_now or time.monotonic() >= self._not_before):
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
