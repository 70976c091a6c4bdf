"""Laws given as plain functions of named constants and variables."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from scaling_jax.errors import InputError, suggestion
from scaling_jax.laws.float64 import in_float64
from scaling_jax.laws.objectives import Objective, objective_named

if TYPE_CHECKING:
    import jax

Function = Callable[[Mapping[str, "jax.Array"], Mapping[str, "jax.Array"]], "jax.Array"]

# Low-discrepancy points over the ranges; a power of two, as Sobol's sequence wants.
_STARTS = 4096


@dataclass(frozen=True)
class Parameter:
    """A named constant of a law.

    Attributes:
        name: as the function reads it.
        low, high: where starts are laid out, evenly in logs for a positive one. The optimum may
            lie outside.
        positive: whether it must stay positive; otherwise it may be any real number.

    Raises:
        InputError: an empty range, or one that reaches zero for a positive constant.
    """

    name: str
    low: float
    high: float
    positive: bool = True

    def __post_init__(self) -> None:
        if not -np.inf < self.low < self.high < np.inf:
            raise InputError(
                f"{self.name}: the range {self.low} to {self.high} must be finite and not empty"
            )
        if self.positive and self.low <= 0:
            raise InputError(
                f"{self.name}: a positive constant cannot start from {self.low}: raise the lower "
                "end, or set positive=False"
            )


@dataclass(frozen=True)
class CustomForm:
    """A law as a function, not yet fitted.

    Attributes:
        name: for messages and reports.
        function: from constants and variables, both by name, to the response. It must work
            elementwise on arrays and be differentiable by JAX.
        parameters: its constants.
        variables: the columns it reads.
        response: the column it predicts.
        signed: columns, of the variables and the response, that may be zero or negative.
            All others must be positive. A signed response is fitted as it is, not in logs.
        formula, source, units, published: for people; `published` maps where constants were
            published to their names and values.

    Raises:
        InputError: no parameters or variables, or a name twice.
    """

    name: str
    function: Function
    parameters: tuple[Parameter, ...]
    variables: tuple[str, ...]
    response: str = "loss"
    signed: tuple[str, ...] = ()
    formula: str = ""
    source: str = ""
    units: Mapping[str, str] = field(default_factory=dict, compare=False)
    published: Mapping[str, Mapping[str, float]] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        columns = (*self.variables, self.response)
        for what, names in (("constant", self.names), ("column", columns)):
            twice = [name for name in names if names.count(name) > 1]
            if twice:
                raise InputError(f"the law {self.name!r} has the {what} {twice[0]!r} twice")
        if not self.parameters or not self.variables:
            raise InputError(f"the law {self.name!r} needs at least one parameter and one variable")
        for name in self.signed:
            if name not in columns:
                raise InputError(
                    f"the law {self.name!r} has no {name!r}{suggestion(name, columns)}"
                )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the constants, in the order of every array of them."""
        return tuple(parameter.name for parameter in self.parameters)

    def ordered(self, constants: Mapping[str, float]) -> np.ndarray:
        """Named constants in the order of `names`.

        Raises:
            InputError: a constant is missing or left over.
        """
        if set(constants) != set(self.names):
            raise InputError(
                f"the law {self.name!r} has the constants {', '.join(self.names)}, not "
                f"{', '.join(constants) or 'none'}"
            )
        return np.array([constants[name] for name in self.names], np.float64)

    @in_float64
    def loss(self, constants_P: np.ndarray, values: Mapping[str, np.ndarray | float]) -> np.ndarray:
        """The response at the given variables, broadcasting `constants[..., P]` against them.

        Raises:
            InputError: a variable is not among `values`.
        """
        import jax.numpy as jnp

        for name in self.variables:
            if name not in values:
                raise InputError(
                    f"the law {self.name!r} needs {name!r}{suggestion(name, [*values])}"
                )
        constants = jnp.moveaxis(jnp.asarray(constants_P, jnp.float64), -1, 0)
        variables = {name: jnp.asarray(values[name], jnp.float64) for name in self.variables}
        response = self.function(dict(zip(self.names, constants, strict=True)), variables)
        return np.asarray(response, np.float64)

    @property
    def default_objective(self) -> Objective:
        """Huber on logs; squares of a response that may be zero or negative."""
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

    def constants(self, theta_P: np.ndarray) -> np.ndarray:
        """Constants from `theta`, in which positive ones are logs; on the last axis."""
        positive_P = np.array([parameter.positive for parameter in self.parameters])
        with np.errstate(over="ignore"):
            return np.where(positive_P, np.exp(np.where(positive_P, theta_P, 0)), theta_P)

    def held(self, fixed: Mapping[str, float]) -> np.ndarray:
        """Held values of `theta`, NaN where it is free.

        Raises:
            InputError: `fixed` names what the law does not have, or a positive constant's value
                is not positive.
        """
        held_P = np.full(len(self.names), np.nan)
        for name, value in fixed.items():
            if name not in self.names:
                raise InputError(
                    f"the law {self.name!r} has no {name!r}{suggestion(name, self.names)}"
                )
            k = self.names.index(name)
            if self.parameters[k].positive and not value > 0:
                raise InputError(f"{name} {value} must be positive to be held")
            held_P[k] = np.log(value) if self.parameters[k].positive else value
        return held_P

    def starts(self) -> np.ndarray:
        """Points `theta_SxP` that fill the ranges evenly, the same at every call."""
        from scipy.stats import qmc

        ends_Px2 = np.array([(p.low, p.high) for p in self.parameters], np.float64)
        positive_P = np.array([parameter.positive for parameter in self.parameters])
        ends_Px2[positive_P] = np.log(ends_Px2[positive_P])
        unit_SxP = qmc.Sobol(len(self.names), rng=0).random(_STARTS)
        return ends_Px2[:, 0] + unit_SxP * (ends_Px2[:, 1] - ends_Px2[:, 0])
