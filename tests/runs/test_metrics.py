"""The loss curve on disk: every step once, whatever happened to the file."""

import errno
import json

import pytest
from etils import epath

from scaling_jax.runs import curve_files, metrics
from scaling_jax.runs.curve_files import read_metrics, steps_without_gap
from scaling_jax.runs.metrics import open_metrics
from scaling_jax.system import files


@pytest.fixture
def run(tmp_path):
    """Rows of steps 1 to 5."""
    directory = epath.Path(tmp_path)
    with open_metrics(directory, 0) as log:
        log.add([row(step) for step in range(1, 6)])
    return directory


def row(step):
    return {"step": step, "tokens": 256 * step, "loss": 1 / step}


def steps(directory):
    return [row["step"] for row in read_metrics(directory)]


@pytest.mark.parametrize(
    ("damage", "left"),
    [
        (lambda content: content[:-5], 4),
        (lambda content: content[: len(content) // 2], 2),
        (lambda content: content[:40] + b"\xff\x00" + content[42:], 1),
        (lambda content: content.replace(b'"step": 3', b'"stop": 3'), 2),
        (lambda content: content + b"[" * 200_000 + b"\n", 5),
        (lambda content: content.replace(b'"tokens": 768', b'"tokens": [768]'), 2),
        (lambda content: content.replace(b'"step": 3', b'"step": 1' + b"0" * 400), 2),
        (lambda content: b"", 0),
    ],
)
def test_a_damaged_curve_is_read_up_to_the_damage(run, damage, left):
    path = run / curve_files.METRICS_FILE
    path.write_bytes(damage(path.read_bytes()))
    assert steps_without_gap(run) == left
    assert steps(run)[:left] == list(range(1, left + 1))


def test_without_a_curve_there_are_no_steps(tmp_path):
    assert steps_without_gap(epath.Path(tmp_path)) == 0


def test_a_continued_curve_has_every_step_once(run):
    with open_metrics(run, 3) as log:
        log.add([row(4)])
        log.flush()
        log.add([row(5), row(6)])
    assert steps(run) == [1, 2, 3, 4, 5, 6]


def test_a_curve_is_on_disk_soon_without_a_checkpoint(tmp_path, monkeypatch):
    directory = epath.Path(tmp_path)
    with open_metrics(directory, 0) as log:
        log.add([row(1)])
        assert steps(directory) == []
        monkeypatch.setattr(metrics, "FLUSH_SECONDS", 0.0)
        log.add([row(2)])
        assert steps(directory) == [1, 2]
        log.add([row(3)])
    assert steps(directory) == [1, 2, 3]


def test_what_a_failed_write_left_is_written_over(run, monkeypatch):
    monkeypatch.setattr(files, "WAITS", (0.0,))
    write, failures = curve_files.Lines._write, [errno.EIO, errno.ENOSPC]

    def half(log, added):
        if failures:
            write(log, added[: len(added) // 2])
            raise OSError(failures.pop(0), "no more")
        write(log, added)

    monkeypatch.setattr(curve_files.Lines, "_write", half)
    with open_metrics(run, 5) as log:
        log.add([row(6), row(7)])
        # The first failure passes, a full disk does not.
        with pytest.raises(OSError, match="no more"):
            log.flush()
        log.flush()
    assert steps(run) == [1, 2, 3, 4, 5, 6, 7]
    lines = (run / curve_files.METRICS_FILE).read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == steps(run)


def test_a_file_that_was_changed_meanwhile_is_written_anew_at_the_end(run):
    path = run / curve_files.METRICS_FILE
    with open_metrics(run, 5) as log:
        path.write_bytes(b"")
        log.add([row(6)])
        log.flush()
        assert steps_without_gap(run) == 0
    assert steps(run) == [1, 2, 3, 4, 5, 6]


def test_a_full_disk_ends_the_events_and_not_the_curve(tmp_path, monkeypatch, capfd):
    from tensorboardX.event_file_writer import EventsWriter

    directory = epath.Path(tmp_path)
    with open_metrics(directory, 0) as log:
        log.add([row(1)])

        def full(writer, event):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(EventsWriter, "write_event", full)
        for step in range(2, 40):
            log.add([row(step)])
    assert steps(directory) == list(range(1, 40))
    assert capfd.readouterr().err.count("No space left on device") == 1
    assert len(list((directory / "tensorboard").glob("events*"))) == 1
