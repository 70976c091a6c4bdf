"""What README, CONTRIBUTING and docs name exists: links, files, modules, the site."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from types import FunctionType

import pytest

import scaling_jax.laws
from tests.docs.pages import PAGES, ROOT

FOLDERS = "scaling_jax|experiments|benchmarks|tests|scripts|docs"
FUNCTIONS_OF_LAWS = [
    name
    for name in dir(scaling_jax.laws)
    if isinstance(getattr(scaling_jax.laws, name), FunctionType)
]

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


def test_the_site_is_complete_and_asks_nobody(site: Path) -> None:
    fetched = r"<(?:script|img|iframe)[^>]*src=\"(?:https?:)?//|<link[^>]*href=\"(?:https?:)?//"
    for built in site.rglob("*.html"):
        assert re.findall(fetched, built.read_text()) == [], built.name
    laws = (site / "api/laws.html").read_text()
    assert {
        name for name in FUNCTIONS_OF_LAWS if f'id="scaling_jax.laws.{name}"' not in laws
    } == set()
    # Sections of the README, the figure and the links in them included.
    home = (site / "index.html").read_text()
    assert '<img alt="Loss against model size' in home
    assert 'href="extrapolation.html"' in home
    assert "README:" not in home


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
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation as a site, built without a warning."""
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", out]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return out


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
