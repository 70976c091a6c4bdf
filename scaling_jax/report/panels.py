"""A figure with the words around it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Panel:
    """One figure: its file name, its heading, and the caption that says what to see."""

    name: str
    title: str
    caption: str
    figure: "Figure"
