"""MkDocs hooks: pages made from the README, the docstrings and the notebook, and their links.

A page in `docs/` takes a section of the README where it has the comment
`<!-- README: Title of the section -->`, so that each fact stays in one place.
"""

import ast
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import griffe
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "scaling_jax"
# The packages a user imports from, in the order of a study. What has no list of names is a module.
API = (
    *("laws", "study", "config", "shapes", "architectures", "trained", "data", "report"),
    *("accounting.flops", "accounting.memory", "accounting.hardware"),
)


def on_config(config: Any) -> Any:
    """List the pages of the reference in the navigation, where it has `api/`."""
    pages = ["api/index.md", *(_page_of(name) for name in API)]
    config["nav"] = [
        {title: pages if entry == "api/" else entry for title, entry in item.items()}
        if isinstance(item, dict)
        else item
        for item in config["nav"]
    ]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages of the reference and the notebook's."""
    files.append(File.generated(config, "notebook.md", content=_notebook()))
    files.append(File.generated(config, "api/index.md", content=_overview()))
    for name in API:
        files.append(File.generated(config, _page_of(name), content=_reference(name)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Insert sections of the README, and point links from it and out of the site elsewhere."""
    here = PurePosixPath(page.file.src_uri).parent
    inserted = re.sub(r"<!-- README: (.+?) -->", lambda m: section(m[1]), markdown)
    # The lexer `console` takes a comment for the prompt of the superuser.
    coloured = inserted.replace("```console", "```bash")
    titles = {path: title for title, path in _entries(config["nav"])}
    pattern = r"(!?)\[([^\]]*)\]\(([^)\s]+)\)"
    return re.sub(pattern, lambda m: _link(m, here, files, titles), coloured)


def section(title: str) -> str:
    """The text under a heading of the README, without the heading.

    Raises:
        KeyError: the README has no such heading.
    """
    readme = (ROOT / "README.md").read_text()
    parts = re.split(r"^## (.+)\n", readme, flags=re.M)
    text = dict(zip(parts[1::2], parts[2::2], strict=True))[title]
    # Links of the README start at the root of the repository.
    return re.sub(r"\]\((?!\w+://|#)([^)\s]+)\)", r"](../\1)", text).strip()


def _link(
    found: re.Match[str], here: PurePosixPath, files: Files, titles: Mapping[str, str]
) -> str:
    image, text, target = found.groups()
    path, _, anchor = target.partition("#")
    if "://" in target or not path or here.name:
        return found[0]
    inside = path.removeprefix("../docs/").replace("notebook.ipynb", "notebook.md")
    if files.get_file_from_path(inside) is None:
        # What is not part of the site is named, without a link.
        return text if path.startswith("../") else found[0]
    shown = titles.get(inside, text) if text.strip("`").endswith(".md") else text
    return f"{image}[{shown}]({inside}{'#' if anchor else ''}{anchor})"


def _entries(nav: list[Any]) -> Iterator[tuple[str, str]]:
    """(title, page) of the navigation's entries, on every level."""
    for item in nav:
        for title, below in item.items() if isinstance(item, dict) else ():
            if isinstance(below, str):
                yield title, below
            else:
                yield from _entries(below)


class AsMarkdown(griffe.Extension):
    """Makes docstrings readable as Markdown: examples as code, `a, b: text` as two entries."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rewrite an object's docstring."""
        if obj.docstring is not None:
            obj.docstring.value = _with_single_names(_with_fences(obj.docstring.value))


def _with_fences(docstring: str) -> str:
    # In Markdown `>>>` is a quotation.
    def fenced(found: re.Match[str]) -> str:
        return f"{found[1]}```pycon\n{found[0]}\n{found[1]}```"

    return re.sub(r"^( *)>>> .*(?:\n *\S.*)*", fenced, docstring, flags=re.M)


def _with_single_names(docstring: str) -> str:
    def apart(found: re.Match[str]) -> str:
        return "\n".join(f"{found[1]}{name}: {found[3]}" for name in found[2].split(", "))

    entry = r"^( +)(\w+(?:, \w+)+): (.*(?:\n\1 +\S.*)*)"
    return re.sub(entry, apart, docstring, flags=re.M)


def _notebook() -> str:
    """The notebook as a page; the file itself is beside it."""
    cells = json.loads((ROOT / "docs" / "notebook.ipynb").read_text())["cells"]
    parts = ['<a href="notebook.ipynb" download>The notebook as a file</a>']
    for cell in cells:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        printed = "".join(line for output in cell["outputs"] for line in output["text"])
        if printed:
            parts.append(f"```text\n{printed}```")
    parts.insert(1, parts.pop(0))  # The page begins with its title.
    return "\n\n".join(parts)


def _page_of(name: str) -> str:
    return f"api/{name.replace('.', '_')}.md"


def _overview() -> str:
    """The names of the package itself, and what each package holds."""
    tree = _tree(PACKAGE)
    rows = [
        f"| [`sj.{there or name}`][{PACKAGE}.{module}.{name}] | `{PACKAGE}.{module}` |"
        for module, name, there in _names(tree)
    ]
    packages = [f"| [`{PACKAGE}.{name}`]({_page_of(name)[4:]}) | {_doc(name)} |" for name in API]
    return "\n".join(
        [
            "# Python reference",
            "",
            "`import scaling_jax as sj` has the names that a session starts with:",
            "",
            "| name | defined in |\n|---|---|",
            *rows,
            "",
            "Everything else is in these packages and modules:",
            "",
            "| package or module | what it holds |\n|---|---|",
            *packages,
        ]
    )


def _reference(name: str) -> str:
    dotted = f"{PACKAGE}.{name}"
    tree = _tree(dotted)
    names = [alias for _, alias, _ in _names(tree)] or list(_defined(tree))
    # Functions first: they are what a reader calls.
    names.sort(key=lambda each: each[0].isupper())
    items = "\n\n".join(f"::: {dotted}.{each}" for each in names)
    return f"# {dotted}\n\n{_doc(name)}\n\n{items}\n"


def _doc(name: str) -> str:
    return (ast.get_docstring(_tree(f"{PACKAGE}.{name}")) or "").partition("\n\n")[0]


def _tree(dotted: str) -> ast.Module:
    path = ROOT / Path(*dotted.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(path.read_text())


def _names(tree: ast.Module) -> Iterator[tuple[str, str, str]]:
    """(module below the package, name, other name) of what a package exports: `X as X`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{PACKAGE}."):
            module = str(node.module).removeprefix(f"{PACKAGE}.")
            for alias in node.names:
                if alias.asname and not alias.name.isupper():
                    yield module, alias.name, "" if alias.asname == alias.name else alias.asname


def _defined(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            yield node.name
