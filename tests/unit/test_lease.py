"""A lease never seems longer than the database says it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evtrig.relay.lease import MARGIN, TTL, Lease

times = st.floats(0, 1e9)
trips = st.floats(0, 60)


@given(begun=times, took=trips)
def test_the_deadline_counts_from_before_the_statement(
    begun: float, took: float
) -> None:
    """However long the answer took: the database set the end while we waited."""
    written_at = begun + took / 2
    lease = Lease(1, begun)
    assert lease.deadline <= written_at + TTL - MARGIN


@given(begun=times, asked_at=times)
def test_a_renewal_counts_from_when_it_was_asked_for(
    begun: float, asked_at: float
) -> None:
    lease = Lease(7, begun, 30).renewed(asked_at=asked_at)
    assert lease == Lease(7, asked_at, 30)
    assert lease.deadline == asked_at + 30 - MARGIN


@given(begun=st.floats(0, 1e6), ttl=st.integers(2, 3600))
def test_two_renewals_may_fail_before_the_deadline(begun: float, ttl: int) -> None:
    lease = Lease(1, begun, ttl)
    assert lease.renew_at == pytest.approx(begun + ttl / 3)
    assert lease.renew_at < lease.deadline < begun + ttl
    if ttl == TTL:
        assert begun + 2 * ttl / 3 < lease.deadline


def test_a_lease_is_ten_seconds_less_one() -> None:
    assert Lease(1, 100.0).deadline == 109.0
