"""Texts of the form NAME=VALUE, as mappings."""

import ast
from collections.abc import Sequence
from typing import Any

from scaling_jax.errors import InputError


def pairs(option: str, texts: tuple[str, ...]) -> dict[str, float]:
    """A mapping from name to number, from texts of the form NAME=NUMBER.

    Raises:
        InputError: a text of another form.
    """
    given = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            given[name] = float(value)
        except ValueError as error:
            raise InputError(f"{option} {text}: write NAME=NUMBER, such as E=1.69") from error
    return given


def centred(option: str, texts: Sequence[str]) -> dict[str, tuple[float, float]]:
    """A mapping from name to centre and deviation, from texts NAME=CENTRE:DEVIATION.

    Raises:
        InputError: a text of another form.
    """
    given = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            centre, deviation = map(float, value.split(":"))
        except ValueError as error:
            raise InputError(
                f"{option} {text}: write NAME=CENTRE:DEVIATION, as E=1.6:0.1"
            ) from error
        given[name] = (centre, deviation)
    return given


def names(option: str, text: str | None) -> dict[str, str]:
    """A mapping from our names to others', from text of the form OURS=THEIRS,OURS=THEIRS.

    Raises:
        InputError: text of another form.
    """
    given = {}
    for pair in text.split(",") if text else ():
        ours, equals, theirs = pair.partition("=")
        if not (ours.strip() and equals and theirs.strip()):
            raise InputError(f"{option} {text}: write OURS=THEIRS, such as params=n_params")
        given[ours.strip()] = theirs.strip()
    return given


def values(option: str, texts: tuple[str, ...]) -> dict[str, Any]:
    """A mapping from name to value, from texts NAME=VALUE; values are Python literals or text.

    Raises:
        InputError: a text of another form.
    """
    given: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise InputError(f"{option} {text}: write NAME=VALUE, such as cpus_per_task=2")
        try:
            given[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            given[name] = value
    return given
