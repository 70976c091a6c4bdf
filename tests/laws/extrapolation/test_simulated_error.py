"""Beyond the reach of cut-offs, intervals hold what laws of other forms would make of the runs."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest

from scaling_jax import laws
from scaling_jax.laws.allocation import Interval
from scaling_jax.laws.catalogue import CHINCHILLA, SKALING
from scaling_jax.laws.conventions import SIX_N_D
from scaling_jax.laws.extrapolation.cutoffs import reach
from scaling_jax.laws.extrapolation.other_laws import other_laws, refitted
from scaling_jax.laws.form_error import FormError, Simulated
from scaling_jax.laws.planning.answers import Target
from scaling_jax.laws.planning.known import KnownLaw
from scaling_jax.laws.planning.other_forms import form_errors
from scaling_jax.laws.simulated_error import loss_deviation, params_deviation

TRUTH = dict(E=1.8, A=480.0, B=2100.0, alpha=0.35, beta=0.37)
RUN = {"params": 3e9, "tokens": 6e10}


def ladder(span: float, truth: str = "chinchilla") -> pd.DataFrame:
    """Budgets up to 1e19 FLOPs over a factor `span`, with six sizes each."""
    law, constants = CHINCHILLA, TRUTH
    if truth == "floorless":
        law, constants = SKALING, dict(E=0.0, A=5e6, B=9e6, alpha=0.5, beta=0.5, k=0.2)
    rows = []
    for c in np.geomspace(1e19 / span, 1e19, 5):
        for n in 1e8 * (c / 1e18) ** 0.5 * np.geomspace(0.2, 5, 6):
            loss = float(law.value(law.ordered(constants), {"params": n, "tokens": c / 6 / n}))
            rows.append(dict(params=n, tokens=c / 6 / n, loss=loss, budget=c))
    table = pd.DataFrame(rows)
    noise_N = 0.002 * np.random.default_rng(0).standard_normal(len(table))
    return table.assign(loss=table["loss"] * np.exp(noise_N))


def error(reach: float = 1.0) -> FormError:
    """An error with the simulated one of a chinchilla fit to a short ladder."""
    table = ladder(16)
    values = {name: table[name].to_numpy() for name in ("params", "tokens")}
    others = refitted(CHINCHILLA, CHINCHILLA.ordered(TRUTH), values, noise=0.01)
    return FormError(0.001, 0.01, (), simulated=others, reach=reach)


def test_plan_and_fit_simulate_the_same_error() -> None:
    table = ladder(16)
    values = {name: table[name].to_numpy() for name in ("params", "tokens")}
    target = Target(6 * RUN["params"] * RUN["tokens"], RUN["params"], RUN["tokens"])
    law = KnownLaw(CHINCHILLA, TRUTH, "")
    _, _, log_params, _, log_loss = form_errors(law, values, target, 0.01)
    whole = error()
    ratio = target.flops / 1e19
    of_fit = loss_deviation(whole, CHINCHILLA, RUN, ratio)
    assert 1.645 * of_fit == pytest.approx(log_loss, rel=1e-6)
    of_optimum = params_deviation(whole, CHINCHILLA, ratio, 1e19, SIX_N_D)
    assert 1.645 * of_optimum == pytest.approx(log_params, rel=1e-6)


def test_cutoffs_that_reach_the_run_leave_nothing_to_the_simulated_error() -> None:
    ratio = 6 * RUN["params"] * RUN["tokens"] / 1e19
    found = [
        loss_deviation(error(reached), CHINCHILLA, RUN, ratio)
        for reached in (1.0, 2.0, 30.0, (1 - 1e-6) * ratio, ratio, 2 * ratio)
    ]
    measured = error().loss_deviation(ratio)
    assert found == sorted(found, reverse=True)
    assert found[0] > 2 * measured
    assert found[-3] == pytest.approx(measured, rel=0.02)
    assert found[-2:] == [measured, measured]


def test_laws_of_other_forms_differ_least_over_the_runs() -> None:
    table = ladder(16)
    values = {name: table[name].to_numpy() for name in ("params", "tokens")}
    truths = other_laws(CHINCHILLA, CHINCHILLA.ordered(TRUTH), values)
    assert [float(t.constants_P[-1]) for t in truths[:3]] == [0.4, 0.7, 1.0]
    assert truths[2].misfit < 1e-6
    assert truths[3].constants_P[0] < 1e-100
    off = [abs(math.log(float(SKALING.value(t.constants_P, RUN)) / predicted())) for t in truths]
    assert max(off) > 3 * max(t.misfit for t in truths)


def predicted() -> float:
    return float(CHINCHILLA.value(CHINCHILLA.ordered(TRUTH), RUN))


def test_a_form_that_holds_the_truths_has_no_simulated_error() -> None:
    table = ladder(16)
    values = {name: table[name].to_numpy() for name in ("params", "tokens")}
    constants_P = SKALING.ordered({**TRUTH, "k": 1.0})
    for each in refitted(SKALING, constants_P, values, noise=0.01):
        for at in (RUN, {"params": 1e8, "tokens": 2e9}):
            fitted, truth = (float(SKALING.value(c, at)) for c in (each.fitted, each.truth))
            assert fitted == pytest.approx(truth, rel=1e-4)


def test_a_short_ladder_gives_wider_intervals_far_out() -> None:
    fit = laws.fit(ladder(16, "floorless"), bootstrap=60)
    assert isinstance(fit, laws.LawFit)
    assert fit.form_error is not None
    bare = dataclasses.replace(fit, form_error=dataclasses.replace(fit.form_error, simulated=()))
    near, far = {"params": 3e8, "tokens": 5e9}, RUN
    assert fit.predict(**near) == bare.predict(**near)
    assert width(fit.predict(**far).law_interval) > width(bare.predict(**far).law_interval)
    again = laws.Fit.from_json(fit.to_json())
    assert again.predict(**far) == fit.predict(**far)  # type: ignore[attr-defined]


def test_the_reach_is_that_of_the_runs_whose_errors_were_scored() -> None:
    # Five budgets, each twice the one before; beyond the lowest lie runs 2, 4, 8 and 16 times it.
    size_N = np.repeat(2.0 ** np.arange(5), 3)
    assert reach(size_N, (), np.zeros(15)) == 1.0
    assert reach(size_N, (8.0, 4.0, 1.0), np.zeros(15)) == 6.0
    far_above_N = np.where(size_N > 4, 0.5, 0.0)  # those runs bend with the form: not scored
    assert reach(size_N, (1.0,), far_above_N) == 3.0


def test_fits_of_laws_without_a_frontier_have_no_simulated_error() -> None:
    table = ladder(64)
    fit = laws.fit(table, law="kaplan-flops", bootstrap=20)
    assert isinstance(fit, laws.LawFit)
    assert fit.form_error is None or fit.form_error.simulated == ()


def width(interval: Interval | None) -> float:
    assert interval is not None
    return math.log(interval[1] / interval[0])


def test_a_simulated_error_without_an_answer_counts_as_none() -> None:
    nowhere = Simulated((math.nan,) * 6, tuple(CHINCHILLA.ordered(TRUTH)), 1.0)
    lost = FormError(0.001, 0.01, (), simulated=(nowhere,))
    assert loss_deviation(lost, CHINCHILLA, RUN, 100) == lost.loss_deviation(100)
