"""The relay's SQL. Every statement is its own transaction (autocommit).

In braces the tables, quoted: ``{events}``, ``{state}`` and ``{dead_letters}``; %s are
the driver's arguments.
"""

from __future__ import annotations

__all__ = [
    "CLAIM",
    "COUNT",
    "COUNT_FIRST",
    "DELETE",
    "DELETE_PARKED",
    "FINISH_PARKING",
    "GRANT",
    "HOLDER",
    "INCREMENT",
    "JSON_COLUMNS",
    "KEY",
    "KEY_OF_DEAD",
    "PARK",
    "PARKED",
    "PARKED_KEYS",
    "PIECES",
    "READ",
    "READ_PIECE",
    "RELEASE",
    "RENEW",
    "TRANSACTIONS",
    "WAITING",
    "WATCH",
    "WHICH_SERVER",
]

# The envelope's pieces, in its order of members; the server puts them together, which
# costs the relay a fifth of doing it in Python. DATE_FORMAT's % are doubled for the
# driver.
HEAD = """\
CONCAT('{{"id": "', e.`id`, '-', LPAD(LOWER(HEX(e.`uid`)), 16, '0'),
       '", "sequence": ', e.`id`,
       ', "type": ', JSON_QUOTE(e.`type`),
       ', "source": ', JSON_QUOTE(e.`source`),
       ', "operation": ', JSON_QUOTE(e.`operation`),
       ', "time": "', DATE_FORMAT(e.`captured_at`, '%%Y-%%m-%%dT%%H:%%i:%%s.%%fZ'),
       '", "key": ', e.`key`,
       ', "before": ')"""
BEFORE = "COALESCE(e.`before`, 'null')"
BETWEEN = "', \"after\": '"
AFTER = "COALESCE(e.`after`, 'null')"
TAIL = """\
CONCAT(', "transaction": ', COALESCE(JSON_QUOTE(e.`transaction`), 'null'),
       ', "context": ')"""
CONTEXT = "COALESCE(e.`context`, 'null')"
END = "'}}'"
PIECES = (HEAD, BEFORE, BETWEEN, AFTER, TAIL, CONTEXT, END)

# A digest where CONCAT gives NULL: the text would be larger than max_allowed_packet.
KEY = """\
COALESCE(CONCAT(e.`source`, ':', e.`key`),
         CONCAT(e.`source`, ':', SHA2(e.`key`, 256)))"""
KEY_OF_DEAD = KEY.replace("e.`", "d.`")

READ = f"""\
SELECT e.`id`, e.`uid`, {KEY},
       CONCAT({", ".join(PIECES)})
  FROM {{events}} AS e
 {{where}}
 ORDER BY e.`id`
 LIMIT %s
"""
#: Columns that have to hold JSON, or NULL.
JSON_COLUMNS = ("key", "before", "after", "context")
READ_PIECE = "SELECT {piece} FROM {events} AS e WHERE e.`id` = %s AND e.`uid` = %s"

# Keyed by (id, uid), because a fail-over may issue an id again, and guarded by the
# holder: a relay that lost its lease deletes nothing. Order of the joins and index are
# forced: left alone, both servers scan a table of a few rows, and then wait for the
# writers whose rows they meet. Without aliases, since `DELETE alias` asks for a default
# schema (1046).
DELETE = """\
DELETE {events}
  FROM JSON_TABLE(%s, '$[*]' COLUMNS (
           `id` BIGINT UNSIGNED PATH '$[0]',
           `uid` BIGINT UNSIGNED PATH '$[1]')) AS x
       STRAIGHT_JOIN {events} FORCE INDEX (PRIMARY)
           ON {events}.`id` = x.`id` AND {events}.`uid` = x.`uid`
       JOIN {state} AS s ON s.`name` = %s AND s.`holder` = %s
"""

#: Columns that a dead letter has in common with an event.
COLUMNS = ", ".join(
    f"`{name}`"
    for name in (
        *("id", "uid", "type", "source", "operation", "captured_at", "key"),
        *("before", "after", "context", "transaction"),
    )
)
# The row is copied by the server: what is in it never comes here. Twice is once, not by
# ON DUPLICATE KEY UPDATE, which takes the privilege to change dead letters.
PARK = f"""\
INSERT INTO {{dead_letters}} (
       {COLUMNS},
       `holds_key`, `reason`, `attempts`, `first_error`, `last_error`, `failed_at`,
       `parked_at`)
SELECT e.{COLUMNS.replace(", ", ", e.")},
       x.`holds_key`, x.`reason`, x.`attempts`, x.`first_error`, x.`last_error`,
       UTC_TIMESTAMP(6) - INTERVAL x.`age` MICROSECOND, UTC_TIMESTAMP(6)
  FROM JSON_TABLE(%s, '$[*]' COLUMNS (
           `id` BIGINT UNSIGNED PATH '$[0]',
           `uid` BIGINT UNSIGNED PATH '$[1]',
           `holds_key` INT PATH '$[2]',
           `reason` VARCHAR(16) PATH '$[3]',
           `attempts` INT UNSIGNED PATH '$[4]',
           `first_error` VARCHAR(255) PATH '$[5]',
           `last_error` VARCHAR(255) PATH '$[6]',
           `age` BIGINT PATH '$[7]')) AS x
       STRAIGHT_JOIN {{events}} AS e FORCE INDEX (PRIMARY)
           ON e.`id` = x.`id` AND e.`uid` = x.`uid`
       JOIN {{state}} AS s ON s.`name` = %s AND s.`holder` = %s
 WHERE (x.`reason` <> 'behind'
        OR EXISTS (SELECT 1 FROM {{dead_letters}} AS d
                    WHERE d.`source` = e.`source` AND d.`key` = e.`key`
                      AND d.`holds_key`))
   AND NOT EXISTS (SELECT 1 FROM {{dead_letters}} AS d
                    WHERE d.`id` = e.`id` AND d.`uid` = e.`uid`)
"""
PARKED = f"""\
SELECT d.`id`, {KEY_OF_DEAD}, d.`holds_key`
  FROM JSON_TABLE(%s, '$[*]' COLUMNS (
           `id` BIGINT UNSIGNED PATH '$[0]',
           `uid` BIGINT UNSIGNED PATH '$[1]')) AS x
       STRAIGHT_JOIN {{dead_letters}} AS d ON d.`id` = x.`id` AND d.`uid` = x.`uid`
"""
PARKED_KEYS = f"""\
SELECT DISTINCT {KEY_OF_DEAD} FROM {{dead_letters}} AS d
 WHERE d.`holds_key` {{and_}}
"""
# Only while they are dead letters: somebody may have put them back since they were
# copied, and what is among the events then is all there is of them. Both servers lock
# the rows of all tables here, so that one of the two waits for the other.
DELETE_PARKED = """\
DELETE {events}
  FROM JSON_TABLE(%s, '$[*]' COLUMNS (
           `id` BIGINT UNSIGNED PATH '$[0]',
           `uid` BIGINT UNSIGNED PATH '$[1]')) AS x
       STRAIGHT_JOIN {dead_letters} AS d FORCE INDEX (PRIMARY)
           ON d.`id` = x.`id` AND d.`uid` = x.`uid`
       STRAIGHT_JOIN {events} FORCE INDEX (PRIMARY)
           ON {events}.`id` = d.`id` AND {events}.`uid` = d.`uid`
       JOIN {state} AS s ON s.`name` = %s AND s.`holder` = %s
"""
# What is in both places was parked by a relay that died before it could delete.
FINISH_PARKING = """\
DELETE {events}
  FROM {dead_letters} AS d
       STRAIGHT_JOIN {events} FORCE INDEX (PRIMARY)
           ON {events}.`id` = d.`id` AND {events}.`uid` = d.`uid`
       JOIN {state} AS s ON s.`name` = %s AND s.`holder` = %s
"""

CLAIM = "UPDATE {state} SET `claim` = LAST_INSERT_ID(`claim` + 1) WHERE `name` = %s"
GRANT = """\
UPDATE {state}
   SET `holder` = %s, `holder_id` = %s, `holder_connection` = CONNECTION_ID(),
       `expires_at` = UTC_TIMESTAMP(6) + INTERVAL %s SECOND
 WHERE `name` = %s AND `claim` = %s
   AND (`holder` = 0 OR `expires_at` <= UTC_TIMESTAMP(6)
        OR (`holder` = %s AND CAST(`expires_at` AS CHAR) = %s))
"""
RENEW = """\
UPDATE {state}
   SET `expires_at` = UTC_TIMESTAMP(6) + INTERVAL %s SECOND
 WHERE `name` = %s AND `holder` = %s AND `claim` = %s
"""
RELEASE = "UPDATE {state} SET `holder` = 0 WHERE `name` = %s AND `holder` = %s"
HOLDER = """\
SELECT `claim`, `holder`, `holder_id`, CAST(`expires_at` AS CHAR),
       TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), `expires_at`) / 1e6
  FROM {state}
 WHERE `name` = %s
"""
# MIN, which both servers answer by one look into the index. Of EXISTS they make a scan
# of the whole table where they take it for nearly empty, and pass over all the rows
# that an old snapshot keeps: 50 to 200 ms for 200,000 (MySQL 9.7, MariaDB 10.11).
WATCH = """\
SELECT `holder` = %s AND `claim` = %s,
       (SELECT MIN(`id`) FROM {events} WHERE `id` >= %s) IS NOT NULL
  FROM {state}
 WHERE `name` = %s
"""

# For people, and so never for long: 3024 or 1969 after two seconds, where an old
# snapshot keeps very many deleted rows. The first comment is a statement for MariaDB
# only, the second a hint for MySQL only.
BRIEFLY = """\
/*M! SET STATEMENT max_statement_time = 2 FOR */
SELECT /*+ MAX_EXECUTION_TIME(2000) */"""
# Each a look into the index.
WAITING = f"""\
{BRIEFLY}
       MIN(`id`), MAX(`id`),
       (SELECT TIMESTAMPDIFF(MICROSECOND, `captured_at`, UTC_TIMESTAMP(6)) / 1e6
          FROM {{events}} WHERE `id` >= %s ORDER BY `id` LIMIT 1),
       TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6)) / 1e6
  FROM {{events}}
 WHERE `id` >= %s
"""
COUNT = f"{BRIEFLY} COUNT(*) FROM {{events}} WHERE `id` BETWEEN %s AND %s"
# In a derived table, where a count obeys LIMIT. Without the ORDER BY it takes seven
# times as long on MySQL 9.7.
COUNT_FIRST = f"""\
{BRIEFLY} COUNT(*)
  FROM (SELECT `id` FROM {{events}} FORCE INDEX (PRIMARY)
         WHERE `id` >= %s ORDER BY `id` LIMIT %s) AS first
"""

# Whoever has neither locked nor changed anything has no id: a dump, for example.
TRANSACTIONS = """\
/* {nonce} */
SELECT `trx_id`, `trx_mysql_thread_id`, `trx_started`,
       `trx_mysql_thread_id` = CONNECTION_ID(),
       `trx_rows_modified` > 0 OR `trx_tables_locked` > 0 OR `trx_lock_structs` > 0,
       `trx_query`
  FROM information_schema.innodb_trx
"""
# By this two connections tell whether they are to the same server.
# Not 1 where several servers write: others' transactions are in no list of this one.
INCREMENT = "SELECT @@GLOBAL.auto_increment_increment"
WHICH_SERVER = "SELECT @@hostname, @@port, @@server_id"
