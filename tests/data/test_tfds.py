import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scaling_jax.data import load_corpus, prepare
from scaling_jax.errors import InputError

N_DOCUMENTS = 300


def text_of(i: int) -> str:
    return f"document {i}, naïve"


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset prepared as array_record, as `tfds build` leaves it."""
    import tensorflow_datasets as tfds

    class LittleText(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self) -> Any:
            features = {"text": tfds.features.Text(), "number": np.int64}
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features)
            )

        def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
            return {"train": self._generate_examples(N_DOCUMENTS)}

        def _generate_examples(self, n: int) -> Iterator[tuple[int, dict[str, Any]]]:
            for i in range(n):
                yield i, {"text": text_of(i), "number": i}

    directory = tmp_path_factory.mktemp("tfds")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        LittleText(data_dir=directory, file_format="array_record").download_and_prepare()
    return directory


def test_documents_are_the_datasets_texts(data_dir: Path) -> None:
    corpus = load_corpus(f"tfds:little_text?data_dir={data_dir}")
    documents = list(corpus.documents())
    assert sorted(documents) == sorted(map(text_of, range(N_DOCUMENTS)))
    assert documents == list(corpus.documents())


def test_a_part_of_a_split_is_another_corpus(data_dir: Path) -> None:
    name = f"tfds:little_text?data_dir={data_dir}"
    whole, part = load_corpus(name), load_corpus(f"{name}&split=train[:10%]")
    assert list(part.documents()) == list(whole.documents())[: N_DOCUMENTS // 10]
    assert part.fingerprint != whole.fingerprint


def test_tensorflow_is_never_imported(data_dir: Path, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from scaling_jax.data import prepare\n"
        "cache = prepare(sys.argv[1], 'bytes', sys.argv[2], progress=False)\n"
        "assert 'tensorflow_datasets' in sys.modules\n"
        "assert 'tensorflow' not in sys.modules\n"
        "print(len(cache.train) + len(cache.held_out))\n"
    )
    name = f"tfds:little_text:1.0.0?data_dir={data_dir}"
    done = subprocess.run(
        [sys.executable, "-c", code, name, str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == sum(len(text_of(i).encode()) + 1 for i in range(N_DOCUMENTS))


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("little_text:9.0.0?", "9.0.0"),
        ("little_text/german?", "german"),
        ("little_text?split=test&", "no split 'test': use one of train"),
        ("little_text?split=train[x&", r"cannot read the split 'train\[x'"),
        ("missing_text?", "no such dataset, nor one prepared in"),
        ("lm1b?", "not prepared in .*--file_format=array_record"),
        ("c4/en?", "not prepared in .*--file_format=array_record"),
        ("not a name?", "not a dataset's name"),
    ],
)
def test_what_is_not_there_is_named(query: str, message: str, data_dir: Path) -> None:
    with pytest.raises(InputError, match=message):
        load_corpus(f"tfds:{query}data_dir={data_dir}")


@pytest.mark.parametrize(
    ("field", "message"), [("body", "no field 'body': .* number, text"), ("number", "is not text")]
)
def test_a_field_without_text_is_named(
    field: str, message: str, data_dir: Path, tmp_path: Path
) -> None:
    name = f"tfds:little_text?data_dir={data_dir}&field={field}"
    with pytest.raises(InputError, match=message):
        prepare(name, "bytes", tmp_path, progress=False)


NO_NETWORK = """
import socket, sys

def refuse(*arguments, **options):
    print("reached for the network", file=sys.stderr)
    raise OSError("no network")

socket.getaddrinfo = socket.socket.connect = refuse

from scaling_jax.data import load_corpus
from scaling_jax.errors import InputError

try:
    load_corpus(sys.argv[1])
except InputError as error:
    print(error)
"""


@pytest.mark.parametrize("name", ["missing_text", "huggingface:missing_text", "lm1b"])
def test_a_missing_dataset_is_told_without_the_network(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", NO_NETWORK, f"tfds:{name}?data_dir={tmp_path}"],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    assert done.stdout.startswith(f"tfds:{name}")
    assert "network" not in done.stderr


def test_a_bucket_without_its_package_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(InputError, match="gcsfs"):
        load_corpus("tfds:lm1b?data_dir=gs://bucket/datasets")


def test_another_file_format_is_told(data_dir: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(data_dir, tmp_path / "data")
    [info] = (tmp_path / "data").rglob("dataset_info.json")
    info.write_text(info.read_text().replace("array_record", "tfrecord"))
    with pytest.raises(InputError, match="array_record"):
        load_corpus(f"tfds:little_text?data_dir={tmp_path / 'data'}")
