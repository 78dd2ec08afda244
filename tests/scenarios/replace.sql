-- REPLACE deletes the row that is there, then inserts, also if nothing changes.
CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(9), u INT UNIQUE);
--! capture {t: }

REPLACE INTO t VALUES (1, 'a', 10);
--> insert {"id": 1} null {"id": 1, "v": "a", "u": 10}
REPLACE INTO t VALUES (1, 'b', 10);
--> delete {"id": 1} {"id": 1, "v": "a", "u": 10} null
--> insert {"id": 1} null {"id": 1, "v": "b", "u": 10}

-- In the way by another unique key.
REPLACE INTO t VALUES (2, 'c', 10);
--> delete {"id": 1} {"id": 1, "v": "b", "u": 10} null
--> insert {"id": 2} null {"id": 2, "v": "c", "u": 10}
