"""How well ends of runs are predicted from their beginnings: errors, and how often intervals hold.

    python benchmarks/run_ends.py STUDY_DIRECTORY... CURVES/100M_*.csv

A study's directory tests `run_ends`: every finished run of the grid but those of the smallest
budgets is taken as one that has come so far, and the finished runs of smaller budgets are what is
known. Files of curves (step, lr, loss) test the laws of schedules: files of one model begin with
one word before the first underscore. Sets of three of them are what is known, and the others are
predicted.
"""

import argparse
import itertools
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from scaling_jax import laws, study
from scaling_jax.errors import InputError
from scaling_jax.laws.curves import ScheduledCurve, read_curve
from scaling_jax.laws.curves.schedule_ends import ends_of, fit_finished
from scaling_jax.laws.curves.schedule_forms import FORMS
from scaling_jax.laws.tables.csv_text import csv_frame

SHARES = (0.0, 0.1, 0.2, 0.3)
KNOWN = 3

# An error of the log loss, and half the width of its interval.
Errors = list[tuple[float, float]]


def of_study(directory: Path) -> dict[float, Errors]:
    """Errors of `run_ends` for each share."""
    records = study.collect(directory)
    records = records[(records["role"] == "grid") & (records["status"] == "finished")]
    curves = study.curves(directory, of="training")
    found = defaultdict[float, Errors](list)
    for _, run in records.iterrows():
        smaller = records["budget"] < 0.99 * run["budget"]
        known = records[smaller | (records["run_id"] == run["run_id"])]
        is_it = known["run_id"] == run["run_id"]
        known = known.assign(status=np.where(is_it, "running", "finished"))
        for share in SHARES[1:]:
            later = (curves["run_id"] == run["run_id"]) & (curves["tokens"] > share * run["tokens"])
            try:
                (end,) = laws.run_ends(curves[~later], known)
            except (InputError, ValueError):
                continue
            half = float(np.log(end.interval[1] / end.loss))
            found[share].append((float(np.log(run["loss"] / end.loss)), half))
    return found


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
            f"{name:<28}{share:>6.0%}{len(errors):>6}{np.median(error_N):>10.2%}"
            f"{np.quantile(error_N, 0.9):>8.2%}{np.median(half_N):>10.2%}"
            f"{np.mean(error_N <= half_N):>8.0%}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sources", nargs="+", type=Path)
    parser.add_argument("--law", choices=[*FORMS], action="append")
    parser.add_argument("--sets", type=int, default=20, help="sets of three curves for each model")
    args = parser.parse_args()
    head = ("known", "runs", "median", "p90", "half", "held")
    print(f"{'':<28}{head[0]:>6}{head[1]:>6}{head[2]:>10}{head[3]:>8}{head[4]:>10}{head[5]:>8}")
    files = [path for path in args.sources if path.is_file()]
    for directory in (path for path in args.sources if not path.is_file()):
        print(*lines(directory.name, of_study(directory)), sep="\n", flush=True)
    models = defaultdict[str, list[ScheduledCurve]](list)
    for path in sorted(files):
        curve = read_curve(csv_frame(path.read_text(), str(path)), path.stem)
        models[path.stem.partition("_")[0]].append(curve)
    for (model, curves), law in itertools.product(models.items(), args.law or FORMS):
        print(*lines(f"{model} {law}", of_curves(curves, law, args.sets)), sep="\n", flush=True)


if __name__ == "__main__":
    main()
