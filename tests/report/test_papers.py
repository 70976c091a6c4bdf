"""The published lines against numbers the papers state."""

import numpy as np
import pytest

from scaling_jax.laws.conventions import PF_DAY
from scaling_jax.report.papers import paper_lines


@pytest.mark.parametrize(
    ("approach", "a", "b"), [(1, 0.50, 0.50), (2, 0.49, 0.51), (3, 0.46, 0.54)]
)
def test_slopes_are_the_printed_exponents(approach: int, a: float, b: float) -> None:
    line = paper_lines()[approach - 1]
    assert line.approach == approach
    assert line.params_exponent == pytest.approx(a, abs=0.012)
    assert line.tokens_exponent == pytest.approx(b, abs=0.012)


def test_approach_1_at_the_budget_of_gopher() -> None:
    line = paper_lines()[0]
    budget = np.array([5.76e23])
    assert line.params(budget)[0] == pytest.approx(67e9, rel=0.03)
    assert line.tokens(budget)[0] == pytest.approx(1.5e12, rel=0.06)


def test_kaplan_counts_in_pf_days() -> None:
    line = paper_lines()[-1]
    budget = np.array([1.0, 10.0]) * PF_DAY
    assert line.params(budget) == pytest.approx([1.3e9, 1.3e9 * 10**0.73])
    assert line.tokens(budget) == pytest.approx([2e10, 2e10 * 10**0.27])
