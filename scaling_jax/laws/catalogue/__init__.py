"""Laws before they are fitted: the interface `Law`, and the laws of the literature.

Published constants stand here and nowhere else. Nothing here fits a law, and importing this
package loads no JAX.
"""

from collections.abc import Mapping

from scaling_jax.errors import InputError, suggestion
from scaling_jax.laws.catalogue.accuracy import ACCURACY_SIGMOID, ERROR_EXPONENTIAL
from scaling_jax.laws.catalogue.experts import GRANULARITY as GRANULARITY
from scaling_jax.laws.catalogue.experts import JOINT_EXPERTS, ROUTED
from scaling_jax.laws.catalogue.experts import SPARSITY as SPARSITY
from scaling_jax.laws.catalogue.hyperparameters import BATCH_SIZE as BATCH_SIZE
from scaling_jax.laws.catalogue.hyperparameters import BATCH_SIZE_FLOPS as BATCH_SIZE_FLOPS
from scaling_jax.laws.catalogue.hyperparameters import LEARNING_RATE as LEARNING_RATE
from scaling_jax.laws.catalogue.hyperparameters import (
    LEARNING_RATE_EXPERTS as LEARNING_RATE_EXPERTS,
)
from scaling_jax.laws.catalogue.hyperparameters import LEARNING_RATE_FLOPS as LEARNING_RATE_FLOPS
from scaling_jax.laws.catalogue.hyperparameters import OPTIMAL_PARAMS as OPTIMAL_PARAMS
from scaling_jax.laws.catalogue.hyperparameters import OPTIMAL_TOKENS as OPTIMAL_TOKENS
from scaling_jax.laws.catalogue.hyperparameters import power_law as power_law
from scaling_jax.laws.catalogue.kaplan import KAPLAN as KAPLAN
from scaling_jax.laws.catalogue.kaplan import KAPLAN_CRITICAL_BATCH as KAPLAN_CRITICAL_BATCH
from scaling_jax.laws.catalogue.kaplan import KAPLAN_FLOOR as KAPLAN_FLOOR
from scaling_jax.laws.catalogue.kaplan import KAPLAN_FLOPS as KAPLAN_FLOPS
from scaling_jax.laws.catalogue.kaplan import KAPLAN_PARAMS as KAPLAN_PARAMS
from scaling_jax.laws.catalogue.kaplan import KAPLAN_PARAMS_STEPS as KAPLAN_PARAMS_STEPS
from scaling_jax.laws.catalogue.kaplan import KAPLAN_TOKENS as KAPLAN_TOKENS
from scaling_jax.laws.catalogue.law import Law as Law
from scaling_jax.laws.catalogue.power_sum import PowerSum as PowerSum
from scaling_jax.laws.catalogue.power_sum import Term as Term
from scaling_jax.laws.catalogue.size_and_data import CHINCHILLA as CHINCHILLA
from scaling_jax.laws.catalogue.size_and_data import CHINCHILLA_TIED as CHINCHILLA_TIED
from scaling_jax.laws.catalogue.size_and_data import DATA_CONSTRAINED, broken
from scaling_jax.laws.catalogue.size_and_data import OVERTRAINING as OVERTRAINING
from scaling_jax.laws.catalogue.size_and_data import SKALING as SKALING
from scaling_jax.laws.catalogue.size_and_data import WIDTH_DEPTH as WIDTH_DEPTH
from scaling_jax.laws.catalogue.size_and_data import saturating as saturating

_LAWS: tuple[Law, ...] = (
    CHINCHILLA,
    CHINCHILLA_TIED,
    SKALING,
    OVERTRAINING,
    WIDTH_DEPTH,
    saturating("params", unit="parameters"),
    saturating("tokens", unit="tokens"),
    saturating("flops", unit="FLOPs"),
    saturating("position", unit="tokens"),
    KAPLAN,
    KAPLAN_FLOOR,
    KAPLAN_PARAMS,
    KAPLAN_TOKENS,
    KAPLAN_FLOPS,
    KAPLAN_PARAMS_STEPS,
    KAPLAN_CRITICAL_BATCH,
    GRANULARITY,
    SPARSITY,
    LEARNING_RATE,
    LEARNING_RATE_FLOPS,
    LEARNING_RATE_EXPERTS,
    BATCH_SIZE,
    BATCH_SIZE_FLOPS,
    OPTIMAL_PARAMS,
    OPTIMAL_TOKENS,
    DATA_CONSTRAINED,
    ROUTED,
    JOINT_EXPERTS,
    broken("params", 1e5, 1e11, unit="parameters"),
    broken("tokens", 1e6, 1e13, unit="tokens"),
    broken("flops", 1e13, 1e24, unit="FLOPs"),
    ERROR_EXPONENTIAL,
    ACCURACY_SIGMOID,
)

LAWS: Mapping[str, Law] = {law.name: law for law in _LAWS}


def law_named(name: str) -> Law:
    """The published law called `name`.

    >>> from scaling_jax.laws import law_named
    >>> law_named("data-constrained").variables
    ('params', 'tokens', 'unique_tokens')

    Raises:
        InputError: an unknown name, with the nearest known one.
    """
    if name not in LAWS:
        raise InputError(f"unknown law {name!r}{suggestion(name, list(LAWS))}")
    return LAWS[name]


def power_sum_named(name: str) -> PowerSum:
    """The published sum of powers called `name`.

    Raises:
        InputError: an unknown name, with the nearest known one, or a law of another kind.
    """
    law = law_named(name)
    if not isinstance(law, PowerSum):
        raise InputError(f"the law {name!r} is not a sum of powers, which is needed here")
    return law
