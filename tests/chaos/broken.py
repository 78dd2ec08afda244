"""Relays and triggers broken on purpose, each by the mistake it is named for.

The shipped code with as little changed as will break it: the checker has to find a
fault with every one of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import pymysql

from evtrig.demo.checker import Envelope
from evtrig.errors import SinkError
from evtrig.relay.event import Event
from evtrig.relay.outbox import READ, Outbox
from evtrig.relay.sinks.sink import ACKNOWLEDGED, LEASE_RAN_OUT, Limits, Outcome, Result


class WithCursor(Outbox):
    """Goes on where the last read ended: passes over ids that commit late."""

    #: Outlives the connection, as a cursor that is stored does.
    cursor = 0

    def read(self, limit: int, **besides: Any) -> list[Event]:
        where = f"WHERE e.`id` > {self.cursor}"
        rows = self._connection.rows(self._sql(READ, where=where), (limit,))
        events = [self._event(row) for row in rows]
        type(self).cursor = max((event.id for event in events), default=self.cursor)
        return events


class DeletesUpTo(Outbox):
    """Deletes up to the highest id: also what has appeared since it read."""

    def read(self, limit: int, **besides: Any) -> list[Event]:
        # A batch at a time, as such relays do: the shipped one reads ahead, and might
        # see in time what the delete would take.
        return [] if besides["besides"] else super().read(limit, **besides)

    def delete(self, events: Iterable[Event], epoch: int) -> int:
        highest = max(event.id for event in events)
        sql = self._sql("DELETE FROM {events} WHERE `id` <= %s")
        return self._connection.execute(sql, (highest,))


class DeletesFirst(Outbox):
    """Deletes what it has read, and publishes it then."""

    #: Of the connection that holds the lease, for the one that reads.
    epoch = 0

    def grant(self, epoch: int, *arguments: Any) -> bool:
        type(self).epoch = epoch
        return super().grant(epoch, *arguments)

    def read(self, limit: int, **besides: Any) -> list[Event]:
        events = super().read(limit, **besides)
        super().delete(events, self.epoch)
        return events

    def delete(self, events: Iterable[Event], epoch: int) -> int:
        return len(list(events))


class ForgetsSome(Outbox):
    """Leaves an event in a hundred where it is, and sends it once more."""

    #: Outlives the connection.
    forgotten: frozenset[int] = frozenset()

    def delete(self, events: Iterable[Event], epoch: int) -> int:
        events = list(events)
        kind = type(self)
        ids = {event.id for event in events if event.id % 100 == 0}
        left = ids - kind.forgotten
        kind.forgotten |= ids
        super().delete([event for event in events if event.id not in left], epoch)
        return len(events)


class IgnoresTheNewer(Outbox):
    """Goes on publishing when another relay has asked for the lease, or has it."""

    def watch(self, epoch: int, floor: int) -> tuple[bool, bool]:
        _, has_events = super().watch(epoch, floor)
        return True, has_events

    def renew(self, epoch: int, ttl: int) -> bool:
        super().renew(epoch, ttl)
        return True


class KeepsItsLease(Outbox):
    """Ends without letting its lease go."""

    def release(self, epoch: int) -> None:
        """Nobody is told."""


class DeletesById(Outbox):
    """Keeps what it has sent over a lost connection, and deletes it by its id."""

    #: Both outlive the connection.
    sent: frozenset[int] = frozenset()
    last: Outbox | None = None

    def read(self, limit: int, **besides: Any) -> list[Event]:
        kind = type(self)
        if kind.last is not self and kind.sent:
            ids = ", ".join(map(str, kind.sent))
            sql = self._sql(f"DELETE FROM {{events}} WHERE `id` IN ({ids})")
            self._connection.execute(sql)
        kind.last = self
        events = super().read(limit, **besides)
        kind.sent |= {event.id for event in events}
        return events

    def delete(self, events: Iterable[Event], epoch: int) -> int:
        events = list(events)
        type(self).sent -= {event.id for event in events}
        return super().delete(events, epoch)


class ReadsUncommitted(Outbox):
    """Reads what may still be rolled back."""

    def read(self, limit: int, **besides: Any) -> list[Event]:
        level = "SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED"
        self._connection.execute(level)
        return super().read(limit, **besides)


class Arrivals:
    """A sink that remembers what arrived, and fails as it is told to."""

    name = "arrivals:"
    limits = Limits(entries=10, bytes=1024 * 1024)
    in_order = False

    def __init__(self) -> None:
        self.events: list[Envelope] = []
        #: Called once, when the next call has arrived and is not answered yet.
        self.during: Callable[[], None] | None = None
        #: What becomes of the first event of the next call.
        self.next: Outcome = Outcome.ACKNOWLEDGED
        #: Whether the next call fails as a whole.
        self.is_down = False

    def publish(
        self, events: Sequence[Event], may_send: Callable[[], bool]
    ) -> Sequence[Result]:
        if not may_send():
            return [LEASE_RAN_OUT] * len(events)
        if self.is_down:
            self.is_down = False
            raise SinkError("the sink is down")
        first, self.next = Result(self.next), Outcome.ACKNOWLEDGED
        results = [first] + [ACKNOWLEDGED] * (len(events) - 1)
        for event, result in zip(events, results, strict=True):
            if result == ACKNOWLEDGED:
                self.events.append(json.loads(event.body))
        during, self.during = self.during, None
        if during:
            during()
        return results

    def close(self) -> None:
        """Nothing to free."""


class SeveralOfAKey(Arrivals):
    """Lets a call hold several events of one key, and they fail one by one."""

    in_order = True


class RefusedIsDone(Arrivals):
    """Takes an event that was refused for one that needs no more care."""

    def publish(
        self, events: Sequence[Event], may_send: Callable[[], bool]
    ) -> Sequence[Result]:
        return [
            replace(result, outcome=Outcome.ACKNOWLEDGED)
            if result.outcome is Outcome.REFUSED
            else result
            for result in super().publish(events, may_send)
        ]


def capture_before(connection: pymysql.Connection, table: str) -> None:
    """Make the triggers of a table BEFORE triggers: they tell what may not happen."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT trigger_name, event_manipulation, action_statement"
            "  FROM information_schema.triggers"
            " WHERE trigger_schema = DATABASE() AND event_object_table = %s",
            (table,),
        )
        for name, operation, body in cursor.fetchall():
            cursor.execute(f"DROP TRIGGER {name}")
            cursor.execute(
                f"CREATE TRIGGER {name} BEFORE {operation} ON {table}"
                f" FOR EACH ROW {body}"
            )
