"""The pages of the documentation, as blocks of code with what a reader and a test need to know.

A block is executed as it stands, in the order of its page, in one folder for each page, unless its
title says what it needs or takes:

- `title="mine.py"`: the block is a file of that name.
- `title="Needs ..."`: hardware, a service or a package that a test does not have. The commands are
  parsed, not executed.
- `title="Takes ..."`: the block takes minutes or more. Without the comment below, the commands are
  parsed, and the reader's own experiment is planned instead of run.

The comment `<!-- tested with: A => B; C => D -->` gives a smaller block to execute: B instead of A.

The comment `<!-- given: losses.csv, results/mine -->` names what a reader has at that point.
"""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

_PART = re.compile(
    r"^<!-- given: (?P<given>[^>]*) -->$"
    r"|^<!-- tested with:\s(?P<smaller>.*?)\s-->$"
    r"|^```(?P<language>\w*)(?: title=\"(?P<title>[^\"]*)\")?\n(?P<text>.*?)^```$",
    re.M | re.S,
)


@dataclass(frozen=True)
class Block:
    """A block of code of a page.

    Attributes:
        line: where it begins in the page.
        language: `console`, `python`, or another that is not executed.
        title: what the page shows above the block.
        text: its lines.
        given: what a reader has before the block that the page does not make.
        smaller: what to replace in a block that takes long; empty if nothing.
    """

    line: int
    language: str
    title: str
    text: str
    given: tuple[str, ...] = ()
    smaller: tuple[tuple[str, str], ...] = ()

    @property
    def needs(self) -> bool:
        """Whether the block needs what a test does not have."""
        return self.title.startswith("Needs ")

    @property
    def takes_long(self) -> bool:
        """Whether the block takes minutes or more."""
        return self.title.startswith("Takes ")

    @property
    def file(self) -> str | None:
        """The name of the file that the block is; None for commands."""
        return self.title if re.fullmatch(r"[\w./]+\.\w+", self.title) else None

    @property
    def tested(self) -> str:
        """The text as a test executes it.

        Raises:
            ValueError: the block does not contain what is to be replaced in it.
        """
        text = self.text
        for before, after in self.smaller:
            if before not in text:
                raise ValueError(f"line {self.line}: the block has no {before!r} to replace")
            text = text.replace(before, after)
        return text


def blocks(page: str) -> list[Block]:
    """The blocks of a page's text, in order."""
    found: list[Block] = []
    given: tuple[str, ...] = ()
    smaller: tuple[tuple[str, str], ...] = ()
    for part in _PART.finditer(page):
        if part["given"] is not None:
            given += tuple(name.strip() for name in part["given"].split(","))
        elif part["smaller"] is not None:
            smaller = tuple(_replacement(each) for each in part["smaller"].split(";"))
        else:
            line = page[: part.start()].count("\n") + 1
            title, text = part["title"] or "", part["text"]
            found.append(Block(line, part["language"], title, text, given, smaller))
            given, smaller = (), ()
    return found


def commands(block: str) -> list[str]:
    """The commands of a console block, without comments."""
    joined = block.replace("\\\n", " ")
    lines = (line.split("#")[0].strip() for line in joined.splitlines())
    return [line for line in lines if line]


def _replacement(text: str) -> tuple[str, str]:
    before, arrow, after = text.partition("=>")
    if not arrow:
        raise ValueError(f"{text!r} must be BEFORE => AFTER")
    return before.strip(), after.strip()
