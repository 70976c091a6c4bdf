"""A figure with its title and caption."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scaling_jax import formatting

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Panel:
    """One figure: the name of its files, its title, and the caption that explains it.

    Attributes:
        name, title, caption, figure: as above.
        hover: gid of a line of points -> a text for each point, which a page shows on hover.
        on_demand: a figure that a page shows once the reader opens it.
    """

    name: str
    title: str
    caption: str
    figure: "Figure"
    hover: Mapping[str, Sequence[str]] = field(default_factory=dict)
    on_demand: "Panel | None" = None


def run_labels(runs: "pd.DataFrame", unit: str = "") -> tuple[str, ...]:
    """A text for each run: its name in the first line, then its size, length, compute and loss."""
    return tuple(_run_label(row, unit) for row in runs.to_dict("records"))


def _run_label(row: Mapping[Any, Any], unit: str) -> str:
    spread = row.get("loss_stderr")
    error = f" ± {formatting.loss(spread)}" if formatting.known(spread) else ""
    size = f"{formatting.count(row['params'])} parameters, {formatting.count(row['tokens'])} tokens"
    loss = f"loss {formatting.loss(row.get('loss'))}{error} {unit}".strip()
    name = str(row["run_id"])
    flops = [f"{formatting.flops(row['flops'])} FLOPs"] if "flops" in row else []
    return formatting.plain_spaces("\n".join([name, size, *flops, loss]))
