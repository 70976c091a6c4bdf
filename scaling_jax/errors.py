"""The error that bad input raises, with suggestions, and warnings about input."""

import difflib
from collections.abc import Iterable, Mapping, Sequence


class InputError(ValueError):
    """Bad input. The message names the value, the rule that it breaks and the remedy.

    The command line prints the message without a traceback to standard error and exits with code 2.
    """


class InputWarning(UserWarning):
    """Input that can be used, but with a caution. The message names the reason and the remedy.

    The command line prints the message to standard error.
    """


class LeftOutWarning(InputWarning):
    """Runs are left out of a table. The message names them."""


class UncheckedWarning(InputWarning):
    """A file holds nothing by which a change of its content could be noticed."""


def suggestion(wrong: object, allowed: Sequence[object]) -> str:
    """The end of a message about a wrong name: the allowed names and the nearest of them."""
    names = [str(name) for name in allowed]
    return f" (there is {', '.join(names)}){nearest(str(wrong), names)}"


def nearest(wrong: str, allowed: Iterable[str], most: int = 1) -> str:
    """A question that suggests up to `most` allowed names near `wrong`; empty if none is near."""
    near = difflib.get_close_matches(wrong, list(allowed), n=most)
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""


def refuse_with(reason: str, given: Mapping[str, bool]) -> None:
    """Refuse the first given option that has no meaning with the others.

    Raises:
        InputError: an option was given; the message holds the reason.
    """
    for option, is_given in given.items():
        if is_given:
            raise InputError(f"{reason}, so {option} does not apply: leave it out")
