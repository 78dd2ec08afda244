-- 'a' and 'A' are one key to the collation; to who reads the event they are two.
CREATE TABLE t (
    code VARCHAR(9) COLLATE utf8mb4_general_ci PRIMARY KEY,
    n INT
);
INSERT INTO t VALUES ('a', 1), ('b', 1);
--! capture {t: }

UPDATE t SET code = 'A' WHERE code = 'a';
--> delete {"code": "a"} {"code": "a", "n": 1} null
--> insert {"code": "A"} null {"code": "A", "n": 1}
UPDATE t SET code = 'B', n = 2 WHERE code = 'b';
--> delete {"code": "b"} {"code": "b", "n": 1} null
--> insert {"code": "B"} null {"code": "B", "n": 2}
INSERT INTO t VALUES ('b', 0) ON DUPLICATE KEY UPDATE n = 3;
--> update {"code": "B"} {"code": "B", "n": 2} {"code": "B", "n": 3}
UPDATE IGNORE t SET code = 'A' WHERE code = 'b';
