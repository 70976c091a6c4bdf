"""What a table's rows say of a run: the mean and the deviation over forms, misfits and noises."""

import dataclasses
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from scaling_jax.laws.catalogue import SKALING
from scaling_jax.laws.extrapolation.candidates import Form
from scaling_jax.laws.extrapolation.correlated import (
    NORMAL_PER_SCALE,
    Component,
    FormOnRows,
    at_usual_sizes,
    components,
    on_rows,
)
from scaling_jax.laws.extrapolation.misfit import Features, Places, features, places
from scaling_jax.laws.extrapolation.row_weights import share_above
from scaling_jax.laws.tables.select import Rows

# Components of less weight change no digit that is printed.
_NEGLIGIBLE = 1e-4


@dataclass(frozen=True)
class Foreseen:
    """Log losses of runs before they are trained.

    Attributes:
        mean_G: of the log loss.
        deviation_G: standard deviation of its error, without the run's own noise.
        noise_G: the part of that which the noise of the table's rows makes.
    """

    mean_G: np.ndarray
    deviation_G: np.ndarray
    noise_G: np.ndarray


@dataclass(frozen=True)
class Posterior:
    """Every form fitted to rows of a table, with the weight that the rows give each component.

    Attributes:
        rows: of the table.
        laws: the forms on it.
        components: of each form.
        columns: of the misfit of the rows that were fitted.
        frontier_P: constants of a first fit, which say how far runs lie above the frontier.
        top: largest N D of the rows that were fitted.
        largest: FLOPs of the largest run that was fitted.
    """

    rows: Rows
    laws: tuple[FormOnRows, ...]
    components: tuple[tuple[Component, ...], ...]
    columns: Features
    frontier_P: np.ndarray
    top: float
    largest: float

    @cached_property
    def weight_JxC(self) -> np.ndarray:
        """Share of every form's components in the evidence."""
        log_JxC = np.array([[c.log_evidence for c in each] for each in self.components])
        weight_JxC = np.exp(log_JxC - log_JxC.max())
        kept_JxC = np.where(weight_JxC < _NEGLIGIBLE, 0.0, weight_JxC)
        found_JxC: np.ndarray = kept_JxC / kept_JxC.sum()
        return found_JxC

    @property
    def run(self) -> float:
        """Deviation of a single run's noise, in log loss: of a normal with as wide an interval."""
        square_JxC = np.array([[c.noise**2 for c in each] for each in self.components])
        return NORMAL_PER_SCALE * float(np.sqrt(np.sum(self.weight_JxC * square_JxC)))

    def of_form(self, j: int) -> "Posterior":
        """The same with one form alone."""
        return dataclasses.replace(self, laws=(self.laws[j],), components=(self.components[j],))

    def centre(self, j: int = 0) -> np.ndarray:
        """The mean of a form's free constants."""
        log_C = np.array([component.log_evidence for component in self.components[j]])
        weight_C = np.exp(log_C - log_C.max())
        theta_CxF = np.array([component.theta_F for component in self.components[j]])
        mean_F: np.ndarray = weight_C @ theta_CxF / weight_C.sum()
        return mean_F

    def foreseen(self, params_G: np.ndarray, tokens_G: np.ndarray) -> Foreseen:
        """Log losses of runs of those sizes and horizons."""
        at = self._places(params_G, tokens_G)
        columns_GxM, rest_G = self.columns.of(at)
        parts, weights = [], []
        for law, each, weight_C in zip(self.laws, self.components, self.weight_JxC, strict=True):
            u_GxKxP = law.design(params_G, tokens_G)
            for component, weight in zip(each, weight_C, strict=True):
                if weight:
                    weights.append(weight)
                    parts.append(_foreseen(law, component, u_GxKxP, columns_GxM, rest_G))
        weight_H = np.array(weights)
        mean_HxG, variance_HxG, noise_HxG = (np.array(part) for part in zip(*parts, strict=True))
        mean_G = weight_H @ mean_HxG
        return Foreseen(
            mean_G=mean_G + np.log(self.laws[0].least),
            deviation_G=np.sqrt(weight_H @ (variance_HxG + (mean_HxG - mean_G) ** 2)),
            noise_G=np.sqrt(weight_H @ noise_HxG),
        )

    def _places(self, params_G: np.ndarray, tokens_G: np.ndarray) -> Places:
        above_G = known_above(self.rows, self.frontier_P, params_G, tokens_G)
        return places(params_G, tokens_G, above_G, self.top)


def posterior(rows: Rows, forms: tuple[Form, ...], seen_N: np.ndarray) -> Posterior:
    """The forms fitted to some of a table's rows.

    Args:
        rows: of the table.
        forms: the first is the most general; it says where the frontier lies.
        seen_N: which rows are fitted.
    """
    laws = tuple(on_rows(form, rows, seen_N) for form in forms)
    params_N, tokens_N = rows.params[seen_N], rows.tokens[seen_N]
    top = float((params_N * tokens_N).max())
    alike = features(places(params_N, tokens_N, np.zeros(len(params_N)), top))
    frontier_P = laws[0].constants(at_usual_sizes(laws[0], rows, alike, seen_N).theta_F)
    above_N = known_above(rows, frontier_P, params_N, tokens_N)
    columns = features(places(params_N, tokens_N, above_N, top))
    found = tuple(components(law, rows, columns, seen_N) for law in laws)
    return Posterior(rows, laws, found, columns, frontier_P, top, float(rows.flops[seen_N].max()))


def known_above(
    rows: Rows, constants_P: np.ndarray, params_N: np.ndarray, tokens_N: np.ndarray
) -> np.ndarray:
    """Share of the loss by which runs lie above a law's frontier; zero where it has none."""
    values = {"params": params_N, "tokens": tokens_N}
    share_N = share_above(SKALING, constants_P, values, rows.compute)
    above_N: np.ndarray = np.nan_to_num(np.maximum(share_N, 0.0), posinf=0.0)
    return above_N


def _foreseen(
    law: FormOnRows,
    component: Component,
    u_GxKxP: np.ndarray,
    columns_GxM: np.ndarray,
    rest_G: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, variance, and variance by the noise of rows, of one component."""
    from scipy.linalg import solve_triangular

    log_G, slope_GxF = law.log_loss(component.theta_F, u_GxKxP)
    columns_GxM = component.misfit * columns_GxM
    mean_G = log_G + columns_GxM @ component.lift_M
    moved_GxF = slope_GxF - columns_GxM @ component.cross_MxF
    known_MxG = solve_triangular(component.spread_MxM, columns_GxM.T, lower=True)
    variance_G = component.misfit**2 * rest_G + np.sum(known_MxG**2, axis=0)
    variance_G += np.einsum("gf,fe,ge->g", moved_GxF, component.covariance_FxF, moved_GxF)
    gain_GxN = slope_GxF @ component.gain_FxN
    return mean_G, variance_G, gain_GxN**2 @ component.variance_N
