"""What has to change in a database so that it captures what the spec says.

Pure: from what is wanted and what is installed to a list of steps. `generate`
prints the plan for an empty database, `install` carries out the plan for a real
one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from ..database.server import Server
from .account import Account
from .capture import Capture
from .cascade import Cascade
from .emit import PROCEDURE, Emit
from .generation import difference, drop, replace_cascades, replace_triggers
from .grant import definer_statements
from .installed import SQL_MODE, Installed, InstalledTrigger
from .outbox import outbox_parts
from .render import render_emit
from .sql import Sql, normalize, qualified
from .step import Item, ItemKind, Step
from .trigger import TriggerName

__all__ = ["Plan", "plan", "removal"]


@dataclass(frozen=True)
class Plan:
    """Steps in the order in which they are safe, and what they are made from."""

    steps: tuple[Step, ...]
    #: Worth knowing, but nothing that install changes.
    notices: tuple[str, ...] = ()
    #: Everything that the spec asks for or that is there, as it is.
    items: tuple[Item, ...] = ()

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits: the same for the same steps and differences.

        They follow from the spec and the database, so another id means that one of the
        two has changed. Without a step it is empty.
        """
        if not self.steps:
            return ""
        parts = [step.constant for step in self.steps]
        parts += [repr(item) for item in self.items if item.state != "installed"]
        text = "\0".join(parts)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def plan(
    captures: Sequence[Capture],
    installed: Installed,
    server: Server,
    *,
    outbox: str,
    definer: Account | None,
    emit: Emit | None = None,
    cascades: Sequence[Cascade] = (),
    besides: Collection[str] = (),
    is_partial: bool = False,
    prune: bool = False,
    new_token: Callable[[TriggerName], str] | None = None,
) -> Plan:
    """From what is installed to what is to be captured.

    ``besides`` are tables, ``schema.table`` each, that the spec has as well and that
    are left as they are; with ``is_partial`` so is what belongs to no table.
    ``prune`` drops the triggers of tables that the spec does not have.
    ``new_token`` is that of replace_triggers.
    """
    parts = outbox_parts(captures, installed, server, outbox)
    accounts = [
        Step(kind, title, sql)
        for kind, title, sql in definer_statements(
            captures, installed, server, outbox, definer, emit, cascades
        )
    ]
    tables = [replace_triggers(c, installed, server, new_token) for c in captures]
    # Last: by then there is something that records what they do.
    besides = set(besides) - {capture.source for capture in captures}
    orphans = _orphans(captures, installed, besides)
    others = {*besides, *(() if prune else (trigger.source for trigger in orphans))}
    parents = replace_cascades(cascades, installed, server, others=others)
    procedure, procedure_steps = _procedure(emit, installed, server, outbox)
    if is_partial and emit is None:
        procedure_steps = []
    steps = [
        *(step for _, step in parts if step),
        *accounts,
        *procedure_steps,
        *(step for table in (*tables, parents) for step in table.steps),
        *(drop(trigger) for trigger in orphans if prune),
    ]
    items = [
        *(item for item, _ in parts),
        *(_lacking(step) for step in accounts),
        *procedure,
        *(item for table in (*tables, parents) for item in table.items),
        *(_orphan(trigger, prune) for trigger in orphans),
    ]
    notices = () if prune else _notices(orphans)
    return Plan(tuple(steps), tuple(notices), tuple(items))


def removal(installed: Installed, outbox: str, *, keep_emit: bool = False) -> Plan:
    """The steps that end all capture; the outbox and its events stay.

    The oldest generation goes first: a newer one is whole without it. ``keep_emit``
    leaves the procedure by which the application writes events itself.
    """
    triggers = sorted(installed.triggers, key=lambda t: t.name.generation)
    steps = [drop(trigger) for trigger in triggers]
    if installed.emit and not keep_emit:
        steps.append(_drop_emit(outbox))
    return Plan(tuple(steps))


def _procedure(
    emit: Emit | None, installed: Installed, server: Server, outbox: str
) -> tuple[list[Item], list[Step]]:
    """The procedure for events of the application; dropped if nobody asks for it."""
    there = installed.emit
    name = f"procedure {outbox}.{PROCEDURE}"
    if emit is None:
        if there is None:
            return [], []
        why = "the spec does not say `emit: true`"
        return [Item("procedure", name, "orphaned", None, (why,))], [_drop_emit(outbox)]
    create = render_emit(emit, server)
    step = Step("procedure", f"create procedure {emit.source}", create)
    if there is None:
        return [Item("procedure", name, "missing")], [step]
    body = create[create.index("emit: BEGIN") :]
    if (
        normalize(there.body) == normalize(body)
        and (emit.definer is None or there.definer == str(emit.definer))
        and there.sql_mode == SQL_MODE
    ):
        return [Item("procedure", name, "installed")], []
    why = "its body, its definer or its sql_mode is not what evtrig would create"
    changed = difference(there.body, body)
    item = Item("procedure", name, "outdated", None, (why,), changed)
    return [item], [_drop_emit(outbox), step]


def _drop_emit(outbox: str) -> Step:
    drop = Sql(f"DROP PROCEDURE IF EXISTS {qualified(outbox, PROCEDURE)}")
    return Step("drop", f"drop procedure {outbox}.{PROCEDURE}", drop)


def _lacking(step: Step) -> Item:
    """An account or a grant; those that are there are not listed."""
    kind: ItemKind = "account" if step.kind == "account" else "grant"
    return Item(kind, step.title, "missing", step.source)


def _orphans(
    captures: Sequence[Capture], installed: Installed, besides: Collection[str]
) -> list[InstalledTrigger]:
    """Triggers of tables that the spec does not have, the oldest generation first."""
    wanted = {capture.source for capture in captures}.union(besides)
    found = [
        trigger
        for trigger in installed.triggers
        if not trigger.is_cascade and trigger.source not in wanted
    ]
    return sorted(found, key=lambda t: (t.source, t.name.generation, str(t.name)))


def _orphan(trigger: InstalledTrigger, prune: bool) -> Item:
    return Item(
        kind="trigger",
        name=f"trigger after {trigger.name.operation} on {trigger.source}",
        state="orphaned",
        source=trigger.source,
        reasons=("its table is not in the spec" + ("" if prune else "; it stays"),),
    )


def _notices(orphans: Sequence[InstalledTrigger]) -> list[str]:
    return [
        f"{source} has triggers of evtrig but is not in the spec; they stay"
        for source in dict.fromkeys(trigger.source for trigger in orphans)
    ]
