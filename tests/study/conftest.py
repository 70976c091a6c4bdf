import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from small_studies import small_study

from scaling_jax.study import run_study
from tests.quick import QUICKLY


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Tokens and compiled programs of this session; one device, as outside the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCALING_JAX_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("XLA_FLAGS", QUICKLY)
        yield


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The small study, trained by two workers that nobody disturbed."""
    root = tmp_path_factory.mktemp("finished")
    return run_study(small_study(), root, workers=2, progress=False)
