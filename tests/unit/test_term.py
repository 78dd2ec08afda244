"""What a term asks for, where the pieces it is made of do not say it by themselves."""

from __future__ import annotations

from evtrig.relay.action import (
    Claim,
    Delete,
    Grant,
    Look,
    Publish,
    Read,
    Recover,
    Release,
    Renew,
    Watch,
)
from evtrig.relay.event import Event
from evtrig.relay.floor import Floor
from evtrig.relay.lease import TTL, Holder, Lease
from evtrig.relay.outlet import Outlet
from evtrig.relay.scheduler import LONGEST_DELAY, Scheduler
from evtrig.relay.sinks.sink import ACKNOWLEDGED, Limits, Outcome, Result
from evtrig.relay.term import HINDERED, LONGEST_POLL, TRIES, WINDOW, Options, Term

NOBODY = Holder(0, 0, "", "2000-01-01", -1.0)
UNKNOWN = Result(Outcome.UNKNOWN, "who knows")


def event(id_: int, key: str = "k", *, problem: str = "") -> Event:
    return Event(id_, id_, key, "" if problem else "{}", problem=problem)


def leading(options: Options | None = None, *, now: float = 0.0) -> Term:
    """A term that holds the lease and has recovered; nothing was read."""
    options = options or Options()
    scheduler = Scheduler([Outlet("", Limits(10, 999, 4))], jitter=lambda: 1.0)
    term = Term(Lease(), scheduler, Floor(is_on=True), options)
    for asked, answer in (
        (Look(), NOBODY),
        (Claim(), 1),
        (Grant(1), True),
        (Recover(1), frozenset()),
    ):
        assert term.statement(now) == asked
        term.has_done(asked, answer, now, now)
    return term


def read(term: Term, *events: Event, now: float = 0.0) -> Read:
    asked = term.read(now)
    assert asked is not None
    term.has_done(asked, list(events), now, now)
    return asked


def test_what_was_acknowledged_is_deleted_and_the_next_of_the_key_goes() -> None:
    term = leading()
    read(term, event(1), event(2), event(3, "other"))
    call = term.publish(0.0)
    assert call == Publish(1, (event(1), event(3, "other")))
    assert term.publish(0.0) is None
    term.has_done(call, [ACKNOWLEDGED, UNKNOWN], 0.0, 0.01)
    assert term.statement(0.01) == Delete(1, (event(1),))
    assert term.publish(0.01) == Publish(2, (event(2),))


def test_a_read_that_was_under_way_when_something_was_dropped_is_of_no_use() -> None:
    """It was told to leave the dropped ones out, and brings later ones of the key."""
    term = leading()
    read(term, event(1, problem="no JSON"), event(2))
    assert term.publish(0.0) is None
    under_way = term.read(LONGEST_DELAY)
    assert under_way is not None
    assert under_way.besides == {1, 2}
    # Its time has come: the row may have been mended, and is read again.
    term.has_done(Watch(1, 0), (True, True), 0.0, LONGEST_DELAY)
    assert term.publish(LONGEST_DELAY) is None
    term.has_done(under_way, [event(3)], LONGEST_DELAY, LONGEST_DELAY)
    assert term.publish(LONGEST_DELAY) is None, "3 would overtake 1 and 2"
    again = read(term, event(1), event(2), event(3), now=LONGEST_DELAY)
    assert again.besides == set()
    assert term.publish(LONGEST_DELAY) == Publish(1, (event(1),))


def test_a_drain_is_not_over_while_something_has_to_be_read_again() -> None:
    term = leading(Options(drain=True))
    read(term, event(1, problem="no JSON"))
    term.publish(0.0)
    assert term.scheduler.is_stuck
    term.has_done(Watch(1, 0), (True, True), 0.0, LONGEST_DELAY)
    term.publish(LONGEST_DELAY)
    assert len(term.scheduler) == 0
    term.statement(LONGEST_DELAY)
    assert term.end is None


def test_a_drain_is_not_over_before_what_a_key_has_left_behind_is_read() -> None:
    """A key that waits keeps its first event in a window that is full."""
    term = leading(Options(drain=True))
    events = [event(n) for n in range(1, WINDOW)]
    read(term, *events)
    call = term.publish(0.0)
    assert call is not None
    term.has_done(call, [UNKNOWN], 0.0, 0.0)
    again = LONGEST_DELAY / 2
    term.has_done(Watch(1, 0), (True, True), again, again)
    assert read(term, now=again).besides_keys == {"k"}
    call = term.publish(again)
    assert call is not None
    term.has_done(call, [ACKNOWLEDGED], again, again)
    term.has_done(Delete(1, call.events), 1, again, again)
    term.statement(again)
    assert term.end is None
    soon = again + LONGEST_POLL
    assert read(term, *events[1:], now=soon).besides_keys == set()


def test_nothing_is_sent_behind_the_deadline_until_the_lease_is_renewed() -> None:
    term = leading()
    read(term, event(1))
    late = TTL - 0.5
    assert not term.may_send(late)
    assert term.publish(late) is None
    term.has_done(Watch(1, 0), (True, True), late, late)
    assert term.statement(late) == Renew(1)
    term.has_done(Renew(1), True, late, late)
    assert term.publish(late) == Publish(1, (event(1),))


def test_whoever_finds_somebody_newer_waits_for_what_is_in_flight() -> None:
    term = leading()
    read(term, event(1), event(2))
    call = term.publish(0.0)
    assert call is not None
    term.has_done(Watch(1, 0), (False, True), 0.1, 0.1)
    assert term.end == "superseded"
    assert not term.may_send(0.1)
    assert term.statement(0.1) is None
    assert term.wakes_at() == float("inf"), "no need to ask again"
    term.has_done(call, [ACKNOWLEDGED], 0.0, 0.2)
    assert term.publish(0.2) is None
    delete = term.statement(0.2)
    assert delete == Delete(1, (event(1),))
    term.has_done(delete, 1, 0.2, 0.2)
    assert term.statement(0.2) == Release(1)
    term.has_done(Release(1), None, 0.2, 0.2)
    assert term.is_over


def test_a_delete_that_finds_fewer_rows_makes_it_look_who_holds_the_lease() -> None:
    term = leading()
    read(term, event(1), event(2))
    call = term.publish(0.0)
    assert call is not None
    term.has_done(call, [ACKNOWLEDGED], 0.0, 0.01)
    term.has_done(Delete(1, (event(1),)), 0, 0.01, 0.01)
    assert term.publish(0.01) is None, "before it knows"
    assert term.statement(0.01) == Watch(1, 0)


def test_a_lock_that_stays_does_not_keep_a_relay_from_ending() -> None:
    term = leading()
    read(term, event(1))
    call = term.publish(0.0)
    assert call is not None
    term.has_done(call, [ACKNOWLEDGED], 0.0, 0.0)
    term.finish("stopped")
    now = 0.0
    for _ in range(TRIES):
        delete = term.statement(now)
        assert delete == Delete(1, (event(1),))
        term.is_hindered(delete, now)
        assert not isinstance(term.statement(now), Delete)
        now += HINDERED
    assert term.statement(now) == Release(1)


def test_a_stop_while_it_stands_by_is_the_end() -> None:
    scheduler = Scheduler([Outlet("", Limits(10, 999, 4))], jitter=lambda: 1.0)
    term = Term(Lease(), scheduler, Floor(is_on=True), Options())
    term.finish("stopped")
    assert term.is_over
    assert term.statement(0.0) is None
