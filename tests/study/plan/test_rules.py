"""Published rules give the published numbers, and say where they were fitted."""

import dataclasses
from dataclasses import replace

import pytest
from small_studies import RECIPE

from scaling_jax.accounting.flops import count_params
from scaling_jax.config import Shape
from scaling_jax.errors import InputError
from scaling_jax.shapes import CHINCHILLA_SHAPES
from scaling_jax.study import (
    ComputeLR,
    DeepSeekBatch,
    DeepSeekLR,
    FixedModels,
    HoffmannLR,
    KaplanLR,
    PorianBatch,
    PorianLR,
    PowerLawBatch,
    PowerLawLR,
    StepLawBatch,
    StepLawLR,
)
from scaling_jax.study.plan.published_rules import extrapolated

# Llama's shape of 32 layers: 12 n_layers d_model^2 parameters without tables are 6.44e9.
LARGE = Shape(n_layers=32, d_model=4096, n_heads=32, d_ff=16384, vocab_size=32000, seq_len=4096)
# 12 x 12 x 768^2 = 8.49e7 without tables, 1.0999e8 with the output matrix.
SMALL = Shape(n_layers=12, d_model=768, n_heads=12, d_ff=3072, vocab_size=32672, seq_len=1024)
UNTIED = dataclasses.replace(SMALL, tied_embedding=False)


def test_kaplans_learning_rate_counts_parameters_without_embeddings():
    # 0.003239 - 0.0001395 ln N of appendix D.6, at N = 8.495e7.
    assert KaplanLR()(SMALL, 0) == pytest.approx(0.00069229, rel=1e-3)
    wide = dataclasses.replace(SMALL, vocab_size=10**6)
    assert KaplanLR()(wide, 0) == KaplanLR()(SMALL, 0)
    with pytest.raises(InputError, match="another rule"):
        KaplanLR()(dataclasses.replace(LARGE, n_layers=64), 0)


def test_hoffmanns_learning_rate_falls_between_the_two_published_ends():
    rates = [HoffmannLR()(shape, 0) for shape in sorted(CHINCHILLA_SHAPES, key=total)]
    assert rates[0] == 2e-4
    assert rates[-1] == pytest.approx(1.25e-4, rel=0.01)
    assert rates == sorted(rates, reverse=True)
    # Half way on the logarithmic scale from 70M to 16.183B, near 1.064B.
    assert HoffmannLR()(nearest(1.064e9), 0) == pytest.approx(1.625e-4, rel=0.01)


def total(shape):
    return count_params(shape).total


def nearest(params):
    return min(CHINCHILLA_SHAPES, key=lambda shape: abs(total(shape) / params - 1))


def test_porians_rules_count_the_output_matrix_once():
    # 0.0047 (1.0999e8 / 1.08e8)^(-1/3), and 160 (...)^(2/3) sequences of 2,048.
    for shape in (SMALL, UNTIED):
        assert PorianLR()(shape, 0) == pytest.approx(0.0046714, rel=1e-3)
        assert PorianBatch()(shape, 0) == pytest.approx(2 * 161.97, abs=1)


def test_step_law_is_of_parameters_and_tokens():
    # 1.797 (8.495e7)^-0.7129 (1e10)^0.3075 and 0.581 (1e10)^0.5709 tokens.
    assert StepLawLR()(SMALL, 1e10) == pytest.approx(0.0047603, rel=2e-3)
    assert StepLawBatch()(SMALL, 1e10) == pytest.approx(297_290 / 1024, abs=1)
    assert StepLawBatch()(LARGE, 1e10) == pytest.approx(297_290 / 4096, abs=1)


def test_deepseeks_rules_are_of_compute_without_the_vocabulary():
    # C = (72 x 32 x 4096^2 + 12 x 32 x 4096 x 4096) x 2e12 = 9.019e22.
    assert DeepSeekLR().size(LARGE, 2e12) == pytest.approx(9.019e22, rel=1e-3)
    assert DeepSeekLR()(LARGE, 2e12) == pytest.approx(0.00042119, rel=1e-3)
    assert DeepSeekBatch()(LARGE, 2e12) == pytest.approx(9.420e6 / 4096, rel=2e-3)


def test_power_laws_pass_through_their_reference():
    params, double = total(SMALL), 2 * total(SMALL)
    assert PowerLawLR(value=0.0047, reference_params=params)(SMALL, 0) == pytest.approx(0.0047)
    cube = PowerLawLR(value=0.0047, reference_params=8 * params)
    assert cube(SMALL, 0) == pytest.approx(2 * 0.0047)
    of_compute = ComputeLR(value=0.01, reference_flops=6 * params * 1e6, exponent=-0.5)
    assert of_compute(SMALL, 10**6) == pytest.approx(0.01)
    assert of_compute(SMALL, 4 * 10**6) == pytest.approx(0.005)
    assert PowerLawBatch(160, params)(SMALL, 0) == 160
    assert PowerLawBatch(160, double, exponent=1)(SMALL, 0) == 80


@pytest.mark.parametrize(
    "rule",
    [
        KaplanLR(),
        HoffmannLR(),
        PorianLR(),
        StepLawLR(),
        DeepSeekLR(),
        PowerLawLR(0.01, 1e8),
        ComputeLR(0.01, 1e18),
        PorianBatch(),
        StepLawBatch(),
        DeepSeekBatch(),
        PowerLawBatch(160, 1e8),
    ],
    ids=lambda rule: type(rule).__name__,
)
def test_a_mixture_gets_the_values_of_the_dense_model_that_does_the_same_work(rule):
    mixture = dataclasses.replace(SMALL, n_experts=8)
    # Apart from the routers, 0.05 % of the active parameters.
    assert rule(mixture, 1e9) == pytest.approx(rule(SMALL, 1e9), rel=2e-3)
    # With two experts for a token, the feed-forward layers count twice.
    double = dataclasses.replace(SMALL, d_ff=2 * SMALL.d_ff)
    both = dataclasses.replace(mixture, experts_per_token=2)
    assert rule(both, 1e9) == pytest.approx(rule(double, 1e9), rel=2e-3)


def test_deepseeks_compute_counts_the_experts_that_a_token_uses():
    mixture = dataclasses.replace(SMALL, n_experts=8)
    # 72 n_layers d^2 + 12 n_layers d seq_len a token, 12 layers of width 768, T = 1,024.
    expected = (72 * 12 * 768**2 + 12 * 12 * 768 * 1024) * 1e9
    assert DeepSeekLR().size(SMALL, 1e9) == DeepSeekLR().size(mixture, 1e9) == expected


def test_tokens_per_parameter_of_a_mixture_count_active_parameters():
    family = dataclasses.replace(RECIPE.family, n_experts=4)
    (run,) = FixedModels((2e4,), (20,)).runs(replace(RECIPE, family=family))
    counts = count_params(run.config.shape)
    assert counts.total > 1.5 * counts.active
    assert run.requested_tokens == 20 * counts.active


def test_a_batch_is_never_empty():
    tiny = RECIPE.family.nearest(5e3)
    for rule in (StepLawBatch(), DeepSeekBatch(), PowerLawBatch(160, 1e9)):
        assert rule(tiny, 1) == 1


def test_batches_that_follow_the_horizon_fit_the_budget():
    recipe = replace(RECIPE, batch_size=StepLawBatch())
    run = recipe.for_budget(RECIPE.family.nearest(2e4), 3e10)
    assert run.batch_size == pytest.approx(0.581 * run.tokens**0.5709 / 32, rel=0.05)
    longer = recipe.for_tokens(RECIPE.family.nearest(2e4), 1e6)
    assert longer.batch_size > run.batch_size


def test_what_a_rule_was_not_fitted_over_is_said():
    recipe = replace(RECIPE, peak_lr=PorianLR())
    small, within = recipe.for_tokens(RECIPE.family.nearest(2e4), 1e5), nearest(90e6)
    runs = [small, replace(small, shape=within)]
    warning = extrapolated(PorianLR(), runs)
    assert "PorianLR was fitted over N from 2.5e+07 to 1.1e+08 (Porian et al. 2024)" in warning
    assert "1 of 2 runs lie outside" in warning
    assert extrapolated(PorianLR(), runs[1:]) == ""
    assert extrapolated(RECIPE.peak_lr, runs) == ""
