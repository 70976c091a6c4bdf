"""Forms of the same function that are faster where they are chosen."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scaling_jax.model.layers import gelu, gelu_by_logistic


@pytest.mark.parametrize("form", [gelu, gelu_by_logistic])
def test_both_forms_of_gelu_and_their_slopes(form):
    x = np.linspace(-30, 30, 4001)
    u = np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)
    slope_of_u = np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * x**2)
    expected = 0.5 * x * (1 + np.tanh(u))
    slope = 0.5 * (1 + np.tanh(u)) + 0.5 * x / np.cosh(np.clip(u, -300, 300)) ** 2 * slope_of_u
    value, gradient = jax.vmap(jax.value_and_grad(form))(jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(value, expected, atol=5e-6)
    np.testing.assert_allclose(gradient, slope, atol=2e-5)
    assert form(jnp.ones(2, jnp.bfloat16)).dtype == jnp.bfloat16
