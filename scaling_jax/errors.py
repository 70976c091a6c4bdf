"""The one error a user can cause: bad input, reported as a single clear message."""

import difflib
from collections.abc import Sequence


class InputError(ValueError):
    """Bad input. The message names the value, the rule it breaks and the remedy.

    The command line prints it alone on standard error and exits with code 2.
    """


def suggestion(wrong: object, allowed: Sequence[object]) -> str:
    """What there is to choose from, and the nearest to what was given."""
    names = [str(name) for name in allowed]
    near = difflib.get_close_matches(str(wrong), names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f" (there is {', '.join(names)}){hint}"
