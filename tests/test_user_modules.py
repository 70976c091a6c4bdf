"""Python files of users: their names are found, their failures are located."""

import os
import sys
from pathlib import Path

import pytest

from scaling_jax.errors import InputError
from scaling_jax.user_modules import digest, load_module, member, shielded

TEXT = """
import math
from dataclasses import dataclass
from pathlib import Path

@dataclass
class Pair:
    first: int

def square(x):
    return x * x

pair = Pair(3)
_hidden = 1
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "own.py"
    path.write_text(TEXT)
    return path


def test_a_file_becomes_a_module_whose_names_are_found(path: Path) -> None:
    module = load_module(path, "law")
    assert module.__name__ == "law_own"
    assert member(module, "square")(4) == 16  # type: ignore[operator]
    assert member(module, "pair").first == 3  # type: ignore[attr-defined]


def test_an_unknown_name_lists_what_the_file_made_itself(path: Path) -> None:
    with pytest.raises(InputError, match=r"has no 'squar' \(there is square, pair\); did you mean"):
        member(load_module(path, "law"), "squar")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def law(:", r"^law .*own.py, line 1: SyntaxError: "),
        ("x = 1\n1 / 0", r", line 2: ZeroDivisionError: division by zero$"),
        ("raise SystemExit(3)", r", line 1: the file ends the program: exit\(3\) must not be "),
        ("raise SystemExit", r", line 1: the file ends the program: exit\(\) must not be called"),
        ("import sys\nsys.exit('why')", r", line 2: the file ends the program: why$"),
        ("raise ValueError('one\\ntwo')", r": ValueError: one$"),
    ],
)
def test_a_file_that_does_not_run_is_refused_with_its_line(
    path: Path, text: str, words: str
) -> None:
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        load_module(path, "law")


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a file"):
        load_module(tmp_path / "absent.py", "law")


def test_a_digest_follows_the_text(path: Path) -> None:
    before = digest(path)
    assert before == digest(path)
    path.write_text(TEXT + "\n")
    assert before != digest(path)


def test_what_a_file_and_its_functions_print_is_no_result(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path.write_text("print('loaded')\ndef double(x):\n    print('called')\n    return 2 * x\n")
    double = shielded(member(load_module(path, "law"), "double"))  # type: ignore[arg-type]
    assert double(4) == 8
    assert capsys.readouterr() == ("", "loaded\ncalled\n")


def test_a_function_that_ends_the_program_is_refused(path: Path) -> None:
    path.write_text("import sys\ndef stop():\n    sys.exit('why')\n")
    stop = shielded(member(load_module(path, "law"), "stop"))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="the function 'stop' ends the program: why"):
        stop()


def test_a_file_imports_its_own_neighbours(tmp_path: Path) -> None:
    for name, value in (("first", 1), ("second", 2)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "beside.py").write_text(f"value = {value}\n")
        (folder / "own.py").write_text("from beside import value\n")
    found = [load_module(tmp_path / name / "own.py", "law") for name in ("first", "second")]
    assert [module.value for module in found] == [1, 2]
    assert "beside" not in sys.modules
    assert not {str(tmp_path / "first"), str(tmp_path / "second")} & set(sys.path)


@pytest.mark.parametrize("changed", ["own.py", "beside.py"])
def test_a_file_that_changed_within_a_second_runs_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    own, beside = tmp_path / "own.py", tmp_path / "beside.py"
    own.write_text("import beside\n\nvalue = beside.value\n")
    beside.write_text("value = 1\n")
    if changed == "own.py":
        own.write_text("import beside\n\nvalue = 1\n")
    first = load_module(own, "law").value
    path = tmp_path / changed
    seconds = path.stat().st_mtime
    path.write_text(path.read_text().replace("= 1", "= 2"))
    os.utime(path, (seconds, seconds))
    assert (first, load_module(own, "law").value) == (1, 2)
    assert not (tmp_path / "__pycache__").exists()
    assert not sys.dont_write_bytecode
