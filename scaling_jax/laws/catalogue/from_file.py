"""Laws from a user's Python file, and back to the file from a stored fit."""

import dataclasses
import inspect
from pathlib import Path

from scaling_jax.errors import InputError
from scaling_jax.laws.catalogue.from_function import law_from_function
from scaling_jax.laws.catalogue.function import FunctionLaw
from scaling_jax.laws.catalogue.law import Law, Origin
from scaling_jax.user_modules import digest, load_module, member, shielded


def law_in_file(path: Path, name: str) -> Law:
    """The function or law called `name` in the Python file at `path`.

    Raises:
        InputError: no such file or name, a file that does not run, or an object that is no law.
    """
    found = member(load_module(path, "law"), name)
    origin = Origin(path.absolute(), name, digest(path))
    if isinstance(found, Law):
        if isinstance(found, FunctionLaw):
            found = dataclasses.replace(found, function=shielded(found.function))
        return dataclasses.replace(found, origin=origin)
    if not callable(found) or inspect.isclass(found):
        raise InputError(
            f"{path}:{name} is of type {type(found).__name__}: name a function of columns and "
            "constants, or a laws.FunctionLaw"
        )
    law = law_from_function(shielded(found))
    return dataclasses.replace(law, name=f"{path.name}:{name}", origin=origin)


def law_at(origin: Origin) -> Law:
    """The law that a fit was made with, read again from its file.

    Raises:
        InputError: the file is gone or has changed since the fit.
    """
    where = f"the law of this fit, {origin.name!r} in {origin.file},"
    if not origin.file.is_file():
        raise InputError(
            f"{where} cannot be read because the file is gone: put it back, or fit again"
        )
    if digest(origin.file) != origin.sha256:
        raise InputError(
            f"{where} may differ now because the file has changed since the fit: restore the file, "
            "or fit again"
        )
    return law_in_file(origin.file, origin.name)
