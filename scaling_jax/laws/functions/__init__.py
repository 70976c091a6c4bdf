"""The laws of the literature that are no sums of powers, by name."""

from scaling_jax.laws.custom import CustomForm
from scaling_jax.laws.functions.accuracy import ACCURACY_SIGMOID as ACCURACY_SIGMOID
from scaling_jax.laws.functions.accuracy import ERROR_EXPONENTIAL as ERROR_EXPONENTIAL
from scaling_jax.laws.functions.experts import JOINT_EXPERTS as JOINT_EXPERTS
from scaling_jax.laws.functions.experts import ROUTED as ROUTED
from scaling_jax.laws.functions.experts import effective_params as effective_params
from scaling_jax.laws.functions.experts import saturated_experts as saturated_experts
from scaling_jax.laws.functions.size_and_data import DATA_CONSTRAINED as DATA_CONSTRAINED
from scaling_jax.laws.functions.size_and_data import broken as broken

_ALL = (
    DATA_CONSTRAINED,
    ROUTED,
    JOINT_EXPERTS,
    broken("params", 1e5, 1e11, unit="parameters"),
    broken("tokens", 1e6, 1e13, unit="tokens"),
    broken("flops", 1e13, 1e24, unit="FLOPs"),
    ERROR_EXPONENTIAL,
    ACCURACY_SIGMOID,
)

FUNCTIONS: dict[str, CustomForm] = {form.name: form for form in _ALL}
