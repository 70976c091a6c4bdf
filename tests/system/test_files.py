"""Files that several processes write at once are whole, and no writer fails for another."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from etils import epath

from scaling_jax.system.files import replacing, write_text_atomically


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


def test_a_temporary_file_follows_no_link_and_long_names_are_no_error(tmp_path: Path) -> None:
    other, path = tmp_path / "other", tmp_path / ("x" * 250)
    other.write_text("keep")
    (tmp_path / f".{path.name[:40]}.tmp").symlink_to(other)
    with replacing(epath.Path(path)) as first, replacing(epath.Path(path)) as second:
        assert first != second
        assert not Path(first).is_symlink()
        first.write_text("1")
        second.write_text("2")
    assert path.read_text() == "1"
    assert other.read_text() == "keep"


def test_a_name_that_is_taken_is_never_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Known:
        hex = "0"

    monkeypatch.setattr("scaling_jax.system.files.uuid.uuid4", Known)
    other = tmp_path / "other"
    other.write_text("keep")
    (tmp_path / ".file.0.tmp").symlink_to(other)
    with pytest.raises(FileExistsError):
        write_text_atomically(epath.Path(tmp_path / "file"), "new")
    assert other.read_text() == "keep"
