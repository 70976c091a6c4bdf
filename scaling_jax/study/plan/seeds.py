"""Several seeds of the runs of a design, which show the noise that no law can predict."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from scaling_jax.config.strict import whole_number
from scaling_jax.errors import InputError
from scaling_jax.study.plan.planned_run import PlannedRun

# Seeds of each run of a design: one number for all, or one for each of the design's budgets, sizes
# or numbers of tokens.
Seeds = int | tuple[int, ...]


def settled_seeds(seeds: object, n: int, of: str) -> Seeds:
    """The numbers of seeds, checked; one number where all are equal.

    Args:
        seeds: as given.
        n: how many numbers a tuple must have.
        of: what each number is of, for messages.

    Raises:
        InputError: numbers below 1, or another number of them.
    """
    given: tuple[object, ...] = (seeds,)
    several = isinstance(seeds, Iterable) and not isinstance(seeds, str | Mapping)
    if isinstance(seeds, Iterable) and several:
        given = tuple(seeds)
    numbers = tuple(whole_number("seeds", each) for each in given)
    if least := [each for each in numbers if each < 1]:
        raise InputError(f"seeds {least[0]}: every run needs at least one seed")
    if several and len(numbers) != n:
        raise InputError(
            f"{len(numbers)} numbers of seeds for {n} {of}: give one number for all, or one for "
            "each"
        )
    return numbers[0] if len(set(numbers)) == 1 else numbers


def seeds_at(seeds: Seeds, i: int) -> int:
    """The number of seeds of the `i`-th budget, size or number of tokens."""
    return seeds if isinstance(seeds, int) else seeds[i]


def with_seeds(run: PlannedRun, n: int) -> Iterator[PlannedRun]:
    """The run under its own seed and the `n` - 1 seeds after it."""
    for seed in range(run.config.seed, run.config.seed + n):
        yield replace(run, config=replace(run.config, seed=seed))
