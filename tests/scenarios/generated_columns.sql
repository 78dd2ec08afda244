-- Generated, defaulted and invisible columns are columns.
CREATE TABLE t (
    id INT PRIMARY KEY,
    n INT DEFAULT 3,
    twice INT GENERATED ALWAYS AS (n * 2) VIRTUAL,
    thrice INT GENERATED ALWAYS AS (n * 3) STORED,
    hidden INT DEFAULT 7 INVISIBLE
);
--! capture {t: }

INSERT INTO t (id) VALUES (1);
--> insert {"id": 1} null {"id": 1, "n": 3, "twice": 6, "thrice": 9, "hidden": 7}
UPDATE t SET n = 4;
--> update {"id": 1} {"id": 1, "n": 3, "twice": 6, "thrice": 9, "hidden": 7} {"id": 1, "n": 4, "twice": 8, "thrice": 12, "hidden": 7}
UPDATE t SET hidden = 8;
--> update {"id": 1} {"id": 1, "n": 4, "twice": 8, "thrice": 12, "hidden": 7} {"id": 1, "n": 4, "twice": 8, "thrice": 12, "hidden": 8}
