"""Writing files so that a reader never sees half of one."""

import uuid

from etils import epath


def write_text_atomically(path: epath.Path, text: str) -> None:
    """Replace the file at `path` in one step: readers see the old text or the new.

    Any number of processes may do so at once; the last one's text stays.
    """
    temporary = path.parent / f".{path.name}.{uuid.uuid4().hex}.tmp"
    try:
        temporary.write_text(text)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
