"""A lease never seems longer than the database says it is, and is come by in order."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evtrig.relay.action import Claim, Grant, Look, Release, Renew
from evtrig.relay.lease import MARGIN, STANDBY_POLL, TTL, Holder, Lease

times = st.floats(0, 1e9)
trips = st.floats(0, 60)

NOBODY = Holder(0, 0, "", "2000-01-01 00:00:00.000000", -1e9)
SOMEBODY = Holder(7, 7, "there:1", "2026-11-24 12:00:10.000000", 10.0)


def held(*, asked_at: float = 0.0, ttl: int = TTL) -> Lease:
    lease = Lease(ttl=ttl)
    lease.looked(NOBODY, asked_at)
    lease.claimed(1)
    lease.granted(True, asked_at)
    return lease


class TestHolding:
    @given(begun=times, took=trips)
    def test_the_deadline_counts_from_before_the_statement(
        self, begun: float, took: float
    ) -> None:
        """However long the answer took: the database set the end while we waited."""
        written_at = begun + took / 2
        assert held(asked_at=begun).deadline <= written_at + TTL - MARGIN

    @given(begun=times, asked_at=times)
    def test_a_renewal_counts_from_when_it_was_asked_for(
        self, begun: float, asked_at: float
    ) -> None:
        lease = held(asked_at=begun, ttl=30)
        lease.renewed(True, asked_at)
        assert lease.deadline == asked_at + 30 - MARGIN

    @given(begun=st.floats(0, 1e6), ttl=st.integers(2, 3600))
    def test_a_renewal_may_fail_before_the_deadline(
        self, begun: float, ttl: int
    ) -> None:
        lease = held(asked_at=begun, ttl=ttl)
        assert lease.renew_at == pytest.approx(begun + ttl / 3)
        assert lease.renew_at < lease.deadline < begun + ttl
        if ttl == TTL:
            assert begun + 2 * ttl / 3 < lease.deadline

    def test_a_lease_is_ten_seconds_less_one(self) -> None:
        assert held(asked_at=100.0).deadline == 109.0

    def test_it_is_renewed_in_time_and_not_before(self) -> None:
        lease = held()
        assert lease.next(TTL / 3 - 0.01) is None
        assert lease.next(TTL / 3) == Renew(1)

    def test_a_renewal_that_finds_somebody_newer_ends_it(self) -> None:
        lease = held()
        lease.renewed(False, 4.0)
        assert lease.is_lost
        assert lease.next(5.0) is None


class TestComingByIt:
    def test_a_free_lease_is_looked_at_claimed_and_granted(self) -> None:
        lease = Lease()
        assert lease.next(0.0) == Look()
        lease.looked(NOBODY, 0.0)
        assert lease.next(0.0) == Claim()
        lease.claimed(1)
        assert lease.next(0.0) == Grant(1)
        lease.granted(True, 0.0)
        assert lease.is_held

    def test_a_lease_that_is_held_is_waited_for(self) -> None:
        lease = Lease()
        lease.looked(SOMEBODY, 0.0)
        assert lease.next(STANDBY_POLL - 0.01) is None
        assert lease.next(STANDBY_POLL) == Look()
        lease.looked(dataclasses.replace(SOMEBODY, epoch=0), 1.0)
        assert lease.next(1.0) == Claim()

    def test_a_claim_that_has_moved_is_left_to_whoever_made_it(self) -> None:
        lease = Lease(seen=3)
        lease.looked(dataclasses.replace(NOBODY, claim=4), 0.0)
        assert lease.next(0.0) is None, "a pause"
        assert lease.next(1.0) == Look()
        lease.looked(dataclasses.replace(NOBODY, claim=4), 1.0)
        assert lease.next(1.0) == Claim()

    def test_taking_over_claims_at_once_and_once(self) -> None:
        lease = Lease(take_over=True)
        lease.looked(SOMEBODY, 0.0)
        assert lease.next(0.0) == Claim()
        lease.claimed(8)
        lease.granted(False, 0.0)
        assert lease.next(0.0) == Look()
        lease.looked(dataclasses.replace(SOMEBODY, claim=9), 0.0)
        lease.looked(dataclasses.replace(SOMEBODY, claim=9), 1.0)
        assert lease.next(9.0) == Look(), "somebody newer asks: it stands by"

    def test_a_claimed_lease_is_asked_for_until_it_is_let_go(self) -> None:
        lease = Lease(take_over=True)
        lease.looked(SOMEBODY, 0.0)
        lease.claimed(8)
        for now in (0.0, 1.0, 2.0):
            assert lease.next(now) == Grant(8)
            lease.granted(False, now)
            assert lease.next(now) == Look()
            lease.looked(dataclasses.replace(SOMEBODY, claim=8), now)
            assert lease.next(now) is None

    def test_its_own_lease_of_a_lost_connection_is_let_go_first(self) -> None:
        lease = Lease(own=5)
        assert lease.next(0.0) == Release(5)
        lease.released()
        assert lease.next(0.0) == Look()
        lease.looked(dataclasses.replace(NOBODY, claim=5), 0.0)
        assert lease.next(0.0) == Claim()


class TestClock:
    """The clock of the database is set back an hour; its holder has died."""

    late = dataclasses.replace(SOMEBODY, remaining=3610.0)

    def test_who_does_not_renew_for_the_longest_time_has_gone(self) -> None:
        lease = Lease(seen=7)
        now = 0.0
        while now < 302:
            assert lease.next(now) == Look()
            lease.looked(dataclasses.replace(self.late, remaining=3610 - now), now)
            now += 1
        assert lease.next(now) == Claim()
        lease.claimed(8)
        assert lease.next(now) == Grant(8, (7, self.late.expires_at))

    def test_what_was_left_when_it_was_first_seen_is_enough(self) -> None:
        lease = Lease(seen=7)
        lease.looked(dataclasses.replace(SOMEBODY, remaining=4.0), 0.0)
        lease.looked(self.late, 4.9)
        assert lease.next(5.2) == Look()
        lease.looked(self.late, 5.2)
        assert lease.next(5.2) == Claim()

    def test_who_renews_has_not_gone(self) -> None:
        lease = Lease(seen=7)
        for now in range(1000):
            holder = dataclasses.replace(self.late, expires_at=f"later: {now}")
            lease.looked(holder, float(now))
            assert lease.next(now + 0.5) == Look()
