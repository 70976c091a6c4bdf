import gzip
import json
import re
import sysconfig
from pathlib import Path

import pyarrow
import pytest

from scaling_jax.data import embedded, load_corpus
from scaling_jax.errors import InputError

TEXT_FOLDER = Path(embedded.__file__).with_name("text")


def documents(name: str) -> list[str]:
    return list(load_corpus(name).documents())


@pytest.mark.parametrize(
    "name", ["", "nothing", "stdlib:3", "text:", "jsonl", "tfds:", "synthetic"]
)
def test_an_unknown_name_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(
        InputError, match=r"unknown corpus .*embedded\[:PART\+PART\], stdlib, text:PATH"
    ):
        load_corpus(name)


def test_the_embedded_corpus_is_twelve_megabytes_of_documents() -> None:
    corpus = load_corpus("embedded")
    texts = list(corpus.documents())
    assert sum(len(text.encode()) for text in texts) >= 12e6
    # Few enough of every size that a twentieth of them is a fair held-out text.
    assert len(texts) > 3000
    assert max(map(len, texts)) < 20_000
    assert all(text.strip() for text in texts)
    assert texts == list(corpus.documents())


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        ("austen", "It is a truth universally acknowledged"),
        ("bible", "In the beginning God created the heaven and the earth"),
        ("devil", "CYNIC, n."),
        ("wordnet", 'transplant: be transplantable; "These delicate plants'),
    ],
)
def test_every_embedded_part_is_the_text_it_is_said_to_be(part: str, sentence: str) -> None:
    import lzma

    assert part in embedded.PARTS
    assert sentence in lzma.decompress((TEXT_FOLDER / f"{part}.txt.xz").read_bytes()).decode()


def test_parts_of_the_embedded_corpus_make_up_the_whole_and_are_corpora_of_their_own() -> None:
    parts = {part: load_corpus(f"embedded:{part}") for part in embedded.PARTS}
    whole = load_corpus("embedded")
    texts = {part: list(corpus.documents()) for part, corpus in parts.items()}
    assert [text for part in embedded.PARTS for text in texts[part]] == list(whole.documents())
    assert len({whole.fingerprint, *(corpus.fingerprint for corpus in parts.values())}) == 5
    # The order in which a user writes the parts changes neither the text nor its cache.
    two, swapped = load_corpus("embedded:devil+bible"), load_corpus("embedded:bible+devil")
    assert list(two.documents()) == texts["bible"] + texts["devil"]
    assert two.fingerprint == swapped.fingerprint


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("x", "embedded:x has no part 'x': use austen, bible, devil, wordnet"),
        ("bible+", "has no part ''"),
        ("bible+bible", "has 'bible' twice"),
    ],
)
def test_an_unknown_or_repeated_part_is_refused(argument: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        load_corpus(f"embedded:{argument}")


def test_every_embedded_part_has_its_source_and_licence() -> None:
    sources = (TEXT_FOLDER / "SOURCES.md").read_text()
    rows = {
        cells[0].strip("`"): cells[-1]
        for line in sources.splitlines()
        if line.startswith("| `")
        for cells in [[cell.strip() for cell in line.strip("|").split("|")]]
    }
    assert set(rows) == {f"{part}.txt.xz" for part in embedded.PARTS}
    licence_files = set()
    for licence in rows.values():
        named = re.findall(r"`([^`]+)`", licence)
        assert named or "public domain" in licence
        licence_files.update(named)
    assert {path.name for path in TEXT_FOLDER.iterdir()} == {*rows, *licence_files, "SOURCES.md"}
    assert "WordNet" in (TEXT_FOLDER / "WORDNET_LICENSE.txt").read_text()


def test_the_stdlib_corpus_is_the_running_interpreters_sources() -> None:
    texts = documents("stdlib")
    root = Path(sysconfig.get_paths()["stdlib"])
    assert sum(map(len, texts)) > 5e6
    for module in ("argparse.py", "json/decoder.py"):
        assert (root / module).read_text(encoding="utf-8") in texts
    assert not any("import numpy" in text[:2000] for text in texts)


def test_paragraphs_are_documents(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n\none\nstill one\n \n\n\ntwo  \n\nthree")
    assert documents(f"text:{tmp_path / 'a.txt'}") == ["one\nstill one", "two", "three"]


def test_a_directory_or_a_glob_is_all_its_files_in_order(tmp_path: Path) -> None:
    (tmp_path / "sub" / "folder.txt").mkdir(parents=True)
    (tmp_path / "b.txt").write_text("from b")
    (tmp_path / "sub" / "c.txt").write_text("from c")
    (tmp_path / "a.txt").write_text("from a")
    (tmp_path / "other.md").write_text("not this")
    (tmp_path / "empty.txt").write_text("")
    assert documents(f"text:{tmp_path}") == ["from a", "from b", "from c"]
    assert documents(f"text:{tmp_path}/?.txt") == ["from a", "from b"]
    assert documents(f"text:{tmp_path}/**/*.txt") == ["from a", "from b", "from c"]


def test_a_file_named_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "notes [1].txt").write_text("found")
    assert documents(f"text:{tmp_path}/notes [1].txt") == ["found"]


def test_the_home_directory_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.txt").write_text("at home")
    assert documents("text:~/a.txt") == ["at home"]


@pytest.mark.parametrize("kind", ["text", "jsonl"])
@pytest.mark.parametrize("name", ["missing.txt", "nothing/*.txt", "folder"])
def test_files_that_are_not_there_are_refused(kind: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="no file matches"):
        load_corpus(f"{kind}:{tmp_path}/{name}")


@pytest.mark.parametrize("kind", ["text", "jsonl"])
def test_empty_files_are_refused(kind: str, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("")
    with pytest.raises(InputError, match="is empty"):
        load_corpus(f"{kind}:{tmp_path}/empty")


def test_invalid_utf8_is_replaced_where_it_stands(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"caf\xe9 noir\n\nplain")
    assert documents(f"text:{tmp_path / 'a.txt'}") == ["caf\ufffd noir", "plain"]
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "caf\xe9 noir"}\n')
    assert documents(f"jsonl:{tmp_path / 'a.jsonl'}") == ["caf\ufffd noir"]


def test_a_fingerprint_follows_the_text(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    prints = []
    for text in ("one", "two", "one"):
        path.write_text(text)
        prints.append(load_corpus(f"text:{path}").fingerprint)
    assert prints[0] == prints[2] != prints[1]


def write_jsonl(path: Path, *rows: object) -> Path:
    text = "\n\n".join(json.dumps(row) for row in rows)
    compress = {".gz": gzip.compress, ".zst": pyarrow.Codec("zstd").compress}
    path.write_bytes(bytes(compress.get(path.suffix, bytes)(text.encode())))
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.json.gz", "a.jsonl.zst"])
def test_json_lines_plain_and_compressed(name: str, tmp_path: Path) -> None:
    path = write_jsonl(
        tmp_path / name, {"text": "one\n\nstill one", "body": "x"}, {"text": "zwölf"}
    )
    assert documents(f"jsonl:{path}") == ["one\n\nstill one", "zwölf"]
    assert documents(f"jsonl:{tmp_path}") == ["one\n\nstill one", "zwölf"]


def test_another_field_is_another_corpus(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", {"text": "one", "body": "two"})
    assert documents(f"jsonl:{path}?field=body") == ["two"]
    prints = {load_corpus(f"jsonl:{path}{query}").fingerprint for query in ("", "?field=body")}
    assert len(prints) == 2


@pytest.mark.parametrize("row", [{"body": "x"}, {"text": 5}, {"text": None}, ["text"], "text"])
def test_a_line_without_the_field_is_named(row: object, tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", {"text": "fine"}, row)
    with pytest.raises(InputError, match=r"a\.jsonl, line 3 has no text in the field 'text'"):
        documents(f"jsonl:{path}")


@pytest.mark.parametrize(
    ("line", "problem"),
    [('{"text": ', "not JSON"), ("[" * 200_000, "nested too deep"), ("1" * 5000, "not JSON")],
    ids=["half an object", "nested", "5,000 digits"],
)
def test_a_line_that_is_not_json_is_named(line: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(f'{{"text": "fine"}}\n{line}\n')
    with pytest.raises(InputError, match=rf"a\.jsonl, line 2 is {problem}.*: repair or remove"):
        documents(f"jsonl:{tmp_path / 'a.jsonl'}")


@pytest.mark.parametrize(("packed", "kind"), [("gz", "gzip"), ("zst", "zstd")])
@pytest.mark.parametrize("damage", ["cut", "plain", "scrambled"])
def test_a_damaged_archive_is_named(damage: str, packed: str, kind: str, tmp_path: Path) -> None:
    path = write_jsonl(
        tmp_path / f"a.jsonl.{packed}", *({"text": f"document {i}"} for i in range(999))
    )
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(
        {
            "cut": whole[:middle],
            "plain": b'{"text": "never compressed"}',
            "scrambled": whole[:middle] + bytes(100) + whole[middle + 100 :],
        }[damage]
    )
    with pytest.raises(InputError, match=rf"a\.jsonl\.{packed} is not a whole {kind} file"):
        documents(f"jsonl:{path}")


def test_an_unknown_option_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", {"text": "one"})
    with pytest.raises(InputError, match=r"unknown option 'feild'.*: use field"):
        load_corpus(f"jsonl:{path}?feild=text")
