-- A zero TIMESTAMP is not NULL: from one to the other is a change.
SET sql_mode = '';
CREATE TABLE t (id INT PRIMARY KEY, at TIMESTAMP NULL);
--! capture {t: }

INSERT INTO t VALUES (1, NULL);
--> insert {"id": 1} null {"id": 1, "at": null}
UPDATE t SET at = '0000-00-00 00:00:00';
--> update {"id": 1} {"id": 1, "at": null} {"id": 1, "at": "1970-01-01 00:00:00"}
UPDATE t SET at = NULL;
--> update {"id": 1} {"id": 1, "at": "1970-01-01 00:00:00"} {"id": 1, "at": null}
