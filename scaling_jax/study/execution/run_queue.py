"""The packs of a study that wait to be trained, and those that wait to be tried again."""

import time
from collections.abc import Collection, Sequence
from itertools import islice

from scaling_jax.config import RunConfig
from scaling_jax.study.execution.order import NEAR
from scaling_jax.study.execution.packs import Pack
from scaling_jax.study.store.trunks import can_begin
from scaling_jax.train import program_of


class Waiting:
    """Packs in the order in which they are due."""

    def __init__(self, packs: Sequence[Pack]) -> None:
        self._ready = list(packs)
        self._later: list[tuple[float, Pack]] = []
        self._ids = {run.run_id for pack in packs for run in pack}

    def __bool__(self) -> bool:
        return bool(self._ready or self._later)

    def put_back(self, pack: Pack, wait: float) -> None:
        """Let `pack` be tried again in `wait` seconds."""
        self._later.append((time.monotonic() + wait, pack))
        self._ids.update(run.run_id for run in pack)

    def next(
        self,
        compiled: set[RunConfig],
        under_way: Collection[str] = (),
        elsewhere: Collection[RunConfig] = (),
    ) -> Pack | None:
        """Take the next pack that is due.

        One of a program in `compiled` if it is near, else one of a program that others do not have,
        those `elsewhere`: two who begin together then do not compile the same.

        A branch is due once its trunk has passed the step where it begins, or neither waits here
        nor is one of the runs `under_way`.
        """
        now = time.monotonic()
        due = [pack for at, pack in self._later if at <= now]
        self._later = [(at, pack) for at, pack in self._later if at > now]
        self._ready += due
        free = (pack for pack in self._ready if not self._is_early(pack, under_way))
        near = list(islice(free, NEAR))
        if not near:
            return None
        pack = nearest(near, compiled, elsewhere)
        self._ready.remove(pack)
        self._ids.difference_update(run.run_id for run in pack)
        return pack

    def take(self, run_ids: Sequence[str]) -> Pack:
        """Take the pack of these runs, due or not."""
        packs = self._ready + [pack for _, pack in self._later]
        taken = next(pack for pack in packs if [run.run_id for run in pack] == list(run_ids))
        self._ready = [pack for pack in self._ready if pack is not taken]
        self._later = [(at, pack) for at, pack in self._later if pack is not taken]
        self._ids.difference_update(run_ids)
        return taken

    def _is_early(self, pack: Pack, under_way: Collection[str]) -> bool:
        """Whether a run of `pack` begins from a trunk that has yet to come there, and will."""
        return any(
            run.planned.branch is not None
            and (run.planned.branch.trunk in self._ids or run.planned.branch.trunk in under_way)
            and not can_begin(run)
            for run in pack
        )


def nearest(
    near: Sequence[Pack], compiled: Collection[RunConfig], elsewhere: Collection[RunConfig]
) -> Pack:
    """The first pack of a program in `compiled`, or else not in `elsewhere`, or else the first."""
    programs = [program_of(pack[0].planned.config) for pack in near]
    known = (pack for pack, program in zip(near, programs, strict=True) if program in compiled)
    fresh = (pack for pack, program in zip(near, programs, strict=True) if program not in elsewhere)
    return next(known, None) or next(fresh, near[0])
