"""A result says which source it comes from."""

import subprocess

import pytest

from scaling_jax.runs.code import state_of


@pytest.fixture
def clone(tmp_path):
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (tmp_path / ".gitignore").write_text("environment\n")
    _git(tmp_path, "init", "--quiet")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "--quiet", "--message", "first")
    return tmp_path


def _git(directory, *arguments):
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    command = ["git", "-C", directory, *who, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_commit_and_changes_of_the_package_alone(clone):
    head = _git(clone, "rev-parse", "HEAD")
    (clone / "elsewhere.txt").write_text("not of the package")
    assert state_of(clone / "package") == {"commit": head, "changed": False}
    (clone / "package" / "new.py").write_text("x = 1")
    assert state_of(clone / "package") == {"commit": head, "changed": True}


def test_a_package_that_no_clone_tracks_has_no_commit(clone, tmp_path_factory):
    installed = clone / "environment" / "package"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("")
    assert state_of(installed) == {}
    assert state_of(tmp_path_factory.mktemp("nowhere")) == {}


def test_without_git_there_is_none(clone, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert state_of(clone / "package") == {}
