"""Which run a worker gets, and what it runs in."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest
from small_studies import RECIPE

from scaling_jax.config import program_of
from scaling_jax.errors import InputError
from scaling_jax.study import IsoFlop, Store, Study
from scaling_jax.study.execution import packs
from scaling_jax.study.execution.job import Job
from scaling_jax.study.execution.order import NEAR
from scaling_jax.study.execution.packs import pack_runs
from scaling_jax.study.execution.run_queue import RunQueue
from scaling_jax.system import cores
from scaling_jax.system.cores import affinity, pinned, shares, usable_cores
from scaling_jax.system.environment import ALLOCATOR_TUNABLES, merge_tunables
from scaling_jax.train import Execution, MeshSpec

DEVICES_ASKED_FOR = "--xla_force_host_platform_device_count=5"
FULL = ":".join(f"{name}={value}" for name, value in ALLOCATOR_TUNABLES.items())


@pytest.fixture
def runs(tmp_path):
    budgets = (1e10, 2e10, 4e10)
    design = IsoFlop(budgets, ((5e3, 10e3),) * 3)
    return Store.create(tmp_path, Study("many", replace(RECIPE), design)).runs()


def test_packs_go_out_in_their_order_but_for_a_near_one_that_is_compiled(runs):
    alone, compiled = [[run] for run in runs], {program_of(runs[0].planned.config)}
    same = [run for run in runs if run.planned.config.shape == runs[0].planned.config.shape]
    assert len(same) == 3
    waiting = RunQueue(alone)
    assert waiting.next(set()) == [runs[0]]
    assert waiting.next(compiled) == [same[1]]
    assert waiting.next(set()) == [next(run for run in runs if run not in same)]
    far = [[other] for other in runs if other not in same] * NEAR + [[same[2]]]
    assert RunQueue(far).next(compiled) == far[0]


def test_who_begins_takes_a_program_that_others_do_not_compile(runs):
    waiting, theirs = RunQueue([[run] for run in runs]), program_of(runs[0].planned.config)
    assert waiting.next(set(), elsewhere={theirs}) == [
        next(run for run in runs if program_of(run.planned.config) != theirs)
    ]
    assert waiting.next(set(), elsewhere={program_of(run.planned.config) for run in runs}) == [
        runs[0]
    ]


def test_a_pack_put_back_waits_its_time(runs, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("scaling_jax.study.execution.run_queue.time.monotonic", lambda: now[0])
    waiting = RunQueue([])
    waiting.put_back([runs[1]], 9.0)
    waiting.put_back([runs[0]], 5.0)
    assert waiting
    assert waiting.next(set()) is None
    now[0] = 5.0
    assert waiting.next(set()) == [runs[0]]
    assert waiting.take([runs[1].run_id]) == [runs[1]]
    assert not waiting


def test_runs_of_one_program_are_packed_in_their_order(runs):
    alone = [[run] for run in runs]
    assert pack_runs(runs, Job()) == alone  # On a CPU.
    assert pack_runs(runs, Job(pack=1)) == alone
    programs = {program_of(run.planned.config): [] for run in runs}
    for run in runs:
        programs[program_of(run.planned.config)].append(run)
    assert [len(group) for group in programs.values()] == [3, 3]
    # On a CPU a pack may have any size.
    assert pack_runs(runs, Job(pack=8)) == list(programs.values())
    in_twos = pack_runs(runs, Job(pack=8, execution=Execution(mesh=MeshSpec(replica=2))))
    assert sorted(map(len, in_twos)) == [1, 1, 2, 2]


def test_a_pack_is_what_the_devices_can_share_out(runs, monkeypatch):
    same = [runs[0]] * 13
    monkeypatch.setattr("jax.device_count", lambda: 8)
    monkeypatch.setattr("jax.default_backend", lambda: "tpu")
    assert [len(pack) for pack in pack_runs(same, Job(pack=64))] == [8, 4, 1]


def test_an_accelerator_trains_as_many_side_by_side_as_keep_it_busy_and_fit(runs, monkeypatch):
    same = [runs[0]] * 40
    monkeypatch.setattr("jax.device_count", lambda: 1)
    monkeypatch.setattr(packs, "device_memory", lambda device: 16 * 2**30)
    assert [len(pack) for pack in pack_runs(same, Job())] == [16, 16, 8]
    monkeypatch.setattr(packs, "device_memory", lambda device: 2**20)
    assert [len(pack) for pack in pack_runs(same, Job())] == [1] * 40


def test_a_pack_of_none_is_refused():
    with pytest.raises(InputError, match="pack 0 must be at least 1"):
        Job(pack=0)


def test_workers_share_the_cores_out_evenly(monkeypatch):
    monkeypatch.setattr(cores, "affinity", lambda: [0, 1, 4, 5, 6])
    assert shares(1) == [{0, 1, 4, 5, 6}]
    assert shares(2) == [{0, 1}, {4, 5, 6}]
    assert shares(5) == [{0}, {1}, {4}, {5}, {6}]
    assert shares(7) == [{0}, {1}, {4}, {5}, {6}, {0}, {1}]


@pytest.mark.parametrize(
    ("quota", "usable"), [("max 100000", 8), ("250000 100000", 3), ("10000 100000", 1)]
)
def test_a_containers_quota_bounds_the_cores(monkeypatch, tmp_path, quota, usable):
    (tmp_path / "cpu.max").write_text(quota + "\n")
    monkeypatch.setattr(cores, "_QUOTA_FILE", tmp_path / "cpu.max")
    monkeypatch.setattr(cores, "affinity", lambda: list(range(8)))
    assert usable_cores() == usable


@pytest.mark.parametrize(("flags", "devices"), [("", 3), (DEVICES_ASKED_FOR, 5)])
def test_a_batch_is_split_over_as_many_cores_as_have_an_equal_share(flags, devices):
    program = (
        "import jax; from scaling_jax.system import cores; cores.usable_cores = lambda: 4;"
        "cores.split_batch_over_cores(6); print(jax.device_count())"
    )
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    printed = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert printed.stdout.split() == [str(devices)]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_a_process_is_pinned_from_its_start_and_its_parent_is_not():
    before, last = affinity(), affinity()[-1]
    with pinned({last}):
        command = "import os; print(*os.sched_getaffinity(0))"
        started = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True)
    assert started.stdout.split() == [str(last)]
    assert affinity() == before


@pytest.mark.parametrize(
    ("theirs", "merged"),
    [
        ("", FULL),
        ("glibc.malloc.check=3", f"glibc.malloc.check=3:{FULL}"),
        (
            "glibc.malloc.hugetlb=0",
            f"glibc.malloc.hugetlb=0:{FULL.replace('glibc.malloc.hugetlb=1:', '')}",
        ),
        (FULL, FULL),
    ],
)
def test_what_the_user_tunes_stays(theirs, merged):
    assert merge_tunables(theirs) == merged
