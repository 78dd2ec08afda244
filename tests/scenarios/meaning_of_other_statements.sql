-- REPLACE, ON DUPLICATE KEY UPDATE, UPDATE IGNORE and statements over several tables,
-- with conditions, redaction and domain events at once.
CREATE TABLE t (id INT PRIMARY KEY, u INT UNIQUE, card VARCHAR(20), note VARCHAR(9));
CREATE TABLE s (id INT PRIMARY KEY, n INT);
--! capture
--!     {t: {
--!         exclude: [note], redact: {card: last4},
--!         when: {insert: NEW.u > 0, update: NEW.u > 0, delete: OLD.u > 0},
--!         events: [
--!             {type: Moved, on: update, when: NOT (NEW.u <=> OLD.u), data: {from: OLD.u, to: NEW.u}},
--!             {type: Noted, on: update, when: NOT (NEW.note <=> OLD.note), data: {card: NEW.card}},
--!             {type: Came, on: insert}, {type: Went, on: delete}]},
--!     s: {when: {update: NEW.n > 1}}}

REPLACE INTO t VALUES (1, 10, '4111111111111111', 'a');
--> insert t {"id": 1} null {"id": 1, "u": 10, "card": "****1111"}
--> event Came insert t {"id": 1} null {}
REPLACE INTO t VALUES (1, -1, '4111111111111111', 'a');
--> delete t {"id": 1} {"id": 1, "u": 10, "card": "****1111"} null
--> event Went delete t {"id": 1} null {}
--> event Came insert t {"id": 1} null {}

INSERT INTO t VALUES (1, 0, '', '') ON DUPLICATE KEY UPDATE u = 10;
--> update t {"id": 1} {"id": 1, "u": -1, "card": "****1111"} {"id": 1, "u": 10, "card": "****1111"}
--> event Moved update t {"id": 1} null {"from": -1, "to": 10}
INSERT INTO t VALUES (1, 0, '', '') ON DUPLICATE KEY UPDATE u = 10;
INSERT INTO t VALUES (1, 0, '', '') ON DUPLICATE KEY UPDATE note = 'b';
--> event Noted update t {"id": 1} null {"card": "****1111"}
INSERT INTO t VALUES (2, 20, '12', 'a'), (1, 0, '', '') ON DUPLICATE KEY UPDATE card = '5500000000000004';
--> insert t {"id": 2} null {"id": 2, "u": 20, "card": "****"}
--> event Came insert t {"id": 2} null {}
--> update t {"id": 1} {"id": 1, "u": 10, "card": "****1111"} {"id": 1, "u": 10, "card": "****0004"}

-- MariaDB runs the triggers of rows that UPDATE IGNORE leaves as they are: no change,
-- and no domain event, whatever was tried.
UPDATE IGNORE t SET u = 20 WHERE id = 1;
UPDATE IGNORE t SET u = 20, note = 'c' WHERE id = 1;
UPDATE IGNORE t SET u = 20, card = '6' WHERE id = 1;
UPDATE IGNORE t SET id = 2 WHERE id = 1;
UPDATE IGNORE t SET id = 2, note = 'c' WHERE id = 1;
UPDATE IGNORE t SET u = 30, note = 'c' ORDER BY id;
--> update t {"id": 1} {"id": 1, "u": 10, "card": "****0004"} {"id": 1, "u": 30, "card": "****0004"}
--> event Moved update t {"id": 1} null {"from": 10, "to": 30}
--> event Noted update t {"id": 1} null {"card": "****0004"}
SELECT * FROM t ORDER BY id;
--> rows [[1, 30, "5500000000000004", "c"], [2, 20, "12", "a"]]
INSERT IGNORE INTO t VALUES (1, 40, '', ''), (3, 30, '', '');

INSERT INTO s VALUES (1, 0), (2, 0);
--> insert s {"id": 1} null {"id": 1, "n": 0}
--> insert s {"id": 2} null {"id": 2, "n": 0}
UPDATE t JOIN s USING (id) SET t.u = -t.u, s.n = 2 WHERE id = 2;
--> event Moved update t {"id": 2} null {"from": 20, "to": -20}
--> update s {"id": 2} {"id": 2, "n": 0} {"id": 2, "n": 2}
DELETE t, s FROM t JOIN s USING (id) WHERE id = 2;
--> event Went delete t {"id": 2} null {}
--> delete s {"id": 2} {"id": 2, "n": 2} null
