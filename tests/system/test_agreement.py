"""What processes wish for is heard one call later, until it is done."""

import jax
import pytest

from scaling_jax.system.agreement import Agreement


@pytest.fixture
def agreed(monkeypatch: pytest.MonkeyPatch) -> Agreement:
    """As in one of several processes; this one has all the devices."""
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    return Agreement()


def test_a_wish_is_heard_one_call_later(agreed: Agreement) -> None:
    assert [agreed(wish) for wish in (0, 1, 2, 0, 0)] == [0, 0, 1, 2, 0]


def test_a_wish_from_before_it_was_granted_is_not_granted_again(agreed: Agreement) -> None:
    # It is wished for until it is heard, and so once more than needed.
    assert [agreed(1), agreed(1)] == [0, 1]
    agreed.forget()
    assert [agreed(0), agreed(0)] == [0, 0]
