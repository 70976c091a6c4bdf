"""What readers of the pages have beforehand, trained or made once."""

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd

import scaling_jax as sj
from scaling_jax.data import load_corpus
from scaling_jax.laws.options import Options
from scaling_jax.report import rendering
from scaling_jax.runs.result import write_result
from scaling_jax.study import Store, StoredRun, train_runs
from tests.docs.pages import ROOT, blocks
from tests.made_up import made_up_result
from tests.quick import without_pdf

TABLES = ROOT / "tests" / "laws" / "data"
# Five sizes at four budgets, of which one run is trained.
STUDY = """
    from scaling_jax.config import DataConfig
    from scaling_jax.shapes import Family
    from scaling_jax.study import ConstantBatch, ConstantLR, IsoFlop, Recipe, Study

    recipe = Recipe(
        data=DataConfig(corpus="embedded", tokenizer="bytes"),
        family=Family(vocab_size=256, seq_len=64),
        peak_lr=ConstantLR({rate}),
        batch_size=ConstantBatch(2),
        eval_tokens=4096,
    )
    sizes = ((4e3, 6e3, 9e3, 13e3, 20e3),) * 4
    study = Study("{name}", recipe, IsoFlop((4e8, 8e8, 1.6e9, 3.2e9), sizes))
    """
# Studies and their peak learning rates.
RATES = {"mine": 6e-3, "other": 3e-3, "STUDY": 6e-3}
SWEEP = """
    from dataclasses import replace

    from scaling_jax.study import Sweep

    variations = {"high": {"peak_lr": 1e-2}, "plain": {}}
    study = replace(study, design=Sweep(study.design, variations))
    """

LARGER = """
    from scaling_jax.config import DataConfig
    from scaling_jax.shapes import Family
    from scaling_jax.study import ConstantBatch, ConstantLR, FixedModels, Recipe, Study

    recipe = Recipe(
        data=DataConfig(corpus="embedded", tokenizer="bytes"),
        family=Family(vocab_size=256, seq_len=2048),
        peak_lr=ConstantLR(1e-4),
        batch_size=ConstantBatch(512),
    )
    study = Study("larger", recipe, FixedModels(params=(70e9,), tokens_per_param=(20.0,)))
    """

# Enough resamples to have an interval.
_DRAWS = 20


@contextmanager
def quick() -> Iterator[None]:
    """Fits take few resamples, whatever a page or a default says; a page has its first figure."""
    made, drawn = Options.__init__, rendering.drawn

    def with_few(self: Options, *args: Any, **options: Any) -> None:
        made(self, *args, **options | {"bootstrap": min(_DRAWS, options.get("bootstrap", _DRAWS))})

    def first(panels: Iterable[Any], folder: Path) -> list[dict[str, Any]]:
        return drawn([panel for panel in panels if panel is not None][:1], folder)

    with (
        mock.patch.object(Options, "__init__", with_few),
        mock.patch.object(rendering, "drawn", first),
        without_pdf(),
    ):
        yield


def things(base: Path) -> Mapping[str, Callable[[Path], Any]]:
    """By name, what makes a given thing in a reader's folder; `base` keeps what is trained."""
    for name, rate in RATES.items():
        (base / f"{name}.py").write_text(dedent(STUDY.format(name=name, rate=rate)))
    with (base / "STUDY.py").open("a") as file:
        file.write(dedent(SWEEP))
    (base / "larger.py").write_text(dedent(LARGER))
    isoflop = "chinchilla_isoflop_124.csv"
    return {
        "losses.csv": lambda folder: _losses().to_csv(folder / "losses.csv", index=False),
        isoflop: copied(TABLES / isoflop, isoflop),
        "larger.py": copied(base / "larger.py", "larger.py"),
        "mine.py": copied(base / "mine.py", "mine.py"),
        "results/mine": _study(base, "mine"),
        "results/other": _study(base, "other"),
        "results/STUDY": _study(base, "STUDY"),
        "novels.txt": _novels,
        "letters.txt": _letters,
        "recipe": _recipe,
        "fit.json": lambda folder: _fitted(1.0, folder / "fit.json"),
        "other.json": lambda folder: _fitted(1.02, folder / "other.json"),
        "records.csv": _measured,
    }


def _study(base: Path, name: str) -> Callable[[Path], None]:
    """A study with one run that was trained, and others whose losses follow a law."""

    def make(folder: Path) -> None:
        if not (base / "results" / name).exists():
            store = Store.create(base / "results", sj.load_experiment(base / f"{name}.py"))
            trained, *others = store.runs()
            train_runs([trained], workers=1, progress=False)
            for run in others:
                _finish(run, RATES[name])
        copied(base / "results" / name, f"results/{name}")(folder)

    return make


def _finish(run: StoredRun, rate: float) -> None:
    config = run.planned.config
    params = run.planned.flops / 6 / config.tokens
    law = 1.0 + 12 / params**0.25 + 10 / config.tokens**0.25
    loss = law * (1.02 - 2 * rate) + abs(config.optimizer.peak_lr - rate)
    write_result(run.directory, made_up_result(config, loss), config)


def _recipe(folder: Path) -> dict[str, Any]:
    """The recipe of the README's experiment."""
    readme = blocks((ROOT / "README.md").read_text(encoding="utf-8"))
    names: dict[str, Any] = {}
    exec(next(block.text for block in readme if block.file == "mine.py"), names)
    return {"recipe": names["recipe"]}


def _novels(folder: Path) -> None:
    """The start of the corpus `embedded`, with a blank line after each document."""
    documents, size = [], 0
    for document in load_corpus("embedded").documents():
        documents.append(document)
        size += len(document)
        if size > 8e5:
            break
    (folder / "novels.txt").write_text("\n\n".join(documents), encoding="utf-8")


def _letters(folder: Path) -> None:
    rng = np.random.default_rng(0)
    words = rng.choice(list("abcdefgh"), (400, 200))
    (folder / "letters.txt").write_text("\n\n".join(map("".join, words)), encoding="utf-8")


def _losses() -> pd.DataFrame:
    """Some of 124 published runs, at five of their nine budgets, so that a fit takes little."""
    table = pd.read_csv(TABLES / "chinchilla_isoflop_124.csv")
    budgets = sorted(table["budget"].unique())[::2]
    return table[table["budget"].isin(budgets)].iloc[::3]


def _fitted(factor: float, out: Path) -> None:
    table = _losses()
    table["loss"] *= factor
    out.write_text(sj.fit(table).to_json(), encoding="utf-8")


def _measured(folder: Path) -> None:
    """A table with the measured loss of the run that README forecasts."""
    pd.DataFrame({"params": [70e9], "tokens": [1.4e12], "loss": [1.94]}).to_csv(
        folder / "records.csv", index=False
    )


def copied(source: Path, name: str) -> Callable[[Path], None]:
    """A thing that is a copy of `source` called `name`."""

    def make(folder: Path) -> None:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        else:
            shutil.copy(source, target)

    return make
