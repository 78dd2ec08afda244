-- The same row goes and comes within one transaction, in this order.
CREATE TABLE t (id INT PRIMARY KEY, n INT);
INSERT INTO t VALUES (1, 1);
--! capture {t: }

START TRANSACTION;
DELETE FROM t WHERE id = 1;
--> delete {"id": 1} {"id": 1, "n": 1} null
INSERT INTO t VALUES (1, 1);
--> insert {"id": 1} null {"id": 1, "n": 1}
UPDATE t SET n = 2;
--> update {"id": 1} {"id": 1, "n": 1} {"id": 1, "n": 2}
UPDATE t SET n = 1;
--> update {"id": 1} {"id": 1, "n": 2} {"id": 1, "n": 1}
DELETE FROM t;
--> delete {"id": 1} {"id": 1, "n": 1} null
COMMIT;
