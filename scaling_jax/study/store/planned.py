"""A plan's runs as records without results, so that a law can be asked about them."""

from typing import TYPE_CHECKING

from scaling_jax.accounting import flops
from scaling_jax.study.plan.study import Study
from scaling_jax.study.store.records import CONFIGURATION

if TYPE_CHECKING:
    import pandas as pd

# A branch is a part of a run under other settings, of which a law of whole runs says nothing.
_NEVER_FITTED = "branch"


def planned_records(study: Study) -> "pd.DataFrame":
    """The whole runs of a study's plan, one row per run, in the columns that `collect` gives them.

    Raises:
        InputError: the recipe cannot make a run that the design wants.
    """
    import pandas as pd

    rows = []
    for run in study.plan():
        counts = flops.count_params(run.config.shape)
        rows.append(
            {
                "run_id": run.config.run_id,
                "role": run.role,
                "budget": run.budget,
                "convention": run.convention,
                "variation": run.variation,
                "params": counts.total,
                "params_non_embedding": counts.non_embedding,
                "params_active": counts.active,
                "tokens": run.config.tokens,
                "flops": run.flops,
                "flops_counted_by": flops.flops_counted_by(run.config.shape),
                **{name: value(run.config) for name, value in CONFIGURATION.items()},
            }
        )
    frame = pd.DataFrame(rows)
    return frame[frame["role"] != _NEVER_FITTED] if rows else frame
