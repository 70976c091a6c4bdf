"""Every command and every Python block of the pages works for a reader, or says what it needs."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, blocks, commands
from tests.docs.reader import Reader, accept
from tests.quick import QUICKLY

NEEDED = (
    r"scripts/tpu/|scaling-jax compile|--executor|benchmarks/(gpu|tpu)|gs://|--track (wandb|mlflow)"
)
WITH_CODE = [page for page in PAGES if "```" in page.read_text(encoding="utf-8")]

with_each_page = pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.name)


def test_pages_are_found() -> None:
    assert len(WITH_CODE) > 15


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, tuple[list[str], str]]:
    """By selected page, the commands that a reader executed and the error that ended them."""
    base = tmp_path_factory.mktemp("reader")
    wanted = [
        item.callspec.params["page"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and "outcomes" in item.fixturenames
    ]
    command = [sys.executable, "-m", "tests.docs.reader", base, *wanted]
    environment = {**os.environ, "XLA_FLAGS": QUICKLY, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    return {name: (done, error) for name, done, error in lines}


@with_each_page
def test_a_reader_can_execute_the_page_in_an_empty_folder(
    page: Path, outcomes: Mapping[str, tuple[list[str], str]]
) -> None:
    done, error = outcomes[page.name]
    assert not error, error
    code = [each for each in blocks(page.read_text()) if each.language in ("console", "python")]
    marked = all(each.needs or each.takes_long for each in code)
    assert done or marked


@with_each_page
def test_blocks_that_need_more_than_a_computer_say_so(page: Path) -> None:
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.language == "console":
            assert not re.search(NEEDED, block.text) or block.needs, block


@pytest.mark.parametrize("command", ["scaling-jax fit t.csv --lawn auto", "scaling-jax fot t.csv"])
def test_a_command_that_does_not_exist_is_noticed(command: str) -> None:
    with pytest.raises(SystemExit):
        accept(command.split())


@pytest.mark.parametrize(
    "text",
    [
        "```console\nscaling-jax fit there-is-none.csv\n```",
        "```console\nscripts/test\n```",
        "```python\nimport scaling_jax as sj\nsj.fit('there-is-none.csv')\n```",
        '```python title="mine.py"\nstudy = 1\n```',
    ],
)
def test_a_page_that_does_not_work_is_noticed(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(Exception, match=r"there-is-none|executed by no test|study"):
        Reader(tmp_path, {}).read(page)


def test_blocks_have_what_stands_before_them() -> None:
    page = (
        "<!-- given: losses.csv, recipe -->\n\ntext\n\n<!-- tested with: 500 => 2; a b => c -->\n\n"
        '```console title="Takes an hour"\npython x.py --n 500 \\\n  a b  # slow\n```\n'
        "```python\npass\n```\n"
    )
    first, second = blocks(page)
    assert first.given == ("losses.csv", "recipe")
    assert first.takes_long
    assert commands(first.tested) == ["python x.py --n 2    c"]
    assert (second.line, second.given, second.smaller) == (11, (), ())
