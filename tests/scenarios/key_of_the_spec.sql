-- A table without a primary key, with the key that the spec names; some of it NULL.
CREATE TABLE t (a INT, b VARCHAR(9), n INT);
--! capture {t: {key: [b, a]}}

INSERT INTO t VALUES (1, 'x', 1), (2, NULL, 1);
--> insert {"b": "x", "a": 1} null {"a": 1, "b": "x", "n": 1}
--> insert {"b": null, "a": 2} null {"a": 2, "b": null, "n": 1}
UPDATE t SET n = 2 WHERE a = 2;
--> update {"b": null, "a": 2} {"a": 2, "b": null, "n": 1} {"a": 2, "b": null, "n": 2}
UPDATE t SET b = 'y' WHERE a = 2;
--> delete {"b": null, "a": 2} {"a": 2, "b": null, "n": 2} null
--> insert {"b": "y", "a": 2} null {"a": 2, "b": "y", "n": 2}
