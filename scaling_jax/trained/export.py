"""Export of a model in the files of Hugging Face's transformers, tokenizer included.

A directory gets `config.json`, `model.safetensors` in float32 and the tokenizer:

- `bytes`, and the `tokenizer.json` of `hf:PATH`: `tokenizer.json` and `tokenizer_config.json`,
  which `transformers.AutoTokenizer` reads; nothing for `tokens`.
- `sentencepiece:PATH`, `trained:VOCAB_SIZE:CORPUS`: `sentencepiece.model`, which the package
  sentencepiece reads. It is not converted, because a converted one may have other token ids.

`transformers.AutoModelForCausalLM.from_pretrained(DIR)` then has the logits of the model.
"""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scaling_jax import data
from scaling_jax.config import RunConfig
from scaling_jax.data.trained_tokenizer import trained_model_file
from scaling_jax.errors import InputError
from scaling_jax.trained.layouts import layout_of

CONFIG, WEIGHTS = "config.json", "model.safetensors"


def export_model(
    config: RunConfig, params: Mapping[str, Any], directory: os.PathLike | str
) -> Path:
    """Write a model and its tokenizer into `directory`, and return its path.

    Raises:
        InputError: a shape that has no layout, a missing tokenizer or package, a directory with
            other files, or one that cannot be written.
    """
    path = Path(directory)
    if path.is_file() or (path.is_dir() and any(path.iterdir())):
        raise InputError(f"{path} is a file or not empty: give a new directory")
    save_file = _safetensors().save_file
    fields, tensors = layout_of(config, params)
    tokenizer = data.load_tokenizer(config.data.tokenizer)
    fields |= {
        "bos_token_id": tokenizer.separator,
        "eos_token_id": tokenizer.separator,
        "dtype": "float32",
        "torch_dtype": "float32",
    }
    try:
        path.mkdir(parents=True, exist_ok=True)
        _write_tokenizer(tokenizer, path)
        save_file(tensors, path / WEIGHTS, metadata={"format": "pt"})
        # The configuration is written last, so that an incomplete directory cannot be loaded.
        (path / CONFIG).write_text(json.dumps(fields, indent=2) + "\n")
    except OSError as error:
        raise InputError(
            f"cannot write to {path} ({error.strerror or error}): choose another directory"
        ) from error
    return path


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise InputError(
            "export needs the package safetensors, which is not installed: "
            "pip install 'scaling_jax[export]'"
        ) from error
    return safetensors.numpy


def _write_tokenizer(tokenizer: data.Tokenizer, path: Path) -> None:
    if not tokenizer.is_of_text:
        return
    kind, _, source = tokenizer.name.partition(":")
    if kind in ("sentencepiece", "trained"):
        model = trained_model_file(source) if kind == "trained" else Path(source).expanduser()
        shutil.copyfile(model, path / "sentencepiece.model")
        return
    if kind == "hf":
        shutil.copyfile(Path(source).expanduser(), path / "tokenizer.json")
    else:
        _bytes_tokenizer().save(str(path / "tokenizer.json"))
    described = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
    }
    (path / "tokenizer_config.json").write_text(json.dumps(described, indent=2) + "\n")


def _bytes_tokenizer() -> Any:
    """The tokenizer `bytes`: byte-level byte-pair encoding without merges, ids equal to bytes."""
    import tokenizers

    letters = _letters_of_bytes()
    vocab = {letter: byte for byte, letter in enumerate(letters)}
    made = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocab, merges=[]))
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    return made


def _letters_of_bytes() -> list[str]:
    """The printable character by which byte-level tokenizers write each byte, as GPT-2 has them."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte if byte in printable else 256 + others.index(byte)) for byte in range(256)]
