"""The tensors of a model in files of safetensors, with every tensor accounted for."""

from pathlib import Path
from typing import Any

import numpy as np

from scaling_jax.config.strict import parsed_json
from scaling_jax.errors import InputError
from scaling_jax.trained.export import CONFIG

_WEIGHTS = "model.safetensors"
# Tensors that hold constants of the layout: causal masks and rotary frequencies.
_CONSTANT = (".attn.bias", ".attn.masked_bias", ".rotary_emb.inv_freq")


class Tensors:
    """The tensors of a directory, in float64, each of which must be used or be zero."""

    def __init__(self, path: Path) -> None:
        try:
            from safetensors.flax import load_file
        except ImportError as error:
            raise InputError(
                "import needs the package safetensors, which is not installed: "
                "pip install 'scaling_jax[export]'"
            ) from error
        self._path, self._rest = path, dict[str, Any]()
        for file in _files_of(path):
            try:
                self._rest |= load_file(file)
            except Exception as error:  # the library raises the bare class
                raise InputError(f"{file} is damaged ({error}): download it again") from error
        # GPT-2 was published without the first word of its names.
        if "wte.weight" in self._rest:
            self._rest = {f"transformer.{name}": each for name, each in self._rest.items()}

    def take(self, name: str, *shape: int) -> np.ndarray:
        """The tensor `name`, which must have `shape`."""
        if name not in self._rest:
            raise InputError(f"the weights in {self._path} lack {name!r}: download them again")
        found = np.asarray(self._rest.pop(name), np.float64)
        if found.shape != shape:
            raise InputError(
                f"{name!r} in {self._path} has the shape {found.shape}, not {shape}, which "
                f"{CONFIG} gives: restore the files of one model"
            )
        return found

    def drop(self, name: str, value: float | np.ndarray) -> bool:
        """Whether the tensor `name` is absent or has this value; if so, it counts as used."""
        if name in self._rest and not np.all(np.asarray(self._rest[name], np.float64) == value):
            return False
        self._rest.pop(name, None)
        return True

    def refuse_rest(self) -> None:
        """Refuse the first tensor that was not used and is not zero."""
        for name, tensor in sorted(self._rest.items()):
            if not name.endswith(_CONSTANT) and np.any(np.asarray(tensor, np.float64) != 0):
                raise InputError(
                    f"the model in {self._path} cannot be imported: its tensor {name!r} is not "
                    "zero, and models here have no such part"
                )


def _files_of(path: Path) -> list[Path]:
    """The files of a model's weights: those that its index lists, if it is divided into several."""
    index, whole = path / f"{_WEIGHTS}.index.json", path / _WEIGHTS
    if index.is_file():
        listed = parsed_json(index.read_text(encoding="utf-8"), str(index))
        names = listed.get("weight_map") if isinstance(listed, dict) else None
        if not isinstance(names, dict) or not names:
            raise InputError(f"{index} lists no weights: download it again")
        files = [path / str(name) for name in sorted(set(names.values()))]
        for file in files:
            if not file.is_file():
                raise InputError(f"{file}, which {index.name} lists, is missing: download it")
        return files
    files = [whole] if whole.is_file() else sorted(path.glob("*.safetensors"))
    if not files:
        raise InputError(f"{path} has no *.safetensors: give a directory with the weights")
    return files
