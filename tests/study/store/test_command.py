"""The page of a study shows the command that trained it."""

import pytest

from scaling_jax.errors import InputError
from scaling_jax.study.store.command import recorded, recorded_command


def test_a_command_is_kept_once_it_trains_and_not_if_it_is_refused(tmp_path):
    with recorded(tmp_path, "before the study"):
        pass
    assert recorded_command(tmp_path) is None
    (tmp_path / "study.json").touch()
    with pytest.raises(KeyboardInterrupt), recorded(tmp_path, "interrupted"):
        raise KeyboardInterrupt
    with pytest.raises(InputError), recorded(tmp_path, "refused"):
        raise InputError("no such text")
    assert recorded_command(tmp_path) == "interrupted"
