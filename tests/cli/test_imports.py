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


def modules(statements: str) -> set[str]:
    """The package's modules, without its name, that a fresh interpreter has after `statements`."""
    program = f"import sys\n{statements}\nprint()\nprint(*[m for m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    loaded = done.stdout.splitlines()[-1].split()
    return {name.removeprefix("scaling_jax.") for name in loaded if name.startswith("scaling_jax.")}


def test_a_plan_loads_no_module_that_fits_a_law_and_no_other_command() -> None:
    arguments = ["plan", "chinchilla-isoflop", "--scale", "smoke", "--hardware", "h100"]
    found = modules(f"from scaling_jax.cli import main\nmain({arguments})")
    assert {"cli.planning", "laws.planning.design_checks"} <= found
    assert {name for name in found if name.startswith("cli.") and name.endswith("ing")} == {
        "cli.planning"
    }
    fits = ("solver", "approaches", "curves", "extrapolation.average", "uncertainty.bootstrap")
    assert not {name for name in found if name.startswith(tuple(f"laws.{each}" for each in fits))}
    assert not found & {"laws.fitting", "laws.tables.read", "study.execution", "report"}


def test_the_catalogue_of_laws_loads_no_fit() -> None:
    found = modules("from scaling_jax import laws\nlaws.LAWS, laws.Fit, laws.Optimum")
    assert "laws.fitted" in found
    assert not found & {"laws.fitting", "laws.solver", "laws.approaches"}


def test_laws_load_no_trainer() -> None:
    parts = {name.split(".")[0] for name in modules("import scaling_jax as sj\nsj.fit")}
    assert parts <= {"laws", "errors", "formatting", "text_table", "answers", "api", "forked"}


def test_a_fit_of_a_table_loads_no_study_and_no_trainer() -> None:
    table = "tests/laws/data/chinchilla_240.csv"
    args = ["fit", table, "--bootstrap", "0", "--json"]
    found = modules(f"from scaling_jax.cli import main\nmain({args})")
    assert "laws.fitting" in found
    assert not {"study.plan.recipe", "study.store.store", "execution", "config"} & found


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
