-- A statement that fails in the middle takes its own events back, not the others'.
CREATE TABLE t (id INT PRIMARY KEY, n INT, CONSTRAINT positive CHECK (n > 0));
CREATE TABLE child (id INT PRIMARY KEY, t_id INT, FOREIGN KEY (t_id) REFERENCES t (id));
--! capture {t: , child: }

START TRANSACTION;
INSERT INTO t VALUES (1, 1);
--> insert t {"id": 1} null {"id": 1, "n": 1}
INSERT INTO t VALUES (2, 1), (3, 1), (1, 1), (4, 1);
--> error 1062
INSERT INTO child VALUES (1, 1), (2, 9);
--> error 1452
INSERT INTO child VALUES (1, 1);
--> insert child {"id": 1} null {"id": 1, "t_id": 1}
DELETE FROM t;
--> error 1451
UPDATE t SET n = 0;
--> mysql: error 3819
--> mariadb: error 4025
COMMIT;
