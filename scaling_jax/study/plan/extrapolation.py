"""A ladder together with the larger run that its law has to predict."""

from collections.abc import Iterator
from dataclasses import dataclass

from scaling_jax.config.strict import number
from scaling_jax.errors import InputError
from scaling_jax.study.plan.design import Design, PlannedRun
from scaling_jax.study.plan.recipe import Recipe


@dataclass(frozen=True)
class Extrapolation:
    """The runs of a ladder, and one run beyond them that tests what the ladder's law predicts.

    `run` trains the ladder first, then freezes the forecast of the larger run in the study's
    directory, and only then trains the larger run.

    >>> from scaling_jax.study import IsoFlop
    >>> ladder = IsoFlop(budgets=(1e18, 4e18), sizes=((1e7, 2e7), (2e7, 4e7)))
    >>> design = Extrapolation(ladder, budget=1e20, params=1.5e8)

    Attributes:
        ladder: the design that the law is fitted to.
        budget: training FLOPs of the larger run, in the recipe's convention.
        params: its wanted number of parameters, as the recipe's family counts them.
        floor: what is known of the law's floor E beside the runs, as centre and standard deviation
            in the unit of the loss; None if nothing is.

    Raises:
        InputError: a budget, a size, or a centre or deviation of the floor that is not a positive
            number.
    """

    ladder: Design
    budget: float
    params: float
    floor: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        for name in ("budget", "params"):
            value = number(name, getattr(self, name))
            if not 0 < value < float("inf"):
                raise InputError(f"{name} {value} must be positive and finite")
            object.__setattr__(self, name, value)
        if self.floor is not None:
            floor = tuple(number("floor", value) for value in self.floor)
            if len(floor) != 2 or not all(0 < value < float("inf") for value in floor):
                raise InputError(
                    f"floor {self.floor} must be the centre and the standard deviation of E, both "
                    "positive, such as (0.5, 0.25)"
                )
            object.__setattr__(self, "floor", floor)

    def runs(self, recipe: Recipe) -> Iterator[PlannedRun]:
        """The runs of the ladder, then the larger run as a verification run.

        Raises:
            InputError: the larger run has no more FLOPs than the largest of the ladder.
        """
        largest = 0.0
        for run in self.ladder.runs(recipe):
            largest = max(largest, run.budget)
            yield run
        if self.budget <= largest:
            raise InputError(
                f"budget {self.budget:.3g} of the run to predict does not lie beyond the ladder, "
                f"whose largest is {largest:.3g}: raise it"
            )
        config = recipe.for_budget(recipe.family.nearest(self.params), self.budget)
        yield PlannedRun(config, self.budget, "verification", recipe.convention)
