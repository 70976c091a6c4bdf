"""`forecast` and `score`: predictions that are frozen before their runs are trained."""

from pathlib import Path
from typing import Annotated

import tyro

from scaling_jax import named_values
from scaling_jax.cli.arguments import Columns, Json, Unit, optional
from scaling_jax.cli.output import print_json, remark
from scaling_jax.formatting import plain_spaces
from scaling_jax.system.outputs import check_output

RUNS = (
    "a run, such as params=1e9,tokens=2e10,name=large; a table of runs; or an experiment, such as "
    "mine.py or mine.py:cpu, for all runs of its plan beyond the data; may be repeated (default: "
    "the study's verification runs that have no result yet)"
)


def forecast(
    fit: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(help="fit.json, or a study to fit")],
    /,
    *,
    out: Annotated[Path, tyro.conf.arg(metavar="forecast.json", help="a new file to write")],
    runs: Annotated[tuple[str, ...], tyro.conf.UseAppendAction, optional(RUNS, "RUN")] = (),
    law: Annotated[str | None, optional("the law to fit to the study, as for fit", "LAW")] = None,
    json: Json = False,
) -> None:
    """Freeze the predicted losses of runs that are not trained yet, with intervals and date."""
    from scaling_jax.study.store import forecasts

    check_output(out, (".json",))
    forecasts.refuse_existing(out)
    made = forecasts.forecast_from(fit, [*map(forecasts.runs_in, runs)] or None, law=law)
    forecasts.write_forecast(made, out)
    remark(f"wrote {out}")
    print_json(made.data()) if json else print(plain_spaces(str(made)))


def score(
    forecast: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(help="what forecast wrote")],
    records: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(help="as for fit")],
    /,
    *,
    columns: Columns = None,
    unit: Unit = None,
    figure: Annotated[Path | None, optional("draw the comparison here", "FILE.svg")] = None,
    json: Json = False,
) -> None:
    """Compare a forecast with the losses that were measured later: errors and coverage."""
    from scaling_jax import laws
    from scaling_jax.report.forecasts import draw_score
    from scaling_jax.study.store.forecasts import read_forecast
    from scaling_jax.study.store.sources import read_records

    if figure is not None:
        check_output(figure, (".svg", ".pdf", ".png"))
    mapping, table = named_values.names("--columns", columns), read_records(records)[0]
    found = laws.score(read_forecast(forecast), table, columns=mapping, unit=unit)
    if figure is not None:
        draw_score(found, figure)
        remark(f"wrote {figure}")
    print_json(found.data()) if json else print(plain_spaces(str(found)))
