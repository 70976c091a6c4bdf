from pathlib import Path

import pytest

from scaling_jax.system.environment import default_cache_dir


def test_an_environment_variable_sets_the_cache_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SCALING_JAX_CACHE", str(tmp_path))
    assert default_cache_dir() == tmp_path
    monkeypatch.delenv("SCALING_JAX_CACHE")
    assert default_cache_dir() == Path.home() / ".cache" / "scaling_jax"
