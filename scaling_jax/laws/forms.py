"""Laws as sums of power-law terms, the shape that nearly every published scaling law has.

A law is `loss = sum_k coefficient_k * prod_j variable_j ** power_kj`, where each power is a
signed sum of the law's exponents. In logarithms every term is linear in
`theta = (log coefficients, exponents)`, so the logarithm of the loss is a log-sum-exp of
linear functions: its gradient and Hessian are closed forms, the same for every law.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from scaling_jax.errors import InputError, suggestion


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
    """

    name: str
    terms: tuple[Term, ...]
    exponents: tuple[str, ...]
    formula: str
    source: str
    frontier: tuple[str, str, str, str] | None = None

    @property
    def coefficients(self) -> tuple[str, ...]:
        """Names of the coefficients, one per term."""
        return tuple(term.coefficient for term in self.terms)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all constants in the order of `theta`."""
        return (*self.coefficients, *self.exponents)

    @property
    def variables(self) -> tuple[str, ...]:
        """Columns the law reads."""
        return tuple(dict.fromkeys(name for term in self.terms for name in term.powers))

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
            return np.concatenate([np.exp(logs), exponents], axis=-1)

    def loss(self, constants_P: np.ndarray, values: Mapping[str, np.ndarray | float]) -> np.ndarray:
        """Loss at the given variables, broadcasting `constants[..., P]` against them."""
        constants_P = np.asarray(constants_P, np.float64)
        total = np.zeros(())
        for k, term in enumerate(self.terms):
            with np.errstate(divide="ignore"):
                log_term = np.log(constants_P[..., k])
            for variable, exponents in term.powers.items():
                power = sum(
                    sign * constants_P[..., self.names.index(name)]
                    for name, sign in exponents.items()
                )
                log_term = log_term + power * np.log(values[variable])
            total = total + np.exp(log_term)
        return total


_FLOOR = Term("E", {})
_SOURCE = "Hoffmann et al. 2022 (arXiv 2203.15556), equation 2"

CHINCHILLA = Form(
    name="chinchilla",
    terms=(
        _FLOOR,
        Term("A", {"params": {"alpha": -1}}),
        Term("B", {"tokens": {"beta": -1}}),
    ),
    exponents=("alpha", "beta"),
    formula="L = E + A / N^alpha + B / D^beta",
    source=_SOURCE,
    frontier=("alpha", "beta", "A", "B"),
)

CHINCHILLA_TIED = Form(
    name="chinchilla-tied",
    terms=(
        _FLOOR,
        Term("A", {"params": {"alpha": -1}}),
        Term("B", {"tokens": {"alpha": -1}}),
    ),
    exponents=("alpha",),
    formula="L = E + A / N^alpha + B / D^alpha",
    source=f"{_SOURCE}, with alpha = beta (Muennighoff et al. 2023, arXiv 2305.16264)",
    frontier=("alpha", "alpha", "A", "B"),
)

FORMS: dict[str, Form] = {form.name: form for form in (CHINCHILLA, CHINCHILLA_TIED)}


def form_named(name: str) -> Form:
    """The law called `name`.

    Raises:
        InputError: an unknown name, with the nearest known one.
    """
    if name not in FORMS:
        raise InputError(f"unknown law {name!r}{suggestion(name, list(FORMS))}")
    return FORMS[name]
