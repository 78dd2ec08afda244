-- What is rolled back was never there; what another session commits meanwhile is.
CREATE TABLE t (id INT PRIMARY KEY, n INT);
--! capture {t: }

START TRANSACTION;
INSERT INTO t VALUES (1, 1);
UPDATE t SET n = 2 WHERE id = 1;

--! session b
INSERT INTO t VALUES (2, 1);
--> insert {"id": 2} null {"id": 2, "n": 1}

--! session a
ROLLBACK;
START TRANSACTION;
INSERT INTO t VALUES (3, 1);
--> insert {"id": 3} null {"id": 3, "n": 1}
COMMIT;

-- Left open: not committed, so not there.
START TRANSACTION;
DELETE FROM t WHERE id = 3;
