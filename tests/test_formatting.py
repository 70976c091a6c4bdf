"""Numbers as people read them."""

import pytest

from scaling_jax import formatting


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (12, "12"),
        (999, "999"),
        (999.9, "1 k"),
        (1_234_567, "1.23 M"),
        (999_999, "1 M"),
        (20e9, "20 B"),
        (1.4e12, "1.4 T"),
        (1.234e150, "1.23e150"),
        (float("nan"), "—"),
        (None, "—"),
    ],
)
def test_count(value: object, text: str) -> None:
    assert formatting.count(value) == text.replace(" ", formatting.SPACE)


@pytest.mark.parametrize(
    ("value", "text"), [(3.4e12, "3.4e12"), (6.25e10, "6.25e10"), (1e20, "1e20"), (None, "—")]
)
def test_flops(value: object, text: str) -> None:
    assert formatting.flops(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(4.21, "4.2 s"), (59.99, "1 min 0 s"), (185, "3 min 5 s"), (7800, "2 h 10 min")],
)
def test_seconds(value: float, text: str) -> None:
    assert formatting.seconds(value) == text.replace(" ", formatting.SPACE).replace(
        f"min{formatting.SPACE}", "min "
    ).replace(f"h{formatting.SPACE}", "h ")


@pytest.mark.parametrize(
    ("value", "text"), [(0.34567, "0.3457"), (5813.2, "5813"), (2e150, "2e150"), (3e-12, "3e−12")]
)
def test_significant_digits_stay_few(value: float, text: str) -> None:
    assert formatting.significant(value, 4) == text


def test_percent_has_a_sign() -> None:
    assert formatting.percent(-1.25).startswith("−1.25")
    assert formatting.percent(0.5).startswith("+0.50")


def test_interval_without_bounds_is_empty() -> None:
    assert formatting.interval(None) == ""
    assert formatting.interval((float("nan"), 1.0)) == ""
    assert formatting.interval((1e3, 2e3)) == "1 k to 2 k".replace(" ", formatting.SPACE)


def test_an_interval_without_an_end_says_so() -> None:
    inf = float("inf")
    assert formatting.interval((1e3, inf)).replace(formatting.SPACE, " ") == "above 1 k, unbounded"
    assert formatting.interval((-inf, 2e3)).replace(formatting.SPACE, " ") == "below 2 k, unbounded"
    assert formatting.interval((-inf, inf)) == "unbounded"
    assert formatting.interval((float("nan"), inf)) == ""
