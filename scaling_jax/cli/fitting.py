"""`fit`: laws from a table of losses."""

import json as jsonlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from scaling_jax.cli.arguments import Count, Json, check_output, optional, replacing
from scaling_jax.cli.fit_text import describe_fit
from scaling_jax.cli.output import print_json, remark
from scaling_jax.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from scaling_jax.laws import Fit

Curve = Literal["parabola", "window", "akima"]
Resampling = Literal["rows", "residuals", "runs"]
Level = Annotated[
    float, tyro.conf.arg(metavar="P", help="share of the bootstrap that an interval holds")
]


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
        str,
        tyro.conf.arg(
            metavar="NAME",
            help="the formula that approach 3 fits, such as chinchilla, chinchilla-tied or kaplan; "
            "auto takes the one that best predicts larger runs from smaller ones",
        ),
    ] = "chinchilla",
    objective: Annotated[
        str,
        tyro.conf.arg(
            metavar="NAME",
            help="what approach 3 minimizes: huber (delta 1e-3 on log loss, summed), log-squares, "
            "squares, or lower-envelope",
        ),
    ] = "huber",
    hold: Annotated[
        tuple[str, ...],
        optional("constants of the law to hold rather than fit, such as E=1.69", "NAME=VALUE"),
    ] = (),
    curve: Annotated[
        Curve, tyro.conf.arg(help="what approach 2 puts through the runs of each budget")
    ] = "parabola",
    corrected: Annotated[
        bool,
        optional("take out of approach 2 the bias its curves have on the fitted law"),
    ] = False,
    resampling: Annotated[
        Resampling,
        tyro.conf.arg(
            help="what the bootstrap of approach 3 draws: rows, residuals of the fit, or whole "
            "runs, for tables with several rows of one run"
        ),
    ] = "rows",
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
        objective=objective,
        fixed=_held(hold),
        curve=curve,
        corrected=corrected,
        resampling=resampling,
    )
    if out is not None:
        with replacing(out) as temporary:
            temporary.write_text(fitted.to_json(), encoding="utf-8")
        remark(f"wrote {out}")
    if json:
        print_json(_without_draws(fitted))
    else:
        print(describe_fit(fitted))


def _held(pairs: tuple[str, ...]) -> dict[str, float]:
    held = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        try:
            held[name] = float(value)
        except ValueError as error:
            raise InputError(f"--hold {pair}: write NAME=NUMBER, such as E=1.69") from error
    return held


def _read(path: Path, approach: int) -> "tuple[pd.DataFrame | Path, pd.DataFrame | None]":
    """Records, and for approach 1 the curves, of a store; a file is left for the laws to read."""
    if not path.is_dir():
        return path, None
    from scaling_jax import study

    store = study.Store.open(path)
    return study.collect(store), study.curves(store) if approach == 1 else None


def _without_draws(fitted: "Fit") -> dict[str, Any]:
    """The fit as plain data, less the bootstrap's thousands of numbers."""
    data = jsonlib.loads(fitted.to_json())
    return {key: value for key, value in data.items() if key not in ("draws_BxP", "noise_N")}
