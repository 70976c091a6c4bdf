"""The cells of docs/notebook.ipynb run, and show what is stored with them."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOK = json.loads((ROOT / "docs" / "notebook.ipynb").read_text())


def test_the_notebook_shows_what_its_cells_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("SCALING_JAX_CACHE", str(tmp_path / "cache"))
    spec = importlib.util.spec_from_file_location("notebook", ROOT / "scripts" / "notebook.py")
    assert spec is not None
    assert spec.loader is not None
    notebook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(notebook)
    outputs = notebook.run_cells(NOTEBOOK, ROOT / "docs")
    stored = [
        "".join(line for output in cell["outputs"] for line in output["text"])
        for cell in NOTEBOOK["cells"]
        if cell["cell_type"] == "code"
    ]
    assert [shape(text) for text in outputs] == [shape(text) for text in stored]


def shape(text: str) -> str:
    """A text without the digits in which devices differ."""
    return re.sub(r"-?\d[\d.,]*(e[+-]?\d+)?", "#", re.sub(r" +", " ", text))
