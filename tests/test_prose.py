"""What this project writes is plain English: actor, verb, object, in the words of the field.

The table below lists expressions that a reader has to decode, and what to write instead. It is
applied to the documents, to docstrings and comments, to the strings of the package (messages,
help), and to names of variables, functions and classes.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Where such an expression is meant as it stands, spell it differently or narrow the pattern.
INSTEAD = {
    r"(?:^|[.!?:;] |[-*|] )Of (?!course\b)": "name the subject first; no sentence opens with 'Of'",
    r"\btold\b(?! apart)": "reported, logged, shown, inferred from",
    r"\bsaid\b": "printed, logged, reported; defined, given (of a value)",
    r"\banew\b": "again, from the start, from its first step",
    r"\bthose of it\b": "repeat the noun",
    r"\bof (?:its|their) own doing\b": "by itself, on its own",
    r"\bdoes not do\b|\bdo not do\b|\bwill not do\b": "is not allowed, is rejected",
    r"\bin the place of\b|\bdo in (?:the|its) place\b": "instead of, where a ... is expected",
    r"\bis passed by\b|\bare passed by\b": "is skipped",
    r"\blanes?\b": "replicas, workers; starts, problems (of a solver)",
    r"\btether(?:s|ed)?\b": "the connection to the parent process; monitor",
    r"\bonlookers?\b": "monitor, watcher",
    r"(?<!sort )(?<!sorted )(?<!keyed )\bby name\b": "named, or: called NAME",
    r"\bhas it\b(?! that)": "holds the lock, owns the run; defines (of a definition)",
    r"\b(?:runs?|study|studies|attempts?|command|branch|trunks?|all|it|they|that|this|which|both"
    r"|time|wait|these|those|once|until|of a) (?:is|are|was|were) over\b": "finished, has ended",
    r"\b(?:goes|go|went|gone|going) on\b(?! (?:to|with))": "continues",
    r"\basked of\b": "requested from",
    r"\bwhat \w+ (?:is|are|was|were) asked for\b": "the requested ...",
    r"\b(?:said|named|written|listed) in full\b": "complete, with every ...",
    r"\bof no use\b": "unusable",
    r"\bnone of ours\b": "not one of this program's",
    r"\bheed(?:s|ed)?\b": "acts on, obeys",
    r"\bin vain\b": "without success, until the timeout",
    r"\bwithout a word\b": "without a message",
    r"\bto be had\b": "available",
    r"\bhas but\b|\bhave but\b": "has only",
    r"\bwhoever it was\b": "name the process",
    r"\b(?:is|are) as (?:it|they) (?:is|are)\b": "is unchanged",
    r"\bsave (?:where|for|that)\b": "except",
    r"\bfor the asking\b|\bthereof\b|\bwherein\b|\btherein\b": "in it, there",
}
NAMES = {
    "told": "message, record, reported",
    "said": "message, messages, reply",
    "asked": "requested",
    "seen": "observed, known, or the thing itself",
    "heed": "raise_if_requested",
    "lane": "replica, run, worker; start, problem (of a solver)",
    "lanes": "replicas, runs, workers; starts, problems (of a solver)",
    "tether": "monitor",
    "Onlooker": "Monitor",
    "onlooker": "monitor",
    "Seen": "what was observed",
    "Narrowed": "the interval and its target",
    "Asked": "Request",
}

PARTS = (
    "README.md",
    "CONTRIBUTING.md",
    "docs",
    "scripts",
    "benchmarks",
    "experiments",
    *sorted(
        path.relative_to(ROOT).as_posix()
        for folder in ("scaling_jax", "scaling_jax/laws", "scaling_jax/study", "tests")
        for path in (ROOT / folder).iterdir()
        if (path.is_dir() and any(path.rglob("*.py")) and path.name not in ("laws", "study"))
        or (path.suffix == ".py" and path.name != Path(__file__).name)
    ),
    "tests/laws",
    "tests/study",
)


@pytest.mark.parametrize("part", PARTS)
def test_the_old_dialect_stays_out(part: str) -> None:
    found = list(_findings(ROOT / part))
    if found:
        pytest.fail("\n".join(found), pytrace=False)


def test_patterns_find_what_they_are_for() -> None:
    prose = "A run is told to stop. Of two runs one goes on. It is said; in the place of a name."
    assert len([rule for rule in INSTEAD if re.search(rule, prose)]) == 5
    assert not any(
        re.search(rule, "The mean is over sequences; go on to the next.") for rule in INSTEAD
    )


def _findings(path: Path) -> Iterator[str]:
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    for file in files:
        for line, prose in _prose(file):
            for pattern, instead in INSTEAD.items():
                for match in re.finditer(pattern, prose):
                    around = prose[max(0, match.start() - 30) : match.end() + 30]
                    yield f"{file.relative_to(ROOT)}:{line}: ...{around}... -> {instead}"
        if file.suffix == ".py":
            for line, name in _names(file.read_text()):
                yield f"{file.relative_to(ROOT)}:{line}: the name {name} -> {NAMES[name]}"


def _prose(file: Path) -> Iterator[tuple[int, str]]:
    """Passages of a file with their first lines, each on one line, so that phrases do not wrap."""
    if file.suffix == ".py":
        source = file.read_text()
        yield from _comments(source)
        # A test's strings are inputs and expected messages; its docstrings are prose.
        yield from _strings(source, docstrings_only=file.is_relative_to(ROOT / "tests"))
    elif file.suffix in (".md", ".html") or (file.suffix == "" and file.parent.name == "scripts"):
        first = 1
        for paragraph in re.split(r"(?<=\n)\s*\n", file.read_text()):
            yield first, " ".join(paragraph.split())
            first += paragraph.count("\n") + 1


def _strings(source: str, docstrings_only: bool) -> Iterator[tuple[int, str]]:
    tree = ast.parse(source)
    holders = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if docstrings_only:
            docstring = isinstance(node, holders) and ast.get_docstring(node)
            if docstring:
                yield node.body[0].lineno, " ".join(docstring.split())
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, " ".join(node.value.split())


def _comments(source: str) -> Iterator[tuple[int, str]]:
    block: list[str] = []
    first = last = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        if block and token.start[0] != last + 1:
            yield first, " ".join(block)
            block = []
        first, last = (first if block else token.start[0]), token.start[0]
        block.append(token.string.lstrip("# "))
    if block:
        yield first, " ".join(block)


def _names(source: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NAME and token.string in NAMES:
            yield token.start[0], token.string
