"""Foreign keys that change captured tables without an event."""

from __future__ import annotations

from collections.abc import Iterator

from ..cascade import Path, paths
from ..foreign_key import Management, foreign_keys, management
from ..spec import Spec
from ..sql import ident, qualified
from .finding import Finding, Mend, advice, edit, install, sql
from .inspection import Inspection

__all__ = ["cascade_finding", "cascade_findings"]


def cascade_findings(inspection: Inspection) -> Iterator[Finding]:
    """Every way in which a foreign key changes a captured table without an event."""
    spec = inspection.spec
    keys = foreign_keys(inspection.connection, inspection.schemas)
    found = paths({capture.source for capture in inspection.captures}, keys)
    if not found:
        return
    management_ = management(inspection.connection)
    if management_.fires_triggers:
        yield Finding(
            "cascade-switch",
            ", ".join(sorted({path.table for path in found})),
            "foreign keys change rows by themselves, and enable_cascade_triggers is ON",
            "A session can switch it off for itself; its cascades then make no events.",
            advice(
                "docs/limits.md names the statements that MySQL gets wrong with it."
            ),
        )
        return
    covered = {t.source for t in spec.tables if t.cascades == "capture"}
    for path in found:
        if path.table not in covered or not path.is_delete:
            yield cascade_finding(spec, path, management_)


def cascade_finding(spec: Spec, path: Path, management: Management) -> Finding:
    return Finding(
        "cascade",
        path.table,
        f"changed by a foreign key: {path}",
        "Such a change fires no trigger and makes no event.",
        mend(spec, path, management),
    )


def mend(spec: Spec, path: Path, management: Management) -> tuple[Mend, ...]:
    switch = sql("SET PERSIST enable_cascade_triggers = ON")
    if management.enable_cascade_triggers is not None and management.is_by_server:
        # It needs the server, and not the engine, to carry foreign keys out.
        return (*switch, *advice("Reconnect the applications."))
    if path.is_delete:
        place = next(t.place for t in spec.tables if t.source == path.table)
        return (*edit(f"{place}: write `cascades: capture` under it"), *install(spec))
    return (*sql(*restricted(path)), *advice("Change such rows by a statement."))


def restricted(path: Path) -> tuple[str, str]:
    """The statements that make the last foreign key refuse what it does by itself."""
    key = path.keys[-1]
    is_update = path.rules[-1].startswith("ON UPDATE")
    on_delete = key.on_delete if is_update else "RESTRICT"
    on_update = "RESTRICT" if is_update else key.on_update
    columns = ", ".join(map(ident, key.columns))
    referenced = ", ".join(map(ident, key.parent_columns))
    alter = f"ALTER TABLE {qualified(*key.child)}"
    # Two statements: in one, the name would be taken (MariaDB 10.11).
    return (
        f"{alter} DROP FOREIGN KEY {ident(key.name)}",
        f"{alter} ADD CONSTRAINT {ident(key.name)} FOREIGN KEY ({columns}) REFERENCES"
        f" {qualified(*key.parent)} ({referenced}) ON DELETE {on_delete}"
        f" ON UPDATE {on_update}",
    )
