-- A bulk job that is not recorded leaves one gap event a transaction and table.
CREATE TABLE t (id INT PRIMARY KEY, n INT);
CREATE TABLE other (id INT PRIMARY KEY, n INT);
CREATE TABLE strict (id INT PRIMARY KEY);
--! capture
--!     {t: {bypass: nightly-import, images: key, events: [{type: Came, on: insert}]},
--!     other: {bypass: nightly-import, images: key}, strict: {images: key}}

SET @evtrig_context = '{"job": 7}';
SET @evtrig_off = 'nightly-import';
START TRANSACTION;
INSERT INTO t VALUES (1, 1), (2, 1), (3, 1);
--> [one] gap t {} null null {"job": 7}
UPDATE t SET n = 2;
DELETE FROM t WHERE id = 3;
UPDATE t SET id = 4 WHERE id = 2;
REPLACE INTO t VALUES (1, 3);
INSERT INTO other VALUES (1, 1);
--> [one] gap other {} null null {"job": 7}
UPDATE t JOIN other USING (id) SET t.n = 5, other.n = 5;
INSERT INTO strict VALUES (1);
--> insert strict {"id": 1} null null {"job": 7}
COMMIT;

-- Every statement is a transaction.
SET @evtrig_context = NULL;
INSERT INTO t VALUES (10, 1), (11, 1);
--> [two] gap t {} null null
DELETE FROM t WHERE id IN (10, 11);
--> [three] gap t {} null null
INSERT INTO t VALUES (12, 1), (1, 1);
--> error 1062
UPDATE t SET n = 0 WHERE id = 99;

-- What takes the changes back takes the gap along, and the next one is told again.
START TRANSACTION;
SAVEPOINT one;
INSERT INTO t VALUES (20, 1);
ROLLBACK TO SAVEPOINT one;
INSERT INTO t VALUES (21, 1);
--> [four] gap t {} null null
SAVEPOINT two;
INSERT INTO t VALUES (22, 1);
ROLLBACK TO SAVEPOINT two;
INSERT INTO t VALUES (22, 1);
COMMIT;
START TRANSACTION;
INSERT INTO t VALUES (23, 1);
ROLLBACK;
DELETE FROM t WHERE id = 21;
--> [five] gap t {} null null

-- Another session, and another value, record as always.
--! session b
INSERT INTO t VALUES (30, 1);
--> insert t {"id": 30} null null
--> event Came insert t {"id": 30} null {}
--! session a
START TRANSACTION;
DELETE FROM t WHERE id = 22;
--> [six] gap t {} null null
SET @evtrig_off = NULL;
DELETE FROM t WHERE id = 30;
--> delete t {"id": 30} null null
SET @evtrig_off = 'nightly-import';
INSERT INTO t VALUES (30, 1);
COMMIT;
SET @evtrig_off = 'Nightly-Import';
INSERT INTO other VALUES (40, 1);
--> insert other {"id": 40} null null
SET @evtrig_off = 'nightly-import ';
INSERT INTO other VALUES (41, 1);
--> insert other {"id": 41} null null
SET @evtrig_off = 1;
INSERT INTO other VALUES (42, 1);
--> insert other {"id": 42} null null
-- MySQL reads a variable with the type that it first had in the session.
SET @evtrig_off = CONVERT('nightly-import' USING utf16);
INSERT INTO other VALUES (43, 1);
--> mysql: [nine] gap other {} null null
--> mariadb: insert other {"id": 43} null null
SET @evtrig_off = '';
INSERT INTO other VALUES (44, 1);
--> insert other {"id": 44} null null
SET @evtrig_off = CONVERT('nightly-import' USING latin1);
INSERT INTO other VALUES (45, 1);
--> [seven] gap other {} null null
SET @evtrig_off = CAST('nightly-import' AS BINARY);
INSERT INTO other VALUES (46, 1);
--> [eight] gap other {} null null
