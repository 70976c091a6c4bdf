"""Laws given as plain functions of named constants and variables."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from scaling_jax.errors import InputError, suggestion
from scaling_jax.laws.catalogue.law import Law
from scaling_jax.laws.float64 import in_float64

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
class FunctionLaw(Law):
    """A law as a function of constants and variables; `law_from_function` makes one from Python.

    >>> from scaling_jax.laws import FunctionLaw, Parameter
    >>> law = FunctionLaw(
    ...     "line",
    ...     lambda constants, values: constants["a"] + constants["b"] * values["x"],
    ...     (Parameter("a", 0.1, 10), Parameter("b", -1, 1, positive=False)),
    ...     ("x",),
    ... )
    >>> float(law.value([1.0, 2.0], {"x": 3.0}))
    7.0

    Attributes:
        function: from named constants and named variables to the response. It must work
            elementwise on arrays and be differentiable by JAX.
        parameters: the constants.
        variables: the columns that the function reads.

    Raises:
        InputError: no parameters or variables, or a name twice.
    """

    function: Function
    parameters: tuple[Parameter, ...]
    variables: tuple[str, ...]

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

    @property
    def positive(self) -> tuple[str, ...]:
        """Constants whose range lies above zero."""
        return tuple(parameter.name for parameter in self.parameters if parameter.positive)

    @in_float64
    def value(self, constants_P: ArrayLike, values: Mapping[str, np.ndarray | float]) -> np.ndarray:
        """The response at the given variables, broadcasting `constants[..., P]` against them.

        Raises:
            InputError: a variable is not among `values`.
        """
        import jax.numpy as jnp

        self._require_variables(values)
        constants = jnp.moveaxis(jnp.asarray(constants_P, jnp.float64), -1, 0)
        variables = {name: jnp.asarray(values[name], jnp.float64) for name in self.variables}
        response = self.function(dict(zip(self.names, constants, strict=True)), variables)
        return np.asarray(response, np.float64)

    def constants(self, theta_P: np.ndarray) -> np.ndarray:
        """Constants from `theta`, in which positive ones are logs; on the last axis."""
        positive_P = np.array([parameter.positive for parameter in self.parameters])
        with np.errstate(over="ignore"):
            return np.where(positive_P, np.exp(np.where(positive_P, theta_P, 0)), theta_P)

    @property
    def range_of_theta(self) -> np.ndarray:
        """Ends `Px2` of every constant's range, in logs for positive ones."""
        ends_Px2 = np.array([(p.low, p.high) for p in self.parameters], np.float64)
        positive_P = np.array([parameter.positive for parameter in self.parameters])
        ends_Px2[positive_P] = np.log(ends_Px2[positive_P])
        return ends_Px2

    def starts(self) -> np.ndarray:
        """Points `theta_SxP` that fill the ranges evenly, the same at every call."""
        from scipy.stats import qmc

        ends_Px2 = self.range_of_theta
        unit_SxP: np.ndarray = qmc.Sobol(len(self.names), rng=0).random(_STARTS)
        starts_SxP: np.ndarray = ends_Px2[:, 0] + unit_SxP * (ends_Px2[:, 1] - ends_Px2[:, 0])
        return starts_SxP
