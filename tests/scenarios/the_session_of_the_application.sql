-- The application's session is as it would be without triggers.
CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(3), u INT UNIQUE);
--! capture {t: }

INSERT INTO t (v, u) VALUES ('a', 1), ('b', 2);
--> insert {"id": 1} null {"id": 1, "v": "a", "u": 1}
--> insert {"id": 2} null {"id": 2, "v": "b", "u": 2}
SELECT ROW_COUNT(), LAST_INSERT_ID();
--> rows [[2, 1]]
UPDATE t SET v = 'c';
--> update {"id": 1} {"id": 1, "v": "a", "u": 1} {"id": 1, "v": "c", "u": 1}
--> update {"id": 2} {"id": 2, "v": "b", "u": 2} {"id": 2, "v": "c", "u": 2}
SELECT ROW_COUNT(), LAST_INSERT_ID();
--> rows [[2, 1]]
UPDATE t SET v = 'c', u = LAST_INSERT_ID(77) WHERE id = 1;
--> update {"id": 1} {"id": 1, "v": "c", "u": 1} {"id": 1, "v": "c", "u": 77}
SELECT ROW_COUNT(), LAST_INSERT_ID();
--> rows [[1, 77]]
DELETE FROM t WHERE id = 2;
--> delete {"id": 2} {"id": 2, "v": "c", "u": 2} null
SELECT ROW_COUNT();
--> rows [[1]]
SET SESSION sql_mode = '';
INSERT INTO t (v) VALUES ('too long');
--> insert {"id": 3} null {"id": 3, "v": "too", "u": null}
SHOW WARNINGS;
--> rows [["Warning", 1265, "Data truncated for column 'v' at row 1"]]
SELECT LAST_INSERT_ID();
--> rows [[3]]
INSERT IGNORE INTO t (v, u) VALUES ('d', 77);
SHOW COUNT(*) WARNINGS;
--> rows [[1]]
