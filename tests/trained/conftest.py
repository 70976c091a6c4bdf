import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "train"))

from helpers import small_run, write_text

from scaling_jax.train import train_run


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCALING_JAX_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def text(tmp_path_factory):
    return write_text(tmp_path_factory.mktemp("text") / "words.txt", 1000)


@pytest.fixture(scope="session")
def directory(text, tmp_path_factory):
    """The directory of a run of seconds, in the Llama layout and with shared keys and values."""
    path = tmp_path_factory.mktemp("runs") / "run"
    shape = dict(activation="swiglu", n_heads=4, n_kv_heads=2)
    train_run(small_run(text, steps=30, shape=shape), path, progress=False)
    return path
