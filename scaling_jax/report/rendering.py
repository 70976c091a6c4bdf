"""What the pages share: drawn figures, templates, style and script in one self-contained file."""

from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling_jax.report import style, svg
from scaling_jax.report.panels import Panel
from scaling_jax.system.files import as_path, write_text_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figure_folder(page: Path) -> Path:
    """The folder of a page's figures beside the page; it exists afterwards."""
    folder = page.parent / f"{page.stem}_figures"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def drawn(panels: Iterable[Panel | None], folder: Path) -> list[dict[str, Any]]:
    """The panels as the templates show them, each also stored as SVG and PDF in `folder`."""
    with style.figure_style():
        return [_drawn(panel, folder) for panel in panels if panel is not None]


def write_page(path: Path, template: str, **content: Any) -> Path:
    """Write a page from the template of this package, and return its path."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("scaling_jax", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shared = {name: Markup(_text(f"page.{name}")) for name in ("css", "js")}
    text = environment.get_template(template).render(**shared, **content)
    write_text_atomically(as_path(path), text)
    return path


def _drawn(panel: Panel, folder: Path) -> dict[str, Any]:
    more = panel.on_demand
    return {
        "name": panel.name,
        "title": panel.title,
        "caption": panel.caption,
        "svg": _inline(panel.figure, panel, folder),
        "on_demand": None if more is None else _drawn(more, folder),
    }


def _inline(figure: "Figure", panel: Panel, folder: Path) -> Any:
    from markupsafe import Markup

    # Matplotlib draws numbers and constant texts as paths, so there is nothing to escape.
    return Markup(svg.inline(svg.save(figure, folder, panel.name), panel.name, panel.hover))


def _text(name: str) -> str:
    return (resources.files("scaling_jax.report") / name).read_text(encoding="utf-8")
