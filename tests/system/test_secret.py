"""The secret that the processes of one user share."""

import multiprocessing
import stat

import pytest

from scaling_jax.errors import InputError
from scaling_jax.system.secret import secret_file, shared_secret


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.delenv("SCALING_JAX_TOKEN", raising=False)
    monkeypatch.setenv("SCALING_JAX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_secret_is_made_once_for_this_user_alone(cache):
    secret = shared_secret()
    assert len(secret) == 64
    assert shared_secret() == secret
    assert stat.S_IMODE(secret_file().stat().st_mode) == 0o600
    assert [path.name for path in cache.iterdir()] == [secret_file().name]


def test_users_and_caches_have_secrets_of_their_own(monkeypatch, tmp_path):
    secret = shared_secret()
    monkeypatch.setenv("SCALING_JAX_CACHE", str(tmp_path / "other"))
    assert shared_secret() != secret


def test_a_secret_that_is_given_comes_first(monkeypatch):
    monkeypatch.setenv("SCALING_JAX_TOKEN", "given")
    assert shared_secret() == "given"
    assert not secret_file().exists()


def test_processes_that_start_together_have_one_secret():
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        secrets = pool.starmap(shared_secret, [()] * 3)
    assert len(set(secrets)) == 1
    assert secrets[0] == shared_secret()


@pytest.mark.parametrize("mode", [0o644, 0o660])
def test_a_secret_that_others_can_read_is_refused(mode):
    shared_secret()
    secret_file().chmod(mode)
    with pytest.raises(InputError, match=r"connection-secret holds a secret, .*: delete it"):
        shared_secret()


def test_a_link_is_not_followed(cache, tmp_path):
    (tmp_path / "theirs").write_text("known to others")
    cache.mkdir()
    secret_file().symlink_to(tmp_path / "theirs")
    with pytest.raises(InputError, match="not a file that this user alone can read"):
        shared_secret()


def test_there_is_none_where_no_file_can_be_made(cache):
    cache.write_text("a file, not a directory")
    assert shared_secret() == ""
