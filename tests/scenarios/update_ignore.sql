-- A row that UPDATE IGNORE cannot change is no event. MariaDB runs its triggers.
CREATE TABLE t (id INT PRIMARY KEY, u INT UNIQUE, v VARCHAR(9));
INSERT INTO t VALUES (1, 10, 'a'), (2, 20, 'a'), (3, 30, 'a');
--! capture {t: }

UPDATE IGNORE t SET u = 20, v = 'b' WHERE id = 1;
UPDATE IGNORE t SET u = 40, v = 'b' WHERE id >= 2 ORDER BY id;
--> update {"id": 2} {"id": 2, "u": 20, "v": "a"} {"id": 2, "u": 40, "v": "b"}
UPDATE IGNORE t SET id = 2 WHERE id = 1;
SELECT * FROM t ORDER BY id;
--> rows [[1, 10, "a"], [2, 40, "b"], [3, 30, "a"]]
