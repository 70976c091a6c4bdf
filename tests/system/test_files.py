"""Files that several processes write at once are whole, and no writer fails for another."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from etils import epath

from scaling_jax.system.files import write_text_atomically


def test_writers_at_once_leave_one_whole_text_and_nothing_else(tmp_path: Path) -> None:
    path = epath.Path(tmp_path / "file")
    texts = [str(i) * 10_000 for i in range(8)]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(20):
            list(pool.map(lambda text: write_text_atomically(path, text), texts))
            assert path.read_text() in texts
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_what_cannot_be_written_leaves_the_old_text_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = epath.Path(tmp_path / "file")
    write_text_atomically(path, "old")

    def full(self: object, *args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(path), "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_text_atomically(path, "new")
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
    assert path.read_text() == "old"
