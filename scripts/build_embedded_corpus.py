"""Build the text shipped in scaling_jax/data/text from Debian packages of public texts.

Usage: apt-get download r-cran-janeaustenr bible-kjv bible-kjv-text wordnet-base dict-devil,
unpack each with `dpkg-deb -x PACKAGE ROOT`, then run this with ROOT as the argument.
"""

import gzip
import lzma
import random
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path

# Documents are kept apart by a form feed, which occurs in none of them.
SEPARATOR = "\f"
TARGET_CHARACTERS = 3000
# A part of the 117,659 entries: all of them would outweigh the books.
WORDNET_ENTRIES = 70_000
OUT = Path(__file__).parent.parent / "scaling_jax" / "data" / "text"


def austen(root: Path) -> list[str]:
    """Jane Austen's six novels, one document per few paragraphs."""
    blob = (root / "usr/lib/R/site-library/janeaustenr/data/Rdata.rdb").read_bytes()
    documents: list[str] = []
    for block in r_blocks(blob):
        lines = [line.strip() for line in r_strings(block)]
        paragraphs = [re.sub(r"\s+", " ", p) for p in "\n".join(lines).split("\n\n")]
        if len(paragraphs) > 100:
            documents += grouped([p.strip() for p in paragraphs if p.strip()])
    return documents


def r_blocks(blob: bytes) -> list[bytes]:
    """Inflated blocks of an R lazy-load database: a length, then a zlib stream, repeated."""
    blocks, position = [], 0
    while position < len(blob):
        inflate = zlib.decompressobj()
        blocks.append(inflate.decompress(blob[position + 4 :]))
        position = len(blob) - len(inflate.unused_data)
    return blocks


def r_strings(block: bytes) -> list[str]:
    """Character vector elements of a serialized R object (CHARSXP records), in order."""
    strings, position = [], 0
    for match in re.finditer(rb"\x00[\x00\x04]\x00\x09(....)", block, re.DOTALL):
        if match.start() >= position:
            length = struct.unpack(">i", match.group(1))[0]
            if 0 <= length < 2000:
                position = match.end() + length
                strings.append(block[match.end() : position].decode("utf-8", "replace"))
    return strings


def bible(root: Path) -> list[str]:
    """King James Version, one document per few verses of one chapter."""
    command = [str(root / "usr/bin/bible"), "-f", "-p", f"{root}/usr/lib", "gen1:1-rev22:21"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    verses = re.findall(r"^\w+?\d*:\d+ +(.*)$", printed, re.MULTILINE)
    return grouped(verses, joiner=" ")


def wordnet(root: Path) -> list[str]:
    """A fixed random 70,000 of WordNet's glosses as dictionary lines."""
    entries = []
    for part in ("noun", "verb", "adj", "adv"):
        for line in (root / f"usr/share/wordnet/data.{part}").read_text().splitlines():
            if not line.startswith("  "):
                fields, gloss = line.split(" | ", 1)
                lemma = re.sub(r"\(.*\)", "", fields.split()[4]).replace("_", " ")
                entries.append(f"{lemma}: {re.sub(r'  +', ' ', gloss.strip())}.")
    random.Random(0).shuffle(entries)
    return grouped(entries[:WORDNET_ENTRIES])


def devil(root: Path) -> list[str]:
    """Ambrose Bierce's The Devil's Dictionary, after the file's own preamble."""
    with gzip.open(root / "usr/share/dictd/devil.dict.dz", "rt", encoding="utf-8") as file:
        text = file.read()
    entries = re.split(r"\n\n(?=[A-Z][A-Z' -]+[,.])", text)[1:]
    return grouped([re.sub(r"\s+", " ", entry).strip() for entry in entries])


def grouped(pieces: list[str], joiner: str = "\n") -> list[str]:
    """Consecutive pieces joined into documents of about the target length."""
    documents, current, length = [], [], 0
    for piece in pieces:
        current.append(piece)
        length += len(piece)
        if length >= TARGET_CHARACTERS:
            documents.append(joiner.join(current))
            current, length = [], 0
    return [*documents, joiner.join(current)] if current else documents


def main() -> None:
    """Write every part and print its size."""
    root = Path(sys.argv[1])
    for part in (austen, bible, wordnet, devil):
        documents = [plain(document) for document in part(root)]
        text = SEPARATOR.join(documents).encode()
        packed = lzma.compress(text, preset=9 | lzma.PRESET_EXTREME)
        (OUT / f"{part.__name__}.txt.xz").write_bytes(packed)
        print(f"{part.__name__}: {len(documents)} documents, {len(text)} -> {len(packed)} bytes")


def plain(text: str) -> str:
    """Typographic marks in their ASCII form, and no marks of italics."""
    table = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "—": "--", "–": "-", "`": "'"})
    return text.translate(table).replace("_", "").replace("\f", " ")


if __name__ == "__main__":
    main()
