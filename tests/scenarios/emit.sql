-- What the application writes itself, in the transaction of its own changes.
CREATE TABLE t (id INT PRIMARY KEY, n INT);
--! spec {emit: true, transaction: true}
--! capture {t: }

START TRANSACTION;
INSERT INTO t VALUES (1, 1);
--> [one] insert {"id": 1} null {"id": 1, "n": 1}
CALL $outbox.emit('OrderShipped', '{"id": 1}', '{"carrier": "ä🍣", "parts": [1, {"a": null}]}');
--> [one] event OrderShipped emit {"id": 1} null {"carrier": "ä🍣", "parts": [1, {"a": null}]}
UPDATE t SET n = 2;
--> [one] update {"id": 1} {"id": 1, "n": 1} {"id": 1, "n": 2}
COMMIT;
CALL $outbox.emit('Heartbeat', '{}', NULL);
--> [two] event Heartbeat emit {} null null
CALL $outbox.emit('Odd', JSON_OBJECT('a', 1, 'b', 'x'), '7');
--> [three] event Odd emit {"a": 1, "b": "x"} null 7

-- Rolled back, it was never there.
START TRANSACTION;
CALL $outbox.emit('OrderShipped', '{"id": 2}', '{}');
INSERT INTO t VALUES (2, 1);
ROLLBACK;
START TRANSACTION;
CALL $outbox.emit('OrderShipped', '{"id": 3}', '{}');
--> [four] event OrderShipped emit {"id": 3} null {}
SAVEPOINT one;
CALL $outbox.emit('OrderShipped', '{"id": 4}', '{}');
ROLLBACK TO SAVEPOINT one;
CALL $outbox.emit('OrderShipped', '{"id": 5}', '{}');
--> [four] event OrderShipped emit {"id": 5} null {}
COMMIT;

-- What is no event is refused, and takes nothing else along.
START TRANSACTION;
INSERT INTO t VALUES (3, 1);
--> [five] insert {"id": 3} null {"id": 3, "n": 1}
CALL $outbox.emit('T', 'id 3', '{}');
--> error 1644
CALL $outbox.emit('T', '[3]', '{}');
--> error 1644
CALL $outbox.emit('T', '3', '{}');
--> error 1644
CALL $outbox.emit('T', NULL, '{}');
--> error 1644
CALL $outbox.emit('T', '{"id": 3', '{}');
--> error 1644
CALL $outbox.emit('T', '{"id": 3.}', '{}');
--> error 1644
CALL $outbox.emit('T', '{"id": 3}', '{');
--> error 1644
CALL $outbox.emit('T', '{"id": 3}', '{"a": -}');
--> error 1644
CALL $outbox.emit('T', '{"id": 3}', '');
--> error 1644
CALL $outbox.emit('', '{"id": 3}', '{}');
--> error 1644
CALL $outbox.emit('  ', '{"id": 3}', '{}');
--> error 1644
CALL $outbox.emit(NULL, '{"id": 3}', '{}');
--> error 1644
COMMIT;

-- Of several lines, it is written on one.
SET @evtrig_context = '{"actor": "alice"}';
CALL $outbox.emit('T', '{"id":
3}', '{
  "text": "two\\nlines"
}');
--> [six] event T emit {"id": 3} null {"text": "two\nlines"} {"actor": "alice"}
