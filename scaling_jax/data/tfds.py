"""Corpora from tensorflow-datasets, read as array_record; TensorFlow is never imported."""

import hashlib
from collections.abc import Iterator
from typing import Any

from scaling_jax.data.corpus import Corpus, split_options
from scaling_jax.errors import InputError


def load(argument: str) -> Corpus:
    """`tfds:NAME[/CONFIG][:VERSION][?data_dir=DIR&split=train&field=text]`.

    `data_dir` may be a bucket (`gs://…`, which needs the package gcsfs). The data must have
    been prepared with `file_format="array_record"`.

    Raises:
        InputError: an unknown dataset, or one that is not prepared in `data_dir`.
    """
    name, options = split_options(argument, {"data_dir": "", "split": "train", "field": "text"})
    source = _source(name, options["data_dir"] or None, options["split"])
    identity = f"{name} {options['split']} {options['field']} {len(source)} {source.data_source!r}"
    key = hashlib.sha256(identity.encode()).hexdigest()
    return Corpus(f"tfds:{argument}", key, lambda: _documents(source, options["field"]))


def _source(name: str, data_dir: str | None, split: str) -> Any:
    import tensorflow_datasets
    import tensorflow_datasets.text  # registers the text datasets, which are found lazily

    try:
        builder = tensorflow_datasets.builder(
            name, data_dir=data_dir, try_gcs=False, file_format="array_record"
        )
    except tensorflow_datasets.core.registered.DatasetNotFoundError as error:
        raise InputError(f"tfds:{name}: no such dataset, nor one prepared in {data_dir}") from error
    if not builder.data_path.exists():
        raise InputError(
            f"tfds:{name} is not prepared in {builder.data_path}: run tfds build {name} "
            "--file_format=array_record, or point data_dir at a place that has it"
        )
    if split.split("[")[0] not in builder.info.splits:
        known = ", ".join(builder.info.splits)
        raise InputError(f"tfds:{name} has no split {split!r}: use one of {known}")
    return builder.as_data_source(split=split)


def _documents(source: Any, field: str) -> Iterator[str]:
    for row in source:
        if field not in row:
            known = ", ".join(row)
            raise InputError(f"the dataset has no field {field!r}: use ?field= with one of {known}")
        value = row[field]
        yield value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
