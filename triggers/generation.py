"""Generations of triggers: which are current, and how the next one replaces them.

Create first, drop last: there is never a moment in which a change goes unrecorded. The
next generation runs before the one that is there and leaves it a mark to stand back
(view.Mark), so that nothing is recorded twice either.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from ..database.server import Server
from .account import Account
from .capture import Capture
from .cascade import Cascade
from .installed import (
    CHARACTER_SET,
    COLLATION,
    SQL_MODE,
    Installed,
    InstalledTrigger,
)
from .render import default_mark, render_cascade, render_trigger
from .seal import sealed
from .sql import Sql, normalize, qualified
from .step import Item, Step
from .trigger import CASCADE, OPERATIONS, Mark, TriggerName

__all__ = ["Replacement", "drop", "replace_cascades", "replace_triggers"]


#: By whether somebody has edited a trigger whose body is not what it should be.
CHANGED = {
    True: "its body was changed by hand",
    False: "the spec has changed, or evtrig",
    None: "its body was changed by hand, or the spec has changed, or evtrig",
}


#: Of a trigger whose mark was edited away.
UNMARKED = (
    "its mark was taken out: what is written between the step that creates the next one"
    " and the step that drops it is recorded twice"
)


@dataclass(frozen=True)
class Replacement:
    """The triggers of one table, or those for cascades: as they are, and what to do."""

    items: tuple[Item, ...] = ()
    create: tuple[Step, ...] = ()
    drop: tuple[Step, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        return self.create + self.drop


def replace_triggers(
    capture: Capture,
    installed: Installed,
    server: Server,
    new_token: Callable[[TriggerName], str] | None = None,
) -> Replacement:
    """From the triggers that a table has to those that it should have.

    ``new_token`` draws the token of a trigger to be; None for SQL that is printed, and
    has to be the same twice.
    """
    items, create, drops = [], [], []
    for operation in OPERATIONS:
        first = TriggerName.of(capture.schema, capture.table, operation)
        generations = sorted(
            (t for t in installed.triggers if _is_of(t, first, capture.schema)),
            key=lambda trigger: trigger.name.generation,
        )
        newest = generations[-1] if generations else None
        name = f"trigger after {operation} on {capture.source}"
        if operation not in capture.triggers:
            if newest:
                why = f"the spec does not ask for {operation}"
                items.append(Item("trigger", name, "orphaned", capture.source, (why,)))
            drops += [drop(trigger) for trigger in generations]
            continue
        if newest is None:
            items.append(Item("trigger", name, "missing", capture.source))
            create.append(_create(capture, first, server, None, new_token))
            continue
        wanted = _body(_render(capture, newest.name, server, newest))
        reasons = differences(newest, wanted, capture.definer)
        obsolete = generations if reasons else generations[:-1]
        dropped = [drop(trigger) for trigger in obsolete]
        if reasons:
            create.append(_create(capture, newest.name.next, server, newest, new_token))
            if newest.expects is None:
                # Nothing tells it to stand back, so it does not wait for the others.
                reasons += (UNMARKED,)
                create += dropped
                dropped = []
        elif obsolete:
            reasons = ("a replacement was interrupted: the one before is still there",)
        drops += dropped
        items.append(_compared(name, newest, wanted, reasons))
    return Replacement(tuple(items), tuple(create), tuple(drops))


def replace_cascades(
    cascades: Sequence[Cascade],
    installed: Installed,
    server: Server,
    *,
    others: Collection[str] = (),
) -> Replacement:
    """The same of the triggers of parents, of all tables at once.

    ``others`` are captured tables, ``schema.table`` each, that go on as they are: what
    is there for them stays. Two generations at once do no harm: what the first has done
    is done.
    """
    there = [t for t in (*installed.triggers, *installed.others) if t.is_cascade]
    items, create, kept = [], [], set()
    for cascade in cascades:
        first = TriggerName.of(cascade.schema, cascade.table, CASCADE)
        name = f"trigger before delete on {cascade.source}"
        own = [t for t in there if _is_of(t, first, cascade.schema)]
        if not own:
            items.append(Item("trigger", name, "missing", cascade.source))
            create.append(_create_cascade(cascade, first, server, is_first=True))
            continue
        # The newest first, and any that is as it should be before one that is not.
        own.sort(key=lambda trigger: -trigger.name.generation)
        own.sort(key=lambda trigger: bool(_differences(trigger, cascade, server)))
        newest = max(own, key=lambda trigger: trigger.name.generation)
        reasons = _differences(own[0], cascade, server)
        if reasons:
            new = newest.name.next
            create.append(_create_cascade(cascade, new, server, is_first=False))
        else:
            kept.add(own[0].name)
        wanted = _body(render_cascade(cascade, own[0].name, server))
        items.append(_compared(name, own[0], wanted, reasons))
    obsolete = [
        trigger
        for trigger in installed.triggers
        if trigger.is_cascade
        and trigger.name not in kept
        and not trigger.cascades_to.intersection(others)
    ]
    why = "no table of the spec has `cascades: capture` for its foreign keys"
    wanted_sources = {cascade.source for cascade in cascades}
    items += [
        Item(
            kind="trigger",
            name=f"trigger before delete on {trigger.source}",
            state="orphaned",
            source=trigger.source,
            reasons=(why,),
        )
        for trigger in obsolete
        if trigger.source not in wanted_sources
    ]
    return Replacement(tuple(items), tuple(create), tuple(map(drop, obsolete)))


def _differences(
    trigger: InstalledTrigger, cascade: Cascade, server: Server
) -> tuple[str, ...]:
    wanted = _body(render_cascade(cascade, trigger.name, server))
    found = differences(trigger, wanted, cascade.definer)
    if trigger.source != cascade.source:
        found += (f"it is on {trigger.source}",)
    return found


def drop(trigger: InstalledTrigger) -> Step:
    """The step that drops a trigger."""
    return Step(
        "drop",
        f"drop trigger {trigger.schema}.{trigger.name}",
        _drop_sql(trigger.schema, trigger.name),
        source=trigger.source,
        table=(trigger.schema, trigger.table),
    )


def differences(
    trigger: InstalledTrigger, wanted: str, definer: Account | None
) -> tuple[str, ...]:
    """Why a trigger is not what the spec asks for; empty if it is.

    ``wanted`` is the body, from its label on; ``definer`` None where anybody may own
    it.
    """
    found = []
    if normalize(trigger.body) != normalize(wanted):
        found.append(CHANGED[trigger.is_edited])
    for what, actual, expected in (
        ("sql_mode", _modes(trigger.sql_mode), _modes(SQL_MODE)),
        ("character set", trigger.character_set, CHARACTER_SET),
        ("collation", trigger.collation, COLLATION),
        ("definer", trigger.definer, str(definer) if definer else trigger.definer),
    ):
        if actual != expected:
            found.append(f"its {what} is {actual or 'empty'}, not {expected}")
    return tuple(found)


def difference(installed: str, wanted: str) -> tuple[str, ...]:
    """The lines of a unified diff, without its head; none if only comments differ."""
    if normalize(installed) == normalize(wanted):
        return ()
    lines = difflib.unified_diff(
        installed.splitlines(), wanted.splitlines(), lineterm="", n=2
    )
    return tuple(lines)[2:]


def _compared(
    name: str, trigger: InstalledTrigger, wanted: str, reasons: tuple[str, ...]
) -> Item:
    """A trigger that is there, and why it is to be replaced, if it is."""
    return Item(
        kind="trigger",
        name=name,
        state="outdated" if reasons else "installed",
        source=trigger.source,
        reasons=reasons,
        difference=difference(trigger.body, wanted) if reasons else (),
    )


def _modes(modes: frozenset[str]) -> str:
    return ",".join(sorted(modes))


def _is_of(trigger: InstalledTrigger, first: TriggerName, schema: str) -> bool:
    name = trigger.name
    return (
        trigger.schema == schema
        and name.table == first.table
        and name.operation == first.operation
    )


def _render(
    capture: Capture, name: TriggerName, server: Server, like: InstalledTrigger
) -> Sql:
    """The trigger as it would be now, had it been made when ``like`` was."""
    return render_trigger(
        capture,
        name,
        server,
        expects=like.expects or Mark(str(name.next), ""),
        previous=like.name,
        leaves=like.leaves,
    )


def _body(create: Sql) -> str:
    # information_schema has what comes after FOR EACH ROW, without the order.
    label = "cascades: BEGIN" if "\ncascades: BEGIN" in create else "capture: BEGIN"
    return create[create.index(label) :]


def _create(
    capture: Capture,
    name: TriggerName,
    server: Server,
    previous: InstalledTrigger | None,
    new_token: Callable[[TriggerName], str] | None,
) -> Step:
    expects = default_mark(name)
    if new_token is not None:
        expects = replace(expects, token=new_token(name))
    trigger = render_trigger(
        capture,
        name,
        server,
        expects=expects,
        previous=previous.name if previous else None,
        leaves=previous.expects if previous else None,
    )
    token = expects.token
    if new_token is not None:
        token = sealed(token, _body(trigger))
        trigger = Sql(trigger.replace(expects.token, token))
    # With an older generation there, the newer one may stay whatever happens: that is
    # what the marks are for. Dropping it would leave marks behind for the older one.
    undo = None if previous else _drop_sql(capture.schema, name)
    title = f"create trigger {capture.schema}.{name} after {name.operation}"
    title += f" on {capture.table}"
    return Step(
        "trigger",
        title,
        trigger,
        source=capture.source,
        undo=undo,
        table=(capture.schema, capture.table),
        token=token,
    )


def _create_cascade(
    cascade: Cascade, name: TriggerName, server: Server, *, is_first: bool
) -> Step:
    title = f"create trigger {cascade.schema}.{name} before delete on {cascade.table}"
    trigger = render_cascade(cascade, name, server)
    undo = _drop_sql(cascade.schema, name) if is_first else None
    return Step(
        "trigger",
        title,
        trigger,
        source=cascade.source,
        undo=undo,
        table=(cascade.schema, cascade.table),
    )


def _drop_sql(schema: str, name: TriggerName) -> Sql:
    return Sql(f"DROP TRIGGER IF EXISTS {qualified(schema, str(name))}")
