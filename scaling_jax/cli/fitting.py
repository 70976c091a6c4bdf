"""`fit` and `predict`: laws from a table of losses, and what they say."""

import dataclasses
import json as jsonlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from scaling_jax.cli.arguments import Count, Json, check_output, optional, replacing
from scaling_jax.cli.fit_text import describe_fit, describe_optimum, describe_prediction
from scaling_jax.cli.output import print_json, remark
from scaling_jax.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from scaling_jax.laws import Fit

Level = Annotated[
    float, tyro.conf.arg(metavar="P", help="share of the bootstrap that an interval holds")
]
Flops = Annotated[float | None, optional("a compute budget: what to train with it", "C")]


def fit(
    records: Annotated[
        Path,
        tyro.conf.Positional,
        tyro.conf.arg(
            metavar="RECORDS",
            help="a study's directory, or a .csv or .parquet table with the columns params, "
            "tokens and loss",
        ),
    ],
    /,
    *,
    approach: Annotated[
        Literal[1, 2, 3],
        tyro.conf.arg(
            help="1: envelope of training curves, 2: IsoFLOP minima, 3: a formula for L(N, D)"
        ),
    ] = 3,
    law: Annotated[
        str, tyro.conf.arg(metavar="NAME", help="the formula that approach 3 fits")
    ] = "chinchilla",
    bootstrap: Annotated[
        int, tyro.conf.arg(metavar="K", help="refits for the intervals; 0 fits the point alone")
    ] = 1000,
    level: Level = 0.9,
    count: Annotated[
        Count, tyro.conf.arg(help="which parameters are N; small models' exponents depend on it")
    ] = "total",
    seed: Annotated[int, tyro.conf.arg(metavar="S", help="of the bootstrap")] = 0,
    out: Annotated[Path | None, optional("write the fit here, for predict", "fit.json")] = None,
    json: Json = False,
) -> None:
    """Fit a scaling law and print it with intervals, and the optimum at and beyond the data."""
    from scaling_jax import laws

    if out is not None:
        check_output(out, (".json",))
    table, curves = _read(records, approach)
    fitted = laws.fit(
        table,
        approach=approach,
        law=law,
        bootstrap=bootstrap,
        level=level,
        count=count,
        seed=seed,
        curves=curves,
    )
    if out is not None:
        with replacing(out) as temporary:
            temporary.write_text(fitted.to_json(), encoding="utf-8")
        remark(f"wrote {out}")
    if json:
        print_json(_without_draws(fitted))
    else:
        print(describe_fit(fitted))


def predict(
    fit: Annotated[
        Path, tyro.conf.Positional, tyro.conf.arg(metavar="fit.json", help="what fit --out wrote")
    ],
    /,
    *,
    flops: Flops = None,
    params: Annotated[float | None, optional("a model's parameters, with --tokens", "N")] = None,
    tokens: Annotated[float | None, optional("its training tokens, with --params", "D")] = None,
    json: Json = False,
) -> None:
    """Predict the optimum at a budget (--flops), or a model's loss (--params and --tokens)."""
    fitted = _load(fit)
    if flops is not None and params is None and tokens is None:
        optimum = fitted.optimal(flops)
        answer, text = dataclasses.asdict(optimum), describe_optimum(fitted, optimum)
    elif flops is None and params is not None and tokens is not None:
        prediction = fitted.predict(params=params, tokens=tokens)
        answer, text = dataclasses.asdict(prediction), describe_prediction(fitted, prediction)
    else:
        raise InputError("give either --flops C, or --params N and --tokens D")
    if json:
        print_json({**answer, "level": fitted.level, "count": fitted.count})
    else:
        print(text)


def _read(path: Path, approach: int) -> "tuple[pd.DataFrame | Path, pd.DataFrame | None]":
    """Records, and for approach 1 the curves, of a store; a file is left for the laws to read."""
    if not path.is_dir():
        return path, None
    from scaling_jax import study

    store = study.Store.open(path)
    return study.collect(store), study.curves(store) if approach == 1 else None


def _load(path: Path) -> "Fit":
    from scaling_jax import laws

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise InputError(f"cannot read {path}: {reason}; write one with fit --out") from error
    try:
        return laws.Fit.from_json(text)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _without_draws(fitted: "Fit") -> dict[str, Any]:
    """The fit as plain data, less the bootstrap's thousands of numbers."""
    data = jsonlib.loads(fitted.to_json())
    return {key: value for key, value in data.items() if key not in ("draws_BxP", "noise_N")}
