"""A reader of the pages, who executes their blocks in order, each page in an empty folder.

A process of its own, with one device and JAX's own settings, as a user has:

    python -m tests.docs.reader FOLDER PAGE.md ...
"""

import ast
import contextlib
import io
import itertools
import json
import os
import re
import runpy
import shlex
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

from scaling_jax.cli import main
from scaling_jax.cli.app import _parsed
from scaling_jax.errors import InputError
from scaling_jax.study import Study, load_experiment
from tests.docs.pages import ROOT, Block, blocks, commands
from tests.docs.things import quick, things

# Parts of a clone that pages name by a relative path.
CLONE = ("experiments", "benchmarks", "tests")
# Programs of others; a page's `pip install` and the tools of Google Cloud among them.
OF_OTHERS = {"pip", "export", "pytest", "cd", "mkdocs", "gcloud", "ssh-keygen", "ssh-add"}
# What an executed command has to say about `plan`: the options that plan and run share.
_SHARED = ("--scale", "--set")


class Reader:
    """Executes blocks in `folder`; `things` makes what a page says is given, by its name."""

    def __init__(self, folder: Path, things: Mapping[str, Callable[[Path], Any]]) -> None:
        self._folder, self._things = folder, things
        self._names: dict[str, Any] = {"__name__": "reader"}
        # By study, the ids of its runs, which a page may name.
        self._planned: dict[str, set[str]] = {}
        # The commands that were executed.
        self.done: list[str] = []
        for name in CLONE:
            (folder / name).symlink_to(ROOT / name)

    def read(self, page: Path) -> None:
        """Execute a page."""
        for block in blocks(page.read_text(encoding="utf-8")):
            try:
                for name in block.given:
                    self._take(name)
                self.done += self._execute(block)
            except (Exception, SystemExit) as error:
                error.add_note(f"in {page.name}, line {block.line}:\n{block.text}")
                raise

    def _take(self, name: str) -> None:
        """Have a given thing: a file in the folder, or a name of the page's Python blocks."""
        kind = name.partition(" ")[0]
        made = self._things[kind](self._folder)
        if isinstance(made, dict):
            self._names |= made

    def _execute(self, block: Block) -> list[str]:
        if block.language == "python":
            return self._python(block)
        if block.language != "console":
            if block.file:
                (self._folder / block.file).write_text(block.text, encoding="utf-8")
            return []
        return [line for line in commands(block.tested) if self._command(line, block)]

    def _python(self, block: Block) -> list[str]:
        if block.needs or (block.takes_long and not block.smaller):
            tree = ast.parse(block.text)
            tree.body = [each for each in tree.body if imports_ours(each)]
            exec(compile(tree, block.title, "exec"), {})
            return []
        text = self._with_runs(block.tested)
        if block.file:
            path = self._folder / block.file
            path.write_text(text, encoding="utf-8")
            if re.search(r"^study = ", text, re.M):
                self._plan(load_experiment(path))
            return []
        code = compile(text, f"line {block.line}", "exec")
        with contextlib.redirect_stdout(io.StringIO()):
            exec(code, self._names)
        if isinstance(study := self._names.get("study"), Study):
            self._plan(study)
        return ["python"]

    def _plan(self, study: Study) -> None:
        self._planned[study.name] = {run.config.run_id for run in study.plan()}

    def _command(self, line: str, block: Block) -> bool:
        """Execute a command, or check that it can be; whether it was executed."""
        if block.needs or (block.takes_long and not block.smaller):
            words = shlex.split(line)
            accept(words)
            if block.needs or words[:2] != ["scaling-jax", "run"] or not Path(words[2]).is_file():
                return False
            if words[2].startswith(CLONE):
                # tests/test_experiments.py plans these at every scale.
                return False
            words = ["scaling-jax", "plan", words[2], *_options(words[3:], _SHARED)]
        else:
            words = shlex.split(self._with_runs(line))
        if words[0] == "scaling-jax":
            self._scaling_jax(words[1:])
        elif words[0] == "python":
            self._program(words[1:])
        else:
            raise AssertionError(f"{line!r} is executed by no test: give its block a title")
        return True

    def _scaling_jax(self, words: list[str]) -> None:
        out, err = io.StringIO(), io.StringIO()
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            mock.patch("scaling_jax.cli.reading.on_terminal", return_value=True),
        ):
            code = main(words)
        assert code == 0, f"{shlex.join(words)} ended with {code}: {err.getvalue()}"

    def _program(self, words: list[str]) -> None:
        code = None
        with (
            mock.patch.object(sys, "argv", words),
            contextlib.redirect_stdout(io.StringIO()),
        ):
            try:
                runpy.run_path(str(ROOT / words[0]), run_name="__main__")
            except SystemExit as end:
                code = end.code
        assert not code, f"{shlex.join(words)} ended with {code}"

    def _with_runs(self, text: str) -> str:
        """The text with runs that are there, where the page names those of its reader."""

        def there(found: re.Match[str]) -> str:
            planned = self._planned.get(Path(found[1]).name, {found[2]})
            assert found[2] in {"RUN_ID", *planned}, f"{found[0]} is not a run of the page's study"
            runs = self._folder / found[1] / "runs"
            ids = sorted(path.parent.name for path in runs.glob("*/checkpoints"))
            return f"{found[1]}/runs/{found[2] if found[2] in ids else ids[0]}"

        return re.sub(r"([\w./]+)/runs/(RUN_ID|[0-9a-f]{16})", there, text)


def accept(words: list[str]) -> None:
    """Check a command without executing it.

    Raises:
        AssertionError: there is no such program, or its source does not have the options.
        InputError, SystemExit: the command line refuses it.
    """
    if words[0] == "scaling-jax":
        try:
            _parsed(words[1:])
        except InputError as refusal:
            # The executor's package belongs to an extra.
            if "not installed: pip install" not in str(refusal):
                raise
    elif words[0] == "python":
        source = (ROOT / words[1]).read_text(encoding="utf-8")
        assert [word for word in words if word.startswith("--") and word not in source] == []
    else:
        assert words[0] in OF_OTHERS or os.access(ROOT / words[0], os.X_OK), words


def imports_ours(statement: ast.stmt) -> bool:
    """Whether a statement imports names of this package, which a page must not invent."""
    return isinstance(statement, ast.ImportFrom) and (statement.module or "").startswith("scaling")


def _options(words: list[str], names: tuple[str, ...]) -> list[str]:
    """Those of `words` that are the options `names` and their values."""
    pairs = itertools.pairwise(words)
    return [word for pair in pairs if pair[0] in names for word in pair]


def read_all(pages: Iterable[Path], base: Path) -> Iterator[tuple[str, list[str], str]]:
    """For each page, its name, the commands that were executed, and the error that ended them."""
    os.environ["SCALING_JAX_CACHE"] = str(base / "cache")
    known = things(base)
    for page in pages:
        folder = base / page.stem
        folder.mkdir()
        reader = Reader(folder, known)
        with quick(), contextlib.chdir(folder):
            try:
                reader.read(page)
            except (Exception, SystemExit) as error:
                yield page.name, reader.done, "".join(traceback.format_exception(error))
            else:
                yield page.name, reader.done, ""


if __name__ == "__main__":
    here = Path(sys.argv[1])
    for outcome in read_all(map(Path, sys.argv[2:]), here):
        print(json.dumps(outcome), flush=True)
