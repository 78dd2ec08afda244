-- INSERT … ON DUPLICATE KEY UPDATE is an insert, an update, or nothing.
CREATE TABLE t (id INT PRIMARY KEY, n INT);
--! capture {t: }

INSERT INTO t VALUES (1, 5) ON DUPLICATE KEY UPDATE n = n + 1;
--> insert {"id": 1} null {"id": 1, "n": 5}
INSERT INTO t VALUES (1, 9) ON DUPLICATE KEY UPDATE n = n + 1;
--> update {"id": 1} {"id": 1, "n": 5} {"id": 1, "n": 6}
INSERT INTO t VALUES (1, 9) ON DUPLICATE KEY UPDATE n = n;
INSERT INTO t VALUES (2, 0), (1, 6) ON DUPLICATE KEY UPDATE n = VALUES(n);
--> insert {"id": 2} null {"id": 2, "n": 0}
INSERT IGNORE INTO t VALUES (1, 7), (3, 7);
--> insert {"id": 3} null {"id": 3, "n": 7}
