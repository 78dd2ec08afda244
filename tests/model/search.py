"""Every state of a world, the nearest first."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from model.world import Following

__all__ = ["Found", "search"]

NAMES = "AB"


class World(Protocol):
    """What can be searched; a state is anything that can be a key."""

    setup: Any
    cores: Any

    def start(self) -> Any: ...
    def next(self, state: Any) -> Iterator[Following]: ...
    def lost(self, state: Any) -> bool: ...
    def is_drained(self, state: Any) -> bool: ...


@dataclass(frozen=True)
class Found:
    """What a search has come to."""

    states: int
    #: States of the core among them.
    cores: int
    #: In steps, of the state that is furthest away.
    depth: int
    seconds: float
    #: Whether every state was seen, or a wrong one.
    is_complete: bool
    #: What is wrong, and the shortest way there; empty if nothing is.
    wrong: str = ""
    trace: tuple[str, ...] = ()

    def __str__(self) -> str:
        size = f"{self.states:,} states, {self.cores:,} of the core, {self.depth} deep"
        return f"{size}, {self.seconds:.1f} s" + (
            "" if self.is_complete else ", NOT COMPLETE"
        )


def search(world: World, *, most: int = 10_000_000) -> Found:
    """Look at every state, or until one is wrong or there were ``most`` of them.

    From each state, too, the outbox can be emptied without a further fault; that is
    not looked at where the number of claims is limited, because that ends it.
    """
    must_drain = world.setup.claims is None
    begun = time.perf_counter()
    start = world.start()
    numbers: dict[Any, int] = {start: 0}
    states = [start]
    parents = array("l", [-1])
    labels: list[tuple[Any, ...]] = [()]
    depths = array("l", [0])
    #: The steps that are no faults, from and to.
    sources, targets = array("l"), array("l")

    def found(wrong: str = "", trace: Sequence[tuple[Any, ...]] = ()) -> Found:
        return Found(
            len(states),
            len(world.cores),
            depths[-1],
            time.perf_counter() - begun,
            len(states) < most,
            wrong,
            tuple(map(said, trace)),
        )

    def way(number: int) -> list[tuple[Any, ...]]:
        steps = []
        while number:
            steps.append(labels[number])
            number = parents[number]
        return steps[::-1]

    at = 0
    while at < len(states) < most:
        for label, state, is_fault, wrong in world.next(states[at]):
            number = numbers.get(state)
            if number is None:
                if not wrong and world.lost(state):
                    wrong = "lost: an event has gone, and did not arrive"
                number = numbers[state] = len(states)
                states.append(state)
                parents.append(at)
                labels.append(label)
                depths.append(depths[at] + 1)
            if wrong:
                return found(wrong, [*way(at), label])
            if not is_fault:
                sources.append(at)
                targets.append(number)
        at += 1
    if len(states) < most and must_drain:
        stuck = first_stuck(states, sources, targets, world.is_drained)
        if stuck is not None:
            return found("stuck: the outbox is never emptied", way(stuck))
    return found()


def first_stuck(
    states: Sequence[Any],
    sources: array[int],
    targets: array[int],
    is_drained: Callable[[Any], bool],
) -> int | None:
    """The nearest state from which no drained one can be reached."""
    # The steps to each state, in one array: from offsets[state] on.
    offsets = array("l", [0]) * (len(states) + 1)
    for target in targets:
        offsets[target + 1] += 1
    for number in range(len(states)):
        offsets[number + 1] += offsets[number]
    into = array("l", [0]) * len(targets)
    place = offsets[:]
    for source, target in zip(sources, targets, strict=True):
        into[place[target]] = source
        place[target] += 1
    can = bytearray(len(states))
    waiting = [number for number, state in enumerate(states) if is_drained(state)]
    for number in waiting:
        can[number] = 1
    while waiting:
        number = waiting.pop()
        for source in into[offsets[number] : offsets[number + 1]]:
            if not can[source]:
                can[source] = 1
                waiting.append(source)
    number = can.find(0)
    return None if number < 0 else number


def said(label: tuple[Any, ...]) -> str:
    """A line of a trace."""
    who, *what = label
    if not isinstance(who, int):
        return " ".join([who, *map(part, what)])
    text = " ".join(map(part, what))
    return f"{NAMES[who]}{text}" if text.startswith("'") else f"{NAMES[who]} {text}"


def part(value: Any) -> str:
    # Of an event its id is enough.
    return f"event {value[0]}" if isinstance(value, tuple) else str(value)
