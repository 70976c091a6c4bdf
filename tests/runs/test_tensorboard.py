"""TensorBoard shows a resumed run's scalars once, as TensorBoard itself reads the files."""

import os
import struct
import subprocess
import sys

import pytest
from etils import epath

from scaling_jax.runs.tensorboard import Events


def events_in(path):
    from tensorboardX.proto.event_pb2 import Event

    content, at = path.read_bytes(), 0
    while at < len(content):
        (size,) = struct.unpack_from("<Q", content, at)
        # A length and its checksum, then the event and its checksum.
        yield Event.FromString(content[at + 12 : at + 12 + size])
        at += 12 + size + 4


def shown(directory):
    """Steps and losses after what TensorBoard forgets: all from a restart's step on."""
    from tensorboardX.proto.event_pb2 import SessionLog

    kept = {}
    for path in sorted(directory.iterdir()):
        for event in events_in(path):
            if event.session_log.status == SessionLog.START:
                kept = {step: value for step, value in kept.items() if step < event.step}
            for value in event.summary.value:
                assert value.tag == "loss"
                assert event.step not in kept
                kept[event.step] = value.simple_value
    return kept


def test_steps_trained_again_after_a_kill_are_shown_once(tmp_path):
    directory = epath.Path(tmp_path) / "tensorboard"
    killed = Events(directory, 0)
    for step in range(1, 8):
        killed.add(step, {"loss": 10.0 - step})
    killed.close()
    resumed = Events(directory, 4)
    for step in range(5, 10):
        resumed.add(step, {"loss": 20.0 - step})
    resumed.close()
    expected = {step: (10.0 if step <= 4 else 20.0) - step for step in range(1, 10)}
    assert shown(directory) == pytest.approx(expected)


def test_pytorch_is_not_loaded_for_them(tmp_path):
    (tmp_path / "torch.py").write_text("print('loaded')")
    program = (
        "import sys; from etils import epath; from scaling_jax.runs.tensorboard import Events;"
        "Events(epath.Path(sys.argv[1]), 0).close(); assert 'torch' not in sys.modules;"
        "import torch"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "events"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert printed.stdout == "loaded\n"
