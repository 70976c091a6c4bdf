"""Which parameterization a run is trained under, and the size that it is relative to.

What each rule does is in `scaling_jax.scales`.
"""

from dataclasses import dataclass
from typing import Literal

from scaling_jax.config.strict import require_one_of, require_positive, settle_numbers
from scaling_jax.errors import InputError

Rule = Literal["standard", "mup", "completep"]

_BASES: dict[Rule, tuple[str, ...]] = {
    "standard": (),
    "mup": ("base_d_model", "base_head_dim"),
    "completep": ("base_d_model", "base_head_dim", "base_n_layers"),
}


@dataclass(frozen=True)
class Parameterization:
    """A rule, and the size it is relative to.

    Attributes:
        rule: `standard`, `mup` or `completep`.
        base_d_model: width at which the learning rate was tuned; for `mup` and `completep`.
        base_head_dim: width of one head there; for `mup` and `completep`.
        base_n_layers: depth there; for `completep`.

    Raises:
        InputError: a rule that does not exist, or a base that it lacks, has no use for, or that
            is below 1.
    """

    rule: Rule = "standard"
    base_d_model: int | None = None
    base_head_dim: int | None = None
    base_n_layers: int | None = None

    def __post_init__(self) -> None:
        require_one_of("parameterization", self.rule, Rule)
        for name in ("base_d_model", "base_head_dim", "base_n_layers"):
            value, needed = getattr(self, name), name in _BASES[self.rule]
            if needed and value is None:
                raise InputError(
                    f"parameterization {self.rule} lacks {name}: give that of the model whose "
                    "learning rate was tuned"
                )
            if not needed and value is not None:
                raise InputError(
                    f"{name} {value} means nothing under parameterization {self.rule}: leave it out"
                )
            if value is not None:
                require_positive(name, value)
        settle_numbers(self)


STANDARD = Parameterization()
