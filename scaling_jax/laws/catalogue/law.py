"""The interface of every scaling law: a response as a function of columns and named constants."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from scaling_jax.errors import InputError, suggestion
from scaling_jax.laws.objectives import Objective, objective_named
from scaling_jax.laws.priors import Priors, require_known


@dataclass(frozen=True)
class Origin:
    """The Python file that defines a law, so that a stored fit can find the law again.

    Attributes:
        file: absolute path.
        name: of the function or law in the file.
        sha256: digest of the file when the law was read.
    """

    file: Path
    name: str
    sha256: str


@dataclass(frozen=True)
class Law(ABC):
    """A law that is not fitted yet. `PowerSum` and `FunctionLaw` are the two kinds.

    >>> from scaling_jax import laws
    >>> law = laws.LAWS["chinchilla"]
    >>> law.variables, law.names, law.response
    (('params', 'tokens'), ('E', 'A', 'B', 'alpha', 'beta'), 'loss')
    >>> published = law.ordered(law.published["besiroglu-2024"])
    >>> round(float(law.value(published, {"params": 70e9, "tokens": 1.4e12})), 3)
    1.974

    Attributes:
        name: of the law, as messages and the command line have it.
        response: the column that the law predicts.
        signed: columns, of the variables and the response, that may be zero or negative; all
            others must be positive. A signed response is fitted as it is, not in logs.
        held: constants that the law itself fixes, with their values.
        formula: the law as text.
        source: where the law was published.
        units: column -> its unit, the response included.
        published: where constants were published -> their names and values.
        priors: constant -> what a fit takes to be known of the constant beside the rows.
        frontier: the constants (alpha, beta, A, B) of the terms `A / N^alpha + B / D^beta` that
            trade off at fixed compute; None for a law without a compute-optimal frontier.
        origin: the user's file that defines the law; None for the laws of this package.
    """

    name: str
    _: KW_ONLY
    response: str = "loss"
    signed: tuple[str, ...] = ()
    held: Mapping[str, float] = field(default_factory=dict, compare=False)
    formula: str = ""
    source: str = ""
    units: Mapping[str, str] = field(default_factory=dict, compare=False)
    published: Mapping[str, Mapping[str, float]] = field(default_factory=dict, compare=False)
    priors: Priors = field(default_factory=dict, compare=False)
    frontier: tuple[str, str, str, str] | None = None
    origin: Origin | None = field(default=None, compare=False)

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """Names of the constants, in the order of every array of them."""

    if TYPE_CHECKING:  # A property of `PowerSum`, but a field of `FunctionLaw`.

        @property
        def variables(self) -> tuple[str, ...]:
            """Columns that the law is a function of."""

    @property
    @abstractmethod
    def positive(self) -> tuple[str, ...]:
        """Constants that must be positive; the solver fits their logarithms."""

    @abstractmethod
    def value(self, constants_P: ArrayLike, values: Mapping[str, np.ndarray | float]) -> np.ndarray:
        """The response at the given variables, broadcasting `constants[..., P]` against them.

        Raises:
            InputError: a variable is not among `values`.
        """

    def held_theta(self, fixed: Mapping[str, float]) -> np.ndarray:
        """Values `theta_P` of the constants that are held, NaN for those to be fitted.

        Raises:
            InputError: `fixed` names a constant that the law does not have or cannot hold.
        """
        held_P = np.full(len(self.names), np.nan)
        for name, value in {**self.held, **fixed}.items():
            in_logs = name in self.positive
            if in_logs and not value > 0:
                raise InputError(f"{name} {value} must be positive to be held")
            held_P[self._index(name)] = np.log(value) if in_logs else value
        return held_P

    def prior_theta(self, priors: Priors, least: float) -> tuple[np.ndarray, np.ndarray]:
        """Means and standard deviations `theta_P` of the priors; infinite where there is none.

        Args:
            priors: constant -> its prior.
            least: the lowest measured response, which a relative prior is a share of.

        Raises:
            InputError: a prior of a constant that the law does not have.
        """
        require_known(priors, self.names, self.name)
        mean_P, spread_P = np.zeros(len(self.names)), np.full(len(self.names), np.inf)
        for name, prior in priors.items():
            centre = prior.centre * (least if prior.relative else 1.0)
            p = self._index(name)
            mean_P[p] = np.log(centre) if name in self.positive else centre
            spread_P[p] = prior.spread
        return mean_P, spread_P

    @property
    def default_objective(self) -> Objective:
        """Huber's penalty of logs; squares for a response that may be zero or negative."""
        return objective_named("squares" if self.response in self.signed else "huber")

    def is_logged(self, objective: Objective) -> bool:
        """Whether residuals under this objective are differences of logs.

        Raises:
            InputError: they would be, of a response that may be zero or negative.
        """
        if objective.space == "log" and self.response in self.signed:
            raise InputError(
                f"{self.response} may be zero or negative, so it has no logarithm for the "
                f"objective {objective.name!r}: use 'squares'"
            )
        return objective.space == "log"

    def ordered(self, constants: Mapping[str, float]) -> np.ndarray:
        """Named constants as the array `constants_P` in the order of `names`.

        Raises:
            InputError: a constant is missing or left over.
        """
        if set(constants) != set(self.names):
            raise InputError(
                f"the law {self.name!r} has the constants {', '.join(self.names)}, not "
                f"{', '.join(constants) or 'none'}"
            )
        return np.array([constants[name] for name in self.names], np.float64)

    def free_names(self, fixed: Mapping[str, float]) -> tuple[str, ...]:
        """Names of the constants that a fit with `fixed` still has to find."""
        return tuple(name for name in self.names if name not in {*self.held, *fixed})

    def least_values(self, variable: str, fixed: Mapping[str, float]) -> int:
        """How many distinct values of a variable a fit with `fixed` needs at least.

        One, where nothing is known about how the law depends on the variable: tokens repeated
        from a single stock determine a law of repeated data.
        """
        return 1

    def _index(self, name: str) -> int:
        if name not in self.names:
            raise InputError(f"the law {self.name!r} has no {name!r}{suggestion(name, self.names)}")
        return self.names.index(name)

    def _require_variables(self, values: Mapping[str, object]) -> None:
        for name in self.variables:
            if name not in values:
                raise InputError(
                    f"the law {self.name!r} needs {name!r}{suggestion(name, [*values])}"
                )
