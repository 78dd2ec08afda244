-- A new key is another row: the old one is deleted, the new one inserted.
CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(9));
INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c');
--! capture {t: }

UPDATE t SET id = 9 WHERE id = 1;
--> delete {"id": 1} {"id": 1, "v": "a"} null
--> insert {"id": 9} null {"id": 9, "v": "a"}

-- All move up, from the top.
UPDATE t SET id = id + 1 ORDER BY id DESC;
--> delete {"id": 9} {"id": 9, "v": "a"} null
--> insert {"id": 10} null {"id": 10, "v": "a"}
--> delete {"id": 3} {"id": 3, "v": "c"} null
--> insert {"id": 4} null {"id": 4, "v": "c"}
--> delete {"id": 2} {"id": 2, "v": "b"} null
--> insert {"id": 3} null {"id": 3, "v": "b"}

-- Two change places.
START TRANSACTION;
UPDATE t SET id = 0 WHERE id = 3;
--> delete {"id": 3} {"id": 3, "v": "b"} null
--> insert {"id": 0} null {"id": 0, "v": "b"}
UPDATE t SET id = 3 WHERE id = 4;
--> delete {"id": 4} {"id": 4, "v": "c"} null
--> insert {"id": 3} null {"id": 3, "v": "c"}
UPDATE t SET id = 4 WHERE id = 0;
--> delete {"id": 0} {"id": 0, "v": "b"} null
--> insert {"id": 4} null {"id": 4, "v": "b"}
COMMIT;

UPDATE t SET id = id + 1 WHERE id IN (3, 4) ORDER BY id;
--> error 1062
