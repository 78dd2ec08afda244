-- Merging two rows' links with UPDATE IGNORE: the link that both have stays.
CREATE TABLE link (a INT, b INT, PRIMARY KEY (a, b));
INSERT INTO link VALUES (1, 1), (1, 2), (2, 2);
--! capture {link: }

UPDATE IGNORE link SET a = 2 WHERE a = 1 ORDER BY b;
--> delete {"a": 1, "b": 1} {"a": 1, "b": 1} null
--> insert {"a": 2, "b": 1} null {"a": 2, "b": 1}
DELETE FROM link WHERE a = 1;
--> delete {"a": 1, "b": 2} {"a": 1, "b": 2} null
SELECT * FROM link ORDER BY a, b;
--> rows [[2, 1], [2, 2]]
