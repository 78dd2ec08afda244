-- Only the changes that the spec asks for: those whose condition is true, and not NULL.
CREATE TABLE t (id INT PRIMARY KEY, status VARCHAR(9), n INT);
CREATE TABLE u (id INT PRIMARY KEY, status VARCHAR(9));
--! capture
--!     {t: {when: {insert: NEW.n > 0, update: NEW.status <> 'draft', delete: OLD.n > 0}},
--!     u: {when: {update: NOT (NEW.status <=> OLD.status)}}}

INSERT INTO t VALUES (1, 'draft', 1), (2, 'draft', 0), (3, 'draft', NULL);
--> insert t {"id": 1} null {"id": 1, "status": "draft", "n": 1}
UPDATE t SET n = n + 1;
UPDATE t SET status = NULL WHERE id = 1;
UPDATE t SET status = 'paid' WHERE id = 1;
--> update t {"id": 1} {"id": 1, "status": null, "n": 2} {"id": 1, "status": "paid", "n": 2}
UPDATE t SET status = 'draft' WHERE id = 1;
UPDATE t SET n = NULL WHERE id = 2;

-- A changed key is a change like any other: its two events come together or not at all.
UPDATE t SET id = 9 WHERE id = 1;
UPDATE t SET id = 8, status = 'paid' WHERE id = 9;
--> delete t {"id": 9} {"id": 9, "status": "draft", "n": 2} null
--> insert t {"id": 8} null {"id": 8, "status": "paid", "n": 2}

DELETE FROM t ORDER BY id;
--> delete t {"id": 8} {"id": 8, "status": "paid", "n": 2} null

-- Operations without a condition are recorded all.
INSERT INTO u VALUES (1, 'a');
--> insert u {"id": 1} null {"id": 1, "status": "a"}
UPDATE u SET id = 2;
UPDATE u SET id = 3, status = NULL;
--> delete u {"id": 2} {"id": 2, "status": "a"} null
--> insert u {"id": 3} null {"id": 3, "status": null}
DELETE FROM u;
--> delete u {"id": 3} {"id": 3, "status": null} null
