-- An id for the application's own row is not taken for the event's.
CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v INT);
CREATE TABLE plain (id INT PRIMARY KEY);
--! capture {t: , plain: }

SET INSERT_ID = 50;
INSERT INTO t (v) VALUES (1);
--> insert t {"id": 50} null {"id": 50, "v": 1}
SET auto_increment_increment = 10, auto_increment_offset = 5;
INSERT INTO t (v) VALUES (2);
--> insert t {"id": 55} null {"id": 55, "v": 2}
SET timestamp = 86400;
INSERT INTO plain VALUES (1);
--> insert plain {"id": 1} null {"id": 1}
SET sql_log_bin = 0;
SET TRANSACTION ISOLATION LEVEL SERIALIZABLE;
UPDATE t SET v = 3 WHERE id = 50;
--> update t {"id": 50} {"id": 50, "v": 1} {"id": 50, "v": 3}
SET SESSION sql_safe_updates = 1;
UPDATE t SET v = 4 WHERE id = 50;
--> update t {"id": 50} {"id": 50, "v": 3} {"id": 50, "v": 4}
