import sys
from pathlib import Path

import pytest
from filelock import FileLock

sys.path.insert(0, str(Path(__file__).parent))

from small_studies import small_study

from scaling_jax.study import run_study
from tests.quick import QUICKLY


@pytest.fixture(scope="session", autouse=True)
def own_cache(shared_folder):
    """Tokens and compiled programs of the tests of studies; one device, as outside the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCALING_JAX_CACHE", str(shared_folder / "cache-of-studies"))
        patch.setenv("XLA_FLAGS", QUICKLY)
        yield


@pytest.fixture(scope="session")
def finished(shared_folder):
    """The small study, trained by two workers that nobody disturbed; a test only reads it."""
    root = shared_folder / "finished-study"
    with FileLock(f"{root}.lock"):
        # The second process of a test run finds every run finished.
        return run_study(small_study(), root, workers=2, progress=False)
