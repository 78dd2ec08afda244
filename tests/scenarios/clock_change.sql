-- Half past two comes twice in the night when clocks go back: an hour lies between.
CREATE TABLE t (id INT PRIMARY KEY, at TIMESTAMP NULL);
--! capture {t: }

SET time_zone = '+02:00';
INSERT INTO t VALUES (1, '2026-10-25 02:30:00');
--> insert {"id": 1} null {"id": 1, "at": "2026-10-25 00:30:00"}
SET time_zone = '+01:00';
INSERT INTO t VALUES (2, '2026-10-25 02:30:00');
--> insert {"id": 2} null {"id": 2, "at": "2026-10-25 01:30:00"}
UPDATE t SET at = '2026-10-25 02:30:00' WHERE id = 1;
--> update {"id": 1} {"id": 1, "at": "2026-10-25 00:30:00"} {"id": 1, "at": "2026-10-25 01:30:00"}
UPDATE t SET at = '2026-10-25 02:30:00';
