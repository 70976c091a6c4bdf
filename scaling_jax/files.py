"""Writing files so that a reader never sees half of one."""

from etils import epath


def write_text_atomically(path: epath.Path, text: str) -> None:
    """Replace the file at `path` in one step: readers see the old text or the new."""
    temporary = path.parent / f".{path.name}.tmp"
    temporary.write_text(text)
    temporary.replace(path)
