import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from scaling_jax.data import cache as cache_module
from scaling_jax.data import local_cache, prepare
from scaling_jax.data.corpus import Corpus
from scaling_jax.errors import InputError


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "numbers.txt"
    path.write_text("\n\n".join(f"document {i % 700}" for i in range(2000)))
    return path


def documents_in(tokens: np.ndarray) -> list[str]:
    return bytes(tokens.astype(np.uint8)).decode().splitlines()


def snapshot(directory: Path) -> dict[str, tuple[int, int]]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_ino) for path in files}


def refuse_to_tokenize(*_: object) -> dict:
    raise AssertionError("tokenized again")


def test_every_document_is_on_one_side_and_equal_ones_on_the_same(
    text: Path, tmp_path: Path
) -> None:
    cache = prepare(f"text:{text}", "bytes", tmp_path, held_out_fraction=0.2, progress=False)
    train, held_out = documents_in(cache.train), documents_in(cache.held_out)
    assert sorted(train + held_out) == sorted(f"document {i % 700}" for i in range(2000))
    assert set(train).isdisjoint(held_out)
    # 700 distinct documents, of which a fifth is expected: four standard deviations are 42.
    assert abs(len(set(held_out)) - 140) < 42


def test_both_sides_keep_the_order_of_the_documents(text: Path, tmp_path: Path) -> None:
    cache = prepare(f"text:{text}", "bytes", tmp_path, progress=False)
    held_out = set(documents_in(cache.held_out))
    expected = [d for d in (f"document {i % 700}" for i in range(2000)) if d not in held_out]
    assert documents_in(cache.train) == expected


def test_bytes_per_token_are_those_of_the_held_out_text(text: Path, tmp_path: Path) -> None:
    text.write_text(text.read_text().replace("document", "dökument"))
    cache = prepare(f"text:{text}", "bytes", tmp_path, progress=False)
    assert cache.bytes_per_token == 1
    assert cache.held_out_bytes == len(bytes(cache.held_out.astype(np.uint8)))
    assert cache.vocab_size == 256


def test_a_second_call_tokenizes_nothing(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepare(f"text:{text}", "bytes", tmp_path / "cache", progress=False)
    before = snapshot(tmp_path / "cache")
    monkeypatch.setattr(local_cache, "_write_tokens", refuse_to_tokenize)
    second = prepare(f"text:{text}", "bytes", tmp_path / "cache", progress=False)
    assert snapshot(tmp_path / "cache") == before
    assert second.fingerprint == first.fingerprint
    np.testing.assert_array_equal(second.train, first.train)


def test_the_cache_is_keyed_by_corpus_tokenizer_and_split(text: Path, tmp_path: Path) -> None:
    from scaling_jax.data import load_corpus, train_sentencepiece

    model = tmp_path / "model"
    train_sentencepiece(load_corpus(f"text:{text}"), 290, model)
    keys = {
        prepare(f"text:{text}", "bytes", tmp_path / "c", progress=False).fingerprint,
        prepare(
            f"text:{text}", "bytes", tmp_path / "c", held_out_fraction=0.1, progress=False
        ).fingerprint,
        prepare(
            f"text:{text}", f"sentencepiece:{model}", tmp_path / "c", progress=False
        ).fingerprint,
    }
    # A changed text under the same name, then the same text under another name.
    text.write_text(text.read_text() + "\n\nanother document")
    changed = prepare(f"text:{text}", "bytes", tmp_path / "c", progress=False)
    assert len(keys | {changed.fingerprint}) == 4
    assert "another document" in documents_in(changed.train) + documents_in(changed.held_out)
    moved = text.rename(tmp_path / "moved.txt")
    again = prepare(f"text:{moved}", "bytes", tmp_path / "c", progress=False)
    assert again.fingerprint == changed.fingerprint


@pytest.mark.parametrize(("vocab_size", "dtype"), [(65_536, np.uint16), (65_537, np.uint32)])
def test_the_largest_id_survives(vocab_size: int, dtype: type, tmp_path: Path) -> None:
    from scaling_jax.data.tokenizer import Tokenizer

    corpus = Corpus("c", "c", lambda: iter(f"document {i}" for i in range(200)))
    coder = Tokenizer("t", "t", vocab_size, 0, lambda text: [vocab_size - 1], lambda ids: "")
    meta = local_cache._write_tokens(tmp_path, corpus, coder, 0.1, False)
    assert np.dtype(meta["dtype"]) == dtype
    train = np.fromfile(tmp_path / "train.bin", dtype)
    np.testing.assert_array_equal(train, np.tile([vocab_size - 1, 0], len(train) // 2))


KILLED = """
import sys, time
from scaling_jax.data import cache, corpus
from scaling_jax.data.corpus import Corpus

def slow():
    for i in range(100_000):
        if i == 60_000:
            print("half-way", flush=True)
            time.sleep(600)
        yield f"document {i}"

cache.load_corpus = lambda name, *_: Corpus(name, "fingerprint", slow)
cache.prepare("slow", "bytes", sys.argv[1], progress=False)
"""


def quick() -> Iterator[str]:
    return (f"document {i}" for i in range(100_000))


def test_a_killed_preparation_is_neither_read_nor_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half-way\n"
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    [abandoned] = [path for path in tmp_path.iterdir() if path.is_dir()]
    assert (abandoned / "train.bin").stat().st_size > 100_000

    monkeypatch.setattr(
        cache_module, "load_corpus", lambda name, *_: Corpus(name, "fingerprint", quick)
    )
    cache = prepare("slow", "bytes", tmp_path, progress=False)
    assert sorted(documents_in(cache.train) + documents_in(cache.held_out)) == sorted(quick())
    assert not abandoned.exists()
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [cache.fingerprint]


def test_an_error_half_way_leaves_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Iterator[str]:
        yield "a document"
        raise InputError("the second document is broken")

    monkeypatch.setattr(cache_module, "load_corpus", lambda name, *_: Corpus(name, "f", broken))
    with pytest.raises(InputError, match="second document"):
        prepare("broken", "bytes", tmp_path, progress=False)
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []


AT_ONCE = """
import sys
from scaling_jax.data import cache
from scaling_jax.data.corpus import Corpus

def documents():
    with open(sys.argv[2], "a") as file:
        file.write("tokenized\\n")
    return (f"document {i}" for i in range(50_000))

cache.load_corpus = lambda name, *_: Corpus(name, "fingerprint", documents)
print(len(cache.prepare("c", "bytes", sys.argv[1], progress=False).train))
"""


def test_processes_that_start_together_tokenize_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", AT_ONCE, str(tmp_path / "cache"), str(tmp_path / "log")]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    printed = {process.communicate()[0] for process in processes}
    assert {process.returncode for process in processes} == {0}
    assert len(printed) == 1
    assert (tmp_path / "log").read_text() == "tokenized\n"


def test_a_cache_directory_that_cannot_be_written_is_bad_input(text: Path, tmp_path: Path) -> None:
    # A file in the directory's place stops even a superuser.
    (tmp_path / "file").write_text("")
    for directory in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match=r"cannot write the token cache.*SCALING_JAX_CACHE"):
            prepare(f"text:{text}", "bytes", directory, progress=False)


def test_a_text_too_short_to_split_is_refused(tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("one document alone")
    with pytest.raises(InputError, match=r"too short: .* use more documents"):
        prepare(f"text:{tmp_path / 'short.txt'}", "bytes", tmp_path / "cache", progress=False)


def test_a_whole_corpus_can_be_held_out(text: Path, tmp_path: Path) -> None:
    whole = prepare(f"text:{text}", "bytes", tmp_path, held_out_fraction=1, progress=False)
    split = prepare(f"text:{text}", "bytes", tmp_path, progress=False)
    assert len(whole.train) == 0
    assert len(whole.held_out) == len(split.train) + len(split.held_out)
    again = prepare(f"text:{text}", "bytes", tmp_path, held_out_fraction=1, progress=False)
    np.testing.assert_array_equal(again.held_out, whole.held_out)


@pytest.mark.parametrize("fraction", [0, 1.5, -0.5, float("nan")])
def test_an_impossible_split_is_refused(text: Path, tmp_path: Path, fraction: float) -> None:
    with pytest.raises(InputError, match="held_out_fraction"):
        prepare(f"text:{text}", "bytes", tmp_path, held_out_fraction=fraction)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("meta.json", b""),
        ("meta.json", b"[]"),
        ("meta.json", b"[" * 200_000),
        ("meta.json", b'{"dtype": "object"}'),
        ("meta.json", None),
        ("round_trip.json", b"[]"),
        ("round_trip.json", b'{"documents": "many"}'),
        ("train.bin", b"abc"),
        ("held_out.bin", None),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_damaged_cache_is_named_with_the_remedy(
    text: Path, tmp_path: Path, name: str, content: bytes | None
) -> None:
    prepare(f"text:{text}", "bytes", tmp_path / "cache", progress=False)
    (path,) = (tmp_path / "cache").glob(f"*/{name}")
    path.unlink()
    path.write_bytes(content) if content is not None else path.mkdir()
    with pytest.raises(InputError, match=rf"{name} is damaged .*: delete {path.parent}, and"):
        prepare(f"text:{text}", "bytes", tmp_path / "cache", progress=False)
