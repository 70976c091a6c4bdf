import json
import time
from collections.abc import Callable

import pytest

from scaling_jax import laws
from scaling_jax.study import Store, collect
from tests.cli.conftest import law


def test_the_law_so_far_is_that_of_the_finished_runs(cli: Callable, store: Store) -> None:
    status = cli("status", store.directory, "--json").json
    printed = status["law"]
    fit = laws.fit(collect(store))
    assert printed["n_points"] == printed["n_finished"] == status["states"]["finished"]
    assert printed["params"] == pytest.approx(fit.params)
    assert printed["intervals"]["alpha"] == pytest.approx(fit.intervals["alpha"])
    assert sum(budget["missing"] for budget in status["budgets"]) == 3
    text = cli("status", store.directory).out
    assert f"from {fit.n_points} finished runs, 3 are missing; 90 % intervals" in text
    assert cli("status", store.directory, "--law", "none", "--json").json["law"] is None


def test_money_spent_and_left(cli: Callable, store: Store) -> None:
    status = cli("status", store.directory, "--law", "none", "--price", 3, "--json").json
    records = collect(store)
    assert status["price_spent"] == pytest.approx(3 * records["seconds"].sum() / 3600)
    assert status["price_left"] == pytest.approx(3 * status["device_seconds_left"] / 3600)
    assert "at 3 an hour" in cli("status", store.directory, "--law", "none", "--price", 3).out


def test_ends_are_foreseen_from_the_curves_of_finished_runs(cli: Callable, store: Store) -> None:
    run = store.runs()[-1]
    config = run.planned.config
    before = cli("status", store.directory, "--law", "none", "--ends").out
    assert "No unfinished run has reached a tenth of its tokens" in before
    done = config.steps // 3
    lines = [
        {"step": step, "tokens": tokens, "loss": law(run.planned.flops / 6 / config.tokens, tokens)}
        for step in range(1, done + 1)
        for tokens in [step * config.tokens_per_step]
    ]
    (run.directory / "metrics.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    status = ("status", store.directory, "--law", "none", "--ends")
    (end,) = cli(*status, "--json").json["ends"]["runs"]
    truth = law(run.planned.flops / 6 / config.tokens, config.tokens)
    assert end["progress"] == pytest.approx(1 / 3, abs=0.01)
    assert end["loss"] == pytest.approx(truth, rel=0.02)
    assert end["interval"][0] < truth < end["interval"][1]
    text = cli(*status).out
    assert f"Expected ends with 90 % intervals, from the curves of {end['n_finished']}" in text
    assert run.run_id in text


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scaling_jax.cli.reading.on_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "120")


@pytest.mark.usefixtures("terminal")
def test_watching_ends_well_by_ctrl_c(
    cli: Callable, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []

    def interrupted(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupted)
    code, out, err = cli("status", store.directory, "--watch", "--every", 7, "--law", "none")
    assert (code, err, looks) == (0, "", [7.0, 7.0])
    assert out.count("trial: 15 runs") >= 1


@pytest.mark.usefixtures("terminal")
def test_watching_ends_when_nothing_is_left(cli: Callable, store: Store, finish: Callable) -> None:
    for run in store.runs():
        finish(run, "finished")
    code, out, _ = cli("status", store.directory, "--watch", "--law", "none")
    assert code == 0
    assert "nothing left to train" in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--watch",), "there is none"),
        (("--watch", "--json"), "--json does not apply"),
        (("--watch", "--every", 0), "must be a positive number of seconds"),
        (("--law", "chinchila"), "did you mean 'chinchilla'"),
        (("--price", -1), "price -1.0 must be finite"),
    ],
)
def test_what_status_cannot_do(cli: Callable, store: Store, options: tuple, message: str) -> None:
    code, out, err = cli("status", store.directory, *options)
    assert (code, out) == (2, "")
    assert message in err
