"""What tests leave out: optimizations of seconds in programs of milliseconds, and drawing twice."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

# Measured on a run of one layer: 3.2 s of CPU instead of 6.3 s, and losses that agree to 1e-10.
# In one part instead of many for many threads, three gradients compile in 0.53 s instead of 0.93 s.
QUICKLY = (
    "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
    " --xla_cpu_parallel_codegen_split_count=1"
)


@contextmanager
def without_pdf() -> Iterator[None]:
    """The PDF file of a figure is empty: to draw it takes as long as the SVG that a page shows."""
    from matplotlib.figure import Figure

    saved = Figure.savefig

    def save(figure: Figure, file: Any, **options: Any) -> None:
        if options.get("format") == "pdf":
            Path(file).touch()
        else:
            saved(figure, file, **options)

    with mock.patch.object(Figure, "savefig", save):
        yield
