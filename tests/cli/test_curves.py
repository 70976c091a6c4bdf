"""`curves`: ends of runs from files of curves."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

STEPS = 1000


def write(folder: Path, name: str, lowest: float, begins: float, share: float = 1.0) -> Path:
    """A curve whose rate falls on a line to `lowest` of its peak from a share of its steps on."""
    step_T = np.arange(50, STEPS + 1, 25)
    fallen_T = (1 - lowest) * np.clip((step_T / STEPS - begins) / (1 - begins), 0, 1)
    loss_T = 2.5 + 3 / (step_T - np.cumsum(25 * fallen_T)) ** 0.4 - 0.1 * fallen_T
    table = pd.DataFrame({"step": step_T, "lr": 1e-3 * (1 - fallen_T), "loss": loss_T})
    table.loc[table["step"] > share * STEPS, "loss"] = np.nan
    path = folder / f"{name}.csv"
    table.to_csv(path, index=False)
    return path


@pytest.fixture
def finished(tmp_path: Path) -> list[Path]:
    given = [("flat", 1.0, 0.5), ("late", 0.1, 0.8), ("early", 0.1, 0.1)]
    return [write(tmp_path, *each) for each in given]


def test_the_end_of_a_run_under_another_schedule_is_predicted(
    cli: Callable, tmp_path: Path, finished: list[Path]
) -> None:
    truth = pd.read_csv(write(tmp_path, "truth", 0.1, 0.5))["loss"].iloc[-1]
    run = write(tmp_path, "run", 0.1, 0.5, share=0.3)
    (group,) = cli("curves", *finished, "--predict", run, "--json").json
    (end,) = group["ends"]
    assert end["loss"] == pytest.approx(truth, rel=5e-3)
    assert end["interval"][0] < end["loss"] < end["interval"][1]
    assert end["curves"] == ["flat", "late", "early"]
    text = cli("curves", *finished, "--predict", run).out
    assert "Law of schedules momentum" in text
    assert "30%" in text


def test_what_cannot_be_predicted_is_refused(
    cli: Callable, tmp_path: Path, finished: list[Path]
) -> None:
    run = write(tmp_path, "run", 0.1, 0.5, share=0.3)
    for given, message in (
        ([*finished], "nothing to predict"),
        ([*finished[:2], "--predict", run], "2 finished curves"),
        ([*finished, run, "--predict", run], "ends at 30% of its schedule"),
        ([tmp_path / "none.csv", "--predict", run], "cannot read"),
    ):
        refused = cli("curves", *given)
        assert refused.code == 2
        assert message in refused.err
