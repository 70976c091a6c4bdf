"""The law that a user means: a name, a law, a plain function, or a function in a file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from scaling_jax.errors import InputError
from scaling_jax.laws.catalogue import CHINCHILLA, law_named
from scaling_jax.laws.catalogue.from_function import law_from_function
from scaling_jax.laws.catalogue.law import Law

LawLike = str | Law | Callable[..., Any]

# The average of forms by the evidence of the rows, where a law is named.
AUTO = "auto"

_NAMED_FILE = ".py:"


def find_law(law: LawLike) -> Law:
    """The law that `law` stands for.

    >>> from scaling_jax.laws import find_law
    >>> find_law("kaplan").names
    ('A', 'B', 'rho', 'beta', 'alpha_D')

    Args:
        law: a name in `LAWS`; `FILE.py:NAME`, a function or law in a file; a `Law`; or a
            function as `law_from_function` takes it.

    Raises:
        InputError: an unknown name, a file that does not run, or a function that is no law.
    """
    if isinstance(law, Law):
        return law
    if not isinstance(law, str):
        return law_from_function(law)
    if _NAMED_FILE in law:
        from scaling_jax.laws.catalogue.from_file import law_in_file

        path, _, name = law.rpartition(":")
        return law_in_file(Path(path), name)
    if law.endswith(".py"):
        raise InputError(f"{law} is a file: name the law in it, as in {law}:NAME")
    return law_named(law)


def law_or_default(law: LawLike | None) -> Law:
    """The law whose columns a table must have: chinchilla for None and for `auto`, which choose.

    >>> law_or_default("auto").name
    'chinchilla'

    Raises:
        InputError: as `find_law`.
    """
    return CHINCHILLA if law is None or law == AUTO else find_law(law)
