"""A plan in the columns of a table of records, for simulating its losses."""

from typing import TYPE_CHECKING

from scaling_jax.accounting.flops import count_params
from scaling_jax.study.plan.study import Study

if TYPE_CHECKING:
    import pandas as pd


def plan_records(study: Study) -> "pd.DataFrame":
    """The runs of a study's plan, one row per run, in the columns of `collect` without losses.

    Columns: `role`; `budget`, `flops` and `flops_spent` in the recipe's convention; `params`,
    `params_non_embedding` and `params_active`; `tokens`.
    """
    import pandas as pd

    rows = []
    for run in study.plan():
        counts = count_params(run.config.shape)
        rows.append(
            {
                "role": run.role,
                "budget": run.budget,
                "params": counts.total,
                "params_non_embedding": counts.non_embedding,
                "params_active": counts.active,
                "tokens": run.config.tokens,
                "flops": run.flops,
                "flops_spent": run.flops_spent,
            }
        )
    return pd.DataFrame(rows)
