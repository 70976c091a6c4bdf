"""`flops`: the parameters and FLOPs of a shape under every convention."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from scaling_jax.accounting.shape_account import (
    account_tables,
    shape_account,
    training_sentence,
)
from scaling_jax.cli.arguments import Json, optional
from scaling_jax.cli.output import print_json, print_table
from scaling_jax.config import DEFAULT_CAPACITY, Activation, Positions, RunConfig, Shape
from scaling_jax.errors import InputError

# A user's own module is counted where it is planned: give the CONFIG.json of its run.
Architectures = Literal["transformer", "recurrent", "lstm"]


@dataclass(frozen=True)
class ShapeFlags:
    """A model by its dimensions."""

    n_layers: Annotated[int | None, optional("blocks", "INT")] = None
    d_model: Annotated[int | None, optional("width of the residual stream", "INT")] = None
    n_heads: Annotated[int | None, optional("query heads", "INT")] = None
    d_ff: Annotated[int | None, optional("feed-forward width (default: 4 x d-model)", "INT")] = None
    vocab_size: Annotated[int | None, optional("token ids", "INT")] = None
    seq_len: Annotated[int | None, optional("context length in tokens", "INT")] = None
    head_dim: Annotated[int | None, optional("head width (default: d-model / n-heads)", "INT")] = (
        None
    )
    n_kv_heads: Annotated[int | None, optional("key/value heads (default: n-heads)", "INT")] = None
    positions: Annotated[Positions, tyro.conf.arg(help="position encoding")] = "rotary"
    activation: Annotated[
        Activation, tyro.conf.arg(help="activation of the feed-forward layer")
    ] = "gelu"
    untied: Annotated[
        bool, optional("give the output layer its own matrix, apart from the embedding")
    ] = False
    qk_norm: Annotated[bool, optional("normalize queries and keys")] = False
    n_experts: Annotated[int, tyro.conf.arg(help="experts per feed-forward layer")] = 1
    experts_per_token: Annotated[int, tyro.conf.arg(help="experts that each token uses")] = 1
    capacity: Annotated[
        float, tyro.conf.arg(help="rows of an expert, over its even share of the rows")
    ] = DEFAULT_CAPACITY
    architecture: Annotated[Architectures, tyro.conf.arg(help="architecture")] = "transformer"
    passes: Annotated[int, tyro.conf.arg(help="passes of a recurrent transformer")] = 1


def flops(
    config: Annotated[
        Path | None,
        tyro.conf.Positional,
        optional("a run's configuration, instead of the options below", "[CONFIG.json]"),
    ] = None,
    /,
    *,
    shape: Annotated[ShapeFlags, tyro.conf.arg(name="")] = ShapeFlags(),
    tokens: Annotated[float | None, optional("training tokens (default: the run's)", "D")] = None,
    json: Json = False,
) -> None:
    """Count the parameters and FLOPs of a shape, by operation and by convention.

    exact: the matrix products as executed. chinchilla: appendix F of Hoffmann et al. 2022.
    kaplan: 6 N D without embeddings. 6nd: 6 N D with every parameter. For a mixture of experts,
    the last two count the parameters that one token uses.
    """
    counted, run_tokens = _shape(config, shape)
    total = _tokens(tokens, run_tokens)
    account = shape_account(counted, total)
    if json:
        print_json(account)
        return
    params, operations = account_tables(account)
    print_table(params)
    print()
    print_table(operations)
    if total is not None:
        print(f"\n{training_sentence(account)}")


def _shape(config: Path | None, flags: ShapeFlags) -> tuple[Shape, int | None]:
    if config is not None:
        if flags != ShapeFlags():
            raise InputError("give either a CONFIG.json or a shape's flags, not both")
        run = RunConfig.read(config)
        return run.shape, run.tokens
    is_lstm = flags.architecture == "lstm"
    needed = ("n_layers", "d_model", *(() if is_lstm else ("n_heads",)), "vocab_size", "seq_len")
    missing = [name for name in needed if getattr(flags, name) is None]
    if missing:
        options = ", ".join("--" + name.replace("_", "-") for name in missing)
        raise InputError(f"a shape also needs {options} (or give a CONFIG.json)")
    given = {k: v for k, v in dataclasses.asdict(flags).items() if v is not None}
    tied = not given.pop("untied")
    given = {"d_ff": given["d_model"] * (1 if is_lstm else 4), "n_heads": 1} | given
    return Shape(**given, tied_embedding=tied), None


def _tokens(given: float | None, of_run: int | None) -> int | None:
    if given is None:
        return of_run
    if not 1 <= given < float("inf"):
        raise InputError(f"--tokens {given:g} must be at least 1 and finite")
    return int(given)
