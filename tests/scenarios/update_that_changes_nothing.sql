-- An update that changes nothing is no event, however it is written.
CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(9), n INT);
INSERT INTO t VALUES (1, 'a', NULL);
--! capture {t: }

UPDATE t SET v = 'a';
UPDATE t SET v = v, id = id, n = NULL;
UPDATE t SET v = 'b' WHERE id = 2;
UPDATE t SET v = IF(id = 1, v, 'b'), n = n + 1;
UPDATE t SET v = 'b' LIMIT 0;
