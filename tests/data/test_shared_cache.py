"""A cache that hosts share holds the tokens of a cache on one machine, whoever wrote its parts."""

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from etils import epath

from scaling_jax.data import Batches, held_out_windows, prepare, shared_cache, shared_work
from scaling_jax.data.place import place
from scaling_jax.data.registry import load_corpus
from scaling_jax.data.shared_cache import shared_tokens
from scaling_jax.data.streamed import Span, StreamedTokens, byte_ranges
from scaling_jax.data.tokenizer import load_tokenizer
from scaling_jax.errors import InputError
from scaling_jax.system import byte_ranges as byte_ranges_module
from scaling_jax.system.byte_ranges import ByteRanges, Range

MEMORY = 2**20


@pytest.fixture(autouse=True)
def _anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Small parts, and no memory of what an earlier test has opened."""
    monkeypatch.setattr(shared_cache, "PART_SIZE", 4096)
    shared_cache._open.cache_clear()
    byte_ranges.cache_clear()
    yield
    shared_cache._open.cache_clear()
    byte_ranges.cache_clear()


@pytest.fixture
def corpus(tmp_path: Path) -> str:
    rng = np.random.default_rng(0)
    for i, n in enumerate([400, 0, 1, 900]):
        texts = (f"document {i} {j} " + "x" * int(rng.integers(200)) for j in range(n))
        (tmp_path / f"{i}.txt").write_text("\n\n".join(texts))
    return f"text:{tmp_path}"


def written(corpus: str, directory: Path, memory: int = MEMORY) -> Any:
    source = load_corpus(corpus)
    coder = load_tokenizer("bytes").of(source)
    shared_cache._open.cache_clear()
    return shared_tokens(epath.Path(directory), source, coder, 0.05, False, memory)


def content(directory: Path) -> dict[str, bytes]:
    return {str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*.*")}


def check_is_that_of_one_machine(cache: Any, corpus: str, tmp_path: Path) -> None:
    alone = prepare(corpus, "bytes", tmp_path / "alone", progress=False)
    for side in ("train", "held_out"):
        ours, theirs = getattr(cache, side), getattr(alone, side)
        assert len(ours) == len(theirs)
        whole = ours.windows(np.zeros(1, int), len(ours))[0]
        np.testing.assert_array_equal(whole, theirs)
    for name in ("vocab_size", "held_out_bytes", "round_trip", "bytes_per_token"):
        assert getattr(cache, name) == getattr(alone, name)


def test_the_tokens_and_batches_are_those_of_one_machine(corpus: str, tmp_path: Path) -> None:
    cache = written(corpus, tmp_path / "shared")
    assert len(list((tmp_path / "shared").glob("*/*.part"))) > 20
    check_is_that_of_one_machine(cache, corpus, tmp_path)
    alone = prepare(corpus, "bytes", tmp_path / "alone", progress=False)
    ours, theirs = (
        Batches(each.train, 48, 16, seed=3, unique_tokens=48 * 640) for each in (cache, alone)
    )
    rows = np.arange(4, 12)
    for first, count in [(0, 4), (4, 4), (8, 1), (35, 8), (2, 3)]:
        np.testing.assert_array_equal(
            ours.batches(first, count, rows), theirs.batches(first, count, rows)
        )
    np.testing.assert_array_equal(
        held_out_windows(cache, 32, 1024), held_out_windows(alone, 32, 1024)
    )


@pytest.mark.parametrize("n_processes", [2, 3, 7])
def test_several_processes_write_the_parts_that_one_would(
    corpus: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_processes: int
) -> None:
    written(corpus, tmp_path / "one")
    encoded = list[int]()
    whole = shared_cache._encoded
    monkeypatch.setattr(
        shared_cache, "_encoded", lambda *args: (encoded.append(1), whole(*args))[1]
    )
    monkeypatch.setattr(shared_work, "_POLL_SECONDS", 0.01)
    here, together = threading.local(), threading.Barrier(n_processes)
    for module in (shared_work, shared_cache):
        monkeypatch.setattr(module, "process_share", lambda: (here.process, n_processes))

    def work(process: int) -> None:
        here.process = process
        together.wait()
        written(corpus, tmp_path / "many")

    with ThreadPoolExecutor(n_processes) as pool:
        list(pool.map(work, range(n_processes)))
    assert content(tmp_path / "many") == content(tmp_path / "one")
    n_parts = len([name for name in content(tmp_path / "one") if "meta" not in name])
    assert len(encoded) == n_parts  # no part is written twice


def killed_after(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let writing fail after `n` objects, as it does for a process that is killed."""
    write, left = shared_cache.write_bytes_atomically, iter(range(n))

    def some(path: epath.Path, data: bytes) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        write(path, data)

    monkeypatch.setattr(shared_cache, "write_bytes_atomically", some)


def test_what_a_killed_process_has_written_is_kept(corpus: str, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        killed_after(9, patch)
        with pytest.raises(KeyboardInterrupt):
            written(corpus, tmp_path / "shared")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "shared").rglob("*.part")}
    assert len(before) == 9
    assert not list((tmp_path / "shared").glob("meta.json"))
    check_is_that_of_one_machine(written(corpus, tmp_path / "shared"), corpus, tmp_path)
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_one_file_is_tokenized_by_all_processes_even_if_one_of_them_never_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one.txt").write_text("\n\n".join(f"document {i}" for i in range(4000)))
    corpus = f"text:{tmp_path / 'one.txt'}"
    monkeypatch.setattr(shared_work, "_POLL_SECONDS", 0.01)
    monkeypatch.setattr(shared_work, "PATIENCE_SECONDS", 0.05)
    for module in (shared_work, shared_cache):
        monkeypatch.setattr(module, "process_share", lambda: (1, 3))
    check_is_that_of_one_machine(written(corpus, tmp_path / "shared"), corpus, tmp_path)


def test_a_bucket_that_cannot_be_written_is_bad_input(corpus: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write the token cache .*: name a cache"):
        written(corpus, tmp_path / "file" / "below")


def read_whole(cache: Any) -> None:
    for tokens in (cache.train, cache.held_out):
        tokens.windows(np.zeros(1, int), len(tokens))


@pytest.mark.parametrize("damage", ["missing", "short", "meta", "header"])
def test_a_damaged_cache_is_named_with_the_remedy(corpus: str, tmp_path: Path, damage: str) -> None:
    shared = tmp_path / "shared"
    written(corpus, shared)
    part = sorted(shared.glob("*/*.part"))[2]
    if damage == "missing":
        part.unlink()
    elif damage == "short":
        part.write_bytes(part.read_bytes()[:-1000])
    elif damage == "meta":
        (shared / "meta.json").write_text("[]")
    else:
        (shared / "meta.json").unlink()
        part.write_bytes(b"x" + part.read_bytes()[1:])
    with pytest.raises(InputError, match=r"is damaged .*: delete .*, and the text is tokenized"):
        read_whole(written(corpus, shared))


def test_little_memory_is_enough_and_is_not_exceeded(corpus: str, tmp_path: Path) -> None:
    tokens = np.arange(2_000_000, dtype=np.uint32)
    (tmp_path / "a").write_bytes(b"head" + tokens[:1_200_001].tobytes())
    (tmp_path / "b").write_bytes(tokens[1_200_001:].tobytes())
    spans = [Span(str(tmp_path / "a"), 4, 1_200_001), Span(str(tmp_path / "b"), 0, 799_999)]
    streamed = StreamedTokens(spans, "uint32", MEMORY)
    ranges = byte_ranges(MEMORY)
    batches, whole = (Batches(each, 100, 64, seed=0) for each in (streamed, tokens))
    for step in range(0, 60, 4):
        np.testing.assert_array_equal(batches.batches(step, 4), whole.batches(step, 4))
        assert ranges._size <= 3 * MEMORY // 4
        assert 0 <= ranges._on_their_way <= MEMORY // 8
    # A window takes one or two blocks, and few of them are requested twice.
    assert ranges.bytes_read <= 2 * 2**14 * 64 * (64 + 16)
    starts = np.array([[0, 1_200_000], [1_999_000, 1_199_500]])
    np.testing.assert_array_equal(
        streamed.windows(starts, 1000), tokens[starts[..., None] + np.arange(1000)]
    )


def test_text_that_fits_into_the_memory_is_read_once(tmp_path: Path) -> None:
    tokens = np.arange(200_000, dtype=np.uint16)
    (tmp_path / "a").write_bytes(tokens.tobytes())
    streamed = StreamedTokens([Span(str(tmp_path / "a"), 0, len(tokens))], "uint16", MEMORY)
    batches = Batches(streamed, 50, 16, seed=0, repeat=True)
    for step in range(0, 1000, 10):
        batches.batches(step, 10)
    assert byte_ranges(MEMORY).bytes_read == tokens.nbytes


class Unreliable:
    """A file system that answers the requests for a range from the third one on, or never."""

    def __init__(self, wrong: Exception, always: bool) -> None:
        self.wrong, self.always, self.requested = wrong, always, Counter[int]()

    def cat_ranges(self, paths: list, begins: list, ends: list, on_error: str) -> list:
        self.requested.update(begins)
        return [
            self.wrong if self.always or self.requested[begin] < 3 else bytes(end - begin)
            for begin, end in zip(begins, ends, strict=True)
        ]


@pytest.mark.parametrize("wrong", [TimeoutError(), ConnectionResetError(), RuntimeError("503")])
def test_requests_that_fail_are_repeated(monkeypatch: pytest.MonkeyPatch, wrong: Exception) -> None:
    import fsspec

    monkeypatch.setattr(byte_ranges_module, "WAITS", (0.0, 0.0, 0.0))
    wanted = [Range("gs://bucket/a", begin, begin + 10) for begin in (0, 50, 100)]
    for always in (False, True):
        files = Unreliable(wrong, always)
        monkeypatch.setattr(fsspec.core, "url_to_fs", lambda path, files=files: (files, path))
        ranges = ByteRanges(1000, 100)
        ranges.read_ahead(wanted[:2])
        if always:
            with pytest.raises(OSError, match=f"cannot read gs://bucket/a: {type(wrong).__name__}"):
                ranges.read(wanted)
            # What is read ahead may still be on its way when the last range has failed.
            ranges._threads.shutdown()
            assert ranges._on_their_way == 0
        else:
            assert set(ranges.read(wanted).values()) == {bytes(10)}


@pytest.mark.parametrize("memory", ["1e5", "-1", "nan", "inf", "much"])
def test_memory_of_a_place_is_checked(memory: str) -> None:
    with pytest.raises(InputError, match="must be a number of bytes of at least 1,048,576"):
        place(f"gs://bucket/tokens?memory={memory}")


def test_a_place_is_a_directory_or_a_bucket(tmp_path: Path) -> None:
    assert place("gs://bucket/tokens/?memory=2e6").directory == epath.Path("gs://bucket/tokens")
    assert place("gs://bucket/tokens").is_shared
    assert not place(tmp_path).is_shared
    with pytest.raises(InputError, match="memory has no effect in /tokens"):
        place("/tokens?memory=2e6")
    with pytest.raises(InputError, match="unknown option 'disk'"):
        place("gs://bucket/tokens?disk=2e6")
    with pytest.raises(InputError, match="ftp:// paths are not supported"):
        place("ftp://bucket/tokens")
