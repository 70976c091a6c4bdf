"""Strict numerics for every test: no silent dtype or rank promotion, 8 virtual CPU devices."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.quick import QUICKLY, without_pdf

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Without the call stack of every operation, three gradients are lowered and compiled in 1.0 s of
# CPU instead of 1.2 s.
os.environ["JAX_INCLUDE_FULL_TRACEBACKS_IN_LOCATIONS"] = "0"
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


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this call of pytest, one for all its processes."""
    base = tmp_path_factory.getbasetemp()
    # The processes of a test run have folders beside each other.
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(autouse=True, scope="session")
def _compile_once(shared_folder: Path) -> Iterator[None]:
    """A program is compiled once for all tests, in whatever process."""
    jax.config.update("jax_compilation_cache_dir", str(shared_folder / "compiled"))
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


@pytest.fixture
def svg_alone() -> Iterator[None]:
    """The PDF files beside a page are empty, for tests that read the page."""
    with without_pdf():
        yield
