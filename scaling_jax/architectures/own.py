"""A user's own Flax module as an architecture.

The module is a class of `flax.nnx` with two methods:

- `__init__(self, shape, *, rngs)` makes float32 parameters for a `Shape`. With a parameter `dtype`,
  the module can also compute in bfloat16. Its vocabulary table, position table and output matrix
  are attributes named `embedding`, `positions` and `output`, so that parameters can be counted
  without them.
- `__call__(self, tokens_BxT)` gives `logits_BxTxV` of the token after each position.

FLOPs come from the static method `forward_flops(shape)`, which gives those of one sequence. Without
it, the matrix products and convolutions of the traced program are counted, with every iteration of
its loops.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scaling_jax.architectures.source import file_of, source_digest
from scaling_jax.config import OwnModule, Shape
from scaling_jax.errors import InputError
from scaling_jax.user_modules import running

# Attributes whose parameters do not count as N without embeddings.
TABLES = ("embedding", "positions", "output")

# Up to this many parameters, a model is run once to see whether it is causal.
_MOST_CHECKED = 5_000_000

# The classes that this process has loaded, each under its name and source.
_LOADED: dict[tuple[str, str], Any] = {}


@dataclass(frozen=True)
class OwnArchitecture:
    """A user's own module, for `Family(architecture=...)`; `own_module` makes it.

    Attributes:
        name: name of the module's class.
        source: digest of the class and of what the class uses in its folder. It is a part of each
            run's identity.
    """

    name: str
    source: str

    def shape(self, **dims: Any) -> Shape:
        """The `Shape` of these dimensions, with the module's counts.

        Raises:
            InputError: the module cannot be made, or is no causal language model of `shape`.
        """
        return counted(self, self.uncounted(**dims))

    def uncounted(self, **dims: Any) -> Shape:
        """The `Shape` of these dimensions, with ones for counts."""
        none = OwnModule(self.name, self.source, 1, 1, 1, "program")
        return Shape(**dims, architecture="module", module=none)


def own_module(defined: Any) -> OwnArchitecture:
    """A Flax module's class as an architecture, known by its source.

    Raises:
        InputError: not a class of `flax.nnx`, or a class without a source.
    """
    from flax import nnx

    if not (inspect.isclass(defined) and issubclass(defined, nnx.Module)):
        raise InputError(f"own_module({defined!r}): give a class that is a flax.nnx.Module")
    own = OwnArchitecture(defined.__qualname__, source_digest(defined))
    file_of(defined)
    _LOADED[own.name, own.source] = defined
    return own


def class_of(own: OwnArchitecture | OwnModule) -> Any:
    """The class of a module that this process has loaded.

    Raises:
        InputError: the class was not loaded, or has changed since.
    """
    if (own.name, own.source) not in _LOADED:
        raise InputError(
            f"the own module {own.name} with source {own.source} is not loaded: load the file that "
            "defines it, or the run's directory with sj.load_run"
        )
    return _LOADED[own.name, own.source]


def build(shape: Shape, key: Any, dtype: Any) -> Any:
    """The module of `shape` with parameters drawn from `key`."""
    from flax import nnx

    assert shape.module is not None
    defined = class_of(shape.module)
    options = {"dtype": dtype} if takes_dtype(defined) else {}
    with running(f"the own module {defined.__qualname__}"):
        return defined(shape, rngs=nnx.Rngs(key), **options)


def takes_dtype(defined: Any) -> bool:
    """Whether a module can compute in another number format than float32."""
    return "dtype" in inspect.signature(defined.__init__).parameters


@functools.lru_cache(maxsize=4096)
def sizes(own: OwnArchitecture, shape: Shape) -> tuple[int, int]:
    """Numbers of all parameters, and of those outside the tables.

    Raises:
        InputError: the module cannot be made, has other state than float32 parameters, or has no
            `embedding`.
    """
    params = _abstract(own, shape)[1]
    by_part = {name: _size(part) for name, part in params.items()}
    total = sum(by_part.values())
    return total, total - sum(by_part.get(name, 0) for name in TABLES)


@functools.lru_cache(maxsize=4096)
def counted(own: OwnArchitecture, shape: Shape) -> Shape:
    """`shape` with the counts of the module.

    Raises:
        InputError: the module cannot be made or run, or is no causal language model of `shape`.
    """
    from scaling_jax.architectures.products import has_unbounded_products, product_flops

    defined, traced = class_of(own), _traced(own, shape)
    total, non_embedding = sizes(own, shape)
    jaxpr, wanted = traced.jaxpr.jaxpr, (1, shape.seq_len, shape.vocab_size)
    found = tuple(getattr(traced.out_info, "shape", ()))
    if found != wanted:
        raise InputError(
            f"the own module {own.name} gives an array of dimensions {found} for one sequence: its "
            f"__call__ must give logits of dimensions {wanted}"
        )
    if total <= _MOST_CHECKED:
        _check_causal(own, shape)
    formula = getattr(defined, "forward_flops", None)
    if formula is None and has_unbounded_products(jaxpr):
        raise InputError(
            f"the own module {own.name} has matrix products in a loop without a fixed bound, whose "
            "FLOPs cannot be counted: give it a static method forward_flops(shape)"
        )
    flops = product_flops(jaxpr).total if formula is None else _by_formula(own, formula, shape)
    module = OwnModule(
        own.name,
        own.source,
        total,
        non_embedding,
        flops,
        "program" if formula is None else "formula",
    )
    return dataclasses.replace(shape, module=module)


@functools.lru_cache(maxsize=4096)
def numbers_computed(shape: Shape) -> int:
    """Numbers that the forward pass over one sequence computes; training keeps at most these.

    Raises:
        InputError: the module's class is not loaded.
    """
    assert shape.module is not None
    own = OwnArchitecture(shape.module.name, shape.module.source)
    return _computed(_traced(own, shape).jaxpr.jaxpr)


def _traced(own: OwnArchitecture, shape: Shape) -> Any:
    """The forward pass over one sequence."""
    import jax
    import jax.numpy as jnp

    graph, params = _abstract(own, shape)
    tokens = jax.ShapeDtypeStruct((1, shape.seq_len), jnp.int32)
    return _run(own, "cannot be traced", lambda: _forward(graph).trace(params, tokens))


def _by_formula(own: OwnArchitecture, formula: Callable[[Shape], Any], shape: Shape) -> int:
    return int(_run(own, "has a forward_flops that fails", lambda: formula(shape)))


def _abstract(own: OwnArchitecture, shape: Shape) -> tuple[Any, dict[str, Any]]:
    """The module's graph, and its parameters as abstract arrays."""
    import jax
    import jax.numpy as jnp
    from flax import nnx

    def made() -> Any:
        return build(shape, jax.random.key(0), jnp.float32)

    module = _run(own, "cannot be made", lambda: nnx.eval_shape(made))
    graph, params, others = nnx.split(module, nnx.Param, ...)  # type: ignore[misc]
    if others := jax.tree.leaves(others):
        raise InputError(
            f"the own module {own.name} has {len(others)} arrays beside its nnx.Param, such as "
            "statistics or random keys: the trainer keeps only parameters, so leave them out"
        )
    if any(leaf.dtype != jnp.float32 for leaf in jax.tree.leaves(params)):
        raise InputError(f"the own module {own.name} has parameters that are not float32")
    tree = nnx.to_pure_dict(params)
    if "embedding" not in tree:
        raise InputError(
            f"the own module {own.name} has no attribute 'embedding' with parameters: name its "
            "vocabulary table so (and its position table 'positions', its output matrix 'output'), "
            "so that N can be counted without them"
        )
    return graph, tree


def _run(own: OwnArchitecture, what: str, call: Callable[[], Any]) -> Any:
    try:
        return call()
    except InputError:
        raise
    except Exception as error:
        reason = next(iter(str(error).splitlines()), "")
        raise InputError(
            f"the own module {own.name} {what} ({type(error).__name__}: {reason})"
        ) from error


def _forward(graph: Any) -> Any:
    import jax
    from flax import nnx

    return jax.jit(lambda params, tokens_BxT: nnx.merge(graph, params)(tokens_BxT))


# Once for each module: the smallest shape of a family is the first.
_CAUSAL: set[OwnArchitecture] = set()


def _check_causal(own: OwnArchitecture, shape: Shape) -> None:
    """Refuse a module whose logits depend on later tokens, which would be an easier task."""
    import jax
    import numpy as np

    if own in _CAUSAL:
        return
    graph, abstract = _abstract(own, shape)
    draw = np.random.default_rng(0)
    # At their own initialization, parts of a model are often silent.
    params = jax.tree.map(lambda leaf: np.float32(0.3 * draw.normal(size=leaf.shape)), abstract)
    tokens_BxT = draw.integers(0, shape.vocab_size, (2, shape.seq_len), np.int32)
    half = shape.seq_len // 2
    tokens_BxT[1, :half] = tokens_BxT[0, :half]
    logits_BxTxV = np.asarray(_forward(graph)(params, tokens_BxT), np.float64)[:, :half]
    one_TxV, other_TxV = logits_BxTxV
    rounding = 1e-3 * np.abs(one_TxV).max(initial=0)
    if not np.allclose(one_TxV, other_TxV, rtol=1e-3, atol=rounding):
        raise InputError(
            f"the own module {own.name} is not causal: its logits change with later tokens, which "
            "they are to predict"
        )
    _CAUSAL.add(own)


def _size(tree: Any) -> int:
    import jax

    return sum(leaf.size for leaf in jax.tree.leaves(tree))


# Operations that move numbers, which compilers fuse with those that compute them.
_MOVES = frozenset(
    {
        *("broadcast_in_dim", "concatenate", "convert_element_type", "copy", "dynamic_slice"),
        *("pad", "reshape", "rev", "slice", "squeeze", "transpose"),
    }
)


def _computed(jaxpr: Any) -> int:
    """Numbers that a program computes, with every iteration of its loops."""
    from scaling_jax.architectures.products import inner_programs

    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name in _MOVES:
            continue
        n_times = equation.params["length"] if equation.primitive.name == "scan" else 1
        inner = sum(map(_computed, inner_programs(equation)))
        total += n_times * inner or sum(var.aval.size for var in equation.outvars)
    return total
