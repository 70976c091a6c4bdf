"""How well ends of runs are predicted from their beginnings: errors, and how often intervals hold.

    python benchmarks/run_ends.py STUDY_DIRECTORY... CURVES/100M_*.csv

A study's directory tests `run_ends`: every finished run of the grid but those of the smallest
budgets is taken as one that has come so far, and the finished runs of smaller budgets are what is
known. Where runs were repeated with other seeds, the last column holds the median difference of
two seeds over the square root of 2: the median error of a forecast that knows the mean over seeds.
`--by` gives each value of a column lines of its own. Files of curves (step, lr, loss) test the laws
of schedules: files of one model begin with one word before the first underscore. Sets of three of
them are what is known, and the others are predicted.
"""

import argparse
import itertools
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from scaling_jax import laws, study
from scaling_jax.errors import InputError
from scaling_jax.laws.curves import ScheduledCurve, read_curve
from scaling_jax.laws.curves.schedule_ends import ends_of, fit_finished
from scaling_jax.laws.curves.schedule_forms import FORMS
from scaling_jax.laws.diagnostics.mixed_recipes import without_seed
from scaling_jax.laws.tables.csv_text import csv_frame

SHARES = (0.0, 0.1, 0.2, 0.3)
KNOWN = 3
NAME_WIDTH = 36

# An error of the log loss, and half the width of its interval.
Errors = list[tuple[float, float]]


def of_study(records: pd.DataFrame, curves: pd.DataFrame) -> tuple[dict[float, Errors], float]:
    """Errors of `run_ends` for each share, and the luck of the runs that were judged."""
    found = defaultdict[float, Errors](list)
    judged = set[str]()
    for _, run in records.iterrows():
        smaller = records["budget"] < 0.99 * run["budget"]
        known = records[smaller | (records["run_id"] == run["run_id"])]
        is_it = known["run_id"] == run["run_id"]
        known = known.assign(status=np.where(is_it, "running", "finished"))
        tokens = curves.loc[curves["run_id"] == run["run_id"], "tokens"]
        for share in SHARES[1:]:
            reached = tokens[tokens >= share * run["tokens"]].min()
            later = (curves["run_id"] == run["run_id"]) & (curves["tokens"] > reached)
            try:
                (end,) = laws.run_ends(curves[~later], known)
            except (InputError, ValueError):
                continue
            half = float(np.log(end.interval[1] / end.loss))
            found[share].append((float(np.log(run["loss"] / end.loss)), half))
            judged.add(run["run_id"])
    return found, luck(records[records["run_id"].isin(judged)])


def luck(records: pd.DataFrame) -> float:
    """The median distance of a run's log loss from the mean over seeds; NaN without replicates."""
    logs = records.assign(log_loss=np.log(records["loss"]), recipe=recipes(records))
    pairs = [
        abs(one - other) / 2**0.5
        for _, cell in logs.groupby(["recipe", "params", "tokens"])
        for one, other in itertools.combinations(cell["log_loss"], 2)
    ]
    return float(np.median(pairs)) if pairs else float("nan")


def recipes(records: pd.DataFrame) -> pd.Series:
    """The recipe of each run as text, without the seed."""
    if "variation" not in records:
        return pd.Series("", index=records.index)
    return records["variation"].map(lambda name: without_seed(str(name)))


def of_directory(directory: Path, by: str | None) -> Iterator[str]:
    """The lines of a study."""
    records = study.collect(directory)
    records = records[(records["role"] == "grid") & (records["status"] == "finished")]
    curves = study.curves(directory, of="training")
    for value, runs in records.groupby(by) if by else [("", records)]:
        found, distance = of_study(runs, curves[curves["run_id"].isin(runs["run_id"])])
        name = f"{directory.name} {value}"[-NAME_WIDTH + 1 :]
        yield from (f"{line}{distance:>8.2%}" for line in lines(name, found))


def is_decaying(curve: ScheduledCurve) -> bool:
    """Whether the rate falls after the warm-up."""
    return bool(curve.lr_S[curve.warmup :].min() < 0.999 * curve.lr_S.max())


def of_curves(curves: Sequence[ScheduledCurve], law: str, n_sets: int) -> dict[float, Errors]:
    """Errors of a law of schedules for each share."""
    sets = list(itertools.combinations(curves, KNOWN))
    # Without two falling rates and a difference between them no law of schedules is determined.
    sets = [known for known in sets if sum(is_decaying(curve) for curve in known) >= 2]
    random.Random(0).shuffle(sets)
    found = defaultdict[float, Errors](list)
    for known in sets[:n_sets]:
        alone = fit_finished(known, law)  # type: ignore[arg-type]
        others = [curve for curve in curves if curve not in known]
        for share in SHARES:
            ends = ends_of([curve.until(share) for curve in others], known, alone)
            for curve, end in zip(others, ends, strict=True):
                half = float(np.log(end.interval[1] / end.loss))
                found[share].append((float(np.log(curve.end / end.loss)), half))
    return found


def lines(name: str, found: dict[float, Errors]) -> Iterator[str]:
    """What a table says of each share."""
    for share, errors in sorted(found.items()):
        error_N, half_N = np.abs(np.array(errors)).T
        yield (
            f"{name:<{NAME_WIDTH}}{share:>6.0%}{len(errors):>6}{np.median(error_N):>10.2%}"
            f"{np.quantile(error_N, 0.9):>8.2%}{np.median(half_N):>10.2%}"
            f"{np.mean(error_N <= half_N):>8.0%}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sources", nargs="+", type=Path)
    parser.add_argument("--law", choices=[*FORMS], action="append")
    parser.add_argument("--sets", type=int, default=20, help="sets of three curves for each model")
    parser.add_argument("--by", help="a column of a study's records, such as variation")
    args = parser.parse_args()
    head = ("known", "runs", "median", "p90", "half", "held", "seeds")
    widths = (6, 6, 10, 8, 10, 8, 8)
    print(" " * NAME_WIDTH + "".join(f"{h:>{w}}" for h, w in zip(head, widths, strict=True)))
    files = [path for path in args.sources if path.is_file()]
    for directory in (path for path in args.sources if not path.is_file()):
        print(*of_directory(directory, args.by), sep="\n", flush=True)
    models = defaultdict[str, list[ScheduledCurve]](list)
    for path in sorted(files):
        curve = read_curve(csv_frame(path.read_text(), str(path)), path.stem)
        models[path.stem.partition("_")[0]].append(curve)
    for (model, curves), law in itertools.product(models.items(), args.law or FORMS):
        print(*lines(f"{model} {law}", of_curves(curves, law, args.sets)), sep="\n", flush=True)


if __name__ == "__main__":
    main()
