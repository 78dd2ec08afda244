-- A change of nothing but a redacted column is an event, however little it shows; one
-- of nothing but an excluded column is none.
CREATE TABLE t (id INT PRIMARY KEY, password VARCHAR(20), card VARCHAR(20), note VARCHAR(20));
CREATE TABLE k (id INT PRIMARY KEY, password VARCHAR(20));
--! capture
--!     {t: {exclude: [note], redact: {password: omit, card: "null"}},
--!     k: {images: key, redact: {password: omit}}}

INSERT INTO t VALUES (1, 'secret', '4111111111111111', 'a');
--> insert t {"id": 1} null {"id": 1, "card": null}
UPDATE t SET note = 'b';
UPDATE t SET password = 'changed';
--> update t {"id": 1} {"id": 1, "card": null} {"id": 1, "card": null}
UPDATE t SET password = 'changed';
UPDATE t SET password = 'Changed';
--> update t {"id": 1} {"id": 1, "card": null} {"id": 1, "card": null}
UPDATE t SET card = NULL, note = 'c';
--> update t {"id": 1} {"id": 1, "card": null} {"id": 1, "card": null}
UPDATE t SET id = 2, note = 'd';
--> delete t {"id": 1} {"id": 1, "card": null} null
--> insert t {"id": 2} null {"id": 2, "card": null}
DELETE FROM t;
--> delete t {"id": 2} {"id": 2, "card": null} null

INSERT INTO k VALUES (1, 'secret');
--> insert k {"id": 1} null null
UPDATE k SET password = 'changed';
--> update k {"id": 1} null null
UPDATE k SET password = 'changed';
