"""Figures as files and as inline SVG."""

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}
NO_PDF_METADATA = {"CreationDate": None, "Creator": None, "Producer": None}


def save(figure: "Figure", directory: Path, name: str) -> str:
    """Write `name`.svg and `name`.pdf, the same bytes for the same figure; return the SVG text."""
    svg = _svg_text(figure)
    (directory / f"{name}.svg").write_text(svg, encoding="utf-8")
    figure.savefig(directory / f"{name}.pdf", format="pdf", metadata=NO_PDF_METADATA)
    return svg


def inline(svg: str, name: str) -> str:
    """The SVG for use inside HTML: no prolog or fixed size, its ids prefixed with `name`."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', body)
    body = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', body)
    body = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", body)
    head, rest = body.split(">", 1)
    head = re.sub(r'\s(?:width|height)="[^"]*"', "", head)
    return f'{head} aria-hidden="true" focusable="false">{rest}'.strip()


def _svg_text(figure: "Figure") -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata=NO_METADATA)
    return buffer.getvalue()
