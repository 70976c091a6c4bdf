"""The packs of a study that are still to be trained, and those that wait for a retry."""

import time
from collections.abc import Collection, Sequence
from itertools import islice

from scaling_jax.config import RunConfig, program_of
from scaling_jax.study.execution.order import NEAR
from scaling_jax.study.execution.packs import Pack
from scaling_jax.study.store.stored_run import StoredRun
from scaling_jax.study.store.trunks import can_begin


class RunQueue:
    """Packs in the order in which they are due. It is true while a pack waits.

    Attributes:
        under_way: ids of the runs that were taken and neither finished nor put back.
    """

    def __init__(self, packs: Sequence[Pack]) -> None:
        self._ready = list(packs)
        self._later: list[tuple[float, Pack]] = []
        self._waiting_ids = {run.run_id for pack in packs for run in pack}
        self.under_way = set[str]()

    def __bool__(self) -> bool:
        return bool(self._ready or self._later)

    def finish(self, run: StoredRun) -> None:
        """Note that `run` needs no further attempt."""
        self.under_way.discard(run.run_id)

    def put_back(self, pack: Pack, wait: float) -> None:
        """Let `pack` be retried in `wait` seconds."""
        self._later.append((time.monotonic() + wait, pack))
        self._waiting_ids.update(run.run_id for run in pack)
        self.under_way.difference_update(run.run_id for run in pack)

    def next(
        self, compiled: Collection[RunConfig] = (), elsewhere: Collection[RunConfig] = ()
    ) -> Pack | None:
        """Take the next pack that is due; None if no pack is.

        Among the first few, a pack whose program is in `compiled` is preferred, then a pack whose
        program no other worker has, those `elsewhere`: two workers that begin together then do
        not compile the same program.

        A branch is due once its trunk has passed the step where the branch begins, or neither
        waits here nor is under way.
        """
        now = time.monotonic()
        self._ready += [pack for at, pack in self._later if at <= now]
        self._later = [(at, pack) for at, pack in self._later if at > now]
        near = list(islice((pack for pack in self._ready if not self._is_early(pack)), NEAR))
        return self._taken(_preferred(near, compiled, elsewhere)) if near else None

    def take(self, run_ids: Sequence[str]) -> Pack:
        """Take the pack of these runs, due or not."""
        packs = self._ready + [pack for _, pack in self._later]
        return self._taken(
            next(pack for pack in packs if [run.run_id for run in pack] == list(run_ids))
        )

    def _taken(self, taken: Pack) -> Pack:
        self._ready = [pack for pack in self._ready if pack is not taken]
        self._later = [(at, pack) for at, pack in self._later if pack is not taken]
        ids = {run.run_id for run in taken}
        self._waiting_ids -= ids
        self.under_way |= ids
        return taken

    def _is_early(self, pack: Pack) -> bool:
        """Whether a trunk has yet to reach, and will reach, the step where a run branches off."""
        return any(
            run.planned.branch is not None
            and (
                run.planned.branch.trunk in self._waiting_ids
                or run.planned.branch.trunk in self.under_way
            )
            and not can_begin(run)
            for run in pack
        )


def _preferred(
    near: Sequence[Pack], compiled: Collection[RunConfig], elsewhere: Collection[RunConfig]
) -> Pack:
    programs = [program_of(pack[0].planned.config) for pack in near]
    known = (pack for pack, program in zip(near, programs, strict=True) if program in compiled)
    fresh = (pack for pack, program in zip(near, programs, strict=True) if program not in elsewhere)
    return next(known, None) or next(fresh, near[0])
