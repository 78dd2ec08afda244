"""The accounts that own triggers: there, locked, and allowed what the triggers do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from ...database.connection import Connection
from ..account import Account
from ..capture import Capture
from ..emit import Emit
from ..plan import plan
from ..privilege import Privileges
from ..sql import account
from ..step import Step
from .finding import Finding, some, sql
from .inspection import Inspection

__all__ = ["definers", "sources_by_owner"]

# An expired password does not matter: a trigger does not log in (measured on both).
LOCKED = {
    "mysql": "SELECT user, host, account_locked = 'Y' FROM mysql.user",
    "mariadb": (
        "SELECT user, host, COALESCE(JSON_VALUE(priv, '$.account_locked'), 0)"
        " FROM mysql.global_priv"
    ),
}
ROLES = re.compile(r"GRANT (?P<roles>`.+) TO .*")


def definers(inspection: Inspection) -> Iterator[Finding]:
    """Raises DatabaseError if the connected account may not see others."""
    owned = sources_by_owner(inspection)
    wanted = inspection.spec.definer
    names = dict.fromkeys((*owned, *([str(wanted)] if wanted else [])))
    if not names:
        return
    pairs = [tuple(name.rpartition("@")[::2]) for name in names]
    places = ", ".join(["(%s, %s)"] * len(pairs))
    query = f"{LOCKED[inspection.server.family]} WHERE (user, host) IN ({places})"
    arguments = [part for pair in pairs for part in pair]
    locked = {
        f"{user}@{host}": bool(int(is_locked))
        for user, host, is_locked in inspection.connection.rows(query, arguments)
    }
    for name, sources in owned.items():
        user, _, host = name.rpartition("@")
        owner = Account(user, host)
        if name not in locked:
            yield missing(inspection, owner, sources)
            continue
        steps = grants(inspection, owner, sources)
        if steps:
            yield Finding(
                "definer-under-granted",
                name,
                f"may not do what its triggers do, on {some(sources)}; it lacks:"
                f" {some([lack(step) for step in steps])}",
                "Every write that fires them fails (1142, 1143 or 1370).",
                sql(*(step.sql for step in steps)),
            )
    if wanted and not locked.get(str(wanted), True):
        yield Finding(
            "definer-unlocked",
            str(wanted),
            "is not locked",
            "Somebody could log in with it, and write into the outbox.",
            sql(f"ALTER USER {account(wanted.user, wanted.host)} ACCOUNT LOCK"),
        )


def sources_by_owner(inspection: Inspection) -> dict[str, list[str]]:
    """By owner, ``user@host``, the tables whose triggers are its own."""
    found: dict[str, dict[str, None]] = {}
    for trigger in inspection.installed.triggers:
        found.setdefault(trigger.definer, {})[trigger.source] = None
    emit = inspection.installed.emit
    if emit:
        found.setdefault(emit.definer, {})[inspection.outbox] = None
    return {owner: sorted(sources) for owner, sources in found.items()}


def missing(inspection: Inspection, owner: Account, sources: list[str]) -> Finding:
    # Not `evtrig install`: one that may not see accounts takes it for present.
    steps = what_it_takes(inspection, owner, sources, None)
    return Finding(
        "definer-missing",
        str(owner),
        f"there is no such account, and it owns the triggers of {some(sources)}",
        "Every write that fires them fails now (1449).",
        sql(*(without_comment(step.sql) for step in steps)),
    )


def without_comment(statement: str) -> str:
    return "\n".join(
        line for line in statement.splitlines() if not line.startswith("-- ")
    )


def grants(inspection: Inspection, owner: Account, sources: list[str]) -> list[Step]:
    """The grants that an owner lacks."""
    if owner == inspection.spec.definer:
        steps = inspection.plan.steps
    else:
        privileges = privileges_with_roles(inspection.connection, owner)
        steps = what_it_takes(inspection, owner, sources, privileges)
    return [step for step in steps if step.kind == "grant"]


def what_it_takes(
    inspection: Inspection,
    owner: Account,
    sources: list[str],
    privileges: Privileges | None,
) -> tuple[Step, ...]:
    """The account, unless it has ``privileges``, and the grants that it lacks."""
    spec = inspection.spec
    steps = plan(
        [lightened(c) for c in inspection.captures if c.source in sources],
        replace(
            inspection.installed,
            definer_privileges=privileges,
            is_definer_hidden=False,
        ),
        inspection.server,
        outbox=spec.outbox,
        definer=owner,
        emit=Emit.of(spec) if spec.outbox in sources else None,
    ).steps
    return tuple(step for step in steps if step.kind in ("account", "grant"))


def lightened(capture: Capture) -> Capture:
    """With the same grants, and without triggers for the plan to render."""
    return replace(capture, operations=())


def privileges_with_roles(connection: Connection, owner: Account) -> Privileges:
    """On MySQL a trigger also has its owner's roles; MariaDB takes none (measured)."""
    name = account(owner.user, owner.host)
    lines = [row[0] for row in connection.rows(f"SHOW GRANTS FOR {name}")]
    roles = [match["roles"] for match in filter(None, map(ROLES.fullmatch, lines))]
    if roles and not connection.server.is_mariadb:
        used = f"SHOW GRANTS FOR {name} USING {', '.join(roles)}"
        lines = [row[0] for row in connection.rows(used)]
    return Privileges.parse(lines)


def lack(step: Step) -> str:
    return step.title.removeprefix("grant ").rpartition(" to ")[0]
