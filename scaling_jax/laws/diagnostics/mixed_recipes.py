"""Notes on a table that mixes recipes or still lacks runs."""

import itertools
import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from scaling_jax.laws.conventions import SAME_LENGTH
from scaling_jax.laws.notes import Note, NoteCode
from scaling_jax.laws.tables.select import fitted_rows
from scaling_jax.laws.tables.words import VERIFICATION, roles

if TYPE_CHECKING:
    import pandas as pd

# One recipe has one value of each.
CONSTANT_KNOBS = (
    *("corpus", "tokenizer", "data_fingerprint", "repeat", "unique_tokens_limit"),
    "lossy_tokenizer",
    *("vocab_size", "seq_len"),
    *("positions", "activation", "tied_embedding", "qk_norm"),
    *("n_experts", "experts_per_token", "capacity"),
    *("architecture", "passes", "module", "flops_counted_by"),
    *("optimizer", "schedule", "final_lr_fraction", "cycle", "cooldown_share"),
    *("beta1", "beta2", "eps", "weight_decay", "clip_norm", "balance_weight"),
    *("weight_decay_tables", "weight_decay_gains", "init_scale", "average_share"),
    *("dropout_residual", "dropout_attention", "dropout_embedding"),
    *("batch_ramp_factor", "batch_ramp_until"),
    *("parameterization", "base_d_model", "base_head_dim", "base_n_layers"),
    *("precision", "eval_tokens", "eval_every", "curve_tokens", "evals", "noise_scale", "start"),
    "convention",
)
# One recipe has one value of each for a size and a length; rules make them follow those, or the
# family of shapes does.
_SHAPE = ("n_layers", "d_model", "d_ff", "n_heads", "head_dim", "n_kv_heads")
_RULED_KNOBS = ("peak_lr", "batch_size", "warmup_steps", *_SHAPE)

_SEED = re.compile(r"(^|, )seed=\d+")

_MOST_SHOWN = 4


def mixed_knobs(table: "pd.DataFrame") -> list[Note]:
    """Sentences about hyperparameters in which finished runs differ and that a fit would ignore.

    Runs of one recipe differ in size, length and seed alone; a learning rate or batch size may
    follow a rule, so it counts as different only where runs of one size and about one length have
    several.

    >>> import pandas as pd
    >>> from scaling_jax import laws
    >>> table = pd.DataFrame({"params": 1e6, "tokens": 2e7, "optimizer": ["adamw", "muon"]})
    >>> print(laws.mixed_knobs(table)[0].split(":")[0])
    Runs of different optimizer (adamw, muon) are fitted as if it made no difference

    Args:
        table: one row per run, with the columns of a study's records.
    """
    runs = fitted_rows(table)
    names = [name for name in CONSTANT_KNOBS if name in runs]
    mixed = {name: _values(runs, name) for name in names}
    mixed = {name: values for name, values in mixed.items() if len(values) > 1}
    notes = [
        f"Runs of different {name} ({_listed(values)}) are fitted as if it made no difference: "
        f"fit each on its own, {_by(runs, name)}."
        for name, values in mixed.items()
    ]
    for name in _RULED_KNOBS:
        if name in runs and (values := _at_one_size_and_length(runs, name)):
            notes.append(
                f"Runs of the same size and length differ in {name} ({_listed(values)}), which "
                f"the fit ignores: fit each on its own, {_by(runs, name)}."
            )
    if not notes and len(variations := _variations(runs)) > 1:
        notes.append(
            f"Runs of {len(variations)} variations of a sweep ({_listed(variations)}) are fitted "
            f"as if they made no difference: fit each on its own, {_by(runs, 'variation')}."
        )
    return [Note(NoteCode.MIXED_RECIPES, text) for text in notes]


def recipe_of(table: "pd.DataFrame", response: str = "loss") -> dict[str, Any]:
    """Each hyperparameter that one recipe has one value of, and that value in all fitted rows.

    Hyperparameters that follow a rule, such as the learning rate, are left out, since they differ
    between sizes. So are hyperparameters in which the rows differ.

    >>> import pandas as pd
    >>> from scaling_jax.laws.diagnostics.mixed_recipes import recipe_of
    >>> recipe_of(pd.DataFrame({"optimizer": ["muon"] * 2, "seq_len": [512, 1024]}))
    {'optimizer': 'muon'}
    """
    runs = fitted_rows(table, response)
    values = {name: _values(runs, name) for name in CONSTANT_KNOBS if name in runs}
    return {
        name: only[0].item() if hasattr(only[0], "item") else only[0]
        for name, only in values.items()
        if len(only) == 1
    }


def missing_runs(table: "pd.DataFrame") -> list[Note]:
    """A sentence on how many runs each budget still lacks, where the table lists planned ones.

    >>> import pandas as pd
    >>> from scaling_jax import laws
    >>> laws.missing_runs(pd.DataFrame({"budget": 1e18, "status": ["finished", "planned"]}))
    ['Runs without a loss were left out: 1 of 2 at 1e+18 FLOPs.']

    Args:
        table: `budget` in FLOPs and `status` of every planned run; without them, no sentence.
    """
    if "status" not in table or "budget" not in table:
        return []
    grid = table[roles(table) != VERIFICATION]
    lacking = []
    for budget, runs in grid.groupby("budget"):
        n = len(runs) - len(fitted_rows(runs))
        if n:
            lacking.append(f"{n} of {len(runs)} at {budget:.3g} FLOPs")
    if not lacking:
        return []
    text = f"Runs without a loss were left out: {', '.join(lacking)}."
    return [Note(NoteCode.MISSING_RUNS, text)]


def _values(runs: "pd.DataFrame", name: str) -> list[Any]:
    values = list(runs[name].dropna().unique())
    try:
        return sorted(values)
    except TypeError:  # Numbers and texts.
        return sorted(values, key=str)


def _by(runs: "pd.DataFrame", name: str) -> str:
    """How to fit each on its own: by variation, where the runs are those of a sweep."""
    return f"--by {'variation' if len(_variations(runs)) > 1 else name}"


def _variations(runs: "pd.DataFrame") -> list[str]:
    """The variations of a sweep, which differ in more than the seed."""
    if "variation" not in runs:
        return []
    return sorted({without_seed(str(name)) for name in runs["variation"].dropna()})


def without_seed(variation: str) -> str:
    """A variation's name without its seed: runs that differ only in the seed are replicates."""
    return _SEED.sub("", variation).removeprefix(", ")


def _at_one_size_and_length(runs: "pd.DataFrame", name: str) -> list[Any]:
    """The values of a hyperparameter at the first size and length where runs have several."""
    # A column of the shape is compared among runs of equal size alone.
    shape = ["params"] if name in _SHAPE else ["params", "n_layers", "d_model"]
    known = runs.dropna(subset=name).sort_values("tokens")
    for _, alike in known.groupby([column for column in shape if column in runs]):
        rows = list(zip(alike["tokens"], alike[name], strict=True))
        for (shorter, one), (longer, other) in itertools.pairwise(rows):
            if one != other and longer <= shorter * SAME_LENGTH:
                close = [value for tokens, value in rows if _close(tokens, shorter)]
                return sorted(set(close))
    return []


def _close(tokens: float, to: float) -> bool:
    return abs(math.log(tokens / to)) <= math.log(SAME_LENGTH)


def _listed(values: Sequence[Any]) -> str:
    shown = [f"{value:g}" if isinstance(value, float) else str(value) for value in values]
    more = f" and {len(shown) - _MOST_SHOWN} more" if len(shown) > _MOST_SHOWN else ""
    return ", ".join(shown[:_MOST_SHOWN]) + more
