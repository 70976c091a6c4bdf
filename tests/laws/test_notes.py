"""Notes have codes: every producer gives one, and files, copies and documents keep them."""

import copy
import json
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scaling_jax import laws
from scaling_jax.errors import InputError, UncheckedWarning
from scaling_jax.laws import Note, NoteCode
from scaling_jax.laws.fit_text import summary_of

ROOT = Path(__file__).parents[2]
STORED = Path(__file__).parent / "data"
BUDGETS = (1e18, 1e19, 1e20)


def loss(params, tokens):
    return 1.7 + 400 / params**0.34 + 410 / tokens**0.28


def study(budgets=BUDGETS, n_sizes=5, scatter=1e-3):
    """IsoFLOP groups about the optimum, with scatter that is the same at every call."""
    n, c = (grid.ravel() for grid in np.meshgrid(np.geomspace(1 / 4, 4, n_sizes), budgets))
    params = n * 2e8 * (c / 1e18) ** 0.45
    noise = np.exp(scatter * np.random.default_rng(0).normal(size=len(n)))
    table = pd.DataFrame({"params": params, "tokens": c / 6 / params, "budget": c})
    return table.assign(loss=loss(params, c / 6 / params) * noise)


def with_doubts():
    """Runs of two optimizers, one of them twice, one planned and one at another learning rate."""
    table = study().assign(optimizer=["adamw", "muon", "adamw"] * 5, status="finished", lr=1e-3)
    other = table.iloc[[0]].assign(lr=2e-3, loss=3.5)
    planned = table.iloc[[1]].assign(status="planned", loss=np.nan)
    return pd.concat([table, table.iloc[[2]], other, planned], ignore_index=True)


def with_an_outlier():
    table = study(n_sizes=9)
    return table.assign(loss=table.loss * np.where(table.index == 13, 1.05, 1.0))


def without_the_lower_half(budget):
    table = study()
    middle = table.loc[table.budget == budget, "params"].median()
    return pd.concat([table, study((budget,), 9)])[
        lambda t: (t.budget != budget) | (t.params > middle)
    ]


FITS = {
    "a sound study": (study(), {}, {"compute-span", "optimum-found", "noise-scale"}),
    "doubtful rows": (
        with_doubts(),
        {},
        {"repeated-rows", "mixed-recipes", "sweep-in-table", "missing-runs", "outlier-rows"},
    ),
    "squared error": (with_an_outlier(), {"objective": "gaussian"}, {"outliers-pull"}),
    "params in millions": (
        study().assign(params=lambda t: t.params / 1e6),
        {"law": "chinchilla"},
        {"units-suspect"},
    ),
    "one ratio": (
        study().assign(tokens=lambda t: t.params * (20 + np.arange(len(t)) % 2)),
        {},
        {"collinear-runs"},
    ),
    "no tokens": (study().drop(columns="tokens"), {}, {"tokens-derived"}),
    "columns of nanochat": (
        study().rename(
            columns={
                "params": "params_total",
                "tokens": "tokens_trained",
                "budget": "flops_budget",
                "loss": "val_loss",
            }
        ),
        {},
        {"columns-recognised"},
    ),
    "a loss without a floor": (
        study().assign(loss=lambda t: 10 * t.params**-0.05 + 10 * t.tokens**-0.05),
        {"bootstrap": 20},
        {"floor-unidentified"},
    ),
    "rows of few runs": (
        study().assign(run_id=[f"run {i // 3}" for i in range(15)]),
        {"bootstrap": 20},
        {"runs-resampled", "few-runs"},
    ),
    "a law of compute": (
        study().assign(flops=lambda t: t.budget, loss=lambda t: t.budget**0.05),
        {"law": "kaplan-flops"},
        {"loss-rises"},
    ),
    "approach 2": (
        pd.concat([study((*BUDGETS, 1e21)), study((1e22,), 3)]).assign(
            weight=[1.0, 2.0] * 11 + [1.0]
        ),
        {"approach": 2},
        {"compute-definition", "few-sizes", "weights-unused"},
    ),
    "approach 2 at the edge": (
        without_the_lower_half(1e20),
        {"approach": 2},
        {"grid-edge", "few-minima", "frontier-loss-unfitted"},
    ),
}


@pytest.mark.parametrize("name", FITS)
def test_every_note_of_a_fit_has_a_code(name):
    table, options, expected = FITS[name]
    fit = laws.fit(table, **{"bootstrap": 0, **options})
    assert {type(note) for note in fit.diagnostics} == {Note}
    assert {type(note.code) for note in fit.diagnostics} == {NoteCode}
    assert expected <= {str(note.code) for note in fit.diagnostics}
    again = laws.Fit.from_json(fit.to_json())
    assert again.diagnostics == fit.diagnostics
    assert [note.code for note in again.diagnostics] == [note.code for note in fit.diagnostics]
    assert summary_of(fit)["diagnostics"] == [
        {"code": note.code, "severity": note.severity, "text": str(note)}
        for note in fit.diagnostics
    ]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda note: pickle.loads(pickle.dumps(note))])
def test_a_copy_keeps_the_code_and_compares_as_its_text(copied):
    note = copied(Note(NoteCode.GRID_EDGE, "add sizes"))
    assert (note, note.code, note.severity) == ("add sizes", "grid-edge", "warning")


@pytest.mark.parametrize("approach", [2, 3])
def test_sentences_of_older_fits_are_read_as_notes_without_a_code(approach):
    text = (STORED / f"fit_approach_{approach}.json").read_text()
    with pytest.warns(UncheckedWarning):
        fit = laws.Fit.from_json(text)
    assert list(fit.diagnostics) == json.loads(text)["diagnostics"]
    assert {note.code for note in fit.diagnostics} == {NoteCode.UNSPECIFIED}
    assert f"note: {fit.diagnostics[0]}" in str(fit)


@pytest.mark.parametrize(
    "entry",
    [7, {"code": "compute-span"}, {"code": "of-another-version", "text": "?"}, {"text": "?"}],
    ids=str,
)
def test_a_stored_note_that_is_none_is_refused(entry):
    data = json.loads((STORED / "fit_approach_3.json").read_text())
    with pytest.raises(InputError, match="not a fit written by scaling_jax"):
        laws.Fit.from_json(json.dumps({**data, "diagnostics": [entry]}))


def test_warnings_stand_under_the_headline_and_notes_at_the_end():
    fit = laws.fit(with_doubts(), bootstrap=0)
    head, *lines = str(fit).splitlines()
    assert head.startswith("Approach 3")
    severities = [note.severity for note in fit.diagnostics]
    n_warnings, n_notes = severities.count("warning"), severities.count("note")
    assert n_warnings > 1 < n_notes
    starts = [line.split(":")[0] for line in lines]
    assert starts[:n_warnings] == ["warning"] * n_warnings
    assert starts[-n_notes:] == ["note"] * n_notes
    assert {"warning", "note"}.isdisjoint(starts[n_warnings:-n_notes])


def test_a_comparison_prints_a_note_once_and_warnings_first():
    compared = laws.compare(with_doubts(), bootstrap=0)
    assert sorted(compared.fits) == [2, 3]
    lines = str(compared).splitlines()
    assert lines[1].startswith("warning on 2, 3: Are rows there twice?")
    assert sum("Are rows there twice?" in line for line in lines) == 1
    assert any(line.startswith("note on 3: The objective is") for line in lines[-10:])


def test_notes_of_reading_stay_on_a_frame_beside_the_users_own(tmp_path):
    table = study().drop(columns="tokens")
    table.attrs["notes"] = "mine"
    read = laws.best_of(table.assign(lr=1e-3), by="lr")
    read.to_parquet(tmp_path / "table.parquet")
    for kept in (read, pd.read_parquet(tmp_path / "table.parquet")):
        assert kept.attrs["notes"] == "mine"
        notes = laws.fit(kept, bootstrap=0).diagnostics
        assert sum(note.startswith("The table has no tokens") for note in notes) == 1


def test_the_documents_list_every_code():
    rows = [f"| `{code}` | {code.severity} | {code.meaning} |" for code in NoteCode]
    page = (ROOT / "docs" / "notes.md").read_text().splitlines()
    assert [line for line in page if line.startswith("| `")] == rows
    assert len({code.meaning for code in NoteCode}) == len(rows)
