"""What the analysis of an experiment answers: a text and a figure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scaling_jax.report.svg import save_alone

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from scaling_jax.study import Store


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


def command(answer: "Callable[[Store], Answer]") -> Callable[[str, str], None]:
    """The command line of an analysis: it prints the answer of the study at `root`, and draws it.

    Args:
        answer: the analysis.
    """

    def main(root: str, out: str) -> None:
        from scaling_jax.study import Store

        answer(Store.open(root)).show(out)

    return main
