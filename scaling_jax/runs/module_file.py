"""Where the class of a run's own module is, so that another process can load it."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from etils import epath

from scaling_jax.architectures.own import class_of, own_module
from scaling_jax.architectures.source import file_of
from scaling_jax.config import OwnModule, RunConfig
from scaling_jax.config.strict import from_dict, parsed_json
from scaling_jax.errors import InputError
from scaling_jax.system.files import read_text, write_text_atomically
from scaling_jax.user_modules import load_module, member

MODULE_FILE = "module.json"


@dataclass(frozen=True)
class _Place:
    """The file that defines the class `name`."""

    file: str
    name: str


def record_module(directory: epath.Path, config: RunConfig) -> None:
    """Write into a run's directory where the class of its own module is, if it has one.

    Raises:
        InputError: the class is not loaded.
        OSError: the file cannot be written.
    """
    if config.shape.module is None:
        return
    defined = class_of(config.shape.module)
    place = _Place(str(file_of(defined)), config.shape.module.name)
    text, path = json.dumps(dataclasses.asdict(place)), directory / MODULE_FILE
    # The file moves where the user moves it.
    if not path.exists() or read_text(path) != text:
        write_text_atomically(path, text)


def require_module(directory: epath.Path, config: RunConfig) -> None:
    """Load the class of a run's own module, if it has one that this process has not loaded.

    Raises:
        InputError: the file is missing, does not run, or has changed since the run was planned.
    """
    module = config.shape.module
    if module is None or _is_loaded(module):
        return
    path = directory / MODULE_FILE
    if not path.exists():
        class_of(module)
    place = from_dict(_Place, parsed_json(read_text(path), MODULE_FILE), MODULE_FILE)
    found = own_module(member(load_module(Path(place.file), "architecture"), place.name))
    if found.source != module.source:
        raise InputError(
            f"the own module {place.name} in {place.file} has changed: the run {config.run_id} has "
            f"the source {module.source}, and now it is {found.source}; restore the file, or plan "
            "the study under another name"
        )


def _is_loaded(module: OwnModule) -> bool:
    try:
        class_of(module)
    except InputError:
        return False
    return True
