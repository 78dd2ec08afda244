"""What clients and alembic make of the files of `evtrig generate -o`.

    .venv/bin/python docs/measurements/migrations.py [CLIENT…]

Starts throwaway servers of its own. CLIENT is the path of a `mysql` or `mariadb`
program; without one it is the one on PATH. ALEMBIC is the path of that program, which
needs SQLAlchemy and PyMySQL; without it that part is left out.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from textwrap import indent

from evtrig.database.connection import Connection
from evtrig.database.dsn import Dsn
from evtrig.demo.server import LocalServer, ThrowawayServer, survey
from evtrig.errors import DatabaseError

EVTRIG = Path(sys.executable).with_name("evtrig")

# Clients: does an error end it, and is SOURCE known at all?

FILES = {
    "first.sql": "SELECT 'first';\n",
    "wrong.sql": "SELEC 1;\n",
    "last.sql": "SELECT 'last';\n",
}
SOURCES = "".join(f"SOURCE {name};\n" for name in FILES)


def clients(server: ThrowawayServer, program: str) -> None:
    dsn = Dsn.parse(server.dsn)
    to = ["--no-defaults", "-N", f"-h{dsn.host}", f"-P{dsn.port}", f"-u{dsn.user}"]
    for label, options, script in (
        ("SOURCE lines", [], SOURCES),
        ("SOURCE lines, --commands", ["--commands"], SOURCES),
        ("the files one after the other", [], "".join(FILES.values())),
    ):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in FILES.items():
                Path(folder, name).write_text(text)
            ended = subprocess.run(  # noqa: S603
                [program, *to, *options],
                input=script,
                cwd=folder,
                capture_output=True,
                text=True,
            )
        error = (ended.stderr.strip().splitlines() or [""])[-1][:60]
        print(f"  {program}, {label}: {ended.stdout.split()}", end="")
        print(f" exit code {ended.returncode} {error}")


# alembic

INI = "[alembic]\nscript_location = .\n"
ENVIRONMENT = """
import os, subprocess
from alembic import context
from sqlalchemy import create_engine, pool
engine = create_engine(os.environ["URL"], poolclass=pool.NullPool)
with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
INSTALL = 'subprocess.run([os.environ["EVTRIG"], "install", "--yes"], check=True)\n'
REVISION = """
import os, subprocess
from pathlib import Path
from alembic import op
revision, down_revision = {revision!r}, {down!r}
def upgrade():
{body}
"""
CREATE = """op.execute(
    "CREATE TABLE orders (id BIGINT UNSIGNED PRIMARY KEY, status VARCHAR(20), n INT)"
)
"""
SPEC = """version: 1
schema: shop
server: {server}
tables:
  orders:
    key: [id]
    columns: {columns}
    when: {{insert: "NEW.status NOT LIKE '% :x'"}}
"""
COLUMNS = "{id: bigint unsigned, status: varchar(20), n: int}"
WITHOUT = COLUMNS.replace(", n: int", "")

PATHS = """
paths = Path("db/index.txt").read_text().splitlines()
texts = [Path("db", path).read_text() for path in paths if path[0] != "#"]
"""
EACH = """
for text in texts:
    for part in text.split("DELIMITER $$\\n"):
        compound, _, plain = part.rpartition(" $$\\nDELIMITER ;\\n")
        for statement in (compound, *plain.split(";\\n")):
            if any(line[:3] != "-- " for line in statement.split("\\n") if line):
                {run}
"""
GENERATED = {
    "op.execute(a whole file)": PATHS + "for text in texts: op.execute(text)",
    "op.execute(each statement)": PATHS + EACH.format(run="op.execute(statement)"),
    "exec_driver_sql(each statement)": PATHS
    + EACH.format(run="op.get_bind().exec_driver_sql(statement)"),
    "exec_driver_sql(each), no_parameters": PATHS
    + EACH.format(
        run="op.get_bind().execution_options("
        "no_parameters=True).exec_driver_sql(statement)"
    ),
}
#: In the same deployment as the spec without `n`.
UPDATE = "op.execute('UPDATE orders SET status = 1')"
DROPS = {
    "install, DROP COLUMN": f"{INSTALL}op.drop_column('orders', 'n')\n",
    "DROP COLUMN alone": "op.drop_column('orders', 'n')",
    "UPDATE, install, DROP COLUMN": f"{UPDATE}\n{INSTALL}op.drop_column('orders', 'n')",
}


class Project:
    """A folder with revisions, the spec and what was generated from it."""

    def __init__(self, server: ThrowawayServer, folder: str, alembic: str) -> None:
        self.server, self.folder = server, Path(folder)
        self.alembic = alembic
        dsn = Dsn.parse(server.dsn)
        self.environment = {
            **os.environ,
            "EVTRIG": str(EVTRIG),
            "EVTRIG_DSN": server.dsn,
            "URL": f"mysql+pymysql://{dsn.user}@{dsn.host}:{dsn.port}/shop",
        }
        with Connection(dsn) as connection:
            for schema in ("shop", "evtrig"):
                connection.execute(f"DROP DATABASE IF EXISTS {schema}")
            connection.execute("CREATE DATABASE shop CHARACTER SET utf8mb4")
        (self.folder / "versions").mkdir()
        (self.folder / "alembic.ini").write_text(INI)
        (self.folder / "env.py").write_text(ENVIRONMENT)
        self.spec(COLUMNS)
        self.run(str(EVTRIG), "generate", "-o", "db", EVTRIG_DSN="")
        self.revisions = 0
        self.upgrade(CREATE)

    def spec(self, columns: str) -> None:
        text = SPEC.format(server=self.server.name, columns=columns)
        (self.folder / "evtrig.yml").write_text(text)

    def run(self, *command: str, **environment: str) -> str:
        ended = subprocess.run(  # noqa: S603
            command,
            cwd=self.folder,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
        )
        if ended.returncode == 0:
            return "done"
        lines = f"{ended.stdout}\n{ended.stderr}".splitlines()
        known = [line for line in lines if "Error: " in line or line[:8] == "evtrig: "]
        known = [line for line in known if "also has" not in line]
        return f"failed: {(known or lines)[0][:120]}"

    def upgrade(self, body: str) -> str:
        down = str(self.revisions) if self.revisions else None
        self.revisions += 1
        text = REVISION.format(
            revision=str(self.revisions), down=down, body=indent(body, "    ")
        )
        (self.folder / f"versions/{self.revisions}.py").write_text(text)
        return self.run(self.alembic, "upgrade", "head")

    def writes(self) -> str:
        with Connection(Dsn.parse(self.server.dsn)) as connection:
            try:
                connection.execute(
                    "INSERT INTO shop.orders (id, status) VALUES (7, 'a')"
                )
            except DatabaseError as error:
                return f"writes fail ({error.number})"
        return "writes work"


def alembic(server: ThrowawayServer, program: str) -> None:
    for label, body in GENERATED.items():
        with tempfile.TemporaryDirectory() as folder:
            project = Project(server, folder, program)
            print(f"  alembic, {label}: {project.upgrade(body)}")
    for label, body in DROPS.items():
        with tempfile.TemporaryDirectory() as folder:
            project = Project(server, folder, program)
            project.upgrade(INSTALL)
            project.upgrade("op.execute('INSERT INTO orders VALUES (1, NULL, 0)')")
            project.spec(WITHOUT)
            print(f"  alembic, {label}: {project.upgrade(body)}, {project.writes()}")


def main() -> None:
    for candidate in survey().candidates:
        with candidate.start() as server:
            print(server.server)
            for program in sys.argv[1:] or ["mysql"]:
                clients(server, program)
            if "ALEMBIC" in os.environ and isinstance(server, LocalServer):
                alembic(server, os.environ["ALEMBIC"])


if __name__ == "__main__":
    main()
