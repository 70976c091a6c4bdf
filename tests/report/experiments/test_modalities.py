"""The exponents of several kinds of data beside each other, and one study that trains on four."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scaling_jax.config import DataConfig
from scaling_jax.report.experiments.modalities import (
    approach_table,
    exponent_table,
    finished_by_corpus,
    fits_by_corpus,
    reducible_figure,
)
from scaling_jax.shapes import Family
from scaling_jax.study import (
    ConstantBatch,
    ConstantLR,
    FixedModels,
    Recipe,
    Store,
    Study,
    Sweep,
    collect,
    run_study,
    vary,
    zipped,
)
from scaling_jax.trained import load_run

KINDS = {
    "music:tunes?tunes=300": "bytes",
    "images:shapes?images=600&size=8": "tokens",
    "sound:notes?seconds=60": "tokens",
    "synthetic:zipf?tokens=100000": "tokens",
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    recipe = Recipe(
        data=DataConfig("embedded", "bytes"),
        family=Family(vocab_size=256, seq_len=32),
        peak_lr=ConstantLR(1e-2),
        batch_size=ConstantBatch(8),
        eval_tokens=512,
    )
    kinds = zipped(vary("data.corpus", *KINDS), vary("data.tokenizer", *KINDS.values()))
    design = Sweep(FixedModels(params=(5e3,), tokens_per_param=(4.0,)), kinds)
    root = tmp_path_factory.mktemp("modalities")
    return run_study(
        Study("kinds", recipe, design),
        root / "root",
        workers=1,
        cache_dir=root / "cache",
        progress=False,
    )


def test_one_study_trains_on_four_kinds_of_data(store: Store) -> None:
    records = collect(store).set_index("corpus")
    assert set(records.index) == set(KINDS)
    assert (records["status"] == "finished").all()
    # Guessing among 256 token ids costs 5.5 nats.
    assert records["loss"].between(1, 5.4).all()
    of_text = records.index[records["bits_per_byte"].notna()]
    assert of_text.tolist() == ["music:tunes?tunes=300"]
    zipf = "synthetic:zipf?tokens=100000"
    assert records.index[records["entropy"].notna()].tolist() == [zipf]
    assert records["entropy"][zipf] < records["loss"][zipf]
    assert list(finished_by_corpus(store)) == sorted(KINDS)


def test_a_model_of_tokens_continues_ids(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run = next(r for r in store.runs() if r.planned.config.data.corpus.startswith("images"))
    monkeypatch.setenv("SCALING_JAX_CACHE", str(Path(store.directory).parents[1] / "cache"))
    model = load_run(run.directory)
    assert model.evaluate().loss == pytest.approx(run.result.loss, rel=1e-5)
    assert model.evaluate().bits_per_byte is None
    ids = model.generate("16 3 3", n_tokens=5).split()
    assert ids[:3] == ["16", "3", "3"]
    assert len(ids) == 8
    with pytest.raises(ValueError, match="needs a prompt"):
        model.generate()
    with pytest.raises(ValueError, match="'256' is no token id below 256"):
        model.generate("256")


def test_exponents_stand_beside_each_other_and_losses_above_their_floors() -> None:
    n, d = (x.ravel() for x in np.meshgrid(np.geomspace(1e4, 1e6, 4), np.geomspace(1e6, 1e8, 4)))
    records = {}
    for name, floor, alpha, beta in (("prose", 1.2, 0.4, 0.3), ("sound", 2.0, 0.25, 0.5)):
        loss = floor + 40 / n**alpha + 60 / d**beta
        frame = pd.DataFrame({"params": n, "tokens": d, "flops": 6 * n * d, "loss": loss})
        records[name] = frame
    fits = fits_by_corpus(records, bootstrap=0)
    table = exponent_table(fits).set_index("corpus").astype(float)
    assert table["E"].tolist() == pytest.approx([1.2, 2.0], abs=2e-3)
    # N_opt ~ C^(beta / (alpha + beta)), and L - E ~ C^-(alpha beta / (alpha + beta)).
    assert table["a"].tolist() == pytest.approx([0.3 / 0.7, 0.5 / 0.75], abs=2e-3)
    assert table["gamma"].tolist() == pytest.approx([0.12 / 0.7, 0.125 / 0.75], abs=2e-3)
    (axes,) = reducible_figure(records, fits).axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["prose", "sound"]
    assert axes.lines[0].get_ydata() == pytest.approx(records["prose"]["loss"] - 1.2, abs=2e-3)


def test_every_approach_gives_the_exponents_of_each_corpus_or_says_why_not() -> None:
    records, curves = {}, []
    for name, alpha, beta in (("prose", 0.4, 0.3), ("sound", 0.25, 0.5)):
        c, n = (x.ravel() for x in np.meshgrid([1e12, 4e12, 1.6e13], np.geomspace(0.2, 5, 7)))
        n = (
            n
            * (40 * alpha / (60 * beta)) ** (1 / (alpha + beta))
            * (c / 6) ** (beta / (alpha + beta))
        )
        d = c / (6 * n)
        frame = pd.DataFrame({"params": n, "tokens": d, "flops": c, "budget": c})
        frame = frame.assign(
            loss=1.5 + 40 / n**alpha + 60 / d**beta,
            run_id=[f"{name}{i}" for i in range(len(c))],
        )
        records[name] = frame
        curves.append(frame[["run_id", "params", "tokens", "flops", "loss"]])
    table = approach_table(records, pd.concat(curves), bootstrap=0)
    assert len(table) == 6
    # One point of each run is no curve, so approach 1 is refused.
    first = table[table["approach"] == 1]
    assert first["refused"].str.contains("curve").all()
    assert (first["a"] == "").all()
    others = table[table["approach"] != 1].astype({"a": float, "b": float})
    wanted = others["corpus"].map({"prose": 0.3 / 0.7, "sound": 0.5 / 0.75})
    assert others["a"].to_numpy() == pytest.approx(wanted.to_numpy(), abs=0.02)
    assert (others["a"] + others["b"]).to_numpy() == pytest.approx(1, abs=2e-3)
