"""What README, CONTRIBUTING and docs name exists: links, files, modules, options, the layout."""

import ast
import importlib
import io
import re
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path

import pytest

from scaling_jax.cli import main
from scaling_jax.cli.app import GROUPS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FOLDERS = "scaling_jax|experiments|benchmarks|tests|scripts|docs"

with_each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def test_pages_are_found() -> None:
    assert len(PAGES) > 5


@with_each_page
def test_relative_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    relative = [link.split("#")[0] for link in links if "://" not in link and link[0] != "#"]
    assert [link for link in relative if not (page.parent / link).exists()] == []


@with_each_page
def test_paths_that_are_named_exist(page: Path) -> None:
    paths = re.findall(rf"(?<![\w/.<])(?:{FOLDERS})/[\w./-]*\w", page.read_text())
    assert sorted({path for path in paths if not (ROOT / path).exists()}) == []


@with_each_page
def test_dotted_names_can_be_imported(page: Path) -> None:
    names = re.findall(r"`(scaling_jax(?:\.\w+)+)", page.read_text())
    assert [name for name in names if not resolves(name)] == []


@with_each_page
def test_examples_in_python_import_what_there_is(page: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(), re.S)
    for node in (node for block in blocks for node in ast.walk(ast.parse(block))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module != "mine":
            module = importlib.import_module(node.module)
            assert [name.name for name in node.names if not hasattr(module, name.name)] == []


@with_each_page
def test_commands_have_the_options_that_are_shown(page: Path, help_of: Callable) -> None:
    for line in commands(page.read_text()):
        name, *words = line.split()[1:]
        if name in GROUPS:
            name = f"{name} {words.pop(0)}"
        options = {word.split("=")[0] for word in words if word.startswith("--") and word != "--"}
        assert {option for option in options if option not in help_of(name)} == set(), line


def test_the_layout_names_every_package_and_module() -> None:
    layout = layout_block((ROOT / "README.md").read_text())
    package = ROOT / "scaling_jax"
    folders = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    modules = {path.name for path in package.glob("*.py") if path.stem != "__init__"}
    assert {name for name in folders | modules if name not in layout} == set()
    named = re.findall(r"^  ((?:\w+(?:/|\.py) ?)+)", layout, re.M)
    assert len(named) >= len(folders)
    for name in " ".join(named).split():
        assert (package / name).exists(), name


@pytest.fixture(scope="module")
def help_of() -> Callable[[str], str]:
    """The help of a command of the command line."""

    @cache
    def help_of(command: str) -> str:
        out = io.StringIO()
        with redirect_stdout(out):
            assert main([*command.split(), "--help"]) == 0
        return out.getvalue()

    return help_of


def commands(page: str) -> list[str]:
    """The lines of a page's console blocks that start with `scaling-jax`, without comments."""
    blocks = re.findall(r"```console\n(.*?)```", page, re.S)
    joined = "\n".join(blocks).replace("\\\n", " ")
    lines = (line.split("#")[0].strip() for line in joined.splitlines())
    return [line for line in lines if line.startswith("scaling-jax ")]


def layout_block(readme: str) -> str:
    blocks = re.findall(r"```\n(scaling_jax/\n.*?)```", readme, re.S)
    assert len(blocks) == 1
    return blocks[0]


def resolves(name: str) -> bool:
    """Whether a dotted name is a module or an attribute of one."""
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        parent, _, last = name.rpartition(".")
        return bool(parent) and resolves(parent) and hasattr(importlib.import_module(parent), last)
    return True
