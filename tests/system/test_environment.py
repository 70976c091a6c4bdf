import os
import subprocess
import sys
from pathlib import Path

import pytest

from scaling_jax.system.environment import compile_without_call_stacks, default_cache_dir


def test_an_environment_variable_sets_the_cache_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SCALING_JAX_CACHE", str(tmp_path))
    assert default_cache_dir() == tmp_path
    monkeypatch.delenv("SCALING_JAX_CACHE")
    assert default_cache_dir() == Path.home() / ".cache" / "scaling_jax"


@pytest.mark.parametrize(("before", "after"), [(None, "0"), ("1", "1")])
def test_call_stacks_are_left_out_unless_the_user_wants_them(
    monkeypatch: pytest.MonkeyPatch, before: str | None, after: str
) -> None:
    name = "JAX_INCLUDE_FULL_TRACEBACKS_IN_LOCATIONS"
    monkeypatch.delenv(name, raising=False)
    if before is not None:
        monkeypatch.setenv(name, before)
    compile_without_call_stacks()
    assert os.environ[name] == after
    program = "import jax; print(jax.config.jax_include_full_tracebacks_in_locations)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(after == "1")
