"""Laws as sums of power-law terms, the shape that nearly every published scaling law has.

A law is `response = sum_k coefficient_k * prod_j variable_j ** power_kj`, where each power is a
signed sum of the law's exponents. In logarithms every term is linear in
`theta = (log coefficients, exponents)`, so the logarithm of the response is a log-sum-exp of
linear functions: its gradient and Hessian are closed forms, the same for every law. The sum
may be raised to an outer power besides, which multiplies the log-sum-exp.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from scaling_jax.errors import InputError, suggestion

_LEAST_COEFFICIENT = 1e-300


@dataclass(frozen=True)
class Term:
    """`coefficient * prod_j variable_j ** sum_m sign_jm * exponent_m`.

    Attributes:
        coefficient: its name; positive.
        powers: variable -> exponent -> sign.
    """

    coefficient: str
    powers: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Form:
    """A law with named constants, not yet fitted.

    Attributes:
        name: as the command line takes it.
        terms: what is summed.
        exponents: names of the exponents, in the order of `theta` after the coefficients.
        formula, source: for people.
        frontier: exponents (alpha, beta) and coefficients (A, B) whose terms
            `A / N^alpha + B / D^beta` trade off at fixed compute; None without a frontier.
        response: the column that the law predicts.
        units: column -> its unit, the response among them.
        published: where constants were published -> their names and values.
        outer: name of the power that the sum is raised to; None for 1. Its logarithm is the last
            of `theta`.
        outside: how many of the first terms are added after that power rather than before.
        held: constants that the form itself fixes.
        scales: constant of the paper -> (coefficient A, exponent alpha) of this form, where the
            paper writes `(X_c / X)^alpha` for `A / X^alpha`.
    """

    name: str
    terms: tuple[Term, ...]
    exponents: tuple[str, ...]
    formula: str
    source: str
    frontier: tuple[str, str, str, str] | None = None
    response: str = "loss"
    units: Mapping[str, str] = field(default_factory=dict)
    published: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    scales: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    outer: str | None = None
    outside: int = 0
    held: Mapping[str, float] = field(default_factory=dict)

    @property
    def coefficients(self) -> tuple[str, ...]:
        """Names of the coefficients, one per term."""
        return tuple(term.coefficient for term in self.terms)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all constants in the order of `theta`."""
        return (*self.coefficients, *self.exponents, *((self.outer,) if self.outer else ()))

    @property
    def variables(self) -> tuple[str, ...]:
        """Columns the law reads."""
        return tuple(dict.fromkeys(name for term in self.terms for name in term.powers))

    def ordered(self, constants: Mapping[str, float]) -> np.ndarray:
        """Named constants in the order of `names`, as `loss` takes them.

        Raises:
            InputError: a constant is missing or left over.
        """
        if set(constants) != set(self.names):
            raise InputError(
                f"the law {self.name!r} has the constants {', '.join(self.names)}, not "
                f"{', '.join(constants) or 'none'}"
            )
        return np.array([constants[name] for name in self.names], np.float64)

    def scales_at(self, constants: Mapping[str, float]) -> dict[str, float]:
        """The paper's scales `X_c = A^(1/alpha)`, in the unit of their variable."""
        return {
            name: float(constants[coefficient] ** (1 / constants[exponent]))
            for name, (coefficient, exponent) in self.scales.items()
        }

    def design(self, logs: Mapping[str, np.ndarray]) -> np.ndarray:
        """Gradients `u_NxKxP` of every term's logarithm in `theta`, from logs of the variables."""
        n = len(next(iter(logs.values())))
        u_NxKxP = np.zeros((n, len(self.terms), len(self.names)))
        for k, term in enumerate(self.terms):
            u_NxKxP[:, k, k] = 1
            for variable, exponents in term.powers.items():
                for exponent, sign in exponents.items():
                    u_NxKxP[:, k, self.names.index(exponent)] += sign * logs[variable]
        return u_NxKxP

    def constants(self, theta_P: np.ndarray, centre: Mapping[str, float]) -> np.ndarray:
        """Constants (coefficients, exponents) from `theta` fitted to logs less their `centre`.

        Works on the last axis, so a whole bootstrap goes through at once.
        """
        theta_P = np.asarray(theta_P, np.float64)
        shift_KxP = self.design({name: np.array([value]) for name, value in centre.items()})[0]
        n_terms = len(self.terms)
        exponents = theta_P[..., n_terms:]
        logs = theta_P[..., :n_terms] - exponents @ shift_KxP[:, n_terms:].T
        with np.errstate(over="ignore"):
            if self.outer:
                exponents = np.concatenate([exponents[..., :-1], np.exp(exponents[..., -1:])], -1)
            return np.concatenate([np.exp(logs), exponents], axis=-1)

    def theta(self, constants_P: np.ndarray, centre: Mapping[str, float]) -> np.ndarray:
        """The inverse of `constants`, of one law; a coefficient of zero is taken as tiny."""
        constants_P = np.asarray(constants_P, np.float64)
        shift_KxP = self.design({name: np.array([value]) for name, value in centre.items()})[0]
        n_terms = len(self.terms)
        exponents = constants_P[n_terms:].copy()
        if self.outer:
            exponents[-1] = np.log(exponents[-1])
        logs = np.log(np.maximum(constants_P[:n_terms], _LEAST_COEFFICIENT))
        return np.concatenate([logs + shift_KxP[:, n_terms:] @ exponents, exponents])

    def loss(self, constants_P: np.ndarray, values: Mapping[str, np.ndarray | float]) -> np.ndarray:
        """The response at the given variables, broadcasting `constants[..., P]` against them.

        Raises:
            InputError: a variable is not among `values`.
        """
        for name in self.variables:
            if name not in values:
                raise InputError(
                    f"the law {self.name!r} needs {name!r}{suggestion(name, [*values])}"
                )
        constants_P = np.asarray(constants_P, np.float64)
        added, total = np.zeros(()), np.zeros(())
        for k, term in enumerate(self.terms):
            with np.errstate(divide="ignore"):
                log_term = np.log(constants_P[..., k])
            for variable, exponents in term.powers.items():
                power = sum(
                    sign * constants_P[..., self.names.index(name)]
                    for name, sign in exponents.items()
                )
                log_term = log_term + power * np.log(values[variable])
            if k < self.outside:
                added = added + np.exp(log_term)
            else:
                total = total + np.exp(log_term)
        return added + (total ** constants_P[..., -1] if self.outer else total)
