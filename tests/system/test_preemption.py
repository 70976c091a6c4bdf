"""Signals are collected, not lost, and afterwards mean what they meant before."""

import os
import signal
import threading

import pytest

from scaling_jax.system.preemption import Preempted, stop_request


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_at_the_next_check(signum):
    before = signal.getsignal(signum)
    with stop_request() as stop:
        stop.raise_if_requested()
        os.kill(os.getpid(), signum)
        with pytest.raises(Preempted, match=f"signal {int(signum)}"):
            stop.raise_if_requested()
    assert signal.getsignal(signum) is before


def test_what_arrives_outside_an_inner_block_is_not_lost_on_it():
    with stop_request() as outer:
        os.kill(os.getpid(), signal.SIGTERM)
        with stop_request() as inner, pytest.raises(Preempted):
            inner.raise_if_requested()
        assert outer.signum == signal.SIGTERM
        # Still in force after the inner block.
        os.kill(os.getpid(), signal.SIGINT)
    assert outer.signum == signal.SIGINT


def test_in_another_thread_nothing_is_collected():
    heard = []

    def work():
        with stop_request() as stop:
            heard.append(stop.signum)

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert heard == [None]
    assert signal.getsignal(signal.SIGTERM) is before
