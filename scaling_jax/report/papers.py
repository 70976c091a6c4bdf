"""Published lines of the optimal model size and tokens against compute."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class PaperLine:
    """A published law: optimum = scale · (FLOPs / unit) ** exponent, for N and for D."""

    label: str
    approach: int | None
    unit: float
    params_scale: float
    params_exponent: float
    tokens_scale: float
    tokens_exponent: float

    def params(self, flops: "np.ndarray") -> "np.ndarray":
        """The optimal number of parameters at each budget."""
        return self.params_scale * (flops / self.unit) ** self.params_exponent

    def tokens(self, flops: "np.ndarray") -> "np.ndarray":
        """The optimal number of tokens at each budget."""
        return self.tokens_scale * (flops / self.unit) ** self.tokens_exponent


def paper_lines() -> tuple[PaperLine, ...]:
    """The lines of the three approaches of Hoffmann et al. 2022, and of Kaplan et al. 2020.

    The lines of Hoffmann et al. are straight lines in log-log through the rows of their tables.
    N of Kaplan et al. does not include embeddings.
    """
    from scaling_jax.laws.catalogue.hyperparameters import (
        KAPLAN_OPTIMAL_PARAMS,
        KAPLAN_OPTIMAL_TOKENS,
    )
    from scaling_jax.laws.conventions import PF_DAY

    kaplan = PaperLine(
        "Kaplan 2020, Table 6", None, PF_DAY, *KAPLAN_OPTIMAL_PARAMS, *KAPLAN_OPTIMAL_TOKENS
    )
    return (*map(_hoffmann, (1, 2, 3)), kaplan)


def published_exponents() -> str:
    """The published exponents a of N_opt ∝ C^a, as a phrase."""
    *hoffmann, kaplan = (f"{line.params_exponent:.2f}" for line in paper_lines())
    return (
        f"{', '.join(hoffmann)} (Hoffmann et al., approaches 1 to 3) and {kaplan} (Kaplan et al.)"
    )


def _hoffmann(approach: int) -> PaperLine:
    import numpy as np

    from scaling_jax.laws.catalogue.hoffmann_tables import HoffmannTable
    from scaling_jax.laws.conventions import FLOPS_PER_PARAM_TOKEN

    table = HoffmannTable(approach)
    # The FLOPs of the row 175B by approach 3 are a misprint: they are a tenth of 6 N D.
    printed = table.flops / (FLOPS_PER_PARAM_TOKEN * table.params * table.tokens)
    flops = table.flops * np.where(printed < 0.5, 10, 1)
    unit = 1e21
    n_scale, n_exponent = _power_law(flops, table.params, unit)
    d_scale, d_exponent = _power_law(flops, table.tokens, unit)
    label = f"approach {approach}, Hoffmann 2022"
    return PaperLine(label, approach, unit, n_scale, n_exponent, d_scale, d_exponent)


def _power_law(flops: "np.ndarray", values: "np.ndarray", unit: float) -> tuple[float, float]:
    import numpy as np

    exponent, intercept = np.polyfit(np.log(flops / unit), np.log(values), 1)
    return float(np.exp(intercept)), float(exponent)
