"""The standard error of held-out losses, before they are measured."""

from dataclasses import replace

import pytest

from scaling_jax.study.status.held_out_error import expected_error, held_out_warning
from tests.study.small_studies import small_study

CONFIG = small_study().plan()[0].config


def test_four_times_the_windows_halve_the_error() -> None:
    more = replace(CONFIG, eval_tokens=4 * CONFIG.eval_tokens)
    assert expected_error(more) == pytest.approx(expected_error(CONFIG) / 2)


def test_the_tokens_that_the_warning_asks_for_are_enough() -> None:
    wanted = held_out_warning([CONFIG]).split("eval_tokens ")[1].split(", as far")[0]
    assert held_out_warning([replace(CONFIG, eval_tokens=int(wanted.replace(",", "")))]) == ""
