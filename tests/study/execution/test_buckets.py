"""A study in a bucket, through a server of objects on this machine."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from small_studies import losses

from tests.buckets import SERVERS, bucket_of

SCRIPT = Path(__file__).parents[1] / "run_in_bucket.py"


@pytest.fixture(params=sorted(SERVERS))
def bucket(request, tmp_path):
    """A root in a bucket, and the environment with which processes reach it."""
    with bucket_of(request.param, tmp_path) as (name, environment):
        yield f"{name}/results", environment


def test_a_study_in_a_bucket_is_killed_continued_collected_and_reported(bucket, finished, tmp_path):
    root, environment = bucket
    page = tmp_path / "page.html"

    (tmp_path / "cache").mkdir()
    environment |= {"SCALING_JAX_CACHE": str(tmp_path / "cache")}

    def start(*args):
        command = [sys.executable, str(SCRIPT), root, *args]
        return subprocess.run(command, env=environment, text=True, capture_output=True)

    killed = start("killed")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    ended = start("ended", str(page))
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout.splitlines()[-1])
    assert found["saved"]
    assert found["documents"] == [["one", "two"], ["one"], ["three", "four"]]
    assert found["rows"] == 1
    ((run, loss),) = found["losses"].items()
    assert loss == pytest.approx(losses(finished)[run], rel=1e-5)
    assert found["tokens"] == ["00000000-000000.last"]
    assert found["local"] == ["digests"]
    assert found["events"] >= 1
    assert f"{loss:.4f}" in page.read_text()
    assert ".lease" not in found["left"]
    assert not [name for name in found["left"] if name.endswith(".tmp")]
    assert "stopped writing TensorBoard" not in ended.stderr
