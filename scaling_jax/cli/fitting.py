"""`fit`: laws from a table of losses."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from scaling_jax import named_values
from scaling_jax.cli.arguments import By, Columns, Json, NamedNumbers, NamedPriors, Unit, optional
from scaling_jax.cli.output import print_blocks, print_json, remark
from scaling_jax.errors import InputError, refuse_with
from scaling_jax.laws.comparison_text import comparison_data, comparison_text
from scaling_jax.laws.conventions import READ_OFFS, ReadOff
from scaling_jax.laws.grouping_text import grouped_data, grouped_text
from scaling_jax.laws.options import RESAMPLINGS, Options, Resampling, require_applicable
from scaling_jax.laws.profile_text import profile_data, profile_text
from scaling_jax.system.outputs import check_output, replacing


def _one_of(names: tuple[str, ...]) -> str:
    return "{" + ",".join(names) + "}"


@dataclass(frozen=True)
class FitOptions(Options):
    """How the fit is made."""

    objective: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = None
    fixed: Annotated[
        NamedNumbers,
        tyro.conf.arg(name="hold", metavar="NAME=VALUE", help_behavior_hint=""),
    ] = dataclasses.field(default_factory=dict)
    prior: Annotated[
        NamedPriors,
        tyro.conf.arg(metavar="NAME=CENTRE:DEVIATION", help_behavior_hint=""),
    ] = dataclasses.field(default_factory=dict)
    within: Annotated[float | None, tyro.conf.arg(metavar="SHARE", help_behavior_hint="")] = None
    weight_by_compute: Annotated[
        float | None, tyro.conf.arg(metavar="POWER", help_behavior_hint="")
    ] = None
    isoflop_curve: Annotated[
        ReadOff | None,
        tyro.conf.arg(name="curve", metavar=_one_of(READ_OFFS), help_behavior_hint=""),
    ] = None
    resampling: Annotated[
        Resampling | None, tyro.conf.arg(metavar=_one_of(RESAMPLINGS), help_behavior_hint="")
    ] = None


def fit(
    records: Annotated[
        Path,
        tyro.conf.Positional,
        tyro.conf.arg(
            metavar="RECORDS",
            help="a study's directory, or a table (.csv, .tsv, .json, .jsonl or .parquet, also "
            "with .gz or .zst) with the columns params, tokens and loss",
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
        str | None,
        optional(
            "the formula that approach 3 fits, such as chinchilla (the default), chinchilla-tied "
            "or kaplan; auto averages forms by the evidence of the rows, none taken for exact; a "
            "law of other columns, such as data-constrained; or FILE.py:NAME, a function of "
            "columns with constants as keywords: def law(params, tokens, *, E=(0.5, 3), ...)",
            "NAME",
        ),
    ] = None,
    columns: Columns = None,
    by: By = None,
    best_of: Annotated[
        str | None,
        optional(
            "columns that were swept, such as lr,batch_size: keep the row of lowest loss of each "
            "size and horizon",
            "COLUMNS",
        ),
    ] = None,
    unit: Unit = None,
    fitting: Annotated[FitOptions, tyro.conf.OmitArgPrefixes] = FitOptions(),
    profile: Annotated[
        bool,
        optional("add intervals by profile likelihood, of constants, exponents and optima"),
    ] = False,
    at: Annotated[
        tuple[str, ...],
        optional(
            "predict here: a value for each column that the law reads",
            "NAME=VALUE",
        ),
    ] = (),
    out: Annotated[Path | None, optional("write the fit here, for predict", "fit.json")] = None,
    json: Json = False,
) -> None:
    """Fit a scaling law and print it with intervals, and the optimum at and beyond the data."""
    from scaling_jax import laws
    from scaling_jax.laws.fit_profiles import fit_profiles
    from scaling_jax.laws.fit_text import describe_prediction, prediction_notes, summary_of
    from scaling_jax.study.store import sources

    if out is not None:
        check_output(out, (".json",))
        if approach == "all":
            raise InputError(f"{out} would hold one fit: give --approach 1, 2 or 3 with --out")
    where = named_values.pairs("--at", at)
    extras = {"at": where, "profile": profile}
    require_applicable(
        1 if approach == "all" else approach, {name: each for name, each in extras.items() if each}
    )
    table, curves = sources.read_records(records, with_curves=approach in (1, "all"))
    if not {"E"} & {*fitting.prior, *fitting.fixed}:
        remark(sources.unused_floor(records))
    mapping = named_values.names("--columns", columns)
    if best_of is not None:
        table, mapping = laws.best_of(table, best_of, law, mapping), {}
        remark(f"kept the best of each cell over {best_of}: {len(table)} rows")
    arguments = {"law": law, "training_curves": curves, **fitting.given()}
    arguments |= {"columns": mapping, "unit": unit}
    if by is not None and approach != "all":
        alone = {"--at": bool(at), "--profile": profile, "--out": out is not None}
        refuse_with("--by fits several laws", alone)
        grouped = laws.fit_by(table, by, approach=approach, **arguments)
        print_json(grouped_data(grouped)) if json else print_blocks(grouped_text(grouped))
        return
    if approach == "all":
        refuse_with("--approach all compares approaches", {"--by": by is not None})
        compared = laws.compare(table, **arguments)
        compared.refuse()
        print_json(comparison_data(compared)) if json else print_blocks(comparison_text(compared))
        return
    fitted = laws.fit(table, approach=approach, **arguments)
    if out is not None:
        with replacing(out) as temporary:
            temporary.write_text(fitted.to_json(), encoding="utf-8")
        remark(f"wrote {out}")
    profiles = None
    if profile and isinstance(fitted, laws.LawFit):
        profiles = fit_profiles(table, fitted, fitting, mapping)
    prediction = fitted.predict(**where) if at else None
    if json:
        data = summary_of(fitted)
        if profiles is not None:
            data["profile"] = profile_data(profiles)
        if prediction is not None:
            data["prediction"] = {"at": where, **dataclasses.asdict(prediction)}
            found = prediction_notes(fitted, where, prediction)
            data["diagnostics"] += [note.as_data() for note in found]
        print_json(data)
        return
    print(fitted)
    if prediction is not None:
        print(f"\n{describe_prediction(fitted, where, prediction)}")
    if profiles is not None:
        print_blocks(profile_text(fitted, profiles))
