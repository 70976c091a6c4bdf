"""Stored fits are read again, or refused with what to do."""

from pathlib import Path

import pytest

from scaling_jax import laws
from scaling_jax.errors import InputError, UncheckedWarning

DATA = Path(__file__).parent / "data"
LAW = "def law(flops, *, A=(1, 100), k=(0.01, 1)):\n    return A / flops**k\n"


@pytest.mark.parametrize("approach", [2, 3])
def test_a_fit_of_the_release_before_is_read(approach: int) -> None:
    text = (DATA / f"fit_approach_{approach}.json").read_text()
    with pytest.warns(UncheckedWarning, match="by an earlier version without a sha256"):
        fit = laws.Fit.from_json(text)
    assert fit.approach == approach
    assert fit.exponents["a"] == pytest.approx(0.51, abs=0.05)
    assert fit.optimal(1e23).params_interval is not None
    assert laws.Fit.from_json(fit.to_json()).optimal(1e23) == fit.optimal(1e23)


def test_a_fit_of_a_users_function_finds_it_again_or_says_what_changed(tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    path.write_text(LAW)
    table = {"flops": [1e18, 3e18, 1e19, 3e19, 1e20]}
    table["loss"] = [20 / c**0.05 for c in table["flops"]]
    fit = laws.fit(table, law=f"{path}:law", bootstrap=0)
    again = laws.Fit.from_json(fit.to_json())
    assert again.predict(flops=1e21).value == fit.predict(flops=1e21).value
    path.write_text(LAW + "\n")
    with pytest.raises(InputError, match="the file has changed since the fit"):
        laws.Fit.from_json(fit.to_json())
    path.unlink()
    with pytest.raises(InputError, match="the file is gone"):
        laws.Fit.from_json(fit.to_json())
