"""Bad input: exit code 2, one line on standard error, nothing printed, nothing written."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from scaling_jax.cli import main
from scaling_jax.study import Store

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
DEMO = EXPERIMENTS / "demo.py"


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def refused(cli: Callable, tmp_path: Path) -> Callable[..., str]:
    """Run a command that must be refused, and give its message."""

    def run(*args: object) -> str:
        before = files(tmp_path)
        code, out, err = cli(*args)
        assert (code, out) == (2, ""), err
        assert err.endswith("\n")
        assert err.count("\n") == 1, err
        assert files(tmp_path) == before
        return err

    return run


@pytest.fixture
def below_a_file(tmp_path: Path) -> Path:
    (tmp_path / "regular").write_text("a file")
    return tmp_path / "regular" / "folder"


def changed(table: Path, column: str, value: object) -> Path:
    frame = pd.read_csv(table).astype(object)
    frame.loc[2, column] = value
    frame.to_csv(table, index=False)
    return table


@pytest.mark.parametrize("command", ["plan", "run"])
def test_experiment_that_does_not_exist(command: str, refused: Callable, tmp_path: Path) -> None:
    root = ("--root", tmp_path / "root") if command == "run" else ()
    assert "nowhere.py" in refused(command, tmp_path / "nowhere.py", *root)


def test_experiment_without_a_study(refused: Callable, tmp_path: Path) -> None:
    (tmp_path / "empty.py").write_text("x = 1\n")
    assert "'study'" in refused("plan", tmp_path / "empty.py")


def test_experiment_that_raises(refused: Callable, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("budget = 1 / 0\n")
    assert "division by zero" in refused("plan", tmp_path / "broken.py")


def test_unknown_hardware_names_the_nearest(refused: Callable) -> None:
    assert "did you mean 'h100'" in refused("plan", DEMO, "--hardware", "h10")


@pytest.mark.parametrize(("flag", "value"), [("--utilization", 1.5), ("--chips", 0)])
def test_impossible_machine(flag: str, value: float, refused: Callable) -> None:
    assert str(value) in refused("plan", DEMO, "--hardware", "v5p", flag, value)


def test_unknown_corpus(refused: Callable, tmp_path: Path) -> None:
    text = (EXPERIMENTS / "chinchilla_horizons.py").read_text()
    (tmp_path / "typo.py").write_text(text.replace('"embedded"', '"embeded"'))
    options = ("--scale", "smoke", "--root", tmp_path / "root")
    assert "'embeded'" in refused("run", tmp_path / "typo.py", *options)


def test_root_below_a_file(refused: Callable, below_a_file: Path) -> None:
    assert "cannot write" in refused("run", DEMO, "--scale", "smoke", "--root", below_a_file)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("{", "not JSON"),
        ("[]", "must be an object"),
        ('{"shpe": {}}', "did you mean 'shape'"),
    ],
)
def test_config_that_is_none(text: str, part: str, refused: Callable, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(text)
    assert part in refused("train", tmp_path / "run.json", "--root", tmp_path / "root")


def test_config_that_does_not_exist(refused: Callable, tmp_path: Path) -> None:
    assert "cannot read" in refused("train", tmp_path / "run.json", "--root", tmp_path / "root")


@pytest.mark.parametrize("command", ["status", "collect", "report"])
def test_directory_without_a_study(command: str, refused: Callable, tmp_path: Path) -> None:
    out = {"collect": ("--out", tmp_path / "r.csv"), "report": ("--out", tmp_path / "r.html")}
    assert "exactly one" in refused(command, tmp_path, *out.get(command, ()))


@pytest.mark.parametrize(("command", "name"), [("collect", "r.xlsx"), ("report", "r.pdf")])
def test_ending_that_cannot_be_written(
    command: str, name: str, refused: Callable, store: Store, tmp_path: Path
) -> None:
    assert "must end in" in refused(command, store.directory, "--out", tmp_path / name)


@pytest.mark.parametrize(("command", "name"), [("collect", "r.csv"), ("report", "r.html")])
def test_output_below_a_file(
    command: str, name: str, refused: Callable, store: Store, below_a_file: Path
) -> None:
    message = refused(command, store.directory, "--out", below_a_file / name)
    assert "is a file, not a directory" in message


def test_fit_written_below_a_file(refused: Callable, table: Path, below_a_file: Path) -> None:
    assert "is a file" in refused("fit", table, "--out", below_a_file / "fit.json")


def test_table_that_does_not_exist(refused: Callable, tmp_path: Path) -> None:
    assert "none.csv" in refused("fit", tmp_path / "none.csv")


@pytest.mark.parametrize("text", ["", "params,tokens,loss\n"])
def test_table_that_is_empty(text: str, refused: Callable, tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text(text)
    assert "empty.csv" in refused("fit", tmp_path / "empty.csv")


def test_table_without_a_column(refused: Callable, table: Path) -> None:
    pd.read_csv(table).drop(columns=["tokens", "budget"]).to_csv(table, index=False)
    assert "'tokens'" in refused("fit", table)


@pytest.mark.parametrize("column", ["params", "tokens", "loss"])
@pytest.mark.parametrize("value", ["many", -1.0, 0.0, float("inf")])
def test_cell_that_is_no_positive_number(
    column: str, value: object, refused: Callable, table: Path
) -> None:
    message = refused("fit", changed(table, column, value))
    assert column in message
    # The header is line 1, so the third row is line 4.
    assert "4" in message


def test_too_few_points(refused: Callable, table: Path) -> None:
    pd.read_csv(table).head(3).to_csv(table, index=False)
    assert "3" in refused("fit", table)


def test_unknown_law_names_the_nearest(refused: Callable, table: Path) -> None:
    assert "did you mean 'chinchilla'" in refused("fit", table, "--law", "chinchila")


@pytest.mark.parametrize(("flag", "value"), [("--level", 1.5), ("--bootstrap", -1)])
def test_impossible_option_of_a_fit(
    flag: str, value: float, refused: Callable, table: Path
) -> None:
    assert str(value) in refused("fit", table, flag, value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--approach", 1, "--law", "kaplan"), ["law kaplan", "fits no law", "approach 3"]),
        (("--approach", 2, "--hold", "E=1.2"), ["held constant E=1.2", "approach 3"]),
        (("--curve", "akima"), ["curve akima", "approach 2"]),
        (("--hold", "E"), ["--hold E", "NAME=NUMBER"]),
    ],
)
def test_option_of_a_fit_without_effect(
    options: tuple[object, ...], words: list[str], refused: Callable, table: Path
) -> None:
    message = refused("fit", table, *options)
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    ("flag", "value", "words"),
    [
        ("--accumulate", 0, "accumulate 0 must be at least 1"),
        ("--attempts", 0, "attempts 0 must be at least 1"),
        ("--process-id", 5, "go together"),
    ],
)
def test_impossible_option_of_training(
    flag: str, value: int, words: str, refused: Callable, tmp_path: Path
) -> None:
    assert words in refused("run", DEMO, "--root", tmp_path / "root", flag, value)


@pytest.mark.parametrize("text", ["{}", "not json", "[1, 2]"])
def test_fit_that_is_none(text: str, refused: Callable, tmp_path: Path) -> None:
    (tmp_path / "fit.json").write_text(text)
    assert "fit.json" in refused("predict", tmp_path / "fit.json", "--flops", 1e20)


def test_shape_that_is_incomplete(refused: Callable) -> None:
    assert "--n-heads" in refused("flops", "--n-layers", 2, "--d-model", 64)


def test_shape_whose_heads_do_not_divide_it(refused: Callable) -> None:
    sizes = ("--n-layers", 2, "--d-model", 64, "--vocab-size", 256, "--seq-len", 128)
    assert "does not divide" in refused("flops", *sizes, "--n-heads", 7)


@pytest.mark.parametrize(
    ("args", "part"),
    [
        (("fit", "t.csv", "--approach", "4"), "--approach"),
        (("fit", "t.csv", "--aproach", "3"), "--approach"),
        (("fit", "t.csv", "--bootstrap", "many"), "--bootstrap"),
        (("fitt", "t.csv"), "fitt"),
        (("run", "e.py"), "--root"),
        ((), "plan"),
    ],
)
def test_arguments_that_cannot_be_parsed(
    args: tuple[str, ...], part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(args) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert part in err
    assert "Traceback" not in err
