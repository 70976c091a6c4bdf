"""Laws from plain functions: columns are arguments, constants are keywords with their ranges."""

import inspect
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.laws.catalogue.function import FunctionLaw, Parameter
from scaling_jax.laws.float64 import in_float64

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_EXAMPLE = "def law(params, tokens, *, E=(0.5, 3), A=(1, 1e5), alpha=(0.1, 1)): ..."


def law_from_function(function: Callable[..., Any], *, response: str = "loss") -> FunctionLaw:
    """A law of the columns and constants that the function's signature names.

    >>> import jax.numpy as jnp
    >>> from scaling_jax import laws
    >>> def decaying(epochs, *, E=(0.5, 5), A=(0.1, 10), k=(0.01, 10)):
    ...     return E + A * jnp.exp(-k * epochs)
    >>> law = laws.law_from_function(decaying)
    >>> law.variables, law.names
    (('epochs',), ('E', 'A', 'k'))

    Positional arguments are columns of the table. Keyword-only ones are constants, and their
    defaults the ranges (low, high) that starts are laid out over; one whose range lies above
    zero must stay positive. The function must work elementwise on arrays and be differentiable
    by JAX.

    Args:
        function: from columns and constants to the response.
        response: the column it predicts.

    Raises:
        InputError: a signature of another kind, or a range that is none.
    """
    name = getattr(function, "__name__", "function")
    columns, parameters = [], []
    for argument in inspect.signature(function).parameters.values():
        if argument.kind in _POSITIONAL and argument.default is argument.empty:
            columns.append(argument.name)
        elif argument.kind is argument.KEYWORD_ONLY:
            parameters.append(_parameter(name, argument))
        else:
            raise InputError(
                f"the law {name!r} has the argument {str(argument)!r}: columns come first and "
                f"have no default, constants come after a * and have their range, as in {_EXAMPLE}"
            )

    def of_named(constants: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
        return function(*(variables[column] for column in columns), **constants)

    return FunctionLaw(
        name=name,
        function=of_named,
        parameters=tuple(parameters),
        variables=tuple(columns),
        response=response,
    )


@in_float64
def require_works(form: FunctionLaw, values: Mapping[str, np.ndarray]) -> None:
    """Refuse a function that raises, or does not give one number per row, before it is fitted.

    Raises:
        InputError: with what it did, and where.
    """
    import jax
    import jax.numpy as jnp

    constants = {name: np.zeros(()) for name in form.names}
    shape = next(iter(values.values())).shape
    variables = {name: np.zeros(shape) for name in form.variables}
    try:
        given = jax.eval_shape(form.function, constants, variables)
    except (jax.errors.JAXTypeError, jax.errors.JAXIndexError) as error:
        raise InputError(
            f"the law {form.name!r} cannot be differentiated by JAX{_where(error)}: use jax.numpy "
            "in place of numpy and math, and jnp.where in place of if"
        ) from error
    except Exception as error:
        first_line = next(iter(str(error).splitlines()), "")
        raise InputError(
            f"the law {form.name!r} raises {type(error).__name__}{_where(error)}: {first_line}"
        ) from error
    if not isinstance(given, jax.ShapeDtypeStruct):
        raise InputError(
            f"the law {form.name!r} returns {type(given).__name__}: return one number per row"
        )
    if given.shape not in (shape, ()) or not jnp.issubdtype(given.dtype, jnp.floating):
        raise InputError(
            f"the law {form.name!r} returns {given.dtype} of shape {given.shape} for columns of "
            f"shape {shape}: return one real number per row"
        )


def _parameter(law: str, argument: inspect.Parameter) -> Parameter:
    try:
        low, high = map(float, argument.default)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"the constant {str(argument)!r} of the law {law!r} has no range of starting values: "
            f"give one, as in {_EXAMPLE}"
        ) from error
    return Parameter(argument.name, low, high, positive=low > 0)


def _where(error: Exception) -> str:
    """The innermost line outside JAX and this package."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "site-packages" not in frame.filename]
    if not own or own[-1].filename == __file__:
        return ""
    return f" at line {own[-1].lineno} of {own[-1].filename}"
