"""A database that `check` looks at: broken on purpose, and mended as it says."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pymysql
from click.testing import CliRunner

from evtrig.cli import main
from evtrig.database.connection import Connection
from evtrig.database.dsn import Dsn
from evtrig.demo.server import ThrowawayServer
from evtrig.triggers.check import MAX_AGE, Finding, check
from evtrig.triggers.install import apply, prepare
from evtrig.triggers.spec import Spec, load


class Checked:
    """A schema, its outbox and an owner of its triggers, with a spec in a file."""

    def __init__(
        self,
        server: ThrowawayServer,
        schema: str,
        outbox: str,
        folder: Path,
        connection: pymysql.Connection,
    ) -> None:
        self.server, self.schema, self.outbox = server, schema, outbox
        self.definer = f"owner_{schema.removeprefix('test_')}@localhost"
        self.path = folder / "evtrig.yml"
        #: What the spec says of each table.
        self.tables: dict[str, Any] = {}
        #: What it says besides.
        self.head: dict[str, Any] = {"definer": self.definer}
        #: A variable for every command that is run.
        self.environment: dict[str, str] = {}
        self._connection = connection

    @property
    def is_mariadb(self) -> bool:
        return self.server.name == "mariadb"

    @property
    def spec(self) -> Spec:
        head = {"version": 1, "schema": self.schema, "outbox": self.outbox}
        text = json.dumps({**head, **self.head, "tables": self.tables}, indent=1)
        self.path.write_text(text)
        return load(self.path)

    def run(self, *statements: str) -> tuple:
        """As root, in the schema; the rows of the last one."""
        with self._connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall()

    def capture(self, *statements: str, **tables: dict[str, Any]) -> None:
        """Create tables and install their triggers."""
        self.tables |= tables
        self.run(*statements)
        self.install()

    def install(self) -> None:
        spec = self.spec
        with Connection(Dsn.parse(self.server.dsn)) as connection:
            apply(connection, prepare(connection, spec))

    def findings(self, *, max_age: int = MAX_AGE, dsn: str = "") -> tuple[Finding, ...]:
        with Connection(Dsn.parse(dsn or self.server.dsn)) as connection:
            return check(connection, self.spec, max_age=max_age)

    def of(self, code: str, **options: Any) -> list[Finding]:
        return [f for f in self.findings(**options) if f.code == code]

    def faults(self) -> list[str]:
        """The codes of what is to be mended."""
        return [f.code for f in self.findings() if f.is_fault]

    def mend(
        self, finding: Finding, by_hand: Callable[[], object] | None = None
    ) -> None:
        """Do all that a finding says; ``by_hand`` is what no command does."""
        is_done = False
        for mend in finding.mend:
            if mend.by == "sql":
                self.run(mend.text)
            elif mend.by == "shell":
                self.shell(mend.text)
            elif by_hand is None:
                assert mend.by == "advice", mend
            elif not is_done:
                by_hand()
                is_done = True

    def shell(self, line: str) -> None:
        name, *arguments = shlex.split(line)
        assert name == "evtrig"
        self.spec  # noqa: B018 - writes the file
        environment = {"EVTRIG_DSN": self.server.dsn, **self.environment}
        ended = CliRunner().invoke(main, arguments, env=environment, input="y\n")
        assert ended.exit_code == 0, ended.output

    def comes_and_goes(
        self,
        code: str,
        damage: Callable[[], object],
        by_hand: Callable[[], object] | None = None,
        **options: Any,
    ) -> Finding:
        """A finding that is not there before, is there after the damage, and is gone
        when it is mended as it says."""
        assert self.of(code, **options) == []
        damage()
        found = self.of(code, **options)
        assert len(found) == 1, self.findings(**options)
        self.mend(found[0], by_hand)
        left = self.of(code, **options)
        assert left == []
        return found[0]

    def trigger(self, operation: str = "update", table: str = "%") -> str:
        """The name of the newest trigger of evtrig's."""
        rows = self.run(
            "SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema"
            f" = '{self.schema}' AND event_manipulation = '{operation.upper()}' AND"
            f" event_object_table LIKE '{table}' AND"
            " trigger_name LIKE 'evtrig%' ORDER BY LENGTH(trigger_name), 1"
        )
        return str(rows[-1][0])

    def recreate(
        self,
        operation: str = "update",
        *,
        change: Callable[[str], str] = lambda create: create,
        session: tuple[str, ...] = (),
    ) -> None:
        """Drop a trigger and create it again, changed or in another session."""
        name = self.trigger(operation)
        create = self.run(f"SHOW CREATE TRIGGER `{name}`")[0][2]
        usual = (
            "SET NAMES utf8mb4 COLLATE utf8mb4_bin",
            "SET SESSION sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION'",
        )
        changed = change(create)
        self.run(f"DROP TRIGGER `{name}`", *usual, *session, changed, *usual)

    def put(self, **tables: dict[str, Any]) -> None:
        """Write the spec anew."""
        self.tables = tables
