"""The roles that accounts have around evtrig, and the least that each of them needs.

Pure. What `evtrig grants` prints for the installer is what preflight.py asks for, and
what it prints for the definer is what `evtrig install` grants.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from ..database.server import Server
from .account import Account
from .capture import Capture
from .cascade import Cascade
from .emit import PROCEDURE, Emit
from .grant import definer_needs
from .need import Need
from .probe import probes
from .scratch import PRIVILEGES
from .scratch_schema import scratch_schema

__all__ = [
    "DEFAULT_ROLES",
    "ROLES",
    "SET_DEFINER",
    "Wanted",
    "Work",
    "installer_needs",
    "needs_of",
    "operator_needs",
    "relay_needs",
    "snapshot_needs",
    "status_needs",
    "uninstaller_needs",
]

#: In the order in which they come to the database, each with what it is for.
ROLES = {
    "installer": "runs evtrig install",
    "definer": "owns the triggers, which do what it may do; nobody logs in with it",
    "relay": "runs evtrig relay",
    "snapshot": "writes existing rows into the outbox, as if they had just changed",
    "status": "runs evtrig check; sees captured rows in their events only",
    "operator": "runs evtrig dead-letters; sees the events that no sink takes",
    "uninstaller": "runs evtrig uninstall",
}

#: Who takes an outbox away is not let in before its day.
DEFAULT_ROLES = tuple(role for role in ROLES if role != "uninstaller")

#: Whoever has one of these may make another account the owner.
SET_DEFINER = ("SET_ANY_DEFINER", "SET_USER_ID", "SET USER")

#: Where MySQL keeps accounts, so that SHOW GRANTS FOR works, and who may write where.
#: MariaDB wants all of the schema for SHOW GRANTS FOR (1044). Both measured.
ACCOUNT_TABLES = ("user", "db", "tables_priv", "role_edges")

#: Of a dead letter, all but what was in the row.
DEAD_LETTER = (
    *("id", "uid", "type", "source", "operation", "captured_at", "holds_key"),
    *("reason", "attempts", "first_error", "last_error", "failed_at", "parked_at"),
)

#: Where MySQL says whether it watches transactions.
SETUP_TABLES = ("setup_instruments", "setup_consumers")


@dataclass(frozen=True)
class Wanted:
    """What is to be captured, of which the needs follow."""

    captures: Sequence[Capture]
    server: Server
    outbox: str
    #: None for whoever installs.
    definer: Account | None
    emit: Emit | None = None
    cascades: Sequence[Cascade] = ()

    @property
    def schemas(self) -> tuple[str, ...]:
        """Those of the captured tables, and of what foreign keys lead to."""
        found = {capture.schema for capture in self.captures}
        for cascade in self.cascades:
            found |= {schema for _, schema, _ in cascade.grants}
        return tuple(sorted(found))

    @property
    def needs_salt(self) -> bool:
        return any(capture.needs_salt for capture in self.captures)

    @property
    def needs_transaction(self) -> bool:
        """Whether events carry the id of their transaction, or a gap looks for it."""
        is_emitted = self.emit is not None and self.emit.transaction
        return is_emitted or any(c.needs_transaction for c in self.captures)

    @property
    def definer_needs(self) -> tuple[Need, ...]:
        """What the owner of the triggers needs, whoever that is."""
        return definer_needs(
            self.captures, self.server, self.outbox, self.emit, self.cascades
        )


@dataclass(frozen=True)
class Work:
    """What one install has to do; by default everything, in an empty database."""

    creates_outbox: bool = True
    adds_relay: bool = True
    adds_salt: bool = True
    creates_account: bool = True
    creates_procedure: bool = True
    #: Of one that is there; who has created it may drop it (automatic_sp_privileges).
    drops_procedure: bool = False
    #: Tables whose triggers come or go, as ``schema.table``; None for all of them.
    sources: Collection[str] | None = None
    #: What the definer is to be granted; None for all that it needs.
    granted: Sequence[Need] | None = None

    def concerns(self, source: str) -> bool:
        """Whether triggers of this table come or go."""
        return self.sources is None or source in self.sources


def installer_needs(wanted: Wanted, work: Work = Work()) -> tuple[Need, ...]:
    """What it takes to do this work; a privilege may come twice, for two reasons."""
    return tuple(_installer_needs(wanted, work))


def _installer_needs(wanted: Wanted, work: Work) -> Iterator[Need]:
    box = wanted.outbox
    if work.creates_outbox:
        yield Need("CREATE", "to create the outbox", box)
    if work.adds_relay:
        for privilege in ("SELECT", "INSERT"):
            why = "to add the relay's row"
            yield Need(privilege, why, box, "event_polling_state", is_ahead=True)
    if wanted.needs_salt and work.adds_salt:
        for privilege in ("CREATE", "SELECT", "INSERT"):
            why = "to draw the salt of `hash`"
            yield Need(privilege, why, box, "salts", is_ahead=True)
    for capture in wanted.captures:
        if work.concerns(capture.source):
            table = (capture.schema, capture.table)
            # A part of the columns would be captured as if it were all of them.
            yield Need("SELECT", "to see all of its columns", *table)
            yield Need("TRIGGER", "to create, replace and drop its triggers", *table)
    for cascade in wanted.cascades:
        if work.concerns(cascade.source):
            why = "to create the trigger that records what its foreign keys do"
            yield Need("TRIGGER", why, cascade.schema, cascade.table)
            for key in (*cascade.deletes, *cascade.nulls):
                why = "to see whose triggers a cascade would fire"
                yield Need("TRIGGER", why, *key.child)
    yield from _scratch_needs(wanted, work)
    if wanted.emit and work.creates_procedure:
        yield Need("CREATE ROUTINE", "to create the procedure emit", box)
        if work.drops_procedure:
            why = "to replace the procedure emit"
            yield Need("ALTER ROUTINE", why, box, procedure=PROCEDURE)
        if wanted.definer is not None:
            # Without it the procedure would be taken for another, and replaced each
            # time: whoever calls it meanwhile would fail.
            why = "to see whether the procedure emit is as it should be"
            yield replace(_show_routine(wanted.server), why=why)
    if wanted.definer is None:
        for need in wanted.definer_needs:
            yield replace(need, is_ahead=need.schema == box)
        return
    granted = wanted.definer_needs if work.granted is None else work.granted
    for need in granted:
        ahead = need.schema == box
        yield replace(need, why="to pass on to the definer", is_ahead=ahead)
        why = "to pass on what the definer needs"
        yield replace(need, privilege="GRANT OPTION", why=why, is_ahead=ahead)
    if work.creates_account:
        yield Need("CREATE USER", f"to create {wanted.definer}")
    if work.sources is None or work.sources or work.creates_procedure:
        yield Need(*_set_definer(wanted.server, wanted.definer))


def _scratch_needs(wanted: Wanted, work: Work) -> Iterator[Need]:
    tried = [c for c in wanted.captures if work.concerns(c.source) and probes(c)]
    for privilege in PRIVILEGES if tried else ():
        why = "to try the expressions of the spec"
        yield Need(privilege, why, scratch_schema(wanted.outbox))
    functions = {f for c in tried for e in c.expressions() for f in e.functions}
    for schema, name in sorted(functions):
        why = "to try the expressions that call it"
        yield Need("EXECUTE", why, schema, function=name)


def _show_routine(server: Server) -> Need:
    """To see a procedure of somebody else (measured, but before MySQL 8.0.20)."""
    why = "to see the procedure emit"
    if server.is_mariadb:
        return Need("SELECT", why, "mysql", "proc")
    if server.version and server.version < (8, 0, 20):
        return Need("SELECT", why)
    return Need("SHOW_ROUTINE", why)


def _set_definer(server: Server, definer: Account) -> tuple[str, str]:
    """MySQL 8.2 split SET_USER_ID in two; MariaDB 10.5 took SET USER out of SUPER."""
    why = f"to make {definer} the owner"
    if server.is_mariadb:
        return "SET USER", why
    if not server.version:
        why += "; before MySQL 8.2 it is SET_USER_ID"
    elif server.version < (8, 2):
        return "SET_USER_ID", why
    return "SET_ANY_DEFINER", why


def relay_needs(outbox: str) -> tuple[Need, ...]:
    """Three tables, and nothing else."""
    state = (outbox, "event_polling_state")
    dead_letters = (outbox, "dead_letters")
    return (
        Need("SELECT", "to read the events", outbox, "events"),
        Need("DELETE", "to delete what was acknowledged", outbox, "events"),
        Need("SELECT", "to see which relay publishes", *state),
        Need("UPDATE", "to be the one that publishes", *state),
        Need("SELECT", "to see which keys wait for a dead letter", *dead_letters),
        Need("INSERT", "to put aside what no sink takes", *dead_letters),
    )


def operator_needs(outbox: str) -> tuple[Need, ...]:
    """To look at dead letters, put them back and discard them."""
    dead_letters = (outbox, "dead_letters")
    taken = (outbox, "events", ("id", "uid"))
    return (
        Need("SELECT", "to see what no sink takes, with the rows in it", *dead_letters),
        Need("DELETE", "to take out what is put back or discarded", *dead_letters),
        Need("INSERT", "to put events back", outbox, "events"),
        Need("SELECT", "to see whether an id has been issued again", *taken),
    )


def snapshot_needs(wanted: Wanted) -> tuple[Need, ...]:
    """To write rows into the outbox as the triggers would."""
    needs = [
        Need("SELECT", "to read its rows", capture.schema, capture.table)
        for capture in wanted.captures
    ]
    needs.append(Need("INSERT", "to write the events", wanted.outbox, "events"))
    if wanted.needs_salt:
        why = "to redact by hash; whoever has it can find out values by trying"
        needs.append(Need("SELECT", why, wanted.outbox, "salts"))
    return tuple(needs)


def status_needs(
    schemas: Sequence[str],
    server: Server,
    outbox: str,
    *,
    needs_salt: bool,
    has_emit: bool,
    needs_transaction: bool,
) -> tuple[Need, ...]:
    """To see all that evtrig check looks at; read-only but for TRIGGER.

    Measured on both servers: triggers are shown to nobody without it, columns and
    foreign keys to whoever may refer to them.
    """
    needs = []
    for schema in schemas:
        why = "to see tables, columns and foreign keys, but no row"
        needs.append(Need("REFERENCES", why, schema))
        why = "to see triggers; no lesser privilege shows them"
        needs.append(Need("TRIGGER", why, schema))
    why = "to see how many wait, and how long"
    needs.append(Need("SELECT", why, outbox, "events"))
    why = "to see whether somebody has put a trigger on it"
    needs.append(Need("TRIGGER", why, outbox, "events"))
    why = "to see which relay publishes"
    needs.append(Need("SELECT", why, outbox, "event_polling_state"))
    why = "to see which events no sink takes, but not what is in them"
    needs.append(Need("SELECT", why, outbox, "dead_letters", DEAD_LETTER))
    # Of a table on some of whose columns one has privileges, one sees only these.
    why = "to see all of its columns, but no row"
    needs.append(Need("REFERENCES", why, outbox, "dead_letters"))
    if needs_salt:
        why = "to see that there is a salt, but not which"
        needs.append(Need("SELECT", why, outbox, "salts", ("name",)))
    if has_emit and not server.is_mariadb:
        needs.append(_show_routine(server))
    accounts = [None] if server.is_mariadb else [*ACCOUNT_TABLES]
    for table in accounts:
        why = "to see what the definer and others may do; shows password hashes too"
        needs.append(Need("SELECT", why, "mysql", table))
    for table in SETUP_TABLES if needs_transaction and not server.is_mariadb else ():
        why = "to see whether transactions are watched"
        needs.append(Need("SELECT", why, "performance_schema", table))
    return tuple(needs)


def uninstaller_needs(
    schemas: Sequence[str], outbox: str, *, has_emit: bool
) -> tuple[Need, ...]:
    """To take everything out again; without ``schemas``, wherever it is."""
    # Of the schemas and not of the tables: one that has left the spec may have kept its
    # triggers, and they would fail without the outbox.
    why = "to see and drop every trigger that writes to the outbox"
    needs = [Need("TRIGGER", why, schema) for schema in schemas or (None,)]
    needs.append(Need("SELECT", "to see what is in the outbox still", outbox))
    needs.append(Need("DROP", "to drop the outbox", outbox))
    if has_emit:
        why = "to see and drop the procedure emit"
        needs.append(Need("ALTER ROUTINE", why, outbox, procedure=PROCEDURE))
    return tuple(needs)


def needs_of(role: str, wanted: Wanted) -> tuple[Need, ...]:
    """The needs of one of ROLES."""
    if role == "installer":
        return installer_needs(wanted)
    if role == "definer":
        return wanted.definer_needs
    if role == "relay":
        return relay_needs(wanted.outbox)
    if role == "snapshot":
        return snapshot_needs(wanted)
    if role == "operator":
        return operator_needs(wanted.outbox)
    has_emit = wanted.emit is not None
    if role == "status":
        return status_needs(
            wanted.schemas,
            wanted.server,
            wanted.outbox,
            needs_salt=wanted.needs_salt,
            has_emit=has_emit,
            needs_transaction=wanted.needs_transaction,
        )
    return uninstaller_needs(wanted.schemas, wanted.outbox, has_emit=has_emit)
