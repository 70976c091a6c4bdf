"""Hostile tables and options: each is one message that names the value, the rule and the remedy."""

import gzip
import json

import numpy as np
import pandas as pd
import pytest

from scaling_jax import laws
from scaling_jax.errors import InputError

HEADER = "params,tokens,loss\n"
ROW = {"params": 1e6, "tokens": 2e7, "loss": 3.5}


def frame(**columns):
    sizes = np.geomspace(1e6, 1e9, 8)
    table = pd.DataFrame({"params": sizes, "tokens": 20 * sizes[::-1], "loss": 3.0})
    return table.assign(**columns)


# Name of the file, its content, and words that the message must hold.
FILES = {
    "empty": ("t.csv", "", ["empty", "give a header"]),
    "header only": ("t.csv", HEADER, ["no rows", "give at least one"]),
    "no loss": ("t.csv", "params,tokens\n1,2\n", ["'loss'", "params, tokens"]),
    "upper case": ("t.csv", "Params,tokens,loss\n1,2,3\n", ["'Params'", "--columns params=Params"]),
    "capitals": ("t.csv", "params,TOKENS,loss\n1,2,3\n", ["--columns tokens=TOKENS"]),
    "alias": ("t.csv", "n_params,tokens,loss\n1,2,3\n", ["--columns params=n_params"]),
    "loss of a tracker": ("t.csv", "params,tokens,val/loss\n1,2,3\n", ["--columns loss=val/loss"]),
    "column twice": ("t.csv", "params,tokens,loss,loss\n1,2,3,3\n", ["'loss'", "rename or remove"]),
    "wide row": ("t.csv", HEADER + "1,2,3,4\n", ["line 2", "4 cells", "name every column"]),
    "thousands": ("t.csv", HEADER + '"1,000",2,3\n', ["line 2", "'1,000'", "correct the cell"]),
    "underscore": ("t.csv", HEADER + "1_000,2,3\n", ["line 2", "'1_000'", "correct the cell"]),
    "word": ("t.csv", HEADER + "many,2,3\n", ["line 2", "'params'", "'many'"]),
    "unit in a cell": ("t.csv", HEADER + "1e6,20M,3\n", ["line 2", "'tokens'", "'20M'"]),
    "zero": ("t.csv", HEADER + "0,2,3\n", ["line 2", "'params'", "positive finite"]),
    "negative": ("t.csv", HEADER + "1,2,-3\n", ["line 2", "'loss'", "'-3'"]),
    "nan": ("t.csv", HEADER + "1,2,nan\n", ["line 2", "'loss'", "'nan'"]),
    "infinite": ("t.csv", HEADER + "1,inf,3\n", ["line 2", "'tokens'", "'inf'"]),
    "blank": ("t.csv", HEADER + "1,,3\n", ["line 2", "'tokens'", "''"]),
    "overflow": ("t.csv", HEADER + "1e999,2,3\n", ["line 2", "'1e999'"]),
    "huge": ("t.csv", HEADER + "1e300,2,3\n", ["line 2", "'1e300'", "1e-60 to 1e+60"]),
    "tiny": ("t.csv", HEADER + "1,2,1e-300\n", ["line 2", "'1e-300'", "1e-60 to 1e+60"]),
    "digits": ("t.csv", HEADER + "1" * 400 + ",2,3\n", ["line 2", "'params'", "..."]),
    "decimal comma": ("t.csv", "params;tokens;loss\n1;2;3,5\n", ["line 2", "'3,5'"]),
    "other separator": ("t.csv", "params|tokens|loss\n1|2|3\n", ["'params'", "params|tokens|loss"]),
    "open quote": ("t.csv", HEADER + '"1,2,3\n1,2,3\n', ["line 2", "close the quote"]),
    "text after a quote": ("t.csv", HEADER + '"1"x,2,3\n', ["line 2", "close the quote"]),
    "rows in a quote": ("t.csv", HEADER + '"a\n1,2,3\nb",2,3\n', ["line 2", "line 3", "quote"]),
    "huge cell": ("t.csv", HEADER + '"' + "x" * 200_000 + '",2,3\n', ["line 2", "quote"]),
    "latin": ("t.csv", HEADER.encode() + b"1,2,3\xb1\n", ["UTF-8", "save it"]),
    "utf-16": ("t.csv", (HEADER + "1,2,3\n").encode("utf-16"), ["UTF-8", "save it"]),
    "zip": ("t.csv", b"PK\x03\x04\x80\xff", ["UTF-8", "save it"]),
    "bad status": ("t.csv", "status,params,tokens,loss\nfinishd,1,2,3\n", ["line 2", "'finishd'"]),
    "bad role": (
        "t.csv",
        "role,params,tokens,loss\nverfication,1,2,3\n",
        ["'verfication'", "mean"],
    ),
    "bad weight": ("t.csv", "weight,params,tokens,loss\n-1,1,2,3\n", ["line 2", "at least 0"]),
    "all failed": ("t.csv", "status,params,tokens,loss\nfailed,1,2,\n", ["'failed': 1", "finish"]),
    "two losses": (
        "t.csv",
        "Name,State,val/loss,eval/loss,params,tokens\na,finished,3,3,1,2\n",
        ["val/loss or eval/loss", "choose with --columns"],
    ),
    "no ending": ("table", HEADER, ["ends in ''", ".csv"]),
    "other ending": ("t.xlsx", b"PK", ["'.xlsx'", ".csv"]),
    "text ending": ("t.txt", HEADER, ["'.txt'", ".csv"]),
    "pickle": ("t.pkl", b"\x80\x04", ["'.pkl'", ".csv"]),
    "no parquet": ("t.parquet", HEADER, ["not a Parquet table"]),
    "empty parquet": ("t.parquet", b"", ["not a Parquet table"]),
    "no gzip": ("t.csv.gz", HEADER, ["cannot read", "whole, readable"]),
    "cut gzip": ("t.csv.gz", gzip.compress(HEADER.encode())[:-6], ["cannot read", "whole"]),
    "no zstd": ("t.csv.zst", HEADER, ["cannot read", "whole, readable"]),
    "no json": ("t.json", "{params: 1}", ["not JSON", "write it again"]),
    "empty json": ("t.json", "", ["not JSON"]),
    "number": ("t.json", "3", ["a number", "give a list of records"]),
    "null": ("t.json", "null", ["nothing", "give a list of records"]),
    "text": ("t.json", '"params"', ["text", "give a list of records"]),
    "an object": ("t.json", json.dumps(ROW), ["an object", "give a list of records"]),
    "no records": ("t.json", "[]", ["no rows"]),
    "a list in a list": ("t.json", "[[1, 2, 3]]", ["record 0", "a list", "give an object"]),
    "record of null": ("t.json", json.dumps([ROW, None]), ["record 1", "nothing", "an object"]),
    "unequal columns": ("t.json", '{"params": [1, 2], "loss": [1]}', ["params 2, loss 1", "one"]),
    "deep": ("t.json", "[" * 200_000, ["nested too deep", "flat"]),
    "deep object": ("t.json", '{"a":' * 200_000, ["nested too deep", "flat"]),
    "dict for a number": ("t.json", json.dumps([{**ROW, "loss": {"a": 1}}]), ["row 0", "{'a': 1}"]),
    "list for a number": ("t.json", json.dumps([{**ROW, "loss": [3]}]), ["row 0", "[3]"]),
    "text for a number": ("t.json", json.dumps([{**ROW, "loss": "low"}]), ["row 0", "'low'"]),
    "true for a number": ("t.json", json.dumps([{**ROW, "params": True}]), ["row 0", "True"]),
    "whole overflow": ("t.json", json.dumps([{**ROW, "params": 10**400}]), ["row 0", "..."]),
    "thousands of digits": ("t.json", "[" + "1" * 5000 + "]", ["not JSON"]),
    "missing key": ("t.json", json.dumps([ROW, {"params": 1e6}]), ["row 1", "'tokens'"]),
    "bad line": ("t.jsonl", json.dumps(ROW) + "\n{\n", ["line 2", "not JSON"]),
    "list line": ("t.jsonl", "[1]\n", ["line 1", "a list", "give an object"]),
    "empty lines": ("t.jsonl", "\n", ["no rows"]),
}

# Columns of a frame, and words that the message must hold.
FRAMES = {
    "dates": ({"loss": pd.date_range("2020-01-01", periods=8)}, ["'loss'", "dates", "convert"]),
    "zoned": (
        {"loss": pd.date_range("2020-01-01", periods=8, tz="UTC")},
        ["'loss'", "dates", "convert"],
    ),
    "durations": ({"loss": pd.to_timedelta(np.arange(8), "s")}, ["'loss'", "durations"]),
    "truths": ({"loss": np.ones(8, bool)}, ["'loss'", "true and false", "convert"]),
    "nullable truths": ({"loss": pd.array([True] * 8, "boolean")}, ["'loss'", "true and false"]),
    "complex": ({"tokens": np.ones(8) * 1j}, ["'tokens'", "complex numbers"]),
    "mixed truths": ({"loss": [3.0, True] * 4}, ["row 1", "True"]),
    "mixed dates": ({"loss": [3.0, pd.Timestamp("2020")] * 4}, ["row 1", "Timestamp"]),
    "whole overflow": ({"params": [10**400] * 8}, ["row 0", "..."]),
    "params of 1e300": ({"params": [1e300] * 8}, ["row 0", "1e+300", "1e-60 to 1e+60"]),
    "flops of dates": ({"flops": pd.date_range("2020", periods=8)}, ["'flops'", "dates"]),
}

NOT_TABLES = {
    "none": (None, "NoneType is no table"),
    "number": (3, "int is no table"),
    "list": ([1, 2], "list is no table"),
    "array": (np.ones(3), "ndarray is no table"),
    "empty mapping": ({}, "no rows"),
    "scalars": ({"params": 1, "tokens": 2, "loss": "x"}, "row 0, column 'loss': 'x'"),
    "unequal": ({"params": [1, 2], "tokens": [1], "loss": [3]}, "lists of equal length"),
    "nested": ({"params": {"a": 1}, "tokens": [1], "loss": [3]}, "'params' holds a mapping"),
    "ragged": ({"params": [[1], [1, 2]], "tokens": [1], "loss": [3]}, "lists of equal length"),
    "two dimensions": ({"params": np.ones((2, 2))}, "lists of equal length"),
    "long name": ("x" * 300 + ".csv", "cannot read"),
    "no file": ("nowhere.csv", "is not a file"),
    "below a file": (__file__ + "/t.csv", "is not a file"),
    "null in a name": ("a\0b.csv", "cannot read"),
}

OPTIONS = {
    "negative seed": ({"seed": -1}, "seed -1 must be a whole number of at least 0"),
    "seed of 1.5": ({"seed": 1.5}, "seed 1.5 must be a whole number"),
    "true seed": ({"seed": True}, "seed True must be a whole number"),
    "bootstrap of 20.5": ({"bootstrap": 20.5}, "bootstrap 20.5 must be a whole number"),
    "negative bootstrap": ({"bootstrap": -1}, "bootstrap -1"),
    "missing column": ({"columns": {"loss": "lss"}}, "no column 'lss'.*did you mean 'loss'"),
    "unit": ({"unit": 3}, "unit 3 must be text"),
}


def one_message(table, words, **options):
    with pytest.raises(InputError) as caught:
        laws.fit(table, **{"bootstrap": 0, **options})
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 1500
    for word in words:
        assert word in message


@pytest.mark.parametrize("case", FILES)
def test_file(case, tmp_path):
    name, content, words = FILES[case]
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    one_message(path, words)


@pytest.mark.parametrize("case", FRAMES)
def test_frame(case):
    columns, words = FRAMES[case]
    one_message(frame(**columns), words)


@pytest.mark.parametrize("case", NOT_TABLES)
def test_what_is_no_table(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table, words = NOT_TABLES[case]
    one_message(table, [words])


@pytest.mark.parametrize("case", OPTIONS)
def test_option(case):
    options, words = OPTIONS[case]
    with pytest.raises(InputError, match=words):
        laws.fit(frame(), **{"bootstrap": 0, **options})


def test_a_directory_and_a_loop_of_links(tmp_path):
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "loop.csv").symlink_to(tmp_path / "loop.csv")
    one_message(tmp_path / "folder.csv", ["is not a file", "give a"])
    one_message(tmp_path / "loop.csv", ["cannot read", "loop.csv"])
