"""FLOPs of the products in a traced program, with every iteration of its loops."""

import math
from dataclasses import dataclass
from typing import Any

from jax.extend import core

# Matrix products of the size of the scores in flash attention: two in the forward pass, five in
# the backward pass, one of which recomputes the scores.
_CUDNN_PRODUCTS = {
    "dot_product_attention_fwd_wrapper": 2,
    "dot_product_attention_bwd_wrapper": 5,
}


@dataclass(frozen=True)
class Products:
    """FLOPs of matrix products, in compiled operations and in kernels.

    Attributes:
        plain: FLOPs of products that the compiler generates code for.
        kernels: FLOPs of all blocks of hand-written kernels. Causal kernels skip blocks above the
            diagonal, slightly fewer than half of them.
    """

    plain: int = 0
    kernels: int = 0

    @property
    def total(self) -> int:
        """FLOPs of both kinds."""
        return self.plain + self.kernels

    def __add__(self, other: "Products") -> "Products":
        return Products(self.plain + other.plain, self.kernels + other.kernels)

    def times(self, n: int) -> "Products":
        """The FLOPs multiplied by `n`."""
        return Products(n * self.plain, n * self.kernels)


def product_flops(jaxpr: Any, *, loops_once: bool = False) -> Products:
    """FLOPs of every matrix product and convolution in `jaxpr`, summed over all devices.

    A scan counts as often as it runs, or once with `loops_once`, as in XLA's own analysis. A loop
    without a fixed bound counts once. Where there are several branches, the costliest one counts.
    """
    total = Products()
    for equation in jaxpr.eqns:
        name, params = equation.primitive.name, equation.params
        inner = [product_flops(sub, loops_once=loops_once) for sub in inner_programs(equation)]
        if name == "dot_general":
            total += Products(plain=_dot_flops(equation))
        elif name == "conv_general_dilated":
            total += Products(plain=_convolution_flops(equation))
        elif name in _CUDNN_PRODUCTS:
            total += Products(kernels=_attention_flops(equation, _CUDNN_PRODUCTS[name]))
        elif name == "cond":
            total += max(inner, key=lambda branch: branch.total)
        elif name == "pallas_call":
            n_blocks = math.prod(params["grid_mapping"].grid)
            total += Products(kernels=n_blocks * sum(body.total for body in inner))
        else:
            n_times = 1
            if name == "scan" and not loops_once:
                n_times = params["length"]
            elif name == "shard_map":
                # Shapes inside are per device along the manual axes alone.
                sizes = params["mesh"].shape
                n_times = math.prod(sizes[axis] for axis in params["newly_manual_axes"])
            total += sum(inner, Products()).times(n_times)
    return total


def _dot_flops(equation: Any) -> int:
    (contracted, _), _ = equation.params["dimension_numbers"]
    left = equation.invars[0].aval.shape
    return 2 * math.prod(left[axis] for axis in contracted) * equation.outvars[0].aval.size


def _convolution_flops(equation: Any) -> int:
    """Two FLOPs for each weight and output, those on padding included."""
    weights = equation.invars[1].aval.shape
    n_outputs = weights[equation.params["dimension_numbers"].rhs_spec[0]]
    return 2 * equation.outvars[0].aval.size * math.prod(weights) // n_outputs


def has_unbounded_products(jaxpr: Any) -> bool:
    """Whether a loop without a fixed bound has products, which cannot be counted."""
    for equation in jaxpr.eqns:
        for inner in inner_programs(equation):
            counted = equation.primitive.name == "while" and product_flops(inner).total > 0
            if counted or has_unbounded_products(inner):
                return True
    return False


def _attention_flops(equation: Any, n_products: int) -> int:
    b, t, h, k = equation.invars[0].aval.shape
    return 2 * n_products * b * h * t * t * k


def inner_programs(equation: Any) -> list[Any]:
    """The jaxprs in the parameters of an equation."""
    found = []
    for value in equation.params.values():
        for item in value if isinstance(value, tuple | list) else (value,):
            if isinstance(item, core.ClosedJaxpr):
                found.append(item.jaxpr)
            elif isinstance(item, core.Jaxpr):
                found.append(item)
    return found
