"""A small made-up study with a known law, and made-up fits that need no solver."""

import math
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from scaling_jax.laws import Allocation, EnvelopeSize, Estimate, Note, NoteCode, Span, Stop
from scaling_jax.report import ReportData, Verification

BUDGETS = (6.25e10, 1.25e11, 2.5e11, 5e11, 1e12)
E, A, B, ALPHA, BETA = 1.2, 9.0, 14.0, 0.32, 0.30
TARGET = 8e12


def law(params: Any, tokens: Any) -> Any:
    return E + A / params**ALPHA + B / tokens**BETA


def around(value: float, width: float) -> tuple[float, float]:
    return value / (1 + width), value * (1 + width)


def optimum(flops: float) -> tuple[float, float]:
    ratio = (ALPHA * A / (BETA * B)) ** (1 / (ALPHA + BETA))
    params = ratio * (flops / 6) ** (BETA / (ALPHA + BETA))
    return params, flops / 6 / params


@dataclass(frozen=True)
class FakeFit:
    """What a report reads of a fit."""

    approach: int
    law: str = "chinchilla"
    params: dict[str, float] = field(
        default_factory=lambda: dict(E=E, A=A, B=B, alpha=ALPHA, beta=BETA)
    )
    intervals: dict[str, tuple[float, float]] = field(default_factory=lambda: {"E": (1.1, 1.3)})
    level: float = 0.9
    exponents: dict[str, float] = field(default_factory=lambda: {"a": 0.484, "b": 0.516})
    exponent_intervals: dict[str, tuple[float, float]] = field(
        default_factory=lambda: {"a": (0.45, 0.52), "b": (0.48, 0.55)}
    )
    diagnostics: tuple[Note, ...] = (
        Note(NoteCode.COMPUTE_SPAN, "The data fill 1.2 decades of compute."),
        Note(NoteCode.GRID_DRIFTS, "The grid drifts."),
    )
    minima: tuple[Any, ...] = ()
    frontier_points: Any = None
    sizes: tuple[EnvelopeSize, ...] = ()
    n_points: int = 22
    n_dropped: dict[str, int] = field(default_factory=lambda: {"diverged": 1})
    count: str = "total"
    provenance: dict[str, Any] = field(default_factory=dict)
    unit: str = "nats per token"

    def optimal(self, flops: float) -> SimpleNamespace:
        params, tokens = optimum(flops)
        params *= 1 + 0.12 * (self.approach - 2)
        tokens = flops / 6 / params
        width = 0.1 + 0.05 * abs(math.log(flops / 2.5e11))
        loss = float(law(params, tokens)) if self.approach == 3 else None
        return SimpleNamespace(
            flops=flops,
            params=params,
            tokens=tokens,
            loss=loss,
            params_interval=around(params, width),
            tokens_interval=around(tokens, width),
            loss_interval=around(loss, 0.01) if loss else None,
        )

    def allocation(self, budgets: list[float]) -> Allocation:
        exponents = {
            name: Estimate(value, self.exponent_intervals[name])
            for name, value in self.exponents.items()
        }
        optima: Any = tuple(self.optimal(flops) for flops in budgets)
        method = f"method {self.approach}"
        return Allocation(self.approach, method, self.count, self.level, exponents, optima)

    def predict(self, *, params: float, tokens: float) -> SimpleNamespace:
        loss = float(law(params, tokens))
        return SimpleNamespace(loss=loss, interval=around(loss, 0.01))


def records() -> pd.DataFrame:
    noise = np.random.default_rng(0)
    rows = [_row(c, optimum(c)[0] * f, noise) for c in BUDGETS for f in (0.2, 0.45, 1, 2.2, 5)]
    rows[3].update(status="diverged", loss=math.nan, loss_stderr=math.nan)
    rows[10].update(status="failed", loss=None, failure="ran out of memory")
    big = _row(TARGET, optimum(TARGET)[0], noise)
    return pd.DataFrame([*rows, {**big, "run_id": "v-big", "role": "verification"}])


def _row(budget: float, params: float, noise: np.random.Generator) -> dict[str, Any]:
    params = round(params)
    tokens = round(budget / 6 / params)
    loss = float(law(params, tokens)) * (1 + 0.003 * noise.standard_normal())
    return {
        "run_id": f"n{params}-c{budget:.3g}",
        "role": "grid",
        "status": "finished",
        "budget": budget,
        "params": params,
        "params_non_embedding": params // 2,
        "params_active": params,
        "tokens": tokens,
        "unique_tokens": tokens,
        "flops": 6 * params * tokens,
        "loss": loss,
        "loss_stderr": 0.004,
        "bits_per_byte": loss / 0.69 / 3.1,
        "train_loss": loss + 0.01,
        "n_layers": 4,
        "d_model": 96,
        "batch_size": 32,
        "peak_lr": 3e-3,
        "seconds": 12.5,
        "failure": None,
    }


def curves(table: pd.DataFrame) -> pd.DataFrame:
    done = table[(table["status"] == "finished") & (table["role"] == "grid")]
    return pd.concat([_curve(row) for row in done.to_dict("records")], ignore_index=True)


def _curve(row: dict[Any, Any]) -> pd.DataFrame:
    steps = np.arange(1, 201)
    tokens = row["tokens"] * steps / 200
    loss = law(row["params"], tokens) * 1.02
    shared = {"run_id": row["run_id"], "params": row["params"]}
    flops = 6 * row["params"] * tokens
    return pd.DataFrame({**shared, "tokens": tokens, "flops": flops, "step": steps, "loss": loss})


def minimum(flops: float) -> SimpleNamespace:
    params, tokens = optimum(flops)
    x = math.log(params) + np.linspace(-1.5, 1.5, 9)
    sizes = np.exp(x)
    c2, c1, c0 = np.polyfit(x, law(sizes, flops / 6 / sizes), 2)
    centre = -c1 / (2 * c2)
    return SimpleNamespace(
        budget=flops,
        params=math.exp(centre),
        tokens=tokens,
        loss=c0 + c1 * centre + c2 * centre**2,
        params_interval=around(math.exp(centre), 0.2),
        quadratic=(c0, c1, c2),
    )


def fits() -> dict[int, Any]:
    flops = np.geomspace(1e10, 1e12, 40)
    points = [optimum(c) for c in flops]
    n, d = (np.array(column) for column in zip(*points, strict=True))
    frontier = SimpleNamespace(flops=flops, params=n, tokens=d, loss=law(n, d) * 1.02)
    sizes = (
        EnvelopeSize(
            params=1e4,
            span=Span(flops=(1e10, 1e11), tokens=(2e5, 2e6), loss=(2.5, 2.0)),
            stop=Stop(converged=1.9, loss=2.09, flops=5e10, tokens=8.3e5),
        ),
        EnvelopeSize(params=1e5, span=None, stop=Stop(1.5, 1.65, None, None)),
        EnvelopeSize(params=1e6, span=None, stop=None),
    )
    return {
        1: FakeFit(1, frontier_points=frontier, sizes=sizes),
        2: FakeFit(2, minima=tuple(minimum(c) for c in BUDGETS)),
        3: FakeFit(3),
    }


def verification() -> Verification:
    params, tokens = optimum(TARGET)
    loss = float(law(params, tokens))
    bounds = around(loss, 0.012)
    return Verification(
        "v-big", params, tokens, TARGET, loss, bounds, 0.9, loss * 1.006, 0.004, 0.6, True
    )


def report_data(**changes: Any) -> ReportData:
    table = records()
    content = dict(
        title="Demo study",
        records=table,
        curves=curves(table),
        fits=fits(),
        target_flops=TARGET,
        verification=verification(),
        recipe={"corpus": "embedded", "optimizer": "AdamW", "schedule": "cosine to 10 %"},
        commands=("scaling-jax plan demo.py", "scaling-jax run demo.py"),
        provenance={"jax": "0.10.2", "device": "cpu", "data": "sha256:0123456789abcdef" * 3},
        seconds={"training": 320.0, "compiling": 41.0, "data": 3.2, "fitting": 12.0},
    )
    return ReportData(**{**content, **changes})
