"""The one error a user can cause: bad input, reported as a single clear message."""

import difflib
from collections.abc import Iterable, Sequence


class InputError(ValueError):
    """Bad input. The message names the value, the rule it breaks and the remedy.

    The command line prints it alone on standard error and exits with code 2.
    """


def suggestion(wrong: object, allowed: Sequence[object]) -> str:
    """What there is to choose from, and the nearest to what was given."""
    names = [str(name) for name in allowed]
    return f" (there is {', '.join(names)}){nearest(str(wrong), names)}"


def nearest(wrong: str, allowed: Iterable[str], most: int = 1) -> str:
    """The `most` nearest to what was given, as a question; empty where nothing is near."""
    near = difflib.get_close_matches(wrong, list(allowed), n=most)
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
