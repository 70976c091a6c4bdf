"""A figure with its title and caption."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Panel:
    """One figure: the name of its files, its title, and the caption that explains it."""

    name: str
    title: str
    caption: str
    figure: "Figure"
