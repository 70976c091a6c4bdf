"""What the analysis of an experiment answers: a text and a figure."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scaling_jax.report.svg import save_alone

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Answer:
    """The answer of an experiment to its question.

    Attributes:
        text: tables and sentences, in columns of equal width.
        figure: what the experiment's file draws.
    """

    text: str
    figure: "Figure"

    def show(self, out: str) -> None:
        """Print the text, and write the figure to `out` in the format of its ending."""
        print(self.text)
        save_alone(self.figure, out)
