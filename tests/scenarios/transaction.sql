-- The events of one transaction have one id, which no others have.
CREATE TABLE t (id INT PRIMARY KEY);
CREATE TABLE other (id INT PRIMARY KEY);
CREATE TABLE without (id INT PRIMARY KEY);
--! spec {transaction: true}
--! capture
--!     {t: {images: key, events: [{type: Came, on: insert, when: NEW.id = 1}]},
--!     other: {images: key}, without: {images: key, transaction: false}}

INSERT INTO t VALUES (1), (2);
--> [one] insert t {"id": 1} null null
--> [one] event Came insert t {"id": 1} null {}
--> [one] insert t {"id": 2} null null
INSERT INTO t VALUES (3);
--> [two] insert t {"id": 3} null null
UPDATE t SET id = 4 WHERE id = 3;
--> [three] delete t {"id": 3} null null
--> [three] insert t {"id": 4} null null

START TRANSACTION;
INSERT INTO t VALUES (5);
--> [four] insert t {"id": 5} null null
INSERT INTO other VALUES (5);
--> [four] insert other {"id": 5} null null
INSERT INTO without VALUES (5);
--> insert without {"id": 5} null null

--! session b
INSERT INTO t VALUES (7);
--> [five] insert t {"id": 7} null null

--! session a
INSERT INTO other VALUES (6), (5);
--> error 1062
SAVEPOINT one;
INSERT INTO t VALUES (8);
ROLLBACK TO SAVEPOINT one;
INSERT INTO t VALUES (9);
--> [four] insert t {"id": 9} null null
COMMIT AND CHAIN;
INSERT INTO t VALUES (10);
--> [six] insert t {"id": 10} null null
COMMIT;

-- Nothing but what was rolled back comes between: the next has an id of its own.
START TRANSACTION;
INSERT INTO t VALUES (11);
ROLLBACK;
INSERT INTO t VALUES (12);
--> [seven] insert t {"id": 12} null null
START TRANSACTION READ ONLY;
SELECT COUNT(*) FROM other;
--> rows [[1]]
COMMIT;
INSERT INTO t VALUES (13);
--> [eight] insert t {"id": 13} null null

-- A statement that commits by itself ends the transaction.
START TRANSACTION;
INSERT INTO t VALUES (14);
--> [nine] insert t {"id": 14} null null
CREATE TABLE another (id INT);
INSERT INTO t VALUES (15);
--> [ten] insert t {"id": 15} null null
SET autocommit = 0;
INSERT INTO t VALUES (16);
--> [eleven] insert t {"id": 16} null null
INSERT INTO other VALUES (16);
--> [eleven] insert other {"id": 16} null null
SET autocommit = 1;
INSERT INTO t VALUES (17);
--> [twelve] insert t {"id": 17} null null

XA START 'one';
INSERT INTO t VALUES (18);
--> [thirteen] insert t {"id": 18} null null
INSERT INTO other VALUES (18);
--> [thirteen] insert other {"id": 18} null null
XA END 'one';
XA PREPARE 'one';
XA COMMIT 'one';
XA START 'two';
INSERT INTO t VALUES (19);
XA END 'two';
XA ROLLBACK 'two';
XA START 'three';
INSERT INTO t VALUES (20);
--> [fourteen] insert t {"id": 20} null null
XA END 'three';
XA COMMIT 'three' ONE PHASE;
INSERT INTO t VALUES (21);
--> [fifteen] insert t {"id": 21} null null

-- MariaDB cannot tell transactions apart that are not in the binary log.
SET sql_log_bin = 0;
INSERT INTO t VALUES (22);
--> mysql: [sixteen] insert t {"id": 22} null null
--> mariadb: insert t {"id": 22} null null
SET sql_log_bin = 1;
INSERT INTO t VALUES (23);
--> [seventeen] insert t {"id": 23} null null
