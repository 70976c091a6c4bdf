"""Profile likelihood from the command line."""

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from scaling_jax import laws
from scaling_jax.cli.output import print_blocks
from scaling_jax.errors import InputError
from scaling_jax.laws.profile_text import profile_data, profile_text

pytestmark = pytest.mark.usefixtures("unoptimized")


def test_intervals_of_all_that_a_fit_is_read_for(cli: Callable, table: Path) -> None:
    reported = cli("fit", table, "--hold", "E=1.5", "--bootstrap", 0, "--profile", "--json").json
    found = reported["profile"]
    assert set(found["constants"]) == {"A", "B", "alpha", "beta"}
    for name, profile in found["constants"].items():
        assert profile["estimate"] == pytest.approx(reported["params"][name], rel=1e-6)
        low, high = profile["interval"]
        assert low < profile["estimate"] < high
    a, b = (found["exponents"][name] for name in "ab")
    assert b["estimate"] == pytest.approx(reported["exponents"]["b"], rel=1e-6)
    assert b["interval"] == pytest.approx([1 - end for end in reversed(a["interval"])])
    largest, beyond = found["optima"]
    assert beyond["flops"] == pytest.approx(10 * largest["flops"])
    products = [
        n * d
        for n, d in zip(
            beyond["params"]["interval"], reversed(beyond["tokens"]["interval"]), strict=True
        )
    ]
    assert products == pytest.approx([beyond["flops"] / 6] * 2)
    expected = laws.fit(table, bootstrap=0, fixed={"E": 1.5}).optimal(beyond["flops"])
    assert beyond["loss"]["estimate"] == pytest.approx(expected.loss, rel=1e-6)
    assert beyond["loss"]["interval"][0] < expected.loss < beyond["loss"]["interval"][1]


def made(name: str, low: float, high: float) -> laws.Profile:
    return laws.Profile(name, 2.0, (low, high), 0.9, (), ())


def test_an_unbounded_side_is_said_to_be_one(capsys: pytest.CaptureFixture[str]) -> None:
    constants = {
        "A": made("A", 0.0, 3.0),
        "B": made("B", 1.0, math.inf),
        "alpha": made("alpha", -math.inf, math.inf),
    }
    fit = SimpleNamespace(
        exponents={}, level=0.9, exponent_intervals={}, intervals={"A": (1.5, 2.5)}
    )
    found = laws.Profiles(constants, {}, {})
    print_blocks(profile_text(fit, found))
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3].split(maxsplit=2)[2] == "1.5 to 2.5  below 3, unbounded"
    assert lines[-2].endswith("-  above 1, unbounded")
    assert lines[-1].endswith("unbounded")
    reported = profile_data(found)["constants"]
    assert reported["A"]["unbounded"] == ["below"]
    assert reported["B"]["unbounded"] == ["above"]
    assert reported["alpha"]["unbounded"] == ["below", "above"]


def test_only_a_law_has_profiles(cli: Callable, table: Path) -> None:
    code, out, err = cli("fit", table, "--approach", 2, "--profile")
    assert (code, out) == (2, "")
    assert "profile has no effect on approach 2, which fits no law" in err
    options = ("--law", "kaplan-flops", "--bootstrap", 0, "--profile", "--json")
    assert set(cli("fit", table, *options).json["profile"]["constants"]) == {"A", "alpha"}


def test_a_held_constant_has_no_profile(table: Path) -> None:
    with pytest.raises(InputError, match="held"):
        laws.profile(laws.read_table(table), "E", fixed={"E": 1.5})
