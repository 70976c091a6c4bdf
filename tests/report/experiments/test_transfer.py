"""Best learning rates of a sweep whose optima are known."""

import io
import math

import pandas as pd
import pytest

from scaling_jax.errors import InputError
from scaling_jax.report.experiments.transfer import (
    NAMES,
    best_rate,
    main,
    transfer_figure,
    transfers,
)

WIDTHS, DEPTHS = (32, 64, 128), (2, 4, 8)


def sweep(exponents=(-1.0, 0.0), rates=range(-12, -2)):
    """Losses quadratic in log rate about an optimum that follows a power of the size."""
    rows = []
    for rule, exponent in zip(("standard", "completep"), exponents, strict=True):
        for width, depth in [(w, 2) for w in WIDTHS] + [(32, d) for d in DEPTHS[1:]]:
            best = 0.02 * (width / 32) ** exponent * (depth / 2) ** (exponent / 2)
            for rate in (2.0**i for i in rates):
                loss = 2 - 0.1 * math.log(width * depth) + 0.05 * math.log(rate / best) ** 2
                rows.append((rule, width, depth, rate, loss, "finished"))
    columns = ["parameterization", "d_model", "n_layers", "peak_lr", "loss", "status"]
    return pd.DataFrame(rows, columns=columns)


def test_exponents_optima_and_penalties_are_found():
    standard_width, standard_depth, width, depth = transfers(sweep())
    assert (standard_width.axis, standard_depth.axis) == ("d_model", "n_layers")
    assert standard_width.exponent == pytest.approx(-1, abs=1e-6)
    assert standard_depth.exponent == pytest.approx(-0.5, abs=1e-6)
    assert [best.size for best in width.best] == list(WIDTHS)
    assert [best.lr for best in depth.best] == pytest.approx([0.02] * 3)
    assert width.exponent == pytest.approx(0, abs=1e-6)
    assert width.penalty == pytest.approx(0, abs=0.01)
    # Four times too high a rate: 0.05 ln(4)^2, read between the rates of the sweep.
    assert standard_width.penalty == pytest.approx(0.05 * math.log(4) ** 2, rel=0.1)


def test_a_best_rate_at_the_end_of_a_sweep_is_refused():
    with pytest.raises(InputError, match=r"at an end of the sweep of 3 .*, at 0\.1:"):
        best_rate([0.1, 0.2, 0.4], [1.0, 1.1, 1.2])
    with pytest.raises(InputError, match="train it first"):
        transfers(sweep().assign(status="planned"))


def test_runs_that_diverged_are_dropped():
    table = sweep()
    wild = table.peak_lr > 0.1
    table.loc[wild, "status"], table.loc[wild, "loss"] = "diverged", float("nan")
    assert transfers(table)[0].exponent == pytest.approx(-1, abs=1e-6)


def test_the_figure_has_a_panel_for_each_parameterization_and_axis():
    figure = transfer_figure(sweep())
    titles = {axes.get_title() for axes in figure.axes}
    assert titles == {f"{p}, over {a}" for p in ("Standard", "CompleteP") for a in NAMES.values()}
    assert all(len(axes.lines) == 6 for axes in figure.axes)
    figure.savefig(io.BytesIO(), format="svg")


def test_a_store_without_finished_runs_is_refused(tmp_path):
    with pytest.raises(InputError):
        main(str(tmp_path), str(tmp_path / "out.svg"))
