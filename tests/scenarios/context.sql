-- Who and why, as the session says it: a JSON object, or nothing.
CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY);
--! capture {t: {images: key}}

INSERT INTO t VALUES ();
--> insert {"id": 1} null null
SET @evtrig_context = '{"actor": "alice", "traceparent": "00-4bf9-01", "n": [1, 2.5, {"x": null}]}';
INSERT INTO t VALUES ();
--> insert {"id": 2} null null {"actor": "alice", "traceparent": "00-4bf9-01", "n": [1, 2.5, {"x": null}]}
UPDATE t SET id = 3 WHERE id = 2;
--> delete {"id": 2} null null {"actor": "alice", "traceparent": "00-4bf9-01", "n": [1, 2.5, {"x": null}]}
--> insert {"id": 3} null null {"actor": "alice", "traceparent": "00-4bf9-01", "n": [1, 2.5, {"x": null}]}

-- It is the session's.
--! session b
DELETE FROM t WHERE id = 1;
--> delete {"id": 1} null null
--! session a

-- Whatever the character set; but bytes are no text.
SET @evtrig_context = CONVERT('{"actor": "José"}' USING latin1);
INSERT INTO t VALUES (10);
--> insert {"id": 10} null null {"actor": "José"}
SET @evtrig_context = CONVERT('{"actor": "🍣"}' USING utf16);
INSERT INTO t VALUES (11);
--> insert {"id": 11} null null {"actor": "🍣"}
-- In a session that has had text in it, MySQL takes these bytes for such text.
SET @evtrig_context = CAST('{"actor": "alice"}' AS BINARY);
INSERT INTO t VALUES (12);
--> mysql: insert {"id": 12} null null {"actor": "alice"}
--> mariadb: insert {"id": 12} null null
--! session c
SET @evtrig_context = CAST('{"actor": "alice"}' AS BINARY);
INSERT INTO t VALUES (17);
--> insert {"id": 17} null null
--! session a
SET @evtrig_context = JSON_OBJECT('actor', 'bob');
INSERT INTO t VALUES (13);
--> insert {"id": 13} null null {"actor": "bob"}
SET @evtrig_context = '{
    "actor": "alice",
    "why": "line\\nbreak"
}';
INSERT INTO t VALUES (14);
--> insert {"id": 14} null null {"actor": "alice", "why": "line\nbreak"}
SET @evtrig_context = '{}';
INSERT INTO t VALUES (15);
--> insert {"id": 15} null null {}
SET @evtrig_context = CONCAT(REPEAT('{"a":', 20), '1', REPEAT('}', 20));
INSERT INTO t VALUES (16);
--> insert {"id": 16} null null {"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":1}}}}}}}}}}}}}}}}}}}}

-- No JSON object.
SET @evtrig_context = 'alice';
INSERT INTO t VALUES (20);
--> insert {"id": 20} null null
SET @evtrig_context = '"alice"';
INSERT INTO t VALUES (21);
--> insert {"id": 21} null null
SET @evtrig_context = '["alice"]';
INSERT INTO t VALUES (22);
--> insert {"id": 22} null null
SET @evtrig_context = 'null';
INSERT INTO t VALUES (23);
--> insert {"id": 23} null null
SET @evtrig_context = '';
INSERT INTO t VALUES (24);
--> insert {"id": 24} null null
SET @evtrig_context = 7;
INSERT INTO t VALUES (25);
--> insert {"id": 25} null null
SET @evtrig_context = 1e308;
INSERT INTO t VALUES (26);
--> insert {"id": 26} null null
SET @evtrig_context = NOW(6);
INSERT INTO t VALUES (27);
--> insert {"id": 27} null null
SET @evtrig_context = '{"a": 1} {"b": 2}';
INSERT INTO t VALUES (28);
--> insert {"id": 28} null null
SET @evtrig_context = x'7b2261223a22ff227d';
INSERT INTO t VALUES (29);
--> insert {"id": 29} null null

-- MariaDB takes these for JSON.
SET @evtrig_context = '{"a":1.}';
INSERT INTO t VALUES (30);
--> insert {"id": 30} null null
SET @evtrig_context = '{"a":-}';
INSERT INTO t VALUES (31);
--> insert {"id": 31} null null
SET @evtrig_context = '{"a":"\\x"}';
INSERT INTO t VALUES (32);
--> insert {"id": 32} null null
SET @evtrig_context = '{"a":01}';
INSERT INTO t VALUES (33);
--> insert {"id": 33} null null

-- Too long, too deep.
SET @evtrig_context = CONCAT('{"a":"', REPEAT('x', 4089), '"}');
INSERT INTO t VALUES (40);
--> insert {"id": 40} null null
SET @evtrig_context = CONCAT('{"a":"', REPEAT('x', 5000000), '"}');
INSERT INTO t VALUES (41);
--> insert {"id": 41} null null
SET @evtrig_context = CONCAT(REPEAT('{"a":', 200), '1', REPEAT('}', 200));
INSERT INTO t VALUES (42);
--> insert {"id": 42} null null
SET @evtrig_context = NULL;
INSERT INTO t VALUES (43);
--> insert {"id": 43} null null
