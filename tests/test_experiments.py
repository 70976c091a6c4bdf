"""Every module under experiments/ plans at each of its scales, and one is run to its report."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from scaling_jax.accounting import flops
from scaling_jax.data import load_corpus, prepare
from scaling_jax.study import PlannedRun, load_experiment
from scaling_jax.study.plan.experiment_files import SCALES, Scale
from tests.quick import QUICKLY

EXPERIMENTS = sorted((Path(__file__).parents[1] / "experiments").glob("*.py"))
PROGRAM = "import sys; from scaling_jax.cli import main; sys.exit(main())"

with_each = pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)

load = cache(load_experiment)


@cache
def planned(path: Path, scale: Scale) -> list[PlannedRun]:
    return load(path, scale).plan()


def total_flops(path: Path, scale: Scale) -> int:
    return sum(run.flops for run in planned(path, scale))


@with_each
@pytest.mark.parametrize("scale", list(SCALES))
def test_every_scale_has_a_design_that_can_be_fitted(path: Path, scale: Scale) -> None:
    runs = planned(path, scale)
    assert len({run.budget for run in runs}) >= 3
    assert len({flops.count_params(run.config.shape).total for run in runs}) >= 3


@with_each
def test_scales_cost_what_they_promise(path: Path) -> None:
    smoke, cpu, full = (total_flops(path, scale) for scale in ("smoke", "cpu", "full"))
    # At the 1e10 FLOP/s that the smallest models reach on one core: seconds, and minutes.
    assert smoke < 1e11
    assert smoke < cpu < 5e13
    assert cpu <= full


@with_each
def test_scales_have_stores_of_their_own(path: Path) -> None:
    names = {load(path, scale).recipe_hash: scale for scale in SCALES}
    studies = {load(path, scale).name for scale in SCALES}
    assert len(studies) == len(names)


@with_each
@pytest.mark.parametrize("scale", ["cpu", "smoke"])
def test_small_scales_have_text_enough(path: Path, scale: Scale, embedded_tokens: Callable) -> None:
    assert is_embedded(load(path, scale).recipe.data.corpus)
    for run in planned(path, scale):
        corpus = run.config.data.corpus
        there = embedded_tokens(corpus) if is_embedded(corpus) else generated_tokens(corpus)
        assert run.config.tokens < there, corpus


def is_embedded(corpus: str) -> bool:
    return corpus.partition(":")[0] == "embedded"


@cache
def generated_tokens(corpus: str) -> float:
    """About the training tokens of a corpus that a program writes, from a part of it."""
    name, _, amount = corpus.partition("=")
    documents = list(load_corpus(f"{name}=50").documents())
    return 0.93 * int(amount) * sum(map(len, documents)) / len(documents)


@pytest.fixture(scope="module")
def embedded_tokens(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], int]:
    folder = tmp_path_factory.mktemp("cache")

    @cache
    def count(corpus: str) -> int:
        return len(prepare(corpus, "bytes", folder, progress=False).train)

    return count


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess]:
    environment = {**os.environ, "SCALING_JAX_CACHE": str(tmp_path / "cache"), "XLA_FLAGS": QUICKLY}

    def run(*args: object) -> subprocess.CompletedProcess:
        line = [sys.executable, "-c", PROGRAM, *map(str, args)]
        return subprocess.run(line, env=environment, capture_output=True, text=True)

    return run


def test_smoke_scale_from_plan_to_report(command: Callable, tmp_path: Path) -> None:
    experiment, root = EXPERIMENTS[0].with_name("chinchilla_horizons.py"), tmp_path / "root"
    done = command("run", experiment, "--scale", "smoke", "--root", root, "--workers", 1, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["states"] == {"finished": 15}
    fitted = command("fit", root, "--bootstrap", 0, "--json")
    assert fitted.returncode == 0, fitted.stderr
    assert json.loads(fitted.stdout)["n_points"] == 15
    again = command("run", experiment, "--scale", "smoke", "--root", root, "--json")
    assert json.loads(again.stdout) == json.loads(done.stdout)
