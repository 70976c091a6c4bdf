"""Study: a name, a recipe and a design."""

import functools
import hashlib
import importlib
import json
import os
import re
from dataclasses import dataclass
from typing import Any

from scaling_jax.errors import InputError
from scaling_jax.formatting import Readable
from scaling_jax.study.plan.description import stored_form
from scaling_jax.study.plan.design import Design, PlannedRun
from scaling_jax.study.plan.recipe import Recipe


@dataclass(frozen=True)
class Study(Readable):
    """A set of runs: a recipe, which says how to train, and a design, which says what to train.

    >>> from scaling_jax.config import DataConfig
    >>> from scaling_jax.shapes import Family
    >>> from scaling_jax.study import ConstantBatch, ConstantLR, FixedModels
    >>> recipe = Recipe(
    ...     data=DataConfig(corpus="embedded", tokenizer="bytes"),
    ...     family=Family(vocab_size=256, seq_len=128),
    ...     peak_lr=ConstantLR(3e-3),
    ...     batch_size=ConstantBatch(16),
    ... )
    >>> study = Study("mine", recipe, FixedModels(params=(3e4, 6e4), tokens_per_param=(5, 20)))
    >>> [run.config.steps for run in study.plan()]
    [80, 141, 322, 566]

    Attributes:
        name: names the study's directory in a root.
        recipe: turns a shape and a budget into a run.
        design: chooses shapes and budgets.

    Raises:
        InputError: a name that cannot name a directory.
    """

    name: str
    recipe: Recipe
    design: Design

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.name):
            raise InputError(
                f"study name {self.name!r}: use letters, digits, dots, dashes and underscores, "
                "because it names a directory"
            )

    def plan(self) -> tuple[PlannedRun, ...]:
        """Every run, cheapest first, each once.

        Raises:
            InputError: the recipe cannot make a run that the design wants.
        """
        return self._planned

    def run(self, root: os.PathLike[str] | str, **options: Any) -> Any:
        """Train the runs that are not finished, and return the store; see `study.run_study`.

        Args:
            root: directory in which the study has its own.
            options: fields of `Job`, such as `workers=2`.

        Raises:
            InputError: bad input, found before anything is trained.
        """
        # A dynamic import, since execution builds on plans.
        execution = importlib.import_module("scaling_jax.study.execution.execute")
        return execution.run_study(self, root, **options)

    def status(self, root: os.PathLike[str] | str) -> Any:
        """The progress of the study under `root`: runs, failures, FLOPs and time left.

        Raises:
            InputError: the study has not been started there.
        """
        standing = importlib.import_module("scaling_jax.study.status.standing")
        store = importlib.import_module("scaling_jax.study.store.store").Store
        return standing.StudyMonitor(store.open(os.path.join(root, self.name))).look()  # noqa: PTH118

    @functools.cached_property
    def _planned(self) -> tuple[PlannedRun, ...]:
        runs = {run.config.run_id: run for run in self.design.runs(self.recipe)}
        return tuple(sorted(runs.values(), key=lambda run: (run.flops, run.config.run_id)))

    @property
    def flops_spent(self) -> float:
        """Training FLOPs of all runs, in the recipe's convention; shared steps count once."""
        return float(sum(run.flops_spent for run in self.plan()))

    def refuse_beyond(self, max_flops: float | None) -> None:
        """Refuse a study whose runs take more than `max_flops`, in the study's convention.

        Raises:
            InputError: the study takes more.
        """
        planned = self.flops_spent
        if max_flops is not None and not planned <= max_flops:
            raise InputError(
                f"study {self.name!r} takes {planned:.3g} FLOPs, more than --max-flops "
                f"{max_flops:.3g}: plan fewer or smaller runs, or raise it"
            )

    def describe(self) -> dict[str, Any]:
        """The study as plain data, as stores and reports keep it in `study.json`."""
        return {
            "name": self.name,
            "recipe": stored_form(self.recipe),
            "design": stored_form(self.design),
            "recipe_hash": self.recipe_hash,
        }

    @property
    def recipe_hash(self) -> str:
        """Identity of the recipe; studies with equal recipe hashes can share a store."""
        text = json.dumps(stored_form(self.recipe), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
