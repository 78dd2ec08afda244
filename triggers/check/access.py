"""Who may write into the outbox besides the triggers and the relay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ...errors import DatabaseError
from ..privilege import Grant
from ..sql import Sql, account, ident, qualified
from .account import sources_by_owner
from .finding import Finding, Mend, advice, some, sql
from .inspection import Inspection, blind

__all__ = ["writers"]

#: Privileges with which one changes events, in the order of a REVOKE.
WRITES = ("INSERT", "UPDATE", "DELETE", "DROP", "ALTER")
TEMPORARY = "CREATE TEMPORARY TABLES"
ALL = (*WRITES, TEMPORARY)
#: Privileges with which one changes rows.
CHANGES = ("INSERT", "UPDATE", "DELETE")

#: What the relay and the operator are granted, by table: no finding.
RELAY = {
    "events": {"DELETE"},
    "event_polling_state": {"UPDATE"},
    "dead_letters": {"INSERT", "DELETE"},
}

#: Accounts that come with the server.
INTERNAL = {"mysql.sys", "mysql.session", "mysql.infoschema", "mariadb.sys"}

SCHEMAS = """\
SELECT user, host, db, insert_priv, update_priv, delete_priv, drop_priv, alter_priv,
       create_tmp_table_priv, grant_priv
  FROM mysql.db
"""
TABLES = """\
SELECT user, host, table_name, table_priv, column_priv
  FROM mysql.tables_priv
 WHERE db = %s
"""
APPLICATIONS = """\
SELECT DISTINCT user, host
  FROM mysql.tables_priv
 WHERE db IN ({places})
   AND (FIND_IN_SET('Insert', table_priv) OR FIND_IN_SET('Update', table_priv)
        OR FIND_IN_SET('Delete', table_priv))
"""
EVERYWHERE = """\
SELECT user, host
  FROM mysql.user
 WHERE 'Y' IN (insert_priv, update_priv, delete_priv, drop_priv, alter_priv,
               create_tmp_table_priv)
"""
#: A role, and who has it.
ROLES = {
    "mysql": "SELECT from_user, from_host, to_user, to_host FROM mysql.role_edges",
    "mariadb": "SELECT role, '', user, host FROM mysql.roles_mapping",
}

Holder = tuple[str, str]


@dataclass
class Access:
    """What one account or role may do to the outbox."""

    #: By what it is granted on, as SQL writes it.
    writes: dict[str, list[str]] = field(default_factory=dict)
    #: Where it may make temporary tables.
    temporary: list[str] = field(default_factory=list)
    #: Wildcards that also mean other schemas.
    is_wider: bool = False


@dataclass
class Holders:
    """The accounts and roles that may write, by what they seem to be there for."""

    found: dict[Holder, Access] = field(default_factory=dict)
    #: Who may write everywhere, or pass on what it may, as an installer.
    administrators: set[Holder] = field(default_factory=set)
    #: Who may write to captured tables.
    applications: set[Holder] = field(default_factory=set)

    def access(self, holder: Holder) -> Access:
        return self.found.setdefault(holder, Access())


def writers(inspection: Inspection) -> Iterator[Finding]:
    """Raises DatabaseError if the connected account may not see what others may do."""
    owners = {tuple(name.rpartition("@")[::2]) for name in sources_by_owner(inspection)}
    if inspection.spec.definer:
        owners.add((inspection.spec.definer.user, inspection.spec.definer.host))
    holders = Holders()
    rows = inspection.connection.rows(EVERYWHERE)
    holders.administrators |= {(str(user), str(host)) for user, host in rows}
    by_schema(inspection, holders)
    by_table(inspection, holders)
    members, hidden = roles(inspection)
    yield from hidden
    with_role = set().union(*members.values())
    for holder, access in holders.found.items():
        if holder in owners or holder in holders.administrators:
            continue
        is_application = holder in holders.applications or label(holder) in with_role
        if access.writes == {inspection.events: ["INSERT"]} and not is_application:
            # That is what `evtrig grants` gives for snapshots, and the operator.
            holders.administrators.add(holder)
        else:
            yield from of_holder(inspection, holder, access, members)
    others = sorted(
        label(holder)
        for holder in holders.administrators - owners
        if holder[0] not in INTERNAL
    )
    if others:
        yield Finding(
            "outbox-administrators",
            inspection.outbox,
            f"may be written to by {some(others)}",
            "What they write there by hand is published, what they delete is not.",
            advice("Let no application log in with one of these."),
        )


def by_schema(inspection: Inspection, holders: Holders) -> None:
    """What is granted on schemas, which may be patterns."""
    for user, host, pattern, *flags, may_grant in inspection.connection.rows(SCHEMAS):
        granted = {p for p, flag in zip(ALL, flags, strict=True) if flag == "Y"}
        grant = Grant(frozenset(granted), pattern, None)
        if any(
            grant.covers(privilege, schema, None)
            for schema in inspection.schemas
            for privilege in CHANGES
        ):
            holders.applications.add((user, host))
        held = [p for p in ALL if grant.covers(p, inspection.outbox, None)]
        if not held:
            continue
        if may_grant == "Y":
            holders.administrators.add((user, host))
            continue
        access = holders.access((user, host))
        access.is_wider |= unescaped(pattern) != inspection.outbox
        on = f"{ident(pattern)}.*"
        if writes := [privilege for privilege in held if privilege != TEMPORARY]:
            access.writes[on] = writes
        if TEMPORARY in held:
            access.temporary.append(on)


def by_table(inspection: Inspection, holders: Holders) -> None:
    """What is granted on tables and columns."""
    connection, outbox = inspection.connection, inspection.outbox
    places = ", ".join(["%s"] * len(inspection.schemas))
    applications = APPLICATIONS.format(places=places)
    holders.applications |= {
        (str(user), str(host))
        for user, host in connection.rows(applications, inspection.schemas)
    }
    for user, host, table, whole, columns in connection.rows(TABLES, (outbox,)):
        if table not in inspection.installed.outbox_tables:
            continue
        if "Grant" in names(whole):
            holders.administrators.add((user, host))
            continue
        held = {name.upper() for name in names(whole) | names(columns)}
        writes = [p for p in WRITES if p in held - RELAY.get(table, set())]
        if writes:
            is_columns = bool(names(columns) & {"Insert", "Update"})
            on = qualified(outbox, table)
            # The one way to take it from columns without naming them.
            taken = ["ALL PRIVILEGES"] if is_columns else writes
            holders.access((user, host)).writes[on] = taken


def roles(
    inspection: Inspection,
) -> tuple[Mapping[Holder, set[str]], list[Finding]]:
    """Who has which role, also through another one; and what could not be seen."""
    query = ROLES[inspection.server.family]
    try:
        rows = inspection.connection.rows(query)
    except DatabaseError as error:
        return {}, blind(inspection.sight, error)
    direct: dict[Holder, set[Holder]] = {}
    for role, at, user, host in rows:
        direct.setdefault((role, at), set()).add((user, host))
    found: dict[Holder, set[str]] = {}
    for role in direct:
        reached: set[Holder] = set()
        waiting = [role]
        while waiting:
            new = direct.get(waiting.pop(), set()) - reached
            reached |= new
            waiting += new
        found[role] = set(map(label, reached))
    return found, []


def of_holder(
    inspection: Inspection,
    holder: Holder,
    access: Access,
    members: Mapping[Holder, set[str]],
) -> Iterator[Finding]:
    who = label(holder)
    through = ""
    if holder in members:
        through = f", and so may who has this role: {some(sorted(members[holder]))}"
    if access.writes:
        held = "; ".join(f"{', '.join(p)} on {on}" for on, p in access.writes.items())
        yield Finding(
            "outbox-writable",
            who,
            f"may write into the outbox: {held}{through}",
            "It can make up events, and delete or change those that wait.",
            revokes(access, holder, access.writes),
        )
    if access.temporary:
        yield Finding(
            "outbox-temporary-tables",
            who,
            f"may make temporary tables in {inspection.outbox}{through}",
            "One named events would take the events of its session, and they are lost.",
            revokes(access, holder, {on: [TEMPORARY] for on in access.temporary}),
        )


def revokes(
    access: Access, holder: Holder, granted: Mapping[str, list[str]]
) -> tuple[Mend, ...]:
    name = named(*holder)
    if access.is_wider:
        # To revoke it would take other schemas away too.
        return advice(
            f"Grant {name} the schemas it needs by their names, instead of"
            f" {', '.join(granted)}, and revoke that."
        )
    return sql(
        *(
            Sql(f"REVOKE {', '.join(privileges)} ON {on} FROM {name}")
            for on, privileges in granted.items()
        )
    )


def unescaped(pattern: str) -> str:
    """A schema in a grant; without a back-slash before it, ``_`` is a wildcard, but
    whoever writes one mostly means the name."""
    return pattern.replace("\\_", "_").replace("\\%", "%").replace("\\\\", "\\")


def names(listed: str) -> set[str]:
    return set(filter(None, listed.split(",")))


def label(holder: Holder) -> str:
    """For people; a role of MariaDB has no host, and an anonymous account no name."""
    user, host = holder
    return f"{user}@{host}" if host else user


def named(user: str, host: str) -> str:
    """An account or a role, as GRANT and REVOKE take it."""
    if user == "PUBLIC" and not host:
        return user
    # MariaDB's roles have no host.
    return account(user, host) if host else ident(user)
