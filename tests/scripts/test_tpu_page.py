"""docs/tpu.md, followed to the letter, and the manifest that it explains."""

import math
import re
import sys
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))

from test_tpu import REPOSITORY, Cloud

from scaling_jax.cli.app import _parsed

PAGE = (REPOSITORY / "docs" / "tpu.md").read_text()
MANIFEST = REPOSITORY / "scripts" / "tpu" / "gke.yaml"

# What happens on worker 0 when the TPU is preempted: its processes are killed.
PREEMPTED = "sleep 0.3; echo PREEMPTED >$FAKE/node; kill -KILL 0"

STUBS = {
    "ssh-keygen": 'mkdir -p "$HOME/.ssh" && echo key >"${!#}"',
    "ssh-add": 'cat "$1" >>"$FAKE/agent"',
    "scaling-jax": 'echo "$@" >>"$FAKE/local"',
}


@pytest.fixture
def cloud(tmp_path: Path):
    cloud = Cloud(tmp_path)
    for name, script in STUBS.items():
        stub = tmp_path / "bin" / name
        stub.write_text(f"#!/usr/bin/env bash\n{script}\n")
        stub.chmod(0o755)
    cloud.environment |= {"WORKERS": "4", "ASKS_AGENT": "yes"}
    yield cloud
    if (tmp_path / "node").exists():
        cloud("delete", "--yes")


def test_the_page_can_be_followed_to_the_end(cloud: Cloud) -> None:
    once, begin, again, end, watch = re.findall(r"```console[^\n]*\n(.*?)```", PAGE, re.S)
    names = re.search(r"export .*", begin)
    assert names is not None

    def follow(block: str):
        # The same shell in the eyes of a reader: what one block exports, the next ones see.
        return cloud.shell(f"cd {REPOSITORY}\n{names[0]}\n{block}")

    cloud.runs(PREEMPTED, "echo continued; exit 0", PREEMPTED, "exit 0")
    assert follow(once).returncode == 0
    first = follow(begin)
    assert "the TPU is in state" not in first.stderr, first.stderr
    assert (cloud.directory / "node").read_text() == "PREEMPTED\n"
    assert first.returncode != 0  # the connection of `logs` has ended

    second = follow(again)
    assert second.returncode == 0, second.stderr
    assert "continued" in second.stdout
    assert follow(end).returncode == 0
    assert not (cloud.directory / "node").exists()

    watched = follow(watch)
    assert watched.returncode == 0, watched.stderr
    assert "PREEMPTED; creating another TPU" in watched.stderr
    assert not (cloud.directory / "node").exists()
    assert cloud.verbs("create", "delete") == ["create", "delete"] * 4
    # What the workers were sent is a command of this package, and so is what the reader types.
    for line in ["arguments", "local"]:
        written = (cloud.directory / line).read_text()
        words = [written.split()] if line == "arguments" else map(str.split, written.splitlines())
        for each in words:
            _parsed(list(each))


def test_without_the_key_in_an_agent_workers_are_not_reached(cloud: Cloud) -> None:
    assert cloud("create", "--type", "v5litepod-16").returncode == 0
    refused = cloud("setup")
    assert refused.returncode == 1
    assert "ssh-add" in refused.stderr


def test_the_manifest_is_a_jobset_of_one_whole_slice() -> None:
    manifest = yaml.safe_load(MANIFEST.read_text())
    assert manifest["apiVersion"] == "jobset.x-k8s.io/v1alpha2"
    assert manifest["kind"] == "JobSet"
    assert manifest["metadata"]["annotations"] == {
        "alpha.jobset.sigs.k8s.io/exclusive-topology": "cloud.google.com/gke-nodepool"
    }
    assert set(manifest["spec"]) <= {"failurePolicy", "replicatedJobs"}
    assert manifest["spec"]["failurePolicy"]["maxRestarts"] > 0
    (job,) = manifest["spec"]["replicatedJobs"]
    # Several slices would not share the interconnect that a study's mesh assumes.
    assert (set(job), job["replicas"]) == ({"name", "replicas", "template"}, 1)
    hosts = job["template"]["spec"]
    assert hosts["parallelism"] == hosts["completions"]
    assert hosts["backoffLimit"] == 0  # one pod that fails ends the job, and the JobSet restarts
    pod = hosts["template"]["spec"]
    assert pod["restartPolicy"] == "Never"
    labels = pod["nodeSelector"]
    topology = labels["cloud.google.com/gke-tpu-topology"]
    (container,) = pod["containers"]
    chips = container["resources"]["limits"]["google.com/tpu"]
    assert container["resources"]["requests"]["google.com/tpu"] == chips
    assert chips * hosts["parallelism"] == math.prod(map(int, topology.split("x")))
    assert labels["cloud.google.com/gke-tpu-accelerator"] == "tpu-v5-lite-podslice"
    tolerated = {each["key"]: each["value"] for each in pod["tolerations"]}
    assert tolerated == {"cloud.google.com/gke-spot": labels["cloud.google.com/gke-spot"]}
    assert container["command"][0] == "scaling-jax"
    assert (REPOSITORY / container["command"][2]).exists()
    _parsed(container["command"][1:])
