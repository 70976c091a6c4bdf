"""`fit`: laws from a table of losses."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from scaling_jax.cli.arguments import Count, Json, check_output, optional, replacing
from scaling_jax.cli.comparison import comparison_as_json, print_comparison
from scaling_jax.cli.fit_text import describe_fit, without_draws
from scaling_jax.cli.output import print_json, remark
from scaling_jax.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from scaling_jax.laws import Comparison

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
        Literal[1, 2, 3, "all"],
        tyro.conf.arg(
            help="1: envelope of training curves, 2: IsoFLOP minima, 3: a formula for L(N, D); "
            "all: those that the runs allow, side by side"
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
            help="what approach 3 minimizes: huber (delta 1e-3 on log loss, summed), gaussian "
            "(maximum likelihood), log-squares, squares, or lower-envelope",
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
        if approach == "all":
            raise InputError(f"{out} would hold one fit: give --approach 1, 2 or 3 with --out")
    table, curves = _read(records, approach)
    options: dict[str, Any] = dict(
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
    if approach == "all":
        compared = laws.compare(table, **options)
        if not compared.fits:
            raise InputError(_no_approach(compared))
        if json:
            print_json(comparison_as_json(compared))
        else:
            print_comparison(compared)
        return
    fitted = laws.fit(table, approach=approach, **options)
    if out is not None:
        with replacing(out) as temporary:
            temporary.write_text(fitted.to_json(), encoding="utf-8")
        remark(f"wrote {out}")
    if json:
        print_json(without_draws(fitted))
    else:
        print(describe_fit(fitted))


def _no_approach(compared: "Comparison") -> str:
    reasons = "; ".join(f"approach {number}: {why}" for number, why in compared.refused.items())
    return f"no approach can be fitted to these runs: {reasons}"


def _held(pairs: tuple[str, ...]) -> dict[str, float]:
    held = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        try:
            held[name] = float(value)
        except ValueError as error:
            raise InputError(f"--hold {pair}: write NAME=NUMBER, such as E=1.69") from error
    return held


def _read(path: Path, approach: int | str) -> "tuple[pd.DataFrame | Path, pd.DataFrame | None]":
    """Records, and for approach 1 the curves, of a store; a file is left for the laws to read."""
    if not path.is_dir():
        return path, None
    from scaling_jax import study

    store = study.Store.open(path)
    return study.collect(store), study.curves(store) if approach in (1, "all") else None
