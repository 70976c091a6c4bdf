"""Training steps on one GPU: utilization, PyTorch, small runs in one program, and experts.

    python benchmarks/gpu.py [--sizes 124M,1.3B] [--rounds 3] [--peer PYTHON] [--replicas 8]
    python benchmarks/gpu.py --sizes "" --replicas 1 --experts 124M,8

- This package and compiled PyTorch train the GPT-2-style models of `peers/sizes.py` in bfloat16,
  one after the other on the same card. `--peer` is a Python interpreter that has PyTorch. The
  fastest step of each counts. Model FLOP utilization is the FLOPs of the count `exact`, attention
  scores in full, over the card's published dense peak.
- Runs of 0.12M parameters in float32_fast train in one program, and one run trains alone; the
  program prints the ratio of their tokens/s.
- A mixture of experts, of which each token uses one, trains beside the dense model of the same
  active parameters; the program prints the ratio of their tokens/s.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from peers.sizes import SIZES
from train import Contestant, has_pytorch, verdict

from scaling_jax.accounting.hardware import chip_of_kind, mfu
from scaling_jax.system.environment import training_environment

MFU_TARGETS = {"124M": 0.50, "1.3B": 0.55}
REPLICAS_TARGET = 4.0
# Contestants run one after the other, so each may allocate nearly all of the memory.
MEMORY = {"XLA_PYTHON_CLIENT_MEM_FRACTION": "0.92"}


def measured(rounds: int, python: str, *arguments: str) -> tuple[dict[str, Any], dict[str, float]]:
    """The facts that a contestant reports, and the seconds of its fastest steps."""
    contestant = Contestant(training_environment() | MEMORY, python, *arguments)
    for _ in range(rounds):
        contestant.measure()
    contestant.end()
    return contestant.facts, contestant.fastest


def compare(name: str, rounds: int, peer: str | None) -> bool:
    """Print the speed of one size; return whether it meets its target."""
    size = SIZES[name]
    facts, fastest = measured(rounds, sys.executable, "ours.py", name)
    seconds = {"ours": fastest["step"]}
    chip = chip_of_kind(facts["device"])
    if chip is None:
        sys.exit(f"the published peak of {facts['device']} is unknown")
    if peer:
        _, fastest = measured(rounds, peer, "pytorch.py", name, "compiled")
        seconds["PyTorch"] = fastest["step"]
    print(f"{name}: {size.batch_size} sequences of {size.seq_len} a step, {facts['device']}")
    shares = {}
    for who, each in seconds.items():
        shares[who] = mfu(facts["flops"], each, chip, precision=size.precision)
        print(f"  {who:8} {size.tokens / each:10,.0f} tokens/s  MFU {shares[who]:.1%}")
    if not peer:
        print("  PyTorch  missing: none here (--peer, or the extra bench)")
    return verdict(f"  {name} MFU", shares["ours"], MFU_TARGETS[name], below=False)


def compare_replicas(n_runs: int, rounds: int) -> bool:
    """Print how many times faster runs train in one program; return whether the target is met."""
    _, seconds = measured(rounds, sys.executable, "ours.py", "replicas", "0.12M", str(n_runs))
    for who, each in seconds.items():
        print(f"0.12M {who:9} {SIZES['0.12M'].tokens / each:12,.0f} tokens/s")
    ratio = seconds["alone"] / seconds["together"]
    return verdict(f"{n_runs} runs over one", ratio, REPLICAS_TARGET, below=False)


def compare_experts(name: str, n_experts: int, rounds: int) -> None:
    """Print how fast a mixture of experts trains relative to the dense model of its active size."""
    rates = {}
    for n in (1, n_experts):
        _, seconds = measured(rounds, sys.executable, "ours.py", name, str(n))
        rates[n] = SIZES[name].tokens / seconds["step"]
        print(f"{name} {'dense' if n == 1 else f'{n} experts':11} {rates[n]:12,.0f} tokens/s")
    print(f"{name} {n_experts} experts over dense {rates[n_experts] / rates[1]:.3f}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default=",".join(MFU_TARGETS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer", default=sys.executable)
    parser.add_argument("--replicas", type=int, default=8)
    parser.add_argument("--experts", metavar="SIZE,EXPERTS")
    options = parser.parse_args(arguments)
    peer = options.peer if has_pytorch(options.peer) else None
    sizes = [name for name in options.sizes.split(",") if name]
    passed = [compare(name, options.rounds, peer) for name in sizes]
    if options.replicas > 1:
        passed.append(compare_replicas(options.replicas, options.rounds))
    if options.experts:
        name, n_experts = options.experts.split(",")
        compare_experts(name, int(n_experts), options.rounds)
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
