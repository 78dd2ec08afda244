-- Domain events instead of change rows; one depends on a column that no event shows.
CREATE TABLE t (id INT PRIMARY KEY, status VARCHAR(9), note VARCHAR(9));
CREATE TABLE both_ (id INT PRIMARY KEY, status VARCHAR(9), note VARCHAR(9));
--! capture
--!     {t: {exclude: [note], change_rows: false, events: [
--!         {type: Paid, on: update, when: NEW.status = 'paid', data: {id: NEW.id, was: OLD.status}},
--!         {type: Gone, on: delete}]},
--!     both_: {exclude: [note], events: [
--!         {type: Noted, on: [insert, update], when: NEW.note IS NOT NULL}]}}

INSERT INTO t VALUES (1, 'new', 'a'), (2, 'new', 'a');
UPDATE t SET status = 'open';
UPDATE t SET status = 'paid' WHERE id = 1;
--> event Paid update t {"id": 1} null {"id": 1, "was": "open"}
UPDATE t SET status = 'paid' WHERE id = 1;

-- Something has changed, though nothing of what is shown: that is the event's to judge.
UPDATE t SET note = 'b' WHERE id = 1;
--> event Paid update t {"id": 1} null {"id": 1, "was": "paid"}
DELETE FROM t ORDER BY id;
--> event Gone delete t {"id": 1} null {}
--> event Gone delete t {"id": 2} null {}

INSERT INTO both_ VALUES (1, 'new', NULL);
--> insert both_ {"id": 1} null {"id": 1, "status": "new"}
UPDATE both_ SET note = 'abc';
--> event Noted update both_ {"id": 1} null {}
UPDATE both_ SET note = 'abc';
UPDATE both_ SET note = 'abc ', status = 'paid';
--> update both_ {"id": 1} {"id": 1, "status": "new"} {"id": 1, "status": "paid"}
--> event Noted update both_ {"id": 1} null {}
UPDATE both_ SET note = NULL;
