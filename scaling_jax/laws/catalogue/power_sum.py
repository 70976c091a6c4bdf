"""Laws as sums of power-law terms, the shape that nearly every published scaling law has.

A law is `response = sum_k coefficient_k * prod_j variable_j ** power_kj`, where each power is a
signed sum of the law's exponents. In logarithms every term is linear in
`theta = (log coefficients, exponents)`, so the logarithm of the response is a log-sum-exp of
linear functions: its gradient and Hessian are closed forms, the same for every law. The sum
may be raised to an outer power besides, which multiplies the log-sum-exp.
"""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from scaling_jax.errors import InputError
from scaling_jax.laws.catalogue.law import Law
from scaling_jax.laws.objectives import Objective
from scaling_jax.laws.priors import Priors

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

    def __hash__(self) -> int:
        # Mappings have no hash, and a law must have one to be compiled in.
        return hash(self.coefficient)


@dataclass(frozen=True)
class PowerSum(Law):
    """A law that is a sum of power-law terms, or a power of such a sum.

    >>> from scaling_jax.laws import PowerSum, Term
    >>> law = PowerSum(
    ...     "floor and power",
    ...     (Term("E", {}), Term("A", {"params": {"alpha": -1}})),
    ...     ("alpha",),
    ... )
    >>> float(law.value([2.0, 10.0, 0.5], {"params": 100.0}))
    3.0

    Attributes:
        terms: what is summed.
        exponents: names of the exponents, in the order of `theta` after the coefficients.
        outer: name of the power that the sum is raised to; None for 1. Its logarithm is the last
            of `theta`.
        outside: how many of the first terms are added after that power rather than before.
        scales: constant of the paper -> (coefficient A, exponent alpha) of this law, where the
            paper writes `(X_c / X)^alpha` for `A / X^alpha`.
    """

    terms: tuple[Term, ...]
    exponents: tuple[str, ...]
    _: KW_ONLY
    outer: str | None = None
    outside: int = 0
    scales: Mapping[str, tuple[str, str]] = field(default_factory=dict, compare=False)

    @property
    def coefficients(self) -> tuple[str, ...]:
        """Names of the coefficients, one per term."""
        return tuple(term.coefficient for term in self.terms)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all constants in the order of `theta`."""
        return (*self.coefficients, *self.exponents, *((self.outer,) if self.outer else ()))

    @property
    def positive(self) -> tuple[str, ...]:
        """The coefficients and the outer power."""
        return (*self.coefficients, *((self.outer,) if self.outer else ()))

    @property
    def variables(self) -> tuple[str, ...]:
        """Columns the law reads."""
        return tuple(dict.fromkeys(name for term in self.terms for name in term.powers))

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
        """Constants (coefficients, exponents) from `theta` fitted to logs minus their `centre`.

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

    def held_theta(self, fixed: Mapping[str, float]) -> np.ndarray:
        """Values `theta_P` of the constants that are held, NaN for those to be fitted.

        Raises:
            InputError: a constant that the law does not have or that must be positive, or a
                coefficient of powers, whose `theta` moves with the centre of the variables.
        """
        for term in self.terms:
            if term.coefficient in fixed and term.powers:
                raise InputError(
                    f"{term.coefficient} multiplies powers of the variables and cannot be held: "
                    "hold an exponent or the floor"
                )
        return super().held_theta(fixed)

    def prior_theta(self, priors: Priors, least: float) -> tuple[np.ndarray, np.ndarray]:
        """Means and standard deviations `theta_P` of the priors; infinite where there is none.

        Raises:
            InputError: a constant that the law does not have, or a coefficient of powers, whose
                `theta` moves with the centre of the variables.
        """
        for term in self.terms:
            if term.coefficient in priors and term.powers:
                raise InputError(
                    f"{term.coefficient} multiplies powers of the variables and can have no prior: "
                    "give an exponent or the floor one"
                )
        return super().prior_theta(priors, least)

    def least_values(self, variable: str, fixed: Mapping[str, float]) -> int:
        """How many distinct values of a variable a fit with `fixed` needs at least.

        One, and one more for each kind of free constant that only changes of this variable
        determine: its exponents, and its coefficients if some terms lack the variable. So the
        sizes of `E + A / N^alpha + B / D^beta` need three values, and of `c N^a D^b` two.
        """
        free = self.free_names(fixed)
        terms = [term for term in self.terms if variable in term.powers]
        has_exponent = any(name in free for term in terms for name in term.powers[variable])
        has_others = len(terms) < len(self.terms)
        has_coefficient = has_others and any(term.coefficient in free for term in terms)
        return 1 + has_exponent + has_coefficient

    def is_logged(self, objective: Objective) -> bool:
        """Always: a sum of positive terms has a logarithm, in which the solver works."""
        return True

    def value(self, constants_P: ArrayLike, values: Mapping[str, np.ndarray | float]) -> np.ndarray:
        """The response at the given variables, broadcasting `constants[..., P]` against them.

        Raises:
            InputError: a variable is not among `values`.
        """
        self._require_variables(values)
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
