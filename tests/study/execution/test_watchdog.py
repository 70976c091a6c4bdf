"""A process that hangs ends itself; one that shows signs of life does not."""

import threading

from scaling_jax.study.execution.watchdog import ending_if_stalled


def test_silence_ends_the_process_and_says_how_to_go_on(capfd):
    ended = threading.Event()
    with ending_if_stalled(0.05, end=ended.set):
        assert ended.wait(timeout=60)
    assert "no progress for 0 s; run the same command" in capfd.readouterr().err


def test_a_sign_of_life_is_enough_and_so_is_the_end(capfd):
    ended, threads = threading.Event(), threading.active_count()
    with ending_if_stalled(60.0, end=ended.set) as alive:
        alive()
    assert not ended.is_set()
    assert capfd.readouterr().err == ""
    assert threading.active_count() == threads
