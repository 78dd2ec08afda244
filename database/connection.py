"""A connection whose errors are evtrig's own.

The driver's exceptions are translated here and nowhere else, by error number;
texts differ between versions and languages.
"""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, TypeAlias

import pymysql
from pymysql.constants import CLIENT

from ..errors import ConnectionLost, DatabaseError
from .credentials import hint_of, logins
from .dsn import Dsn
from .server import Server
from .utf8 import CODEC

__all__ = ["RETRY", "Connection", "Row"]

Row: TypeAlias = tuple[Any, ...]
Plugins: TypeAlias = "dict[str, Callable[[pymysql.Connection[Any]], Any]]"
Arguments: TypeAlias = Sequence[object] | Mapping[str, object] | None

# Server error numbers: dev.mysql.com/doc/mysql-errors, mariadb.com/kb
# "MariaDB Error Codes"; 2000-2999 are the client library's.
ACCESS_DENIED = 1045
DATABASE_ACCESS_DENIED = 1044
UNKNOWN_DATABASE = 1049
UNKNOWN_COLUMN = 1054
NO_SUCH_TABLE = 1146
TABLE_ACCESS_DENIED = 1142
COLUMN_ACCESS_DENIED = 1143
SPECIFIC_ACCESS_DENIED = 1227
BINLOG_CREATE_ROUTINE = 1419
LOCK_WAIT_TIMEOUT = 1205
READ_ONLY = 1290
CANNOT_CONNECT = 2003
LOST_CONNECTION = 2013
TLS_FAILED = 2026
CLEAR_PASSWORD = 2061
TLS_REQUIRED = 3159
PLUGIN_NOT_LOADED = 1524
AUTHENTICATION_PLUGIN = 2059

#: What is said of a connection that there is not yet.
CONNECTING = "connect to"

#: Of a GRANT: MariaDB with NO_AUTO_CREATE_USER, MySQL.
NO_ACCOUNT = (1133, 1410)

#: MariaDB's 3 is "Error writing file", MySQL's 3675 "… failed, as disk is full".
NO_ROOM = (3, 1021, 1114, 3675)

#: The same statement may succeed if it is sent again: lock wait time-out,
#: deadlock, query interrupted, execution time exceeded (MySQL, MariaDB).
RETRY = frozenset({1205, 1213, 1317, 3024, 1969})

#: The connection is of no more use: gone, refused for now, shut down, or the
#: server has become read-only because a fail-over made another one the writer.
LOST = frozenset(
    {0, 2003, 2006, 2013, 2014, 2055, 1053, 1927, 4031, 1129, 1040, 1203}
    | {READ_ONLY, 1836, 1792}
)

# dev.mysql.com/doc, "The replication_connection_status Table".
REPLICATING = """\
SELECT 1
  FROM performance_schema.replication_connection_status
 WHERE service_state <> 'OFF' AND channel_name NOT LIKE 'group\\_replication%'
 LIMIT 1
"""

HINTS = {
    DATABASE_ACCESS_DENIED: "Ask for privileges on that schema, leave the schema"
    " out of the DSN if the command needs none, or connect as another account.",
    UNKNOWN_DATABASE: "Check the schema at the end of the DSN.",
    CANNOT_CONNECT: "Check the host and the port in the DSN, that the server runs"
    " and that a firewall lets you through.",
    TLS_FAILED: "The server has no TLS, or somebody in between hides it; nothing secret"
    " was sent. Turn it on at the server; --tls off, or EVTRIG_TLS, is for networks you"
    " trust.",
    CLEAR_PASSWORD: "Give --tls verify (or ca), or EVTRIG_TLS: then only the right"
    " server gets it.",
    TLS_REQUIRED: "Give --tls verify, or EVTRIG_TLS, with the CA of the server:"
    " --tls-ca FILE, or EVTRIG_TLS_CA.",
    PLUGIN_NOT_LOADED: "Enable IAM authentication at the RDS instance or cluster, or"
    " load the plugin that the account names.",
    AUTHENTICATION_PLUGIN: "The account uses an authentication plugin that PyMySQL"
    " does not have; give it mysql_native_password or caching_sha2_password.",
    NO_SUCH_TABLE: "Run evtrig install first, with the same outbox: in the spec.",
    TABLE_ACCESS_DENIED: "Grant the privilege the message names.",
    COLUMN_ACCESS_DENIED: "Grant the privilege the message names.",
    SPECIFIC_ACCESS_DENIED: "Grant the privilege the message names, or connect as an"
    " account that has it.",
    BINLOG_CREATE_ROUTINE: "Set log_bin_trust_function_creators = 1 (on RDS and"
    " Aurora in the parameter group), or install as an account with SUPER.",
    **dict.fromkeys(NO_ROOM, "The disk of the server is full: free some space on it."),
    **dict.fromkeys(
        NO_ACCOUNT,
        "The account to grant to is not there: create it (evtrig grants definer prints"
        " how), or install as an account that reads mysql.user.",
    ),
    LOCK_WAIT_TIMEOUT: "An open transaction is in the way; run the command again"
    " when it has ended.",
}


#: The server or the network has gone in the middle of the handshake.
CUT_OFF = (ssl.SSLEOFError, ssl.SSLZeroReturnError)


class _Refused:
    """Stands for an authentication that sends the password as it is, where whoever
    answers may be anybody. PyMySQL would obey any server that asks for it."""

    def __init__(self, driver: object) -> None:
        # PyMySQL hands it over.
        pass

    def authenticate(self, packet: object) -> None:
        raise pymysql.OperationalError(
            CLEAR_PASSWORD,
            "the server asks for the password in clear, and it is not verified",
        )


IN_CLEAR: Plugins = {"mysql_clear_password": _Refused, "dialog": _Refused}


class Connection:
    """An autocommit connection in utf8mb4, READ COMMITTED.

    ``has_schema`` False leaves the default schema of the DSN out, on which an account
    may have no privilege. ``settings`` are session variables set on connecting;
    ``found_rows`` makes an UPDATE count the rows it matched instead of those it
    changed. Time-outs are seconds. Raises DatabaseError, or ConnectionLost where a new
    connection may help, from every method; on connecting also CredentialsError, and
    UsageError for a CA or defaults file that cannot be used.
    """

    def __init__(
        self,
        dsn: Dsn,
        *,
        settings: Mapping[str, str | int] | None = None,
        found_rows: bool = False,
        connect_timeout: int = 10,
        read_timeout: float | None = None,
        has_schema: bool = True,
    ) -> None:
        #: What the last statement gave to LAST_INSERT_ID(expression), or 0.
        self.last_insert_id = 0
        client_flag = CLIENT.FOUND_ROWS if found_rows else 0
        for login in logins(dsn):
            #: With what was looked up in it; connecting to it looks it up again.
            self.dsn = login
            try:
                if not has_schema:
                    self.dsn = dataclasses.replace(login, schema=None)
                self._driver = self._open(client_flag, connect_timeout, read_timeout)
                break
            except DatabaseError as error:
                if error.number != ACCESS_DENIED:
                    raise
                denied = error
        else:
            raise denied
        try:
            self.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
            if settings:
                assignments = ", ".join(f"SESSION {name} = %s" for name in settings)
                self.execute(f"SET {assignments}", tuple(settings.values()))
            self.server = Server.parse(self.value("SELECT VERSION()"))
        except BaseException:
            self.close()
            raise

    def _open(
        self, client_flag: int, connect_timeout: int, read_timeout: float | None
    ) -> pymysql.Connection[pymysql.cursors.Cursor]:
        dsn = self.dsn
        context = dsn.policy.context()
        is_safe = dsn.policy.is_verified or dsn.unix_socket is not None
        plugins: Plugins | None = None if is_safe else IN_CLEAR
        try:
            driver = pymysql.connect(
                host=dsn.host,
                port=dsn.port,
                user=dsn.user,
                # PyMySQL would encode text as Latin-1.
                password=dsn.password.encode(),
                database=dsn.schema,
                unix_socket=dsn.unix_socket,
                charset="utf8mb4",
                collation="utf8mb4_bin",
                autocommit=True,
                client_flag=client_flag,
                connect_timeout=connect_timeout,
                read_timeout=read_timeout,
                write_timeout=read_timeout,
                ssl=context,
                ssl_disabled=context is None,
                auth_plugin_map=plugins,
                program_name="evtrig",
            )
            driver.encoding = CODEC
            return driver
        except pymysql.MySQLError as error:
            cause = getattr(error, "original_exception", None)
            if isinstance(cause, ssl.SSLError) and not isinstance(cause, CUT_OFF):
                text, hint = dsn.policy.explain(cause, dsn.host)
                raise DatabaseError(
                    f"cannot connect to {dsn}: {text}", number=TLS_FAILED, hint=hint
                ) from None
            raise self._translate(error, CONNECTING) from None
        except (OSError, RuntimeError, UnicodeError) as error:
            # Such as a host name that no resolver accepts.
            raise DatabaseError(
                f"cannot connect to {dsn}: {error}",
                number=CANNOT_CONNECT,
                hint=HINTS[CANNOT_CONNECT],
            ) from None

    def execute(self, sql: str, arguments: Arguments = None) -> int:
        """Run a statement; the number of affected rows."""
        with self._driver.cursor() as cursor:
            try:
                affected = int(cursor.execute(sql, arguments))
                self.last_insert_id = int(cursor.lastrowid or 0)
                return affected
            except pymysql.MySQLError as error:
                raise self._translate(error, "use") from None

    def rows(self, sql: str, arguments: Arguments = None) -> tuple[Row, ...]:
        """All rows of a query."""
        with self._driver.cursor() as cursor:
            try:
                cursor.execute(sql, arguments)
                return tuple(cursor.fetchall())
            except pymysql.MySQLError as error:
                raise self._translate(error, "use") from None

    def row(self, sql: str, arguments: Arguments = None) -> Row | None:
        """The only row of a query, None if there is none."""
        rows = self.rows(sql, arguments)
        return rows[0] if rows else None

    def value(self, sql: str, arguments: Arguments = None) -> Any:
        """The first column of the only row, None if there is no row."""
        row = self.row(sql, arguments)
        return None if row is None else row[0]

    @property
    def is_read_only(self) -> bool:
        """Whether this is a replica, or a primary that may not be written to now.

        A privileged account could write to it all the same, and should not.
        """
        row = self.row("SELECT @@GLOBAL.read_only, @@GLOBAL.innodb_read_only")
        return bool(row) and any(value not in (0, "OFF") for value in row or ())

    @property
    def is_replica(self) -> bool:
        """Whether this server applies what another one has done.

        Group replication, where every member does, is none. MySQL tells it only to
        accounts that may read its performance schema; to others it looks like no.
        """
        if self.server.is_mariadb:
            status = self.row("SHOW GLOBAL STATUS LIKE 'Slaves_running'")
            return bool(status) and int((status or ("", 0))[1]) > 0
        try:
            return self.value(REPLICATING) is not None
        except ConnectionLost:
            raise
        except DatabaseError:
            return False

    def close(self) -> None:
        """Close; a connection that is gone already is no error."""
        try:
            self._driver.close()
        except pymysql.MySQLError:
            # PyMySQL has no other way to say that it is closed already.
            return

    def abort(self) -> None:
        """Cut the connection while another thread waits for an answer, which then
        raises ConnectionLost there. Closing alone would not wake it."""
        sock: socket.socket | None = getattr(self._driver, "_sock", None)
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _translate(self, error: pymysql.MySQLError, doing: str) -> DatabaseError:
        number = error.args[0] if error.args else 0
        if not isinstance(number, int):
            number = 0
        text = str(error.args[1]) if len(error.args) > 1 else ""
        text = text or "the connection is closed"
        kind = ConnectionLost if number in LOST else DatabaseError
        hint = hint_of(self.dsn) if number == ACCESS_DENIED else HINTS.get(number)
        if number == LOST_CONNECTION and doing == CONNECTING:
            # Whoever listens there is silent, as a load balancer with no server is.
            hint = HINTS[CANNOT_CONNECT]
        return kind(
            f"cannot {doing} {self.dsn}: {text} ({number})",
            number=number,
            hint=hint,
            text=text,
        )
