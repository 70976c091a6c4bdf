"""The cost of a plan as a table, as sentences and as plain data."""

from collections import Counter
from dataclasses import asdict, replace
from operator import attrgetter
from typing import Any

from scaling_jax import formatting
from scaling_jax.accounting import flops, hardware
from scaling_jax.config import program_of
from scaling_jax.study.plan.design import PlannedRun
from scaling_jax.study.plan.text_needs import storage_of
from scaling_jax.study.status.held_out_error import expected_error, held_out_warning
from scaling_jax.study.status.plan_additions import proposals
from scaling_jax.study.status.plan_cost import PlanCost
from scaling_jax.study.status.run_cost import RunCost
from scaling_jax.text_table import Table

_MIB = 2**20
_COLUMNS = (
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
    "computed by",
    "time",
)
_CHOICE = _COLUMNS.index("computed by")


def plan_table(plan: PlanCost) -> Table:
    """One row per run: its size, training and cost."""
    columns: tuple[str, ...] = _COLUMNS
    if plan.machine.price is not None:
        columns = (*columns, "price")
    rows = [_cells(*pair) for pair in zip(plan.runs, plan.costs, strict=True)]
    if all(cost.choice == "-" for cost in plan.costs):
        # On one device without recomputation there is nothing to show.
        columns, *rows = (row[:_CHOICE] + row[_CHOICE + 1 :] for row in (columns, *rows))
    return Table(columns, rows, left=_COLUMNS[_CHOICE : _CHOICE + 1])


def plan_summary(plan: PlanCost) -> str:
    """Totals of a plan, and what they are estimated from."""
    chip, n = plan.machine.chip, plan.machine.chips
    n_programs = len({program_of(run.config) for run in plan.runs})
    return "\n".join(
        (
            f"Trained by {_recipes(plan.runs)}.",
            f"{plan.study.name}: {len(plan.runs)} runs, {_flops(plan.runs)} "
            f"(convention {plan.study.recipe.convention}), "
            f"{_hours(plan.seconds * n)} chip-hours, {formatting.duration(plan.seconds)} one after "
            f"another{_total_price(plan)}{_seeds(plan)}",
            f"On {n} x {chip.name}, {chip.memory_bytes / hardware.GIB:.0f} GiB each. "
            f"{plan.time_source} Compiling comes on top: {n_programs} "
            f"program{'' if n_programs == 1 else 's'}, each in seconds or, for large models, "
            "minutes. Memory is an estimate (scaling-jax compile has the "
            "compiler's); 'fits on' is the fewest chips, in powers of two.",
            f"{_evaluation(plan)} {held_out_warning(run.config for run in plan.runs)}".strip(),
        )
    )


def plan_answer(plan: PlanCost) -> str:
    """The interval of the answer that the runs are expected to give; empty where none is asked."""
    from scaling_jax.laws.planning.design_text import score_sentences

    return "" if plan.score is None else "\n".join(score_sentences(plan.score))


def plan_storage(plan: PlanCost) -> str:
    """Where the tokens are, and the disk and memory that they take on each host."""
    storage = storage_of(plan.text, plan.cache_dir)
    known = f"take {_memory(storage.token_bytes)} in" if storage.token_bytes else "are kept in"
    kept = f"Tokens {known} {storage.directory}"
    if storage.memory_bytes is None:
        sentence = f"{kept}, on the disk of every host."
    else:
        sentence = (
            f"{kept}, from where every host reads what it needs: none are stored on its disk, "
            f"and each process keeps at most {_memory(storage.memory_bytes)} in memory."
        )
    if plan.text.unread:
        sentence += f" Not counted, because they are not read here: {', '.join(plan.text.unread)}."
    return sentence


def additions_table(plan: PlanCost) -> Table | None:
    """What could be added to the plan, in the order of `proposals`; None without a score."""
    from scaling_jax.laws.planning.design_text import proposals_table

    if plan.score is None:
        return None
    return proposals_table(plan.score, proposals(plan), plan.study.flops_spent)


def plan_data(plan: PlanCost, with_additions: bool = False) -> dict[str, Any]:
    """The plan, its cost, its expected answer and its warnings as plain data."""
    from scaling_jax.laws.planning.design_text import proposals_data, score_data

    machine = plan.machine
    return {
        "study": plan.study.name,
        "convention": plan.study.recipe.convention,
        "hardware": machine.chip.name,
        "chips": machine.chips,
        "utilization": machine.utilization if plan.speed is None else None,
        "measured_runs": plan.speed.n_runs if plan.speed else 0,
        "memory_bytes_per_chip": machine.chip.memory_bytes,
        "runs": [_run_data(*pair) for pair in zip(plan.runs, plan.costs, strict=True)],
        "total_flops": float(sum(run.flops for run in plan.runs)),
        "total_flops_spent": plan.study.flops_spent,
        "evaluation_flops": plan.evaluation_flops,
        "held_out_error": max(expected_error(run.config) for run in plan.runs),
        "noise_scale_flops": plan.noise_flops,
        "total_hours": plan.seconds / 3600,
        "chip_hours": plan.seconds * machine.chips / 3600,
        "price_per_chip_hour": machine.price,
        "price": plan.price,
        "answer": None if plan.score is None else score_data(plan.score),
        "storage": asdict(storage_of(plan.text, plan.cache_dir)),
        "warnings": list(plan.warnings),
        "problems": list(plan.text.problems),
        **({"additions": proposals_data(proposals(plan))} if with_additions else {}),
    }


def _run_data(run: PlannedRun, cost: RunCost) -> dict[str, Any]:
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
        "evaluation_flops": cost.measurements.along + cost.measurements.at_end,
        "noise_scale_flops": cost.measurements.noise,
        "trunk": run.branch.trunk if run.branch else None,
        "begun_at": run.shared_steps,
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
        "fits": cost.fits,
        "fits_on_chips": cost.fits_on,
        "computed_by": {
            "remat": cost.execution.policy,
            "accumulate": cost.execution.microbatches,
            "choice": cost.choice,
        },
        "hours": cost.seconds / 3600,
        "price": cost.price,
    }


def _cells(run: PlannedRun, cost: RunCost) -> tuple[str, ...]:
    config, params = run.config, flops.count_params(run.config.shape)
    all_params = "" if config.shape.is_dense else f" of {formatting.count(params.total)}"
    return (
        formatting.flops(run.budget),
        formatting.count(params.active) + all_params,
        formatting.count(config.tokens),
        formatting.flops(run.flops),
        formatting.significant(config.tokens / params.active),
        f"{config.shape.n_layers} x {config.shape.d_model}",
        f"{config.batch_size:,}",
        f"{config.steps:,}" + (f" from {run.branch.step:,}" if run.branch else ""),
        f"{config.optimizer.peak_lr:.2e}",
        _memory(cost.memory.total),
        "-" if cost.fits_on is None else f"{cost.fits_on:,}",
        cost.choice,
        formatting.duration(cost.seconds),
        *(() if cost.price is None else (formatting.money(cost.price),)),
    )


def _recipes(runs: tuple[PlannedRun, ...]) -> str:
    """Optimizer, schedule and parameterization, and how many runs each is for if they differ."""
    kinds = Counter(
        f"{run.config.optimizer.name}, {run.config.optimizer.schedule} schedule, "
        f"{run.config.parameterization.rule} parameterization"
        for run in runs
    )
    if len(kinds) == 1:
        return next(iter(kinds))
    return "; ".join(f"{kind} ({n} runs)" for kind, n in kinds.items())


def _evaluation(plan: PlanCost) -> str:
    """What evaluation and the gradient noise cost beside training, and how much along the runs."""
    training = sum(cost.training_flops for cost in plan.costs)
    along, all_of_it = sum(cost.measurements.along for cost in plan.costs), plan.evaluation_flops
    n_sets = max(run.config.n_held_out_sets for run in plan.runs)
    n_tasks = max(sum(each.is_task for each in run.config.evals) for run in plan.runs)
    sets = "" if n_sets == 1 and not n_tasks else f" on {n_sets} set{'s' * (n_sets > 1)}"
    sets += f" and {n_tasks} task{'s' * (n_tasks > 1)}" if n_tasks else ""
    noise = ""
    if plan.noise_flops:
        noise = (
            f" Measurements of the gradient noise take {formatting.flops(plan.noise_flops)} FLOPs "
            f"more, {plan.noise_flops / training:.1%} of training's."
        )
    curve = f" ({along / training:.1%} along the runs)" if along else ""
    measured = (
        "" if plan.speed is None else f" and {plan.speed.evaluation:.1%} of their time so far"
    )
    most = "at most " if any(run.config.eval_at_most for run in plan.runs) else ""
    return (
        f"Held-out evaluation{sets} comes on top: {most}{formatting.flops(all_of_it)} FLOPs, "
        f"{all_of_it / training:.1%} of training's{curve}{measured}.{noise}"
    )


def _flops(runs: tuple[PlannedRun, ...]) -> str:
    """FLOPs of the runs, and what they would take as separate runs if branches share steps."""
    spent, alone = (sum(map(attrgetter(name), runs)) for name in ("flops_spent", "flops"))
    if spent == alone:
        return f"{formatting.flops(alone)} FLOPs"
    n = sum(run.branch is not None for run in runs)
    return (
        f"{n} of them branches, {formatting.flops(spent)} FLOPs, {spent / alone:.0%} of the "
        f"{formatting.flops(alone)} of separate runs"
    )


def _seeds(plan: PlanCost) -> str:
    """What runs that repeat others with another seed cost, and what they show."""
    known, repeats = set[object](), list[PlannedRun]()
    for run in plan.runs:
        cell = replace(run.config, seed=0)
        if cell in known:
            repeats.append(run)
        known.add(cell)
    if not repeats:
        return ""
    spent = sum(run.flops_spent for run in repeats)
    return (
        f"\n{len(repeats)} runs repeat others with another seed: they take "
        f"{formatting.flops(spent)} FLOPs, {spent / plan.study.flops_spent:.1%} of the plan, and "
        f"show the noise of a run with {len(repeats)} degrees of freedom."
    )


def _total_price(plan: PlanCost) -> str:
    if plan.price is None:
        return ""
    return f", {formatting.money(plan.price)} at {plan.machine.price:g} a chip-hour"


def _memory(n_bytes: int) -> str:
    if n_bytes < hardware.GIB:
        return f"{n_bytes / _MIB:,.1f} MiB"
    return f"{n_bytes / hardware.GIB:,.1f} GiB"


def _hours(seconds: float) -> str:
    hours = seconds / 3600
    if hours < 0.01:
        return "< 0.01"
    return f"{hours:,.0f}" if hours >= 100 else formatting.significant(hours)
