"""Write figures to files and into HTML."""

import html
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}
NO_PDF_METADATA = {"CreationDate": None, "Creator": None, "Producer": None}


def save(figure: "Figure", directory: Path, name: str) -> str:
    """Write `name`.svg and `name`.pdf, and return the SVG; the same figure gives the same bytes."""
    svg = _svg_text(figure)
    (directory / f"{name}.svg").write_text(svg, encoding="utf-8")
    figure.savefig(directory / f"{name}.pdf", format="pdf", metadata=NO_PDF_METADATA)
    return svg


def save_alone(figure: "Figure", path: str | Path, ending: str | None = None) -> None:
    """Write a figure to `path` in the format of its ending, or of another; without a date."""
    ending = ending or Path(path).suffix
    metadata = {".svg": NO_METADATA, ".pdf": NO_PDF_METADATA}.get(ending)
    figure.savefig(path, format=ending.removeprefix("."), metadata=metadata)


def inline(svg: str, name: str, hover: Mapping[str, Sequence[str]] | None = None) -> str:
    """An SVG for use inside HTML: without prolog and fixed size, every id prefixed with `name`.

    Args:
        svg: the file's text.
        name: of the figure, which no other figure of the page has.
        hover: gid of a line of points -> a text for each point, which becomes its title.
    """
    body = svg[svg.index("<svg") :]
    for gid, texts in (hover or {}).items():
        body = _titled(body, gid, texts)
    body = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', body)
    body = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', body)
    body = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", body)
    head, rest = body.split(">", 1)
    head = re.sub(r'\s(?:width|height)="[^"]*"', "", head)
    return f'{head} aria-hidden="true" focusable="false">{rest}'.strip()


def _titled(body: str, gid: str, texts: Sequence[str]) -> str:
    """The SVG in which the points of the line `gid` have titles."""
    start = body.find(f'<g id="{gid}"')
    end = body.find('<g id="', start + 1)
    line = body[start:] if end < 0 else body[start:end]
    # Matplotlib leaves out a point outside the figure; the others would get a neighbour's title.
    if start < 0 or line.count("<use ") != len(texts):
        return body
    left = iter(texts)

    def title(use: "re.Match[str]") -> str:
        return f"<use {use[1]}><title>{html.escape(next(left))}</title></use>"

    return body.replace(line, re.sub(r"<use ([^>]*?)/>", title, line), 1)


def _svg_text(figure: "Figure") -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata=NO_METADATA)
    return buffer.getvalue()
