-- Which way does the relay's delete go through an outbox of three rows?
-- mysql --table < delete.sql        (makes and drops the schema evtrig_measure)
DROP SCHEMA IF EXISTS evtrig_measure;
CREATE SCHEMA evtrig_measure;
USE evtrig_measure;
CREATE TABLE events (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, uid BIGINT UNSIGNED NOT NULL, after LONGTEXT);
CREATE TABLE state (name VARCHAR(64) PRIMARY KEY, holder BIGINT UNSIGNED NOT NULL);
INSERT INTO events (uid, after) VALUES (1, REPEAT('x', 250)), (2, REPEAT('x', 250)), (3, REPEAT('x', 250));
INSERT INTO state VALUES ('default', 1);
ANALYZE TABLE events;

SELECT 'as in the design: order of the joins forced' AS '';
EXPLAIN DELETE e
FROM JSON_TABLE('[[2,2]]', '$[*]' COLUMNS (id BIGINT UNSIGNED PATH '$[0]', uid BIGINT UNSIGNED PATH '$[1]')) x
STRAIGHT_JOIN events e ON e.id = x.id AND e.uid = x.uid
JOIN state s ON s.name = 'default' AND s.holder = 1;

SELECT 'as evtrig does it: index forced as well' AS '';
EXPLAIN DELETE events
FROM JSON_TABLE('[[2,2]]', '$[*]' COLUMNS (id BIGINT UNSIGNED PATH '$[0]', uid BIGINT UNSIGNED PATH '$[1]')) x
STRAIGHT_JOIN events FORCE INDEX (PRIMARY) ON events.id = x.id AND events.uid = x.uid
JOIN state s ON s.name = 'default' AND s.holder = 1;

DROP SCHEMA evtrig_measure;
