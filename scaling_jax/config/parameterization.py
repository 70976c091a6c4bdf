"""Configuration of a run's parameterization; `scaling_jax.scales` holds the rules themselves."""

import math
from dataclasses import dataclass
from typing import Literal

from scaling_jax.config.strict import later, require_one_of, require_positive, settle_numbers
from scaling_jax.errors import InputError

Rule = Literal["standard", "mup", "completep"]

_BASES: dict[Rule, tuple[str, ...]] = {
    "standard": (),
    "mup": ("base_d_model", "base_head_dim"),
    "completep": ("base_d_model", "base_head_dim", "base_n_layers"),
}


@dataclass(frozen=True)
class Parameterization:
    """How initialization and learning rates depend on a model's size.

    The base is the model for which the learning rate was tuned.

    Attributes:
        rule: `standard`, `mup` or `completep`.
        base_d_model: width of the base model; for `mup` and `completep`.
        base_head_dim: width of one head of the base model; for `mup` and `completep`.
        base_n_layers: depth of the base model; for `completep`.
        init_scale: factor of the standard deviation that every matrix and table starts with, under
            every rule.

    Raises:
        InputError: an unknown rule, an `init_scale` that is not positive, or a base size that is
            missing, below 1, or not used by the rule.
    """

    rule: Rule = "standard"
    base_d_model: int | None = None
    base_head_dim: int | None = None
    base_n_layers: int | None = None
    init_scale: float = later(1.0)

    def __post_init__(self) -> None:
        require_one_of("parameterization", self.rule, Rule)
        for name in ("base_d_model", "base_head_dim", "base_n_layers"):
            value, needed = getattr(self, name), name in _BASES[self.rule]
            if needed and value is None:
                raise InputError(
                    f"parameterization {self.rule} lacks {name}: give the one of the model whose "
                    "learning rate was tuned"
                )
            if not needed and value is not None:
                raise InputError(
                    f"{name} {value} has no effect under parameterization {self.rule}: leave it out"
                )
            if value is not None:
                require_positive(name, value)
        settle_numbers(self)
        if not 0 < self.init_scale < math.inf:
            raise InputError(f"init_scale {self.init_scale} must be positive and finite")


STANDARD = Parameterization()
