import dataclasses
from typing import Any

import pytest

from scaling_jax.config import OptimizerConfig
from scaling_jax.errors import InputError

OPTIMIZER = OptimizerConfig(peak_lr=1e-3, warmup_steps=10)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"peak_lr": 0.0}, "peak_lr 0.0 must be positive"),
        ({"peak_lr": -1e-3}, "peak_lr -0.001 must be positive"),
        ({"eps": 0.0}, "eps 0.0 must be positive"),
        ({"clip_norm": -1.0}, "clip_norm -1.0 must be positive"),
        ({"beta1": 1.1}, "beta1 1.1 must be at least 0 and below 1"),
        ({"beta1": 1.0}, "beta1 1.0 must be at least 0 and below 1"),
        ({"beta2": -0.1}, "beta2 -0.1 must be at least 0 and below 1"),
        ({"beta2": 1.0}, "beta2 1.0 must be at least 0 and below 1"),
        ({"final_lr_fraction": 1.5}, "final_lr_fraction 1.5 must lie in"),
        ({"final_lr_fraction": -0.1}, "final_lr_fraction -0.1 must lie in"),
        ({"warmup_steps": -1}, "warmup_steps -1 must not be negative"),
        ({"warmup_steps": 2.5}, "warmup_steps 2.5 must be a whole number"),
        ({"peak_lr": 1e39}, "peak_lr 1e[+]39 must be positive and finite, in float32 too"),
        ({"peak_lr": "a"}, "peak_lr 'a' must be a number"),
        ({"weight_decay": -0.1}, "weight_decay -0.1 must be finite and not negative"),
        ({"balance_weight": -0.1}, "balance_weight -0.1 must be finite and not negative"),
        ({"weight_decay_tables": -0.1}, "weight_decay_tables -0.1 must be finite"),
        (
            {"name": "adam", "weight_decay": 0.0, "weight_decay_gains": 0.1},
            "weight_decay_gains 0.1 with optimizer adam",
        ),
        ({"average_share": 1.5}, "average_share 1.5 .* over no more than the run"),
        ({"average_share": -0.1}, "average_share -0.1 must lie in"),
        ({"name": "adamv"}, "optimizer is 'adamv' .*; did you mean 'adam"),
        ({"name": "adam"}, "weight_decay 0.1 with optimizer adam.*set it to 0, or choose adamw"),
        ({"schedule": "cosin"}, "schedule is 'cosin' .*; did you mean 'cosine'"),
        ({"cycle": 0.9}, "cycle 0.9 must be at least 1"),
        ({"schedule": "wsd", "cycle": 2.0}, "cycle 2.0 has no effect under the wsd schedule"),
        ({"schedule": "wsd", "cooldown_share": 0.0}, r"cooldown_share 0.0 must lie in \(0, 1\]"),
        ({"cooldown_share": 0.1}, "cooldown_share 0.1 has no effect under the cosine schedule"),
        (
            {"schedule": "constant"},
            "final_lr_fraction 0.1 has no effect under the constant schedule: leave it out",
        ),
    ],
)
def test_impossible_optimizers_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        dataclasses.replace(OPTIMIZER, **changes)


def test_schedules_have_final_learning_rates_of_their_own() -> None:
    finals = {"cosine": 0.1, "linear": 0.0, "constant": 1.0, "wsd": 0.0}
    for schedule, final in finals.items():
        optimizer = OptimizerConfig(1e-3, 10, schedule=schedule)  # type: ignore[arg-type]
        assert optimizer.final_fraction == final
        assert (optimizer.cooldown_share == 0.2) == (schedule == "wsd")
