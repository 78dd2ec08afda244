-- A statement over many rows or tables is an event for each row that it changes.
CREATE TABLE t (id INT PRIMARY KEY, n INT);
CREATE TABLE other (id INT PRIMARY KEY, n INT);
CREATE VIEW v AS SELECT id, n FROM t;
--! capture {t: , other: }

INSERT INTO t VALUES (1, 0), (2, 1), (3, 0);
--> insert t {"id": 1} null {"id": 1, "n": 0}
--> insert t {"id": 2} null {"id": 2, "n": 1}
--> insert t {"id": 3} null {"id": 3, "n": 0}
INSERT INTO other SELECT * FROM t WHERE id < 3 ORDER BY id;
--> insert other {"id": 1} null {"id": 1, "n": 0}
--> insert other {"id": 2} null {"id": 2, "n": 1}
UPDATE t SET n = 1 ORDER BY id;
--> update t {"id": 1} {"id": 1, "n": 0} {"id": 1, "n": 1}
--> update t {"id": 3} {"id": 3, "n": 0} {"id": 3, "n": 1}
UPDATE t JOIN other USING (id) SET t.n = 5, other.n = 6 WHERE id = 1;
--> update t {"id": 1} {"id": 1, "n": 1} {"id": 1, "n": 5}
--> update other {"id": 1} {"id": 1, "n": 0} {"id": 1, "n": 6}
DELETE t, other FROM t JOIN other USING (id) WHERE id = 2;
--> delete t {"id": 2} {"id": 2, "n": 1} null
--> delete other {"id": 2} {"id": 2, "n": 1} null
UPDATE v SET n = 7 WHERE id = 3;
--> update t {"id": 3} {"id": 3, "n": 1} {"id": 3, "n": 7}
PREPARE p FROM 'DELETE FROM t WHERE id = 3';
EXECUTE p;
--> delete t {"id": 3} {"id": 3, "n": 7} null
