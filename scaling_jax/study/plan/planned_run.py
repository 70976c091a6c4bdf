"""One run of a plan: its configuration, what it is for, and what it costs."""

from dataclasses import dataclass
from typing import Literal

from scaling_jax.accounting import flops
from scaling_jax.config import RunConfig

Role = Literal["grid", "verification", "branch"]


@dataclass(frozen=True)
class Branch:
    """The point at which a run leaves another run, whose first steps both share.

    Attributes:
        trunk: run_id of the other run.
        step: number of shared steps.
    """

    trunk: str
    step: int


@dataclass(frozen=True)
class PlannedRun:
    """One complete run of a plan.

    Attributes:
        config: the run.
        budget: training FLOPs that the run was planned for, in the recipe's convention. The
            budget is stored because the run's own FLOPs are rounded to whole steps.
        role: laws are fitted to `grid` runs; a `verification` run tests a prediction, and a
            `branch` is a part of a run under other settings: neither is ever fitted.
        convention: how the budget's FLOPs are counted.
        branch: where the run leaves its trunk; None if the run starts at its own first step.
        wanted_tokens: training tokens that the design requested, before they were rounded to
            whole steps; None where they follow from the budget.
        variation: name of the variation of a sweep that the run belongs to; None outside sweeps.
    """

    config: RunConfig
    budget: float
    role: Role
    convention: flops.Convention
    branch: Branch | None = None
    wanted_tokens: float | None = None
    variation: str | None = None

    @property
    def requested_tokens(self) -> float:
        """Training tokens that the design requested, before they were rounded to whole steps."""
        if self.wanted_tokens is not None:
            return self.wanted_tokens
        return self.budget * self.config.tokens / self.flops

    @property
    def flops(self) -> int:
        """Training FLOPs of all the run's steps, in the budget's convention."""
        return flops.training_flops(self.config.shape, self.config.tokens, self.convention)

    @property
    def shared_steps(self) -> int:
        """Number of the run's steps that its trunk takes; 0 for a run that counts its own alone."""
        return self.branch.step if self.branch and self.config.start is None else 0

    @property
    def flops_spent(self) -> int:
        """Training FLOPs of the steps that the run takes itself, after the steps of its trunk."""
        return self.flops * (self.config.steps - self.shared_steps) // self.config.steps
