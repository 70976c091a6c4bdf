"""A study in a bucket, through a server of objects on this machine."""

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from small_studies import losses

SCRIPT = Path(__file__).parents[1] / "run_in_bucket.py"

# The emulator takes one connection at a time, and an idle one would keep out all others.
_EMULATOR = """
import sys
from http import server
server.HTTPServer = server.ThreadingHTTPServer
from gcp_storage_emulator.__main__ import main
main(sys.argv[1:])
"""

# What a user of each cloud sets, with the address of the server here.
SERVERS = {
    "gs": (
        ("gcp_storage_emulator", "gcsfs"),
        ["-c", _EMULATOR, "start", "--default-bucket=bucket", "-q", "-M", "--port"],
        {
            "STORAGE_EMULATOR_HOST": "http://localhost:{port}",
            "TENSORSTORE_GCS_HTTP_URL": "http://localhost:{port}",
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
        },
    ),
    "s3": (
        ("moto", "flask", "s3fs"),
        ["-m", "moto.server", "-p"],
        {
            "AWS_ENDPOINT_URL": "http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "nobody",
            "AWS_SECRET_ACCESS_KEY": "nothing",
            "AWS_DEFAULT_REGION": "us-east-1",
        },
    ),
}


@pytest.fixture(params=sorted(SERVERS))
def bucket(request, tmp_path):
    """A root in a bucket, and the environment with which processes reach it."""
    packages, command, variables = SERVERS[request.param]
    for package in packages:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"needs the package {package}")
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    with open(tmp_path / "server.log", "w") as log:
        server = subprocess.Popen([sys.executable, *command, str(port)], stdout=log, stderr=log)
    try:
        until_it_answers(port, server)
        if request.param == "s3":
            put = urllib.request.Request(f"http://127.0.0.1:{port}/bucket", method="PUT")
            urllib.request.urlopen(put).close()
        added = {name: value.format(port=port) for name, value in variables.items()}
        yield f"{request.param}://bucket/results", os.environ | added
    finally:
        server.kill()
        server.wait()


def until_it_answers(port, server):
    while server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("localhost", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail("the server of the bucket did not start")


def test_a_study_in_a_bucket_is_killed_continued_collected_and_reported(bucket, finished, tmp_path):
    root, environment = bucket
    page = tmp_path / "page.html"

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
    assert found["events"] >= 1
    assert f"{loss:.4f}" in page.read_text()
    assert ".lease" not in found["left"]
    assert not [name for name in found["left"] if name.endswith(".tmp")]
    assert "stopped writing TensorBoard" not in ended.stderr
