"""What the user asks for: ``evtrig.yml``, read strictly and without a database.

To add a key at the top: a name in ``_KEYS``, a field, and a line in :func:`parse`;
table_spec.py has those of a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import UsageError, nearest
from . import document
from .account import USER_LENGTH, Account
from .document import Node, Place, Scalar, shown
from .name import name
from .table_spec import Defaults, TableSpec, flag, optional, table_spec, token
from .trigger import OPERATIONS

__all__ = [
    "DEFAULT_DEFINER",
    "DEFAULT_OUTBOX",
    "SERVERS",
    "Spec",
    "load",
    "parse",
]

#: The product families that SQL is written for.
SERVERS = ("mysql", "mariadb")

DEFAULT_OUTBOX = "evtrig"
DEFAULT_DEFINER = "evtrig_definer@localhost"

_KEYS = (
    *("version", "schema", "outbox", "definer", "server", "transaction", "db_user"),
    *("bypass", "emit", "relay", "tables"),
)


@dataclass(frozen=True)
class Spec:
    """A whole spec."""

    #: The file, for messages.
    path: str
    #: The schema of the events table.
    outbox: str
    #: Who owns the triggers. None: whoever installs them.
    definer: Account | None
    #: One of SERVERS. None: not pinned, so generating needs a database.
    server: str | None
    #: In the order of the file.
    tables: tuple[TableSpec, ...]
    #: Whether events that the application emits carry the id of their transaction.
    transaction: bool = False
    #: Whether their context says which account wrote.
    db_user: bool = False
    #: Whether there is a procedure by which the application emits events.
    emit: bool = False
    #: Where the relay sends what, for it to read (commands/routes.py).
    relay: Node | None = None

    def only(self, names: Sequence[str]) -> Spec:
        """The spec with these tables alone, ``table`` or ``schema.table`` each.

        Raises UsageError for one that it does not have, and where the cascades of one
        cannot be told from those of another.
        """
        known = {t.name: t.source for t in self.tables}
        known |= {t.source: t.source for t in self.tables}
        for wanted in names:
            if wanted not in known:
                near = nearest(wanted, known)
                raise UsageError(
                    f"{self.path} has no table {shown(wanted)}",
                    hint=f"Did you mean {near}?" if near else "Look under `tables:`.",
                )
        chosen = {known[wanted] for wanted in names}
        # The trigger of a parent is there for all tables below it.
        cascading = {t.source for t in self.tables if t.cascades == "capture"}
        if chosen & cascading and cascading - chosen:
            raise UsageError(
                f"{min(chosen & cascading)} has `cascades: capture`, and shares the"
                " triggers of parent tables with"
                f" {', '.join(sorted(cascading - chosen))}",
                hint="Name them too.",
            )
        return replace(self, tables=tuple(t for t in self.tables if t.source in chosen))


def load(path: str | Path) -> Spec:
    """The spec in a file. Raises SpecError, also if the file cannot be read."""
    hint = "Name the spec with --spec, or write one with `evtrig init --dsn mysql://…`."
    return parse(document.content(path, missing=hint), path=str(path))


def parse(text: str, *, path: str) -> Spec:
    """The spec that is written in ``text``. Raises SpecError with the place."""
    root = document.read(
        text,
        path=path,
        empty="`evtrig init --dsn mysql://…` writes one from a database.",
    )
    _check_version(root)
    keys = document.fields(root, _KEYS, "the spec")
    server = optional(keys, "server", _server, None)
    outbox = optional(keys, "outbox", name, DEFAULT_OUTBOX)
    definer: Account | None = Account.parse(DEFAULT_DEFINER)
    definer = optional(keys, "definer", _definer, definer)
    if definer and len(definer.user) > USER_LENGTH[server or "mysql"]:
        hint = "A longer one is possible on MariaDB only: write `server: mariadb` too."
        raise keys["definer"].place.error(
            f"the user of `definer` is longer than {USER_LENGTH['mysql']} characters",
            hint="Choose a shorter name." if server else hint,
        )
    defaults = Defaults(
        schema=optional(keys, "schema", name, None),
        outbox=outbox,
        transaction=optional(keys, "transaction", flag, False),
        db_user=optional(keys, "db_user", flag, False),
        bypass=optional(keys, "bypass", token, None),
    )
    if "tables" not in keys:
        raise root.place.error(
            "the spec has no `tables`", hint="Add them, or let `evtrig init` write it."
        )
    tables = tuple(
        table_spec(key, node, defaults)
        for key, node in document.entries(keys["tables"], "`tables`")
    )
    if not tables:
        raise keys["tables"].place.error(
            "`tables` names no table",
            hint="Add one; `evtrig uninstall` removes what was installed.",
        )
    _check_sources(tables)
    _check_types(tables)
    return Spec(
        path=path,
        outbox=outbox,
        definer=definer,
        server=server,
        transaction=defaults.transaction,
        db_user=defaults.db_user,
        emit=optional(keys, "emit", flag, False),
        relay=keys.get("relay"),
        tables=tables,
    )


def _check_sources(tables: Sequence[TableSpec]) -> None:
    """No two tables may have the same source, which is what an event says it is of:
    `a.b`.`c` and `a`.`b.c` would."""
    taken: dict[str, Place] = {}
    for table in tables:
        before = taken.setdefault(table.source, table.place)
        if before is not table.place:
            raise table.place.error(
                f"events of {shown(table.source)} would be taken for those of the table"
                f" in line {before.line}, which has the same name with its schema",
                hint="Capture one of the two, or rename one.",
            )


def _check_types(tables: Sequence[TableSpec]) -> None:
    """No two kinds of event may have the same type: consumers go by it."""
    taken: dict[str, Place] = {}
    for table in tables:
        for operation in (*OPERATIONS, "gap", "read"):
            taken[f"{table.name}.{operation}"] = table.place
    for table in tables:
        for event in table.events:
            before = taken.setdefault(event.type, event.place)
            if before is not event.place:
                raise event.place.error(
                    f"the type `{shown(event.type)}` is taken: see line {before.line}",
                    hint="Choose another name. Several operations go into one event"
                    " with `on: [insert, update]`.",
                )


def _check_version(root: Node) -> None:
    """Comes first: a later version may have keys that are unknown to this one."""
    keys = {key.text: value for key, value in document.entries(root, "a spec")}
    if "version" not in keys:
        # A misspelt key says more than a missing one.
        document.fields(root, _KEYS, "the spec")
        raise root.place.error("the spec has no `version`", hint="Add `version: 1`.")
    version = keys["version"]
    if not (isinstance(version, Scalar) and version.plain and version.text == "1"):
        raise version.place.error(
            "`version` must be 1",
            hint="Write `version: 1`; a spec of a later version needs a later evtrig.",
        )


def _server(node: Node, what: str) -> str | None:
    return document.one_of(node, SERVERS, what)


def _definer(node: Node, what: str) -> Account | None:
    account = document.text(node, what)
    if account.lower() == "current_user":
        return None
    try:
        return Account.parse(account)
    except UsageError as exc:
        raise node.place.error(f"{what}: {exc.message}", hint=exc.hint) from None
