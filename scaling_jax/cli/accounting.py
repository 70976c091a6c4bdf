"""`flops`: the parameters and FLOPs of a shape under every convention."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from scaling_jax import formatting
from scaling_jax.accounting import flops as counting
from scaling_jax.cli.arguments import Json, optional
from scaling_jax.cli.output import print_json, print_table
from scaling_jax.cli.running import read_config
from scaling_jax.config import DEFAULT_CAPACITY, Activation, Positions, Shape
from scaling_jax.errors import InputError
from scaling_jax.text_table import Table

# What a table of a dense model leaves out.
_OF_EXPERTS = ("router", "experts", "other_experts", "active_non_embedding")


@dataclass(frozen=True)
class ShapeFlags:
    """A transformer by its dimensions."""

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
    positions: Annotated[Positions, tyro.conf.arg(help="how positions enter")] = "rotary"
    activation: Annotated[Activation, tyro.conf.arg(help="of the feed-forward layer")] = "gelu"
    untied: Annotated[bool, optional("an output matrix of its own")] = False
    qk_norm: Annotated[bool, optional("normalize queries and keys")] = False
    n_experts: Annotated[int, tyro.conf.arg(help="feed-forward layers to choose from")] = 1
    experts_per_token: Annotated[int, tyro.conf.arg(help="of them for each token")] = 1
    capacity: Annotated[
        float, tyro.conf.arg(help="rows of an expert over those of an even share")
    ] = DEFAULT_CAPACITY


def flops(
    config: Annotated[
        Path | None,
        tyro.conf.Positional,
        optional("a run's configuration, instead of a shape", "[CONFIG.json]"),
    ] = None,
    /,
    *,
    shape: Annotated[ShapeFlags, tyro.conf.arg(name="")] = ShapeFlags(),
    tokens: Annotated[float | None, optional("training tokens (default: the run's)", "D")] = None,
    json: Json = False,
) -> None:
    """Count the parameters and FLOPs of a shape, by operation and by convention.

    exact: the matrix products as executed. chinchilla: appendix F of Hoffmann et al. 2022.
    kaplan: 6 N D without embeddings. 6nd: 6 N D with every parameter. Of a mixture of experts
    both count the parameters that one token uses.
    """
    counted, run_tokens = _shape(config, shape)
    total = _tokens(tokens, run_tokens)
    account = _account(counted, total)
    if json:
        print_json(account)
    else:
        _print(account)


def _shape(config: Path | None, flags: ShapeFlags) -> tuple[Shape, int | None]:
    if config is not None:
        if flags != ShapeFlags():
            raise InputError("give either a CONFIG.json or a shape's flags, not both")
        run = read_config(config)
        return run.shape, run.tokens
    needed = ("n_layers", "d_model", "n_heads", "vocab_size", "seq_len")
    missing = [name for name in needed if getattr(flags, name) is None]
    if missing:
        options = ", ".join("--" + name.replace("_", "-") for name in missing)
        raise InputError(f"a shape also needs {options} (or give a CONFIG.json)")
    given = {k: v for k, v in dataclasses.asdict(flags).items() if v is not None}
    tied = not given.pop("untied")
    given.setdefault("d_ff", 4 * given["d_model"])
    return Shape(**given, tied_embedding=tied), None


def _tokens(given: float | None, of_run: int | None) -> int | None:
    if given is None:
        return of_run
    if not 1 <= given < float("inf"):
        raise InputError(f"--tokens {given:g} must be at least 1 and finite")
    return int(given)


def _account(shape: Shape, tokens: int | None) -> dict[str, Any]:
    params = counting.count_params(shape)
    forward = {name: counting.forward_ops(shape, name) for name in counting.CONVENTIONS}
    account: dict[str, Any] = {
        "shape": dataclasses.asdict(shape),
        "params": {
            **dataclasses.asdict(params),
            "total": params.total,
            "non_embedding": params.non_embedding,
            "active": params.active,
            "active_non_embedding": params.active_non_embedding,
        },
        # Each count is a multiple of the sequence length.
        "forward_flops_per_token": {
            name: {k: v // shape.seq_len for k, v in dataclasses.asdict(ops).items()}
            for name, ops in forward.items()
        },
        "training_flops_per_token": {
            name: counting.training_flops(shape, 1, name) for name in counting.CONVENTIONS
        },
    }
    if tokens is not None:
        account["tokens"] = tokens
        account["training_flops"] = {
            name: counting.training_flops(shape, tokens, name) for name in counting.CONVENTIONS
        }
    return account


def _print(account: dict[str, Any]) -> None:
    dense = account["shape"]["n_experts"] == 1
    left_out = _OF_EXPERTS if dense else ()
    rows = [(name, f"{n:,}") for name, n in account["params"].items() if name not in left_out]
    print_table(Table(("parameters", "count"), rows, left=("parameters",)))
    print()
    by_convention = account["forward_flops_per_token"]
    operations = [op for op in by_convention["exact"] if op not in left_out]
    lines = [(op, *(f"{by_convention[c][op]:,}" for c in by_convention)) for op in operations]
    training = account["training_flops_per_token"]
    lines.append(("forward", *(f"{sum(ops.values()):,}" for ops in by_convention.values())))
    lines.append(("forward + backward", *(f"{n:,}" for n in training.values())))
    columns = ("FLOPs per token", *by_convention)
    print_table(Table(columns, lines, left=columns[:1]))
    if "tokens" in account:
        spent = account["training_flops"].items()
        print()
        print(f"Training on {account['tokens']:,} tokens: ", end="")
        print(", ".join(f"{name} {formatting.flops(n, 4)}" for name, n in spent) + " FLOPs")
