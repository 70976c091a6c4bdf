"""Speed of training steps beside PyTorch and the machine's peak, float32, on the CPU.

    python benchmarks/train.py [--sizes 0.12M,3M,25M] [--rounds 8] [--peer PYTHON]

The same GPT-2-style models (`peers/sizes.py`) are trained by several contestants. Every contestant
is a process with the same allocator settings and all cores. The contestants measure in turns of
some seconds, so that other load of the machine affects all of them equally. The fastest step of
each counts.

- tokens/s relative to PyTorch, eager or compiled, whichever is faster. `--peer` is a Python
  interpreter that has PyTorch (the extra `bench`), by default this one. Without PyTorch the ratio
  is not printed.
- matrix rate: FLOPs per second of the matrix products of a step, relative to the machine's fastest
  product of 1,024 x 1,024 matrices, measured in the same turns.
- dispatch: the fixed cost of a dispatch as a share of a step.
- compilation time of 24 scanned layers relative to 2.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from peers.sizes import SIZES

from scaling_jax.system.environment import training_environment

PEERS = Path(__file__).parent / "peers"
TARGETS = {"0.12M": 1.2, "3M": 0.95, "25M": 1.03}
DISPATCH_TARGET, COMPILE_TARGET = 0.05, 1.5
MODES = ("eager", "compiled")


class Contestant:
    """A process that measures when it receives a command."""

    def __init__(self, environment: dict[str, str], python: str, *arguments: str) -> None:
        command = [python, str(PEERS / arguments[0]), *arguments[1:]]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.facts: dict[str, Any] = json.loads(self._read())
        self.fastest: dict[str, float] = {}

    def measure(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        for name, seconds in json.loads(self._read()).items():
            self.fastest[name] = min(seconds, self.fastest.get(name, float("inf")))

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def _read(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


def environment() -> dict[str, str]:
    return training_environment() | {"JAX_PLATFORMS": "cpu"}


def has_pytorch(python: str) -> bool:
    found = subprocess.run([python, "-c", "import torch"], capture_output=True)
    return found.returncode == 0


def compare(name: str, rounds: int, peer: str | None) -> bool:
    """Print the speed of one size; return whether it meets its target."""
    contestants = {"ours": Contestant(environment(), sys.executable, "ours.py", name)}
    for mode in MODES if peer else ():
        contestants[mode] = Contestant(environment(), str(peer), "pytorch.py", name, mode)
    for _ in range(rounds):
        for contestant in contestants.values():
            contestant.measure()
    for contestant in contestants.values():
        contestant.end()
    rates = {key: SIZES[name].tokens / c.fastest["step"] for key, c in contestants.items()}
    print(f"{name:6} tokens/s      " + ", ".join(f"{k} {v:,.0f}" for k, v in rates.items()))
    facts, seconds = contestants["ours"].facts, contestants["ours"].fastest
    machine = facts["matrix_flops"] / seconds["matrix"]
    rate = facts["flops"] / seconds["step"]
    print(f"{name:6} matrix rate   {rate / machine:.2f} of {machine / 1e9:.0f} GFLOP/s")
    passed = True
    n = facts["steps_per_dispatch"]
    if n > 1:
        # One step takes a step and a dispatch; each of n takes a step and 1 / n of a dispatch.
        dispatch = (seconds["single"] - seconds["step"]) * n / (n - 1)
        share = max(0.0, dispatch / n / seconds["step"])
        passed = verdict(f"{name:6} dispatch", share, DISPATCH_TARGET)
    if not peer:
        print(f"{name:6} over PyTorch  missing: no PyTorch here (--peer, or the extra bench)")
        return False
    best = max(rates[mode] for mode in MODES)
    return verdict(f"{name:6} over PyTorch", rates["ours"] / best, TARGETS[name], False) and passed


def compile_ratio(rounds: int) -> bool:
    """Print the compilation time of 24 scanned layers relative to 2 layers."""
    fastest = {2: float("inf"), 24: float("inf")}
    for _ in range(rounds):
        for layers in fastest:
            command = [sys.executable, str(PEERS / "ours.py"), "compile", str(layers)]
            printed = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment())
            fastest[layers] = min(fastest[layers], json.loads(printed.stdout))
    print("compile       " + ", ".join(f"{n} layers {s:.2f} s" for n, s in fastest.items()))
    return verdict("compile 24/2", fastest[24] / fastest[2], COMPILE_TARGET)


def verdict(name: str, value: float, target: float, below: bool = True) -> bool:
    passed = value <= target if below else value >= target
    bound = "at most" if below else "at least"
    print(f"{name:20} {value:.3f} ({bound} {target}) {'pass' if passed else 'MISS'}", flush=True)
    return passed


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default=",".join(TARGETS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peer", default=sys.executable)
    options = parser.parse_args(arguments)
    peer = options.peer if has_pytorch(options.peer) else None
    passed = [compare(name, options.rounds, peer) for name in options.sizes.split(",")]
    passed.append(compile_ratio(max(1, options.rounds // 3)))
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
