"""Run docs/notebook.ipynb in this process and store its outputs: python scripts/notebook.py."""

import ast
import contextlib
import io
import json
import os
from pathlib import Path
from typing import Any

PATH = Path(__file__).resolve().parents[1] / "docs" / "notebook.ipynb"


def run_cells(notebook: dict[str, Any], directory: Path) -> list[str]:
    """What each code cell prints and shows, with `directory` as the current one."""
    names: dict[str, Any] = {}
    with contextlib.chdir(directory):
        return [
            _output("".join(cell["source"]), names)
            for cell in notebook["cells"]
            if cell["cell_type"] == "code"
        ]


def _output(source: str, names: dict[str, Any]) -> str:
    *before, last = ast.parse(source).body
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        if isinstance(last, ast.Expr):
            exec(compile(ast.Module(before, []), "notebook", "exec"), names)
            shown = eval(compile(ast.Expression(last.value), "notebook", "eval"), names)
            if shown is not None:
                print(shown if hasattr(shown, "to_string") else repr(shown))
        else:
            exec(compile(source, "notebook", "exec"), names)
    return printed.getvalue()


def with_outputs(notebook: dict[str, Any], outputs: list[str]) -> dict[str, Any]:
    """The notebook with these outputs, and without counts of executions, which change."""
    left = iter(outputs)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            text = next(left)
            stream = {"name": "stdout", "output_type": "stream"}
            lines = text.splitlines(keepends=True)
            cell |= {
                "execution_count": None,
                "outputs": [{**stream, "text": lines}] if text else [],
            }
    return notebook


def main() -> None:
    """Run the notebook and write its outputs into it."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    notebook = json.loads(PATH.read_text())
    filled = with_outputs(notebook, run_cells(notebook, PATH.parent))
    PATH.write_text(json.dumps(filled, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
