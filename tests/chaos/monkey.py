"""Makes things go wrong, by seeded dice, and remembers when.

What it does at a moment depends on what it finds then, so a seed repeats the kind of a
run and not its every step.
"""

from __future__ import annotations

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from chaos.fleet import AwsProcess, Fleet, Relay
from chaos.proxy import Proxy

from evtrig.demo.server import LocalServer

__all__ = ["Diary", "Monkey"]

#: Relays at a time.
RELAYS = 3
#: Seconds in which a relay must end when it is told to, whatever else goes on.
END_SECONDS = 20
#: Seconds between two faults, from and to.
PAUSE = (0.3, 2.5)
#: Seconds without one, at first and now and then: nothing may arrive twice in there.
CALM = 8.0
#: How often a pause is one of these.
CALMS = 0.06
#: What goes wrong at the sink all the time.
ALWAYS = (
    {"fault": "LoseAcknowledgement", "rate": 0.01, "action": "SendMessageBatch"},
    {"fault": "FailEntries", "chance": 0.02, "action": "SendMessageBatch"},
)
#: Seconds by which the harness itself must be late to say that the machine stood still.
STILL = 1.0


@dataclass
class Diary:
    """What was done and when, by the machine's monotonic clock."""

    counts: Counter[str] = field(default_factory=Counter)
    #: Those that may make a relay send again what has arrived.
    faults: list[tuple[float, float]] = field(default_factory=list)
    #: Everything, to be read by people: from, to, what.
    entries: list[tuple[float, float, str]] = field(default_factory=list)
    #: What no fault excuses.
    findings: list[str] = field(default_factory=list)

    def note(self, what: str, begin: float, *, explains: bool = False) -> None:
        now = time.monotonic()
        self.counts[what] += 1
        self.entries.append((begin, now, what))
        if explains:
            self.faults.append((begin, now))

    def watch(self, stop: threading.Event) -> None:
        """Note when the machine stands still: then leases run out by themselves."""
        last = time.monotonic()
        while not stop.wait(0.1):
            now = time.monotonic()
            if now - last > STILL:
                self.note("machine stood still", last, explains=True)
            last = now


class Monkey:
    """One step a call of ``step``; ``calm`` takes everything back."""

    def __init__(
        self,
        dice: random.Random,
        diary: Diary,
        server: LocalServer,
        fleet: Fleet,
        aws: AwsProcess,
        relays_way: Proxy,
        writers_way: Proxy,
        *,
        leader: Callable[[], int],
        crashes: float,
    ) -> None:
        """``leader``: the process that holds the lease, 0 for none. ``crashes``: about
        how many seconds pass between two crashes of the server."""
        self._dice, self._diary = dice, diary
        self._server, self._fleet, self._aws = server, fleet, aws
        self._relays_way, self._writers_way = relays_way, writers_way
        self._leader = leader
        self._crashes = crashes
        self._crash_at = time.monotonic() + dice.uniform(0.3, 0.6) * crashes
        self._next_at = time.monotonic() + CALM
        #: When something ends, and what ends it.
        self._due: list[tuple[float, Callable[[], None]]] = []
        #: Answers to be lost: whether it has happened, since when, what.
        self._swallows: list[tuple[threading.Event, float, str, bool]] = []
        self._ending: dict[Relay, float] = {}
        self._down: list[tuple[float, float]] = []
        aws.script(*ALWAYS)

    def step(self) -> None:
        """Undo what has lasted long enough, keep relays running, break something."""
        now = time.monotonic()
        self._tidy(now)
        self._keep()
        if now >= self._crash_at:
            self._crash_at = now + self._dice.uniform(0.7, 1.3) * self._crashes
            self._crash()
        if now >= self._next_at:
            kinds, weights = zip(*self._kinds, strict=True)
            self._dice.choices(kinds, weights)[0]()
            pause = CALM if self._dice.random() < CALMS else self._dice.uniform(*PAUSE)
            self._next_at = time.monotonic() + pause

    def calm(self) -> None:
        """Nothing goes wrong from here on."""
        while self._due:
            self._due.pop()[1]()
        for way in (self._relays_way, self._writers_way):
            way.disarm()
            way.resume()
            way.delay = 0.0
        self._aws.script()
        self._tidy(time.monotonic())
        self._keep()

    def settle(self) -> None:
        """Look at the relays that were told to end, and keep one running at least."""
        self._tidy(time.monotonic())
        self._keep(least=1)

    def end(self) -> None:
        """Tell all relays to end, and wait for it."""
        for relay in self._running:
            self._terminate(relay)
        while self._ending:
            self._tidy(time.monotonic())
            time.sleep(0.01)

    @property
    def _running(self) -> list[Relay]:
        """Those that nobody has told to end."""
        return [relay for relay in self._fleet.relays if not relay.is_ending]

    @property
    def _awake(self) -> list[Relay]:
        return [relay for relay in self._running if not relay.is_frozen]

    def _tidy(self, now: float) -> None:
        due = [item for item in self._due if item[0] <= now]
        self._due = [item for item in self._due if item[0] > now]
        for _, undo in due:
            undo()
        for swallow in tuple(self._swallows):
            happened, since, what, explains = swallow
            if happened.is_set():
                self._swallows.remove(swallow)
                self._diary.note(what, since, explains=explains)
        for relay, since in tuple(self._ending.items()):
            if not relay.is_running:
                self._gone(relay)
                if relay.process.returncode and not self._was_hindered(relay):
                    self._find(relay, f"ended with {relay.process.returncode}")
            elif now > since + END_SECONDS:
                self._find(relay, f"did not end {END_SECONDS} s after SIGTERM")
                relay.kill()
                self._gone(relay)

    def _keep(self, least: int = 0) -> None:
        for relay in tuple(self._running):
            if relay.is_running:
                continue
            self._gone(relay)
            if self._was_hindered(relay):
                self._diary.counts["relays that found no server at their start"] += 1
            else:
                self._find(relay, f"ended by itself with {relay.process.returncode}")
        while len(self._awake) < max(1, least):
            self._start()
        if len(self._running) < RELAYS and self._dice.random() < 0.02:
            self._start()

    def _start(self, *options: str) -> Relay:
        return self._fleet.start(*options)

    def _was_hindered(self, relay: Relay) -> bool:
        """A relay that cannot reach its database at its start may end with an error,
        and so may one that is told to end before it has asked for the signal."""
        if relay.process.returncode == -signal.SIGTERM and relay.is_ending:
            return not relay.log.read_bytes()
        return not relay.has_begun and any(
            end >= relay.since - 1 for _, end in self._down
        )

    def _gone(self, relay: Relay) -> None:
        self._ending.pop(relay, None)
        self._fleet.relays.remove(relay)

    def _find(self, relay: Relay, what: str) -> None:
        tail = relay.log.read_text(errors="replace").splitlines()[-3:]
        text = "\n    ".join([f"{relay.log.name}: {what}", *tail])
        self._diary.findings.append(text)

    def _pick(self) -> Relay | None:
        """The leader more often than not."""
        awake = self._awake
        leader = self._leader() if self._dice.random() < 0.75 else 0
        of_it = [relay for relay in awake if relay.process.pid == leader]
        return self._dice.choice(of_it or awake) if awake else None

    def _terminate(self, relay: Relay) -> None:
        relay.terminate()
        self._ending[relay] = time.monotonic()

    # What goes wrong

    @property
    def _kinds(self) -> tuple[tuple[Callable[[], None], int], ...]:
        return (
            (self._kill, 16),
            (self._freeze, 14),
            (self._stop, 10),
            (self._deploy, 12),
            (self._cut, 12),
            (self._swallow, 14),
            (self._hang, 6),
            (self._slow_database, 4),
            (self._cut_writers, 6),
            (self._swallow_commit, 8),
            (self._throttle, 8),
            (self._slow_sink, 5),
            (self._refuse_connections, 4),
        )

    def _kill(self) -> None:
        relay = self._pick()
        if relay:
            begin = time.monotonic()
            relay.kill()
            self._gone(relay)
            self._diary.note("relay killed", begin, explains=True)

    def _freeze(self) -> None:
        relay = self._pick()
        if relay is None or len(self._running) - len(self._awake) > 1:
            return
        begin = time.monotonic()
        relay.freeze()
        # So that another one has the lease by then.
        until = begin + self._fleet.ttl + self._dice.uniform(0.3, 1.5)
        self._due.append((until, lambda: self._thaw(relay, begin)))

    def _thaw(self, relay: Relay, begin: float) -> None:
        relay.thaw()
        self._down.append((begin, time.monotonic()))
        self._diary.note("relay frozen", begin, explains=True)

    def _stop(self) -> None:
        relay = self._pick()
        if relay:
            self._terminate(relay)
            self._diary.note("relay terminated", time.monotonic())

    def _deploy(self) -> None:
        begin = time.monotonic()
        if len(self._running) >= RELAYS and (awake := self._awake):
            self._terminate(awake[0])
        self._start("--take-over")
        self._diary.note("newer relay took over", begin)

    def _cut(self) -> None:
        begin = time.monotonic()
        self._relays_way.cut(one=self._dice.random() < 0.6)
        self._hindered(begin)
        self._diary.note("relay connection cut", begin, explains=True)

    def _swallow(self) -> None:
        words = (b"DELETE", b"UPDATE", b"SELECT")
        happened = self._relays_way.swallow(
            self._dice.choice(words), then=self._dice.choice(("cut", "cut", "hang"))
        )
        begin = time.monotonic()
        self._hindered(begin, begin + 5)
        self._swallows.append((happened, begin, "answer to a relay swallowed", True))

    def _hang(self) -> None:
        begin = time.monotonic()
        self._relays_way.hang()

        def resume() -> None:
            self._relays_way.resume()
            self._hindered(begin)
            self._diary.note("relay connections silent", begin, explains=True)

        end = begin + self._dice.uniform(0.2, self._fleet.ttl + 1)
        self._down.append((begin, end))
        self._due.append((end, resume))

    def _slow_database(self) -> None:
        begin = time.monotonic()
        self._relays_way.delay = self._dice.uniform(0.02, 0.2)

        def resume() -> None:
            self._relays_way.delay = 0.0
            self._diary.note("answers to relays delayed", begin)

        self._due.append((begin + 2, resume))

    def _cut_writers(self) -> None:
        begin = time.monotonic()
        self._writers_way.cut(one=self._dice.random() < 0.6)
        self._diary.note("writer connection cut", begin)

    def _swallow_commit(self) -> None:
        happened = self._writers_way.swallow(b"COMMIT")
        entry = (happened, time.monotonic(), "answer to a COMMIT swallowed", False)
        self._swallows.append(entry)

    def _crash(self) -> None:
        begin = time.monotonic()
        self._server.kill()
        self._server.restart()
        self._hindered(begin)
        self._diary.note("database server crashed", begin, explains=True)

    def _throttle(self) -> None:
        action = {"error": "throttled", "action": "SendMessageBatch"}
        self._disturb("sink throttled", 1, {"fault": "Answer", **action})

    def _slow_sink(self) -> None:
        late = {"seconds": 0.3, "accepted": self._dice.random() < 0.5}
        self._disturb("sink slow", 2, {"fault": "Delay", "rate": 0.3, **late})

    def _refuse_connections(self) -> None:
        reset = {"fault": "Reset", "action": "SendMessageBatch"}
        self._disturb("sink connections reset", 1, reset)

    def _disturb(self, what: str, seconds: float, fault: dict[str, object]) -> None:
        begin = time.monotonic()
        self._aws.script(fault, *ALWAYS)

        def mend() -> None:
            self._aws.script(*ALWAYS)
            self._diary.note(what, begin)

        self._due.append((begin + seconds, mend))

    def _hindered(self, begin: float, end: float | None = None) -> None:
        """Somebody who connected in this time may not have succeeded."""
        self._down = [*self._down[-20:], (begin, end or time.monotonic())]
