"""`plan`: what a study would train, what it would cost, and what is wrong with it."""

import math
from collections import Counter
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from scaling_jax import formatting
from scaling_jax.accounting import flops, hardware
from scaling_jax.cli.arguments import (
    ExecutionOptions,
    Experiment,
    Json,
    MaxFlops,
    ScaleOption,
    Settings,
    load_study,
    optional,
    refuse_beyond,
)
from scaling_jax.cli.output import print_json, print_table, remark
from scaling_jax.errors import InputError
from scaling_jax.execution import DEFAULT
from scaling_jax.formatting import duration
from scaling_jax.study.status.cost import Cost, Machine, chip_called, speed_there
from scaling_jax.study.status.design_warnings import extrapolated_rules, warnings
from scaling_jax.text_table import Table

if TYPE_CHECKING:
    from scaling_jax.study import PlannedRun, Study

MIB = 2**20
COLUMNS = (
    "budget",
    "N params",
    "D tokens",
    "C FLOPs",
    "D/N",
    "layers x width",
    "batch",
    "steps",
    "peak LR",
    "memory/chip",
    "fits on",
    "time",
)


def plan(
    experiment: Experiment,
    /,
    *,
    scale: ScaleOption = "full",
    settings: Settings = (),
    hardware: Annotated[
        str | None,
        optional("h100, v5e, v5p, v6e, cpu, ... (default: this machine)", "NAME"),
    ] = None,
    chips: Annotated[int, tyro.conf.arg(metavar="N", help="chips that share each run")] = 1,
    utilization: Annotated[
        float, tyro.conf.arg(metavar="U", help="share of the chips' peak FLOP/s that is reached")
    ] = 0.4,
    root: Annotated[
        str | None,
        optional("take time from the runs that finished there on such chips", "DIR"),
    ] = None,
    price: Annotated[float | None, optional("of a chip-hour, in any currency", "P")] = None,
    max_flops: MaxFlops = None,
    execution: ExecutionOptions = DEFAULT,
    json: Json = False,
) -> None:
    """Show the runs of a study and what they cost, without training anything.

    Every run with its parameters N, tokens D, FLOPs C, batch, steps (and the step that a branch
    begins from) and peak learning rate, and the memory, time and money it takes; then totals, and
    warnings about a design that could not tell what it is meant to.
    """
    study = load_study(experiment, scale, settings)
    refuse_beyond(study, max_flops)
    if price is not None and not 0 <= price < math.inf:
        raise InputError(
            f"--price {price} must be finite and not negative: leave it out if unknown"
        )
    runs = tuple(sorted(study.plan(), key=lambda run: (run.budget, run.flops / run.config.tokens)))
    chip = chip_called(hardware)
    speed = speed_there(study, root, chip)
    machine = Machine(chip, chips, utilization, execution, speed, price)
    costs = [machine.cost(run) for run in runs]
    alerts = warnings(runs, costs, machine) + extrapolated_rules(study.recipe, runs)
    if json:
        print_json(_as_json(study, runs, costs, machine, alerts))
        return
    columns = COLUMNS if price is None else (*COLUMNS, "price")
    print_table(Table(columns, [_cells(r, c) for r, c in zip(runs, costs, strict=True)]))
    print()
    print(_totals(study, runs, costs, machine))
    for alert in alerts:
        remark(f"warning: {alert}")


def _cells(run: "PlannedRun", cost: Cost) -> tuple[str, ...]:
    config, params = run.config, flops.count_params(run.config.shape)
    of_all = "" if config.shape.is_dense else f" of {formatting.count(params.total)}"
    return (
        formatting.flops(run.budget),
        formatting.count(params.active) + of_all,
        formatting.count(config.tokens),
        formatting.flops(run.flops),
        formatting.significant(config.tokens / params.active),
        f"{config.shape.n_layers} x {config.shape.d_model}",
        f"{config.batch_size:,}",
        f"{config.steps:,}" + (f" from {run.branch.step:,}" if run.branch else ""),
        f"{config.optimizer.peak_lr:.2e}",
        _memory(cost.memory.total),
        "-" if cost.fits_on is None else f"{cost.fits_on:,}",
        duration(cost.seconds),
        *(() if cost.price is None else (_money(cost.price),)),
    )


def _totals(
    study: "Study", runs: "tuple[PlannedRun, ...]", costs: list[Cost], machine: Machine
) -> str:
    from scaling_jax.train import program_of

    seconds = sum(cost.seconds for cost in costs)
    chip, n = machine.chip, machine.n_chips
    n_programs = len({program_of(run.config) for run in runs})
    return "\n".join(
        (
            f"Trained by {_recipes(runs)}.",
            f"{study.name}: {len(runs)} runs, {_flops(runs)} "
            f"(convention {study.recipe.convention}), "
            f"{_hours(seconds * n)} chip-hours, {duration(seconds)} one after another"
            f"{_total_price(costs, machine)}",
            f"On {n} x {chip.name}, {chip.memory_bytes / hardware.GIB:.0f} GiB each. "
            f"{machine.assumption()} Compiling comes on top: {n_programs} "
            f"program{'' if n_programs == 1 else 's'}, of seconds each or, of large models, "
            "minutes. Memory is an estimate (scaling-jax compile has the "
            "compiler's); 'fits on' is the fewest chips, in powers of two.",
        )
    )


def _flops(runs: "tuple[PlannedRun, ...]") -> str:
    """What the runs take, and what they would as separate runs where branches share steps."""
    spent, alone = (sum(map(attrgetter(name), runs)) for name in ("flops_spent", "flops"))
    if spent == alone:
        return f"{formatting.flops(alone)} FLOPs"
    n = sum(run.branch is not None for run in runs)
    return (
        f"{n} of them branches, {formatting.flops(spent)} FLOPs, {spent / alone:.0%} of the "
        f"{formatting.flops(alone)} of separate runs"
    )


def _total_price(costs: list[Cost], machine: Machine) -> str:
    if machine.price is None:
        return ""
    total = sum(cost.price or 0.0 for cost in costs)
    return f", {_money(total)} at {machine.price:g} a chip-hour"


def _money(price: float) -> str:
    return f"{price:,.0f}" if price >= 100 else f"{price:.2f}"


def _recipes(runs: "tuple[PlannedRun, ...]") -> str:
    """Optimizer, schedule and parameterization, and how many runs each is for if they differ."""
    kinds = Counter(
        f"{run.config.optimizer.name}, {run.config.optimizer.schedule} schedule, "
        f"{run.config.parameterization.rule} parameterization"
        for run in runs
    )
    if len(kinds) == 1:
        return next(iter(kinds))
    return "; ".join(f"{kind} ({n} runs)" for kind, n in kinds.items())


def _memory(n_bytes: int) -> str:
    if n_bytes < hardware.GIB:
        return f"{n_bytes / MIB:,.1f} MiB"
    return f"{n_bytes / hardware.GIB:,.1f} GiB"


def _hours(seconds: float) -> str:
    hours = seconds / 3600
    if hours < 0.01:
        return "< 0.01"
    return f"{hours:,.0f}" if hours >= 100 else formatting.significant(hours)


def _as_json(
    study: "Study",
    runs: "tuple[PlannedRun, ...]",
    costs: list[Cost],
    machine: Machine,
    alerts: list[str],
) -> dict[str, Any]:
    seconds = sum(cost.seconds for cost in costs)
    return {
        "study": study.name,
        "convention": study.recipe.convention,
        "hardware": machine.chip.name,
        "chips": machine.n_chips,
        "utilization": machine.utilization if machine.speed is None else None,
        "measured_runs": machine.speed.n_runs if machine.speed else 0,
        "memory_bytes_per_chip": machine.chip.memory_bytes,
        "runs": [_run_json(run, cost) for run, cost in zip(runs, costs, strict=True)],
        "total_flops": float(sum(run.flops for run in runs)),
        "total_flops_spent": float(sum(run.flops_spent for run in runs)),
        "total_hours": seconds / 3600,
        "chip_hours": seconds * machine.n_chips / 3600,
        "price_per_chip_hour": machine.price,
        "price": None if machine.price is None else sum(cost.price or 0.0 for cost in costs),
        "warnings": alerts,
    }


def _run_json(run: "PlannedRun", cost: Cost) -> dict[str, Any]:
    config, params = run.config, flops.count_params(run.config.shape)
    return {
        "run_id": config.run_id,
        "role": run.role,
        "budget": run.budget,
        "params": params.total,
        "params_non_embedding": params.non_embedding,
        "params_active": params.active,
        "tokens": config.tokens,
        "flops": run.flops,
        "flops_spent": run.flops_spent,
        "trunk": run.branch.trunk if run.branch else None,
        "begun_at": run.branch.step if run.branch else 0,
        "tokens_per_param": config.tokens / params.active,
        "n_layers": config.shape.n_layers,
        "d_model": config.shape.d_model,
        "batch_size": config.batch_size,
        "steps": config.steps,
        "peak_lr": config.optimizer.peak_lr,
        "optimizer": config.optimizer.name,
        "schedule": config.optimizer.schedule,
        "parameterization": config.parameterization.rule,
        "memory_bytes": cost.memory.total,
        "fits_on_chips": cost.fits_on,
        "hours": cost.seconds / 3600,
        "price": cost.price,
    }
