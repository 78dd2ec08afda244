"""What the owner of the triggers needs, and the statements that give it what it lacks.

Pure. `evtrig grants` prints the needs, `evtrig install` carries out the statements.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Literal

from ..database.server import Server
from .account import Account
from .capture import Capture
from .cascade import Cascade
from .emit import PROCEDURE, Emit
from .installed import Installed
from .need import Need, distinct
from .render import render_definer
from .sql import Sql, account, ident, qualified

__all__ = ["definer_needs", "definer_statements", "further_reads", "missing_needs"]

#: What the id of a transaction is read from on MySQL.
TRANSACTIONS = ("threads", "events_transactions_current")

#: What a step of a plan is, its title and its SQL.
Statement = tuple[Literal["account", "grant"], str, Sql]


def definer_needs(
    captures: Sequence[Capture],
    server: Server,
    outbox: str,
    emit: Emit | None,
    cascades: Sequence[Cascade],
) -> tuple[Need, ...]:
    """All that the owner of the triggers, and of the procedure emit, needs."""
    return distinct(_definer_needs(captures, server, outbox, emit, cascades))


def _definer_needs(
    captures: Sequence[Capture],
    server: Server,
    outbox: str,
    emit: Emit | None,
    cascades: Sequence[Cascade],
) -> Iterator[Need]:
    if emit:
        # On the schema: what is granted on a procedure goes with it (MySQL 9.7). Who
        # owns a procedure does not run it without (1370).
        why = "to run the procedure emit as its owner"
        yield Need("EXECUTE", why, outbox, procedure=PROCEDURE)
    functions = {f for c in captures for e in c.expressions() for f in e.functions}
    for schema, name in sorted(functions):
        # Without it every write would fail (1370).
        why = "to call it in an expression of the spec"
        yield Need("EXECUTE", why, schema, function=name)
    yield Need("INSERT", "to write the events", outbox, "events")
    for capture in captures:
        table = (capture.schema, capture.table)
        yield Need("SELECT", "to read the row that changes", *table)
        yield Need("TRIGGER", "for its triggers to fire", *table)
    for schema, table_ in further_reads(captures, server, outbox, emit):
        yield Need("SELECT", "to read it in a trigger", schema, table_)
    for cascade in cascades:
        for privilege, schema, table_ in cascade.grants:
            yield Need(privilege, "to record what its foreign keys do", schema, table_)


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


def missing_needs(
    needs: Sequence[Need], installed: Installed, definer: Account
) -> tuple[Need, ...]:
    """Those that the account is not known to have.

    Of a hidden account that owns triggers it is known what it was granted then.
    """
    own = installed.definer_privileges
    if own is not None:
        return tuple(need for need in needs if not need.is_met_by(own))
    if not installed.is_definer_hidden:
        return tuple(needs)
    triggers = [t for t in installed.triggers if t.definer == str(definer)]
    owned = {trigger.source for trigger in triggers}
    bodies = "\n".join(trigger.body for trigger in triggers)
    emit = installed.emit
    has_emit = emit is not None and emit.definer == str(definer)
    return tuple(n for n in needs if not _is_evident(n, bodies, owned, has_emit))


def _is_evident(
    need: Need, bodies: str, owned: Collection[str], has_emit: bool
) -> bool:
    """Whether triggers that the account owns show that it was granted this."""
    schema = need.schema or ""
    if need.function is not None:
        called = (
            f"{ident(schema)}.{ident(need.function)}",
            f"{schema}.{need.function}",
        )
        return any(name in bodies for name in called)
    if need.table is None:
        return need.privilege == "EXECUTE" and has_emit
    if need.privilege in ("SELECT", "TRIGGER") and f"{schema}.{need.table}" in owned:
        return True
    name = qualified(schema, need.table)
    uses = {
        "SELECT": (f"FROM {name}", f"JOIN {name}", f"UPDATE {name}"),
        "INSERT": (f"INSERT INTO {name}",),
        "DELETE": (f"DELETE FROM {name}",),
        "UPDATE": (f"UPDATE {name}",),
        "TRIGGER": (),
    }[need.privilege]
    return any(use in bodies for use in uses)


def definer_statements(
    captures: Sequence[Capture],
    installed: Installed,
    server: Server,
    outbox: str,
    definer: Account | None,
    emit: Emit | None,
    cascades: Sequence[Cascade],
) -> list[Statement]:
    """The account and its grants: all of them before the first trigger.

    A trigger whose definer is missing or may not write makes every write fail.
    """
    if definer is None:
        return []
    statements: list[Statement] = []
    # MySQL refuses CREATE USER IF NOT EXISTS for an account that owns triggers (4006).
    is_owner = any(trigger.definer == str(definer) for trigger in installed.triggers)
    if installed.definer_privileges is None and not (
        installed.is_definer_hidden and is_owner
    ):
        create = render_definer(definer, server)
        statements.append(("account", f"create account {definer}", create))
    needs = definer_needs(captures, server, outbox, emit, cascades)
    grouped: dict[str, list[Need]] = {}
    for need in missing_needs(needs, installed, definer):
        grouped.setdefault(need.on, []).append(need)
    to = account(definer.user, definer.host)
    for on, group in grouped.items():
        listed = ", ".join(need.privilege for need in group)
        grant = Sql(f"GRANT {listed} ON {on} TO {to}")
        title = f"grant {listed.lower()} on {titled(group[0])} to {definer}"
        statements.append(("grant", title, grant))
    return statements


def titled(need: Need) -> str:
    """The object, as titles of steps name it."""
    if need.function is not None:
        return f"function {need.schema}.{need.function}"
    return f"{need.schema}.{need.table or '*'}"
