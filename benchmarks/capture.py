"""What each option of the spec costs the application's write.

    make bench                                     both servers, under four minutes
    make bench ARGS="--rounds 60 --seconds 600"    steadier figures

Every variant is a spec of its own, installed as `evtrig install` does it, over a table
of its own with nine columns and 250 bytes a row. In each round every variant does the
same writes once, in an order drawn anew, so that other work on the machine meets all
alike. A ratio is the median, over the rounds, of a variant's time divided by that of
the plain trigger in the same round. The plain trigger runs twice: how far its second
ratio is from 1 says how far to trust the others.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import random
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from evtrig.database.connection import Connection
from evtrig.database.dsn import Dsn
from evtrig.demo.server import Candidate, ThrowawayServer, survey
from evtrig.errors import EvtrigError
from evtrig.triggers.install import apply, prepare
from evtrig.triggers.spec import parse

#: Single-row statements that a variant does in a round; a durable one takes longer.
STATEMENTS = {"durable": 80, "relaxed": 200}

#: Rows of one statement in the third column.
ROWS = 1000

#: What the servers are told. MariaDB's own default is sync_binlog=0.
DURABILITY = {
    "durable": ("innodb_flush_log_at_trx_commit=1", "sync_binlog=1"),
    "relaxed": ("innodb_flush_log_at_trx_commit=2", "sync_binlog=0"),
}

TABLE = """\
CREATE TABLE {schema}.orders (
    id          BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    customer_id INT UNSIGNED NOT NULL,
    status      ENUM('new', 'paid', 'shipped') NOT NULL,
    total       DECIMAL(10, 2) NOT NULL,
    email       VARCHAR(100) NOT NULL,
    card        VARCHAR(19) NOT NULL,
    note        VARCHAR(255) NOT NULL,
    created_at  DATETIME(6) NOT NULL,
    updated_at  TIMESTAMP(6) NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4
"""

COLUMNS = "customer_id, status, total, email, card, note, created_at, updated_at"

ROW = (
    "7, 'paid', 129.90, 'somebody@mail.example.com', '4111111111111111234',"
    f" '{'x' * 170}', '2026-01-02 03:04:05.678901', '2026-01-02 03:04:05.678901'"
)

INSERT = f"INSERT INTO orders ({COLUMNS}) VALUES ({ROW})"
UPDATE = "UPDATE orders SET total = total + 1 WHERE id = {id}"
INSERT_ROWS = f"INSERT INTO orders ({COLUMNS}) SELECT {COLUMNS} FROM seed"
UPDATE_ROWS = f"UPDATE orders SET total = total + 1 WHERE id <= {ROWS}"

DOMAIN_EVENT = """\
    events:
      - type: OrderChanged
        on: [insert, update]
        data: {order_id: NEW.id, total: NEW.total, status: NEW.status}
"""


@dataclass(frozen=True)
class Variant:
    """One way of capturing the table."""

    title: str
    #: Below `orders:`; None for no triggers at all.
    table: str | None = ""
    #: At the top of the spec.
    top: str = ""
    #: What the session does before it writes.
    session: tuple[str, ...] = ()
    #: Instead of a single statement: around it, in one transaction.
    around: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())

    @property
    def spec(self) -> str:
        lines = ["version: 1", "schema: {schema}", "outbox: {outbox}", self.top]
        lines += ["tables:", "  orders:" if self.table else "  orders: {{}}"]
        text = "\n".join(filter(None, lines)) + "\n"
        return text + (self.table or "").replace("{", "{{").replace("}", "}}")


PLAIN = Variant("plain trigger")

BYPASS = "bypass: nightly-import"
CONTEXT = """\
SET @evtrig_context = '{"actor":"alice","traceparent":\
"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}'"""
IN_TRANSACTION = (("BEGIN",), ("COMMIT",))
EVENT = """\
INSERT INTO {outbox}.events SET uid = UUID_SHORT(), type = 'OrderChanged',
    source = 'shop', operation = 'emit', captured_at = UTC_TIMESTAMP(6),
    `key` = '{{"id":7}}', after = '{{"order_id":7,"total":"129.90","status":"paid"}}'"""
EMIT = """\
CALL {outbox}.emit('OrderChanged', '{{"id":7}}',
    '{{"order_id":7,"total":"129.90","status":"paid"}}')"""

VARIANTS = (
    Variant("no trigger", table=None),
    PLAIN,
    Variant("plain trigger, again"),
    Variant(
        "`when`, true",
        "    when: {insert: NEW.status <> 'new', update: NEW.status <> 'new'}\n",
    ),
    Variant(
        "`when`, false",
        "    when: {insert: NEW.status = 'new', update: NEW.status = 'new'}\n",
    ),
    Variant("`images: after`", "    images: after\n"),
    Variant("`images: key`", "    images: key\n"),
    Variant("`redact`: one column `hash`", "    redact: {email: hash}\n"),
    Variant("`redact`: one column `last4`", "    redact: {card: last4}\n"),
    Variant("`db_user: true`", "    db_user: true\n"),
    Variant("`@evtrig_context` set", session=(CONTEXT,)),
    Variant("`transaction: true`", "    transaction: true\n"),
    Variant("one domain event beside", DOMAIN_EVENT),
    Variant("one domain event instead", f"    change_rows: false\n{DOMAIN_EVENT}"),
    Variant("`bypass` allowed, not used", top=BYPASS),
    Variant(
        "`bypass` used", top=BYPASS, session=("SET @evtrig_off = 'nightly-import'",)
    ),
    Variant("plain trigger, BEGIN … COMMIT", around=IN_TRANSACTION),
    Variant(
        "no trigger, BEGIN, `CALL emit`, COMMIT",
        # Something has to be captured: deletes, which the benchmark does not do.
        "    operations: [delete]\n",
        top="emit: true",
        around=(("BEGIN",), (EMIT, "COMMIT")),
    ),
    Variant(
        "no trigger, BEGIN, INSERT into the outbox, COMMIT",
        table=None,
        around=(("BEGIN",), (EVENT, "COMMIT")),
    ),
)


@dataclass
class Subject:
    """A variant on a server, ready to write."""

    variant: Variant
    connection: Connection
    outbox: str | None
    #: Seconds by what was done, a figure a round.
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def write(self, what: str, statements: Sequence[str], *, keep: bool) -> None:
        execute = self.connection.execute
        gc.disable()
        begun = time.perf_counter()
        for statement in statements:
            execute(statement)
        took = time.perf_counter() - begun
        gc.enable()
        if keep:
            self.seconds.setdefault(what, []).append(took)

    def single(self, statement: str) -> list[str]:
        before, after = self.variant.around
        return [
            *before,
            statement,
            *(text.format(outbox=self.outbox) for text in after),
        ]

    def clear(self) -> None:
        """Only a benchmark may TRUNCATE it: its ids begin again."""
        if self.outbox:
            self.connection.execute(f"TRUNCATE TABLE {self.outbox}.events")


COLUMNS_OF_THE_TABLE = (
    ("INSERT, durable", "insert durable"),
    ("UPDATE, durable", "update durable"),
    ("INSERT", "insert relaxed"),
    ("UPDATE", "update relaxed"),
    (f"INSERT of {ROWS:,}", "insert rows"),
    (f"UPDATE of {ROWS:,}", "update rows"),
)


#: Fewer would not be worth a median, however busy the machine is.
FEWEST_ROUNDS = 5


def measure(server: ThrowawayServer, rounds: int, seconds: float) -> list[Subject]:
    """Every variant's seconds, the first round left out: it warms up."""
    draw = random.Random(1)
    with ExitStack() as stack:
        root = stack.enter_context(Connection(Dsn.parse(server.dsn)))
        subjects = []
        for number, variant in enumerate(VARIANTS):
            subject = prepare_variant(root, server, f"bench_{number:02}", variant)
            stack.callback(subject.connection.close)
            subjects.append(subject)
        for durability, settings in DURABILITY.items():
            for setting in settings:
                root.execute(f"SET GLOBAL {setting}")
            deadline = time.monotonic() + seconds / len(DURABILITY)
            for number in range(rounds + 1):
                if number > FEWEST_ROUNDS and time.monotonic() > deadline:
                    break
                for subject in draw.sample(subjects, len(subjects)):
                    one_round(subject, durability, keep=number > 0)
    return subjects


def one_round(subject: Subject, durability: str, *, keep: bool) -> None:
    count = STATEMENTS[durability]
    inserts = [s for _ in range(count) for s in subject.single(INSERT)]
    updates = [
        statement
        for number in range(count)
        for statement in subject.single(UPDATE.format(id=number + 1))
    ]
    subject.write(f"insert {durability}", inserts, keep=keep)
    subject.write(f"update {durability}", updates, keep=keep)
    if durability == "relaxed" and subject.variant.around == ((), ()):
        subject.write("insert rows", [INSERT_ROWS], keep=keep)
        subject.write("update rows", [UPDATE_ROWS], keep=keep)
    subject.clear()


def prepare_variant(
    root: Connection, server: ThrowawayServer, schema: str, variant: Variant
) -> Subject:
    root.execute(f"CREATE SCHEMA {schema}")
    root.execute(TABLE.format(schema=schema))
    root.execute(f"CREATE TABLE {schema}.seed LIKE {schema}.orders")
    values = ", ".join([f"({ROW})"] * ROWS)
    root.execute(f"INSERT INTO {schema}.seed ({COLUMNS}) VALUES {values}")
    root.execute(f"INSERT INTO {schema}.orders SELECT * FROM {schema}.seed")
    outbox: str | None = f"{schema}_outbox"
    if variant.table is not None:
        install(root, variant.spec.format(schema=schema, outbox=outbox))
    elif EVENT in variant.around[1]:
        # Only for its table, so that the application can write there itself.
        install(root, PLAIN.spec.format(schema=schema, outbox=outbox))
        drop_triggers(root, schema)
    else:
        outbox = None
    connection = Connection(Dsn.parse(server.dsn_of(schema)))
    for statement in variant.session:
        connection.execute(statement)
    return Subject(variant, connection, outbox)


def install(root: Connection, text: str) -> None:
    """What `evtrig install` does."""
    spec = parse(text, path="benchmark")
    apply(root, prepare(root, spec))


def drop_triggers(root: Connection, schema: str) -> None:
    query = "SELECT trigger_name FROM information_schema.triggers"
    for (name,) in root.rows(f"{query} WHERE trigger_schema = %s", (schema,)):
        root.execute(f"DROP TRIGGER {schema}.`{name}`")


# Cascades: another shape, so another table.

PARENTS = 30
CHILDREN = 10

DELETES = "    operations: [delete]\n"

Shape = tuple[str, str | None, bool]

#: Title, below `children:` in the spec, whether the application deletes the children.
CASCADES: tuple[Shape, ...] = (
    ("no trigger, the foreign key deletes", None, False),
    ("`cascades: ignore`, the foreign key deletes", DELETES, False),
    ("`cascades: ignore`, the application deletes the children first", DELETES, True),
    ("`cascades: capture`", f"{DELETES}    cascades: capture\n", False),
)
SWITCH: tuple[Shape, ...] = (
    ("no trigger, the foreign key deletes", None, False),
    ("`enable_cascade_triggers` ON, the foreign key deletes", DELETES, False),
)
NATIVE_OPTIONS = ("--innodb-native-foreign-keys=ON",)
SWITCH_OPTIONS = ("--innodb-native-foreign-keys=OFF", "--enable-cascade-triggers=ON")


def cascades(candidate: Candidate, rounds: int) -> Iterator[str]:
    """What it takes to delete a row that ten captured rows depend on."""
    kinds: list[tuple[tuple[Shape, ...], tuple[str, ...]]] = [(CASCADES, ())]
    if candidate.family == "mysql":
        kinds = [(CASCADES, NATIVE_OPTIONS), (SWITCH, SWITCH_OPTIONS)]
    yield f"| deleting a row with {CHILDREN} children, durable | ms | events |"
    yield "|---|---|---|"
    for variants, options in kinds:
        try:
            with candidate.start(*options) as server:
                yield from measure_cascades(server, variants, rounds)
        except EvtrigError as error:
            yield f"| not measured with {' '.join(options)}: {error.message} | | |"


def measure_cascades(
    server: ThrowawayServer,
    variants: Sequence[Shape],
    rounds: int,
) -> Iterator[str]:
    seconds: list[list[float]] = [[] for _ in variants]
    with Connection(Dsn.parse(server.dsn)) as root:
        for setting in DURABILITY["durable"]:
            root.execute(f"SET GLOBAL {setting}")
        for number, (_, below, _) in enumerate(variants):
            schema = f"bench_fk_{number}"
            root.execute(f"CREATE SCHEMA {schema}")
            root.execute(f"CREATE TABLE {schema}.parents (id INT PRIMARY KEY)")
            root.execute(
                f"CREATE TABLE {schema}.children (id INT PRIMARY KEY, parent INT,"
                " note VARCHAR(250), FOREIGN KEY (parent)"
                f" REFERENCES {schema}.parents (id) ON DELETE CASCADE)"
            )
            if below is not None:
                top = f"version: 1\nschema: {schema}\noutbox: {schema}_outbox\n"
                install(root, f"{top}tables:\n  children:\n{below}")
        for number in range(rounds + 1):
            for index, (_, _, children_first) in enumerate(variants):
                schema = f"bench_fk_{index}"
                took = delete_parents(server, schema, children_first=children_first)
                if number:
                    seconds[index].append(took)
        for index, (title, below, _) in enumerate(variants):
            events = 0
            if below is not None:
                count = f"SELECT COUNT(*) FROM bench_fk_{index}_outbox.events"
                events = root.value(count) // (rounds + 1) // PARENTS
            each = statistics.median(seconds[index]) / PARENTS * 1000
            yield f"| {title} | {each:.2f} | {events} |"


def delete_parents(
    server: ThrowawayServer, schema: str, *, children_first: bool
) -> float:
    with Connection(Dsn.parse(server.dsn_of(schema))) as connection:
        parents = ", ".join(f"({n})" for n in range(PARENTS))
        connection.execute(f"INSERT INTO parents VALUES {parents}")
        children = ", ".join(
            f"({n}, {n // CHILDREN}, '{'x' * 200}')" for n in range(PARENTS * CHILDREN)
        )
        connection.execute(f"INSERT INTO children VALUES {children}")
        begun = time.perf_counter()
        for n in range(PARENTS):
            if children_first:
                connection.execute("BEGIN")
                connection.execute(f"DELETE FROM children WHERE parent = {n}")
            connection.execute(f"DELETE FROM parents WHERE id = {n}")
            if children_first:
                connection.execute("COMMIT")
        return time.perf_counter() - begun


# Printing


def table(subjects: Sequence[Subject]) -> Iterator[str]:
    plain = next(s for s in subjects if s.variant is PLAIN)
    heads = [head for head, _ in COLUMNS_OF_THE_TABLE]
    yield f"| ratio to the plain trigger | {' | '.join(heads)} |"
    yield "|---" * (len(heads) + 1) + "|"
    for subject in subjects:
        cells = []
        for _, what in COLUMNS_OF_THE_TABLE:
            measured = subject.seconds.get(what)
            if measured is None:
                cells.append("–")
                continue
            rounds = zip(measured, plain.seconds[what], strict=True)
            cells.append(f"{statistics.median(a / b for a, b in rounds):.2f}")
        yield f"| {subject.variant.title} | {' | '.join(cells)} |"
    absolute = [
        f"{statistics.median(plain.seconds[what]) / rows(what) * 1e6:.0f}"
        for _, what in COLUMNS_OF_THE_TABLE
    ]
    yield f"| *plain trigger, µs a row* | {' | '.join(absolute)} |"


def rows(what: str) -> int:
    return ROWS if what.endswith(" rows") else STATEMENTS[what.split()[1]]


def machine() -> str:
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        names = [line.partition(":")[2] for line in lines if "model name" in line]
        model = names[0].strip() if names else model
    load = "/".join(f"{value:.1f}" for value in os.getloadavg())
    return f"{os.cpu_count()} × {model}, {platform.system()}, load {load}"


def run(
    candidate: Candidate, rounds: int, seconds: float, say: Callable[[str], None]
) -> None:
    begun = time.monotonic()
    with candidate.start() as server:
        subjects = measure(server, rounds, seconds)
        say(f"\n## {server.server}\n")
        for line in table(subjects):
            say(line)
        done = {what: len(rounds) for what, rounds in subjects[0].seconds.items()}
        say(
            f"\nRounds: {done['insert durable']} durable, {done['insert relaxed']} not."
        )
    say("")
    for line in cascades(candidate, rounds):
        say(line)
    took = time.monotonic() - begun
    print(f"{candidate.name}: {took:.0f} s", file=sys.stderr)


def main() -> None:
    assert __doc__
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15, help="rounds measured (15)")
    parser.add_argument(
        "--seconds",
        type=float,
        default=80,
        help="a server; no further rounds after that (80)",
    )
    parser.add_argument("--server", help="only this one: mysql, mariadb")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error("--rounds must be 1 or more")
    found = survey()
    for reason in found.missing:
        print(reason, file=sys.stderr)
    wanted = [
        candidate
        for candidate in found.candidates
        if arguments.server in (None, candidate.family, candidate.name)
    ]
    if not wanted:
        sys.exit("no such server here; make servers installs MySQL and MariaDB")
    print("Measured on", machine())
    command = shlex.join(["benchmarks/capture.py", *sys.argv[1:]])
    print(f"by `{command}`")
    for candidate in wanted:
        run(
            candidate,
            arguments.rounds,
            arguments.seconds,
            lambda line: print(line, flush=True),
        )


if __name__ == "__main__":
    main()
