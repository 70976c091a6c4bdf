"""Tables in every kind of file hold the same, and damaged files are refused by line."""

import gzip
import json

import pandas as pd
import pyarrow
import pytest

from scaling_jax.errors import InputError
from scaling_jax.laws.tables.read import read_table

FRAME = pd.DataFrame(
    {"params": [1e6, 2e6, 3e6], "tokens": [2e7, 4e7, 6e7], "loss": [3.5, 3.25, 3.0]}
)
NUMBERS = list(FRAME.columns)
RECORDS = FRAME.to_dict(orient="records")
CSV = FRAME.to_csv(index=False)
LINES = "".join(json.dumps(record) + "\n" for record in RECORDS)
NOTED = (
    "params,note,tokens,loss\n1e6,first,2e7,3.5\n2e6,{},4e7,3.25\n3e6,{},6e7,3.0\n4e6,,8e7,2.9\n"
)


def write(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def zstd(text):
    sink = pyarrow.BufferOutputStream()
    with pyarrow.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(text.encode())
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", CSV),
        ("t.CSV", CSV),
        ("t.csv", "\ufeff" + CSV),
        ("t.csv", CSV.replace(",", ";")),
        ("t.csv", CSV.replace(",", "\t")),
        ("t.tsv", CSV.replace(",", "\t")),
        ("t.csv.gz", gzip.compress(CSV.encode(), mtime=0)),
        ("t.csv.zst", zstd(CSV)),
        ("t.json", json.dumps(RECORDS)),
        ("t.json", "\ufeff" + json.dumps(RECORDS)),
        ("t.json", json.dumps(FRAME.to_dict(orient="list"))),
        ("t.json.gz", gzip.compress(json.dumps(RECORDS).encode(), mtime=0)),
        ("t.jsonl", LINES),
        ("t.ndjson", "\n" + LINES),
        ("t.jsonl.zst", zstd(LINES)),
    ],
)
def test_every_kind_of_file_holds_the_same(tmp_path, name, content):
    read = read_table(write(tmp_path, name, content))
    pd.testing.assert_frame_equal(read[NUMBERS].reset_index(drop=True), FRAME)


def test_records_of_a_tracker_are_laid_flat(tmp_path):
    nested = [
        {"name": "a", "config": {"params": 1e6}, "summary": {"tokens": 2e7, "loss": 3.5}},
        {"name": "b", "config": {"params": 2e6}, "summary": {"tokens": 4e7, "loss": 3.25}},
    ]
    read = read_table(write(tmp_path, "runs.json", json.dumps(nested)))
    pd.testing.assert_frame_equal(read[NUMBERS], FRAME.head(2))


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ('"stray', "", "line 3: a quoted cell begins here"),
        ('"stray', 'end"', "line 3.*holds line 4"),
        ('"stray', '"end', "line 3"),
        ("", '"stray', "line 4"),
        ('"good" bad', "", "line 3"),
    ],
)
def test_a_stray_quote_swallows_no_row(tmp_path, first, second, words):
    with pytest.raises(InputError, match=words):
        read_table(write(tmp_path, "t.csv", NOTED.format(first, second)))


def test_a_note_of_several_lines_is_one_cell(tmp_path):
    read = read_table(write(tmp_path, "t.csv", NOTED.format('"one, two\nthree"', '5" disk')))
    assert read["note"].tolist() == ["first", "one, two\nthree", '5" disk', ""]
    assert read.index.tolist() == [2, 4, 5, 6]


@pytest.mark.parametrize(
    "packed", [gzip.compress(CSV.encode(), mtime=0), zstd(CSV)], ids=["gzip", "zstd"]
)
def test_a_compressed_table_that_was_cut_is_refused(tmp_path, packed):
    name = "t.csv.gz" if packed[:2] == b"\x1f\x8b" else "t.csv.zst"
    with pytest.raises(InputError, match=r"cannot read .*whole"):
        read_table(write(tmp_path, name, packed[:-9]))
