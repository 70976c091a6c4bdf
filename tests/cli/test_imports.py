"""What must not be loaded until a command needs it."""

import subprocess
import sys

import pytest

HEAVY = ("jax", "matplotlib", "pandas", "ray", "tensorflow_datasets", "tensorflow")


def loaded(statements: str) -> set[str]:
    """The heavy packages that a fresh interpreter has after `statements`."""
    program = f"import sys\n{statements}\nprint(*[m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    return set(done.stdout.splitlines()[-1].split())


def test_package_alone_loads_nothing_heavy() -> None:
    assert loaded("import scaling_jax") == set()


def test_help_loads_nothing_heavy() -> None:
    assert loaded("from scaling_jax.cli import main\nmain(['fit', '--help'])") == set()


def test_shapes_are_counted_without_jax() -> None:
    shape = ["--n-layers", "2", "--d-model", "64", "--n-heads", "2"]
    args = ["flops", *shape, "--vocab-size", "256", "--seq-len", "128"]
    assert loaded(f"from scaling_jax.cli import main\nmain({args})\nprint()") == set()


def test_a_plan_for_named_chips_loads_no_jax() -> None:
    arguments = ["plan", "chinchilla-isoflop", "--scale", "smoke", "--hardware", "h100"]
    assert "jax" not in loaded(f"from scaling_jax.cli import main\nmain({arguments})\nprint()")


def test_laws_load_no_trainer() -> None:
    program = (
        "import sys\nimport scaling_jax as sj\nsj.fit\n"
        "print(*[m for m in sys.modules if m.startswith('scaling_jax.')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    parts = {name.split(".")[1] for name in done.stdout.split()}
    assert parts <= {"laws", "errors", "formatting", "text_table", "answers", "api", "forked"}


def test_exports_exist_and_are_listed() -> None:
    import scaling_jax as sj

    for name in (
        "fit",
        "Fit",
        "forecast",
        "score",
        "read_table",
        "Study",
        "Recipe",
        "IsoFlop",
        "FixedModels",
        "run",
        "collect",
        "load_run",
    ):
        assert name in dir(sj)
        assert callable(getattr(sj, name))
    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        _ = sj.fitt  # type: ignore[attr-defined]
