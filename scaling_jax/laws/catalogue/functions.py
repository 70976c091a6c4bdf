"""The laws of the literature that are no sums of powers."""

from scaling_jax.laws.catalogue.accuracy import ACCURACY_SIGMOID as ACCURACY_SIGMOID
from scaling_jax.laws.catalogue.accuracy import ERROR_EXPONENTIAL as ERROR_EXPONENTIAL
from scaling_jax.laws.catalogue.experts_functions import JOINT_EXPERTS as JOINT_EXPERTS
from scaling_jax.laws.catalogue.experts_functions import ROUTED as ROUTED
from scaling_jax.laws.catalogue.experts_functions import effective_params as effective_params
from scaling_jax.laws.catalogue.experts_functions import saturated_experts as saturated_experts
from scaling_jax.laws.catalogue.function import FunctionLaw
from scaling_jax.laws.catalogue.size_and_data_functions import DATA_CONSTRAINED as DATA_CONSTRAINED
from scaling_jax.laws.catalogue.size_and_data_functions import broken as broken

FUNCTION_LAWS: tuple[FunctionLaw, ...] = (
    DATA_CONSTRAINED,
    ROUTED,
    JOINT_EXPERTS,
    broken("params", 1e5, 1e11, unit="parameters"),
    broken("tokens", 1e6, 1e13, unit="tokens"),
    broken("flops", 1e13, 1e24, unit="FLOPs"),
    ERROR_EXPONENTIAL,
    ACCURACY_SIGMOID,
)
