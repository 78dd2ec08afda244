-- ROLLBACK TO SAVEPOINT takes back the events since then, and no others.
CREATE TABLE t (id INT PRIMARY KEY, n INT);
--! capture {t: }

START TRANSACTION;
INSERT INTO t VALUES (1, 1);
--> insert {"id": 1} null {"id": 1, "n": 1}
SAVEPOINT one;
INSERT INTO t VALUES (2, 1);
UPDATE t SET n = 2;
SAVEPOINT two;
DELETE FROM t;
ROLLBACK TO SAVEPOINT one;
UPDATE t SET n = 3;
--> update {"id": 1} {"id": 1, "n": 1} {"id": 1, "n": 3}
COMMIT;
