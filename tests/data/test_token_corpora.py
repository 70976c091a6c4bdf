"""Corpora whose documents are tokens: arrays, images, sound; and which tokenizers read them."""

import sys
from pathlib import Path

import numpy as np
import pytest

from scaling_jax.config import DataConfig, EvalSet
from scaling_jax.data import (
    Corpus,
    load_corpus,
    load_tokenizer,
    prepare,
    shared_documents,
    train_sentencepiece,
)
from scaling_jax.data.registry import CORPORA
from scaling_jax.data.sound import mu_law
from scaling_jax.errors import InputError
from scaling_jax.shapes import Family
from scaling_jax.study import ConstantBatch, ConstantLR, FixedModels, Recipe, Study, check_study
from scaling_jax.study.plan.text_needs import check_text


def tokens_of(name: str) -> list[list[int]]:
    return [np.asarray(document).tolist() for document in load_corpus(name).documents()]


def saved(path: Path, array: object) -> str:
    np.save(path, array)
    return f"array:{path}"


def test_rows_of_an_array_are_documents_kept_as_they_are(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).integers(0, 300, size=(400, 50)).astype(np.int64)
    name = saved(tmp_path / "rows.npy", rows)
    cache = prepare(name, "tokens", tmp_path / "cache", progress=False)
    assert cache.vocab_size == 1 + rows.max()
    assert cache.bytes_per_token is None
    sides = [np.asarray(side).reshape(-1, 50).tolist() for side in (cache.train, cache.held_out)]
    assert sorted(sides[0] + sides[1]) == sorted(rows.tolist())
    assert 5 < len(sides[1]) < 50


def test_a_separator_ends_rows_and_divides_a_stream(tmp_path: Path) -> None:
    rows = saved(tmp_path / "rows.npy", np.array([[1, 2], [3, 4]], np.uint8))
    assert tokens_of(rows) == [[1, 2], [3, 4]]
    assert tokens_of(f"{rows}?separator=9") == [[1, 2, 9], [3, 4, 9]]
    assert load_corpus(f"{rows}?separator=9").vocab_size == 10
    stream = saved(tmp_path / "stream.npy", np.array([5, 0, 6, 7, 0, 8]))
    assert tokens_of(f"{stream}?separator=0") == [[5, 0], [6, 7, 0], [8]]
    assert tokens_of(stream) == [[5, 0, 6, 7, 0, 8]]
    long = saved(tmp_path / "long.npy", np.arange(5000))
    assert [len(document) for document in tokens_of(long)] == [2048, 2048, 904]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([1.0, 2.0]), "float64, but tokens are whole numbers"),
        (np.array([True, False]), "bool, but tokens are whole numbers"),
        (np.array([3, -1]), "the token -1: tokens must be 0 or more"),
        (np.array([3, 2**31]), "the token 2147483648: tokens must be below"),
        (np.zeros((2, 2, 2), int), "has 3 dimensions"),
        (np.zeros(0, int), "is empty|no array"),
        (np.zeros((4, 0), int), "is empty|no array"),
        (np.array([{}]), "is no array of tokens"),
    ],
)
def test_arrays_that_hold_no_tokens_are_refused(
    tmp_path: Path, array: np.ndarray, message: str
) -> None:
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(InputError, match=message):
        load_corpus(f"array:{tmp_path}/a.npy")


def test_files_and_options_that_are_wrong_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.npy").write_text("not an array")
    np.savez(tmp_path / "several.npz", a=np.arange(3))
    name = saved(tmp_path / "a.npy", np.arange(3))
    for argument, message in (
        (f"array:{tmp_path}/missing.npy", "cannot read"),
        (f"array:{tmp_path}/text.npy", "no array of tokens"),
        (f"array:{tmp_path}/several.npz", "several arrays"),
        (f"{name}?separator=-1", "must be a token id"),
    ):
        with pytest.raises(InputError, match=message):
            load_corpus(argument)


def study_of(corpus: str, vocab_size: int, tokenizer: str = "tokens", *sets: EvalSet) -> Study:
    recipe = Recipe(
        data=DataConfig(corpus, tokenizer),
        family=Family(vocab_size=vocab_size, seq_len=16),
        peak_lr=ConstantLR(1e-2),
        batch_size=ConstantBatch(8),
        eval_tokens=64,
        evals=sets,
    )
    return Study("tokens", recipe, FixedModels(params=(5e3,), tokens_per_param=(0.5,)))


def test_tokens_beyond_the_vocabulary_are_refused_before_training(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).integers(0, 20, size=(400, 50))
    name = saved(tmp_path / "a.npy", rows)
    rows[3, 4] = 40
    wider = saved(tmp_path / "wider.npy", rows)
    (problem,) = check_text([study_of(wider, 30).plan()[0].config], tmp_path / "cache").problems
    assert "token ids up to 40, but the shape's vocab_size is 30" in problem
    further = study_of(name, 30, "tokens", EvalSet("wider", wider))
    with pytest.raises(InputError, match=r"evaluation set 'wider'.* token ids up to 40"):
        check_study(further, tmp_path / "root")
    assert not (tmp_path / "root").exists()


def test_text_and_tokens_have_tokenizers_of_their_own(tmp_path: Path) -> None:
    name = saved(tmp_path / "a.npy", np.arange(9))
    with pytest.raises(InputError, match="is tokens, not text: use the tokenizer 'tokens'"):
        prepare(name, "bytes", tmp_path)
    with pytest.raises(InputError, match="is text, not tokens: use another tokenizer"):
        prepare("synthetic:markov", "tokens", tmp_path)
    with pytest.raises(InputError, match="synthetic:markov is text and the rest is tokens"):
        load_corpus(f"mixture:{name}*1,synthetic:markov*1")
    with pytest.raises(InputError, match="is tokens, not text: name a text"):
        train_sentencepiece(load_corpus(name), 300, tmp_path / "model")


def test_ids_are_the_text_of_tokens() -> None:
    tokenizer = load_tokenizer("tokens")
    assert tokenizer.decode([3, 1, 4]) == "3 1 4"
    assert tokenizer.encode("3 1 4") == [3, 1, 4]
    for text in ("3 a", "-1", str(2**31)):
        with pytest.raises(InputError, match="is no token id below"):
            tokenizer.encode(text)


def test_mixtures_of_tokens_have_shares_of_the_tokens(tmp_path: Path) -> None:
    a = saved(tmp_path / "a.npy", np.zeros((300, 10), int))
    b = saved(tmp_path / "b.npy", np.full((300, 30), 6))
    mixed = load_corpus(f"mixture:{a}*1,{b}*1")
    assert mixed.vocab_size == 7
    counts = np.bincount(np.concatenate([np.asarray(d) for d in mixed.documents()]))
    assert counts[0] / counts.sum() == pytest.approx(0.5, abs=0.01)


def test_equal_documents_are_found_whatever_their_number_format(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).integers(0, 20, size=(100, 50))
    one, other = (saved(tmp_path / f"{t}.npy", rows.astype(t)) for t in ("uint8", "int64"))
    n = shared_documents(one, other, tmp_path)
    cache = prepare(one, "tokens", tmp_path, progress=False)
    assert n == len(cache.train) // 50


def test_digits_are_their_pixels_in_raster_order() -> None:
    digits = pytest.importorskip("sklearn.datasets").load_digits()
    exact = tokens_of("images:digits?levels=17")
    assert len(exact) == 1797
    assert exact[5] == [*digits.data[5].astype(int), 17]
    coarse = tokens_of("images:digits")
    assert coarse[5] == [*(digits.data[5].astype(int) * 16 // 17), 16]
    assert load_corpus("images:digits").vocab_size == 17


def test_a_folder_of_images_is_cut_to_squares_and_reduced(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    grey = np.zeros((8, 12), np.uint8)  # the central square is columns 2 to 9
    grey[:4, 2:6], grey[4:, 6:10], grey[:, 10:] = 255, 100, 77
    (tmp_path / "sub").mkdir()
    image.fromarray(grey).save(tmp_path / "sub" / "b.png")
    image.fromarray(np.full((4, 4, 3), 255, np.uint8)).save(tmp_path / "a.bmp")
    (tmp_path / "notes.txt").write_text("no image")
    name = f"images:{tmp_path}?size=2&levels=16"
    assert tokens_of(name) == [[15] * 4 + [16], [15, 0, 0, 100 * 16 // 256, 16]]
    (tmp_path / "c.png").write_text("no image")
    with pytest.raises(InputError, match=r"c\.png is no image"):
        tokens_of(name)


def test_images_that_cannot_be_had_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for argument, message in (
        (f"{tmp_path}", "no folder with images"),
        ("shapes?size=2", "size '2' must be a whole number of at least 4"),
        ("digits?size=8", "unknown option 'size'"),
    ):
        with pytest.raises(InputError, match=message):
            load_corpus(f"images:{argument}")
    for package, argument in (("sklearn.datasets", "digits"), ("PIL", f"{tmp_path}")):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(InputError, match=r"pip install 'scaling_jax\[images\]'"):
            load_corpus(f"images:{argument}")


def samples_of(token_N: np.ndarray) -> np.ndarray:
    """The samples in [-1, 1] for which mu-law tokens stand."""
    bent_N = 2 * np.asarray(token_N) / 255 - 1
    return np.sign(bent_N) * np.expm1(np.abs(bent_N) * np.log1p(255)) / 255


def test_mu_law_is_undone_and_finer_near_zero() -> None:
    tokens = np.arange(256)
    samples = samples_of(tokens)
    assert mu_law(samples).tolist() == tokens.tolist()
    assert samples[[0, -1]] == pytest.approx([-1, 1])
    # By the formula: sign(x) ln(1 + 255 |x|) / ln 256, from 0 to 255.
    assert mu_law(np.array([0.01, -0.1, 2.0])).tolist() == [157, 52, 255]
    steps = np.diff(samples)
    assert steps[128] < steps[200] / 10 < steps[254] / 40


def test_sound_has_the_pitches_of_its_scale() -> None:
    (second, *_) = load_corpus("sound:notes?seconds=1&seed=3").documents()
    assert len(second) == 4000
    spectrum = np.abs(np.fft.rfft(samples_of(np.asarray(second)) * np.hanning(4000)))
    strongest = np.argmax(spectrum)  # hertz, as the document is one second
    semitones = 12 * np.log2(strongest / 220)
    assert min(abs(semitones - note) for note in (0, 2, 4, 7, 9, 12, 14, 16)) < 0.2


def test_tunes_fill_their_bars_and_end_on_the_tonic() -> None:
    lengths = {"4/4": 8, "3/4": 6, "6/8": 6}
    tunes = [str(tune) for tune in load_corpus("music:tunes?tunes=50").documents()]
    assert len(set(tunes)) == 50
    for tune in tunes:
        _, metre, _, key, *lines = tune.split("\n")
        assert lines[0] == lines[1] == lines[3].replace(" |]", " |")
        bars = [bar for line in lines for bar in line.rstrip("|]").rstrip(" |").split(" | ")]
        assert len(bars) == 16
        for bar in bars:
            notes = bar.replace(",", "")
            eighths = sum(1 for c in notes if c.isalpha())
            eighths += sum(int(c) - 1 for c in notes if c.isdigit())
            assert eighths == lengths[metre[2:]]
        assert bars[-1].rstrip("123456").endswith(key[2:])


@pytest.mark.parametrize(
    "name",
    [
        *("images:shapes?images=40", "sound:notes?seconds=3", "music:tunes?tunes=30"),
        *("synthetic:grammar?tokens=9000", "synthetic:zipf?tokens=9000"),
    ],
)
def test_the_seed_decides_what_a_program_draws(name: str) -> None:
    def drawn(name: str) -> tuple[str, list]:
        return load_corpus(name).fingerprint, [list(d) for d in load_corpus(name).documents()]

    assert drawn(name) == drawn(f"{name}&seed=0")
    for one, other in zip(drawn(name), drawn(f"{name}&seed=1"), strict=True):
        assert one != other


@pytest.mark.parametrize("kind", ["sound", "music"])
def test_other_programs_are_refused(kind: str) -> None:
    with pytest.raises(InputError, match="is unknown: use"):
        load_corpus(f"{kind}:other")
    with pytest.raises(InputError, match="seed 'x' must be a whole number of at least 0"):
        load_corpus(f"{CORPORA[kind].usage}?seed=x")


def test_a_corpus_is_text_unless_it_says_otherwise() -> None:
    assert Corpus("a", "b", lambda: iter(("text",))).vocab_size is None
