"""Which operations of a compiled program run while the program computes."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

_INSTRUCTION = re.compile(r"^(?:ROOT )?%?([\w.-]+) = .*? ([a-z][\w-]*)\(%?([\w.-]*)")
_CHAIN = re.compile(r'chain_id="(\d+)"')
_CHAIN_ENDS = ("AsyncCollectiveStart", "AsyncCollectiveDone")
_CALLS = re.compile(r"(?:calls|called_computations)=\{?%?([\w.-]+)")

# Instructions that compute. Loops and calls may; a program that has them between the two ends of an
# exchange computes there.
_COMPUTE = ("fusion", "dot", "convolution", "custom-call", "while", "call", "conditional")


def name_of(line: str) -> str | None:
    """Name of the instruction on a line of a compiled program's text."""
    found = _INSTRUCTION.match(line)
    return found[1] if found else None


def chain_of(line: str) -> str | None:
    """The chain that an exchange on a line of a TPU's program belongs to; None for other lines.

    A TPU splits an exchange into steps and fuses them with computations, one after the other. Each
    of these fusions, the first and the last included, repeats the whole exchange in its text.
    """
    found = _CHAIN.search(line)
    return found[1] if found else None


def computing_chains(computations: Mapping[str, Sequence[str]]) -> set[str]:
    """The chains of which some steps are fused with computations, between the two ends."""
    middle = (
        lines
        for lines in computations.values()
        if not any(end in line for line in lines for end in _CHAIN_ENDS)
    )
    return {chain for lines in middle for line in lines if (chain := chain_of(line)) is not None}


def overlapped_operations(computations: Mapping[str, Sequence[str]]) -> set[str]:
    """Names of the instructions that start an operation before a computation and end it after.

    The text lists instructions in the order in which they are issued. With the name of such an
    instruction, the result has the names of the computations that it calls.
    """
    found: set[str] = set()
    for lines in computations.values():
        found.update(_of_one(lines))
    for lines in computations.values():
        for line in lines:
            if name_of(line) in found:
                found.update(_within(line, computations))
    return found


def _of_one(lines: Sequence[str]) -> Iterator[str]:
    """The overlapped starts of one computation."""
    position: dict[str, int] = {}
    # How many computing instructions come before each line.
    n_computing = 0
    for line in lines:
        found = _INSTRUCTION.match(line)
        if found is None:
            continue
        name, opcode, operand = found.groups()
        if opcode.endswith("-start") and '"is_sync":true' not in line:
            position[name] = n_computing
        elif opcode.endswith("-done") and operand in position:
            if n_computing > position[operand]:
                yield operand
        elif opcode.endswith("-update") and operand in position:
            position[name] = position[operand]
        elif opcode in _COMPUTE:
            n_computing += 1


def _within(line: str, computations: Mapping[str, Sequence[str]]) -> Iterable[str]:
    """Names of the computations that a line calls, and of those that they call."""
    waiting, found = _CALLS.findall(line), set()
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [
                each for inner in computations.get(name, ()) for each in _CALLS.findall(inner)
            ]
    return found
