-- A temporary table of the application's that is called like the outbox's.
CREATE TABLE t (id INT PRIMARY KEY);
--! capture {t: }

CREATE TEMPORARY TABLE events (id INT AUTO_INCREMENT PRIMARY KEY, uid BIGINT);
CREATE TEMPORARY TABLE event_polling_state (name INT);
INSERT INTO t VALUES (1);
--> insert {"id": 1} null {"id": 1}
SELECT COUNT(*) FROM events;
--> rows [[0]]
DELETE FROM t;
--> delete {"id": 1} {"id": 1} null
