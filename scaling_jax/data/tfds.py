"""Corpora from tensorflow-datasets, read as array_record; TensorFlow is never imported."""

import hashlib
import re
from collections.abc import Iterator
from typing import Any

from scaling_jax.data.corpus import Corpus, split_options
from scaling_jax.errors import InputError

_NAME = re.compile(r"\w+(/[\w.-]+)?(:[\d.*]+)?")


def load(argument: str) -> Corpus:
    """`tfds:NAME[/CONFIG][:VERSION][?data_dir=DIR&split=train&field=text]`.

    `data_dir` may be a bucket (`gs://…`, which needs the package gcsfs). The data must have
    been prepared with `file_format="array_record"`.

    Raises:
        InputError: an unknown dataset, configuration, version or split, or a dataset that is
            not prepared as array_record in `data_dir`.
    """
    name, options = split_options(argument, {"data_dir": "", "split": "train", "field": "text"})
    source = _source(name, options["data_dir"] or None, options["split"])
    identity = f"{name} {options['split']} {options['field']} {len(source)} {source.data_source!r}"
    key = hashlib.sha256(identity.encode()).hexdigest()
    return Corpus(f"tfds:{argument}", key, lambda: _documents(source, name, options["field"]))


def _source(name: str, data_dir: str | None, split: str) -> Any:
    builder = _builder(name, data_dir)
    if not builder.data_path.exists():
        raise InputError(
            f"tfds:{name} is not prepared in {builder.data_path}: run tfds build {name} "
            "--file_format=array_record, or set data_dir to the directory that holds it"
        )
    if split.split("[")[0] not in builder.info.splits:
        known = ", ".join(builder.info.splits)
        raise InputError(f"tfds:{name} has no split {split!r}: use one of {known}")
    try:
        return builder.as_data_source(split=split)
    except NotImplementedError as error:
        raise InputError(
            f"tfds:{name} in {builder.data_path} is not array_record: prepare it with "
            f"tfds build {name} --file_format=array_record"
        ) from error
    except ValueError as error:
        raise InputError(f"tfds:{name} cannot read the split {split!r} ({error})") from error


def _builder(name: str, data_dir: str | None) -> Any:
    # tensorflow-datasets looks up other names as community collections over the network, and
    # without a network it tries for minutes.
    if not _NAME.fullmatch(name):
        raise InputError(f"tfds:{name} is not a dataset's name: write NAME[/CONFIG][:VERSION]")
    import tensorflow_datasets
    import tensorflow_datasets.text  # registers the text datasets, which are found lazily

    try:
        return tensorflow_datasets.builder(
            name, data_dir=data_dir, try_gcs=False, file_format="array_record"
        )
    except tensorflow_datasets.core.registered.DatasetNotFoundError as error:
        place = data_dir or "the default data_dir"
        raise InputError(f"tfds:{name}: no such dataset, nor one prepared in {place}") from error
    except (AssertionError, ImportError, ValueError) as error:
        # An unknown version or configuration, or a bucket whose package is not installed.
        raise InputError(f"tfds:{name} cannot be opened ({error})") from error


def _documents(source: Any, name: str, field: str) -> Iterator[str]:
    for row in source:
        if field not in row:
            known = ", ".join(row)
            raise InputError(f"tfds:{name} has no field {field!r}: use ?field= with one of {known}")
        value = row[field]
        if not isinstance(value, bytes | str):
            raise InputError(f"the field {field!r} of tfds:{name} is not text: use another ?field=")
        yield value.decode("utf-8", "replace") if isinstance(value, bytes) else value
