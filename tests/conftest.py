"""Strict numerics for every test: no silent dtype or rank promotion, 8 virtual CPU devices."""

import os
from collections.abc import Iterator

import pytest

from tests.quick import QUICKLY

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + f" --xla_force_host_platform_device_count=8 {QUICKLY}"
)

import jax
from jax.experimental.compilation_cache import compilation_cache

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

# Now, before a directory's own fixtures change the flags for the processes that its tests start.
jax.devices()
# Processes that tests start compile as a user's do, unless a test says otherwise.
os.environ["XLA_FLAGS"] = os.environ["XLA_FLAGS"].removesuffix(QUICKLY)


@pytest.fixture(autouse=True, scope="session")
def _compile_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A program is compiled once for all tests, in whatever process."""
    base = tmp_path_factory.getbasetemp()
    # The processes of a test run have folders beside each other.
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    jax.config.update("jax_compilation_cache_dir", str(shared / "compiled"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    compilation_cache.reset_cache()
    yield
    jax.config.update("jax_compilation_cache_dir", None)
    compilation_cache.reset_cache()


@pytest.fixture(scope="module")
def unoptimized() -> Iterator[None]:
    """Programs are compiled without most optimizations, for modules with many large ones."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
