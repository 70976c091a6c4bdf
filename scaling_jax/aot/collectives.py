"""Collective operations of a compiled program, parsed from its text."""

import math
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from scaling_jax.aot.overlapped import chain_of, computing_chains, name_of, overlapped_operations

_KINDS = ("all-gather", "reduce-scatter", "all-reduce", "all-to-all", "collective-permute")
_BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s16": 2, "u16": 2, "s64": 8, "u64": 8}
_BYTES |= {"f64": 8, "c64": 8, "f32": 4, "s32": 4, "u32": 4}

_COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.-]+) \(.*\{$")
_CALLS = re.compile(
    r"(?:calls|body|to_apply|branch_computations|called_computations)=\{?%?([^,}]+)"
)
_ARRAY = re.compile(r"\b([a-z]+\d*)\[([\d,]*)\]")
_INSTRUCTION = re.compile(r"^(?:ROOT )?%?([\w.-]+) = (.*?) ([a-z][\w-]*)\(")
_CONSTANT = re.compile(r"%?([\w.-]+) = s32\[\]\S* constant\((\d+)\)")
_COMPARE = re.compile(r"compare\(%?([\w.-]+), %?([\w.-]+)\), direction=LT")
_CONDITION = re.compile(r"condition=%?([\w.-]+)")
_BODY = re.compile(r"body=%?([\w.-]+)")
_CHAIN_START = 'custom_call_target="AsyncCollectiveStart"'
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"')


@dataclass(frozen=True)
class Collective:
    """All collective operations of one kind and one group size in a step.

    Attributes:
        kind: `all-gather`, `reduce-scatter`, `all-reduce`, `all-to-all`, `collective-permute`.
        group_size: number of devices that communicate with each other.
        count: number of operations.
        bytes: size of the results on each device (of the arguments for reduce-scatter).
        sent_bytes: bytes that each device must send at least.
        overlapped_bytes: the part of `sent_bytes` in operations that begin before, and end after,
            a computation.
    """

    kind: str
    group_size: int
    count: int
    bytes: int
    sent_bytes: int
    overlapped_bytes: int = 0


def collectives(text: str, n_devices: int) -> list[Collective]:
    """The collective operations of the optimized program `text`, most sent bytes first.

    The body of a loop counts as often as the loop runs, if its bound is a constant. The loop over
    the steps of a dispatch has no constant bound and counts once, so the result is for one step.
    """
    computations = _computations(text)
    times = _executions(computations)
    overlapped, computing = overlapped_operations(computations), computing_chains(computations)
    totals: dict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for name, lines in computations.items():
        for line in lines:
            found = _exchange(name, line, n_devices)
            if found is None or not times[name]:
                continue
            chain = chain_of(line)
            if chain is not None and not _begins_chain(lines):
                continue  # The same exchange, in the fusions that continue and end it.
            kind, group_size, n_bytes = found
            sent = times[name] * _least_sent(kind, group_size, n_bytes)
            total = totals[kind, group_size]
            total[0] += times[name]
            total[1] += times[name] * n_bytes
            total[2] += sent
            hidden = name in overlapped or name_of(line) in overlapped or chain in computing
            total[3] += sent * hidden
    found_all = [Collective(*key, *values) for key, values in totals.items()]
    return sorted(found_all, key=lambda one: -one.sent_bytes)


def _begins_chain(lines: list[str]) -> bool:
    return any(_CHAIN_START in line for line in lines)


def _computations(text: str) -> dict[str, list[str]]:
    """Lines of every computation by its name; the entry computation is called `ENTRY`."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.splitlines():
        head = _COMPUTATION.match(line)
        if head:
            lines = found.setdefault("ENTRY" if line.startswith("ENTRY") else head[1], [])
        elif line.startswith("  "):
            lines.append(line.strip())
    return found


def _executions(computations: dict[str, list[str]]) -> dict[str, int]:
    """Number of executions of each computation in one step."""
    times: dict[str, int] = defaultdict(int)

    def visit(name: str, factor: int) -> None:
        times[name] += factor
        for called, trips in _called(computations, name):
            visit(called, factor * trips)

    visit("ENTRY", 1)
    return times


def _called(computations: dict[str, list[str]], name: str) -> Iterator[tuple[str, int]]:
    for line in computations.get(name, ()):
        body = _BODY.search(line)
        if body:
            yield body[1], _trip_count(line, computations)
            continue
        for group in _CALLS.findall(line):
            for called in group.split(","):
                yield called.strip().lstrip("%"), 1


def _trip_count(line: str, computations: dict[str, list[str]]) -> int:
    known = _TRIPS.search(line)
    if known:
        return int(known[1])
    condition = _CONDITION.search(line)
    lines = computations.get(condition[1], []) if condition else []
    constants = {m[1]: int(m[2]) for m in map(_CONSTANT.search, lines) if m}
    for compared in filter(None, map(_COMPARE.search, lines)):
        if compared[2] in constants:
            return constants[compared[2]]
    return 1


def _exchange(computation: str, line: str, n_devices: int) -> tuple[str, int, int] | None:
    """Kind, group size and bytes of the collective on a line; None if there is no collective."""
    instruction = _INSTRUCTION.match(line)
    if instruction is None:
        return None
    kind = instruction[3].removesuffix("-start")
    if kind not in _KINDS:
        return None
    n_bytes, group_size = _bytes(instruction[2]), _group_size(line, n_devices)
    # A TPU program has a reduce-scatter as an all-reduce fused with the selection of a shard.
    if kind == "all-reduce" and "all-reduce-scatter" in computation:
        kind = "reduce-scatter"
    elif kind != "all-reduce" and instruction[3].endswith("-start"):
        # The type lists arguments and results, each an array or a tuple. The larger is unsharded.
        between = "), (" if instruction[2].startswith("((") else "}, "
        n_bytes = max(map(_bytes, instruction[2].split(between)[:2]))
    elif kind == "reduce-scatter":
        n_bytes *= group_size
    return kind, group_size, n_bytes


def _group_size(line: str, n_devices: int) -> int:
    """Number of devices in one group, from any of XLA's notations."""
    named = re.search(r"replica_groups=mesh\[([^\]]*)\] \{([^}]*)\}", line)
    if named:
        sizes = dict(re.findall(r"'(\w+)'=(\d+)", named[1]))
        return math.prod(int(sizes[axis]) for axis in re.findall(r"'(\w+)'", named[2]))
    iota = re.search(r"replica_groups=\[(\d+),(\d+)\]<=", line)
    if iota:
        return int(iota[2])
    listed = re.search(r"replica_groups=\{\{([\d,]+)\}", line)
    if listed:
        return listed[1].count(",") + 1
    return n_devices


def _least_sent(kind: str, group_size: int, n_bytes: int) -> int:
    """Bytes that a device must send under any algorithm; a ring algorithm sends no more."""
    if kind == "collective-permute":
        return n_bytes
    share = n_bytes * (group_size - 1) // group_size
    return 2 * share if kind == "all-reduce" else share


def _bytes(shapes: str) -> int:
    return sum(_size(*array) for array in _ARRAY.findall(shapes))


def _size(dtype: str, dims: str) -> int:
    # Other types are tokens or eight-bit floats.
    return _BYTES.get(dtype, 1) * math.prod(int(n) for n in dims.split(",") if n)
