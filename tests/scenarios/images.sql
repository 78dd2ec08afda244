-- What an event holds besides its key, and what of the row nobody hears of.
CREATE TABLE both_ (id INT PRIMARY KEY, v INT, note INT);
CREATE TABLE after_ (id INT PRIMARY KEY, v INT, note INT);
CREATE TABLE key_ (id INT PRIMARY KEY, v INT, note INT);
CREATE TABLE inserts (id INT PRIMARY KEY, v INT, note INT);
--! capture {both_: {exclude: [note]}, after_: {images: after, exclude: [note]}, key_: {images: key}, inserts: {operations: [insert], exclude: [note]}}

INSERT INTO both_ VALUES (1, 1, 1);
--> insert both_ {"id": 1} null {"id": 1, "v": 1}
UPDATE both_ SET v = 2, note = 2;
--> update both_ {"id": 1} {"id": 1, "v": 1} {"id": 1, "v": 2}

-- A change of nothing but an excluded column.
UPDATE both_ SET note = 3;
DELETE FROM both_;
--> delete both_ {"id": 1} {"id": 1, "v": 2} null

INSERT INTO after_ VALUES (1, 1, 1);
--> insert after_ {"id": 1} null {"id": 1, "v": 1}
UPDATE after_ SET v = 2;
--> update after_ {"id": 1} null {"id": 1, "v": 2}
UPDATE after_ SET note = 3, v = 2;
UPDATE after_ SET id = 2;
--> delete after_ {"id": 1} null null
--> insert after_ {"id": 2} null {"id": 2, "v": 2}
DELETE FROM after_;
--> delete after_ {"id": 2} null null

INSERT INTO key_ VALUES (1, 1, 1);
--> insert key_ {"id": 1} null null
UPDATE key_ SET note = 2;
--> update key_ {"id": 1} null null
UPDATE key_ SET note = 2;
DELETE FROM key_;
--> delete key_ {"id": 1} null null

INSERT INTO inserts VALUES (1, 1, 1);
--> insert inserts {"id": 1} null {"id": 1, "v": 1}
UPDATE inserts SET v = 2;
DELETE FROM inserts;
