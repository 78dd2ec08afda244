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
from .installed import SQL_MODE, Installed, InstalledTrigger
from .outbox import outbox_parts
from .privilege import Privileges
from .render import render_definer, render_emit
from .sql import Sql, account, ident, normalize, qualified
from .step import Item, ItemKind, Step
from .trigger import TriggerName

__all__ = ["Plan", "further_reads", "plan", "removal"]

#: What the id of a transaction is read from on MySQL.
TRANSACTIONS = ("threads", "events_transactions_current")


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
        """Twelve hexadecimal digits: the same for the same steps, whenever it is made.

        The steps follow from the spec and the database, so another id means that one
        of the two has changed. Without a step it is empty.
        """
        if not self.steps:
            return ""
        text = "\0".join(step.constant for step in self.steps)
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
    prune: bool = False,
    new_token: Callable[[TriggerName], str] | None = None,
) -> Plan:
    """From what is installed to what is to be captured.

    ``besides`` are tables, ``schema.table`` each, that the spec has as well and that
    are left as they are. ``prune`` drops the triggers of tables that it does not have.
    ``new_token`` is that of replace_triggers.
    """
    parts = outbox_parts(captures, installed, server, outbox)
    accounts = _definer_steps(
        captures, installed, server, outbox, definer, emit, cascades
    )
    tables = [replace_triggers(c, installed, server, new_token) for c in captures]
    # Last: by then there is something that records what they do.
    orphans = _orphans(captures, installed, besides)
    others = {*besides, *(() if prune else (trigger.source for trigger in orphans))}
    parents = replace_cascades(cascades, installed, server, others=others)
    procedure, procedure_steps = _procedure(emit, installed, server, outbox)
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


def _definer_steps(
    captures: Sequence[Capture],
    installed: Installed,
    server: Server,
    outbox: str,
    definer: Account | None,
    emit: Emit | None,
    cascades: Sequence[Cascade],
) -> list[Step]:
    """The account and its grants: all of them before the first trigger.

    A trigger whose definer is missing or may not write makes every write fail.
    """
    if definer is None:
        return []
    steps = []
    privileges = installed.definer_privileges
    # Of a hidden account that owns triggers it is known that it is there, and what it
    # was granted then. MySQL refuses CREATE USER IF NOT EXISTS for it (4006).
    owned = {
        trigger.source
        for trigger in installed.triggers
        if installed.is_definer_hidden and trigger.definer == str(definer)
    }
    if privileges is None:
        privileges = Privileges()
        if not owned:
            create = render_definer(definer, server)
            steps.append(Step("account", f"create account {definer}", create))
    wanted = [] if owned else [("INSERT", outbox, "events")]
    for capture in captures:
        if capture.source not in owned:
            wanted.append(("SELECT", capture.schema, capture.table))
            wanted.append(("TRIGGER", capture.schema, capture.table))
    bodies = "\n".join(
        trigger.body
        for trigger in installed.triggers
        if owned and trigger.definer == str(definer)
    )
    wanted += [
        ("SELECT", schema, table)
        for schema, table in further_reads(captures, server, outbox, emit)
        if f"FROM {qualified(schema, table)}" not in bodies
        and f"JOIN {qualified(schema, table)}" not in bodies
    ]
    wanted += [
        grant
        for cascade in cascades
        for grant in cascade.grants
        if not _is_evident(grant, bodies, owned)
    ]
    missing: dict[tuple[str, str], list[str]] = {}
    for privilege, schema, table in dict.fromkeys(wanted):
        if not privileges.allow(privilege, schema, table):
            missing.setdefault((schema, table), []).append(privilege)
    to = account(definer.user, definer.host)
    if emit and not privileges.allow("EXECUTE", outbox) and not installed.emit:
        # On the schema: what is granted on a procedure goes with it (MySQL 9.7). Who
        # owns a procedure does not run it without (1370).
        grant = Sql(f"GRANT EXECUTE ON {every_table(outbox)} TO {to}")
        steps.append(Step("grant", f"grant execute on {outbox}.* to {definer}", grant))
    functions = {f for c in captures for e in c.expressions() for f in e.functions}
    for schema, name in sorted(functions):
        called = f"{ident(schema)}.{ident(name)}"
        # Without it every write would fail (1370).
        is_evident = called in bodies or f"{schema}.{name}" in bodies
        if not privileges.allow_function(schema, name) and not is_evident:
            grant = Sql(f"GRANT EXECUTE ON FUNCTION {called} TO {to}")
            title = f"grant execute on function {schema}.{name} to {definer}"
            steps.append(Step("grant", title, grant))
    for (schema, table), names in missing.items():
        listed = ", ".join(names)
        grant = Sql(f"GRANT {listed} ON {qualified(schema, table)} TO {to}")
        title = f"grant {listed.lower()} on {schema}.{table} to {definer}"
        steps.append(Step("grant", title, grant))
    return steps


def _is_evident(
    grant: tuple[str, str, str], bodies: str, owned: Collection[str]
) -> bool:
    """Whether triggers that the definer owns show that it was granted this."""
    privilege, schema, table = grant
    name = qualified(schema, table)
    uses = {
        "SELECT": (f"FROM {name}", f"JOIN {name}", f"UPDATE {name}"),
        "DELETE": (f"DELETE FROM {name}",),
        "UPDATE": (f"UPDATE {name}",),
        "TRIGGER": (),
    }[privilege]
    if privilege in ("SELECT", "TRIGGER") and f"{schema}.{table}" in owned:
        return True
    return any(use in bodies for use in uses)


def every_table(schema: str) -> Sql:
    """All of a schema, in a GRANT, where ``_`` and ``%`` are wildcards."""
    name = schema.replace("\\", "\\\\").replace("_", "\\_").replace("%", "\\%")
    return Sql(f"{ident(name)}.*")


def further_reads(
    captures: Sequence[Capture], server: Server, outbox: str, emit: Emit | None
) -> list[tuple[str, str]]:
    """What triggers read besides their own table, as schema and table."""
    found = []
    if any(capture.bypass for capture in captures):
        found.append((outbox, "events"))
    if any(capture.needs_salt for capture in captures):
        found.append((outbox, "salts"))
    if any(c.needs_transaction for c in captures) or (emit and emit.transaction):
        if not server.is_mariadb:
            found += [("performance_schema", table) for table in TRANSACTIONS]
    return found


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
