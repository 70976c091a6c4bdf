"""Servers of objects on this machine, which stand for the clouds' buckets."""

import importlib.util
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

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


@contextmanager
def bucket_of(scheme: str, folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """A bucket, and the environment with which processes reach it; its server logs in `folder`."""
    packages, command, variables = SERVERS[scheme]
    for package in packages:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"needs the package {package}")
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    with open(folder / "server.log", "w") as log:
        server = subprocess.Popen([sys.executable, *command, str(port)], stdout=log, stderr=log)
    try:
        _until_it_answers(port, server)
        if scheme == "s3":
            put = urllib.request.Request(f"http://127.0.0.1:{port}/bucket", method="PUT")
            urllib.request.urlopen(put).close()
        added = {name: value.format(port=port) for name, value in variables.items()}
        yield f"{scheme}://bucket", os.environ | added
    finally:
        server.kill()
        server.wait()


def _until_it_answers(port: int, server: subprocess.Popen) -> None:
    while server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("localhost", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail("the server of the bucket did not start")
