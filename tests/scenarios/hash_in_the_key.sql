-- A key that is private: events are in order by its hash, and the clear text is nowhere.
CREATE TABLE people (email VARCHAR(40) COLLATE utf8mb4_general_ci PRIMARY KEY, n INT);
--! capture {people: {redact: {email: hash}}}
UPDATE $outbox.salts SET value = REPEAT('0', 64);

INSERT INTO people VALUES ('a@x.org', 1);
--> insert {"email": "93bca949ee787d8cd474ea30be982f75997fcac069ce15035b191761f55408c1"} null {"email": "93bca949ee787d8cd474ea30be982f75997fcac069ce15035b191761f55408c1", "n": 1}
UPDATE people SET n = 2;
--> update {"email": "93bca949ee787d8cd474ea30be982f75997fcac069ce15035b191761f55408c1"} {"email": "93bca949ee787d8cd474ea30be982f75997fcac069ce15035b191761f55408c1", "n": 1} {"email": "93bca949ee787d8cd474ea30be982f75997fcac069ce15035b191761f55408c1", "n": 2}
UPDATE people SET n = 2;

-- A change in case is another key, as it would be in clear text.
UPDATE people SET email = 'A@x.org';
--> delete {"email": "93bca949ee787d8cd474ea30be982f75997fcac069ce15035b191761f55408c1"} {"email": "93bca949ee787d8cd474ea30be982f75997fcac069ce15035b191761f55408c1", "n": 2} null
--> insert {"email": "cdd73b6bb549d6148d9c8e355ccea1261dda32aba5696bb8a6f7f1b88dc5bf36"} null {"email": "cdd73b6bb549d6148d9c8e355ccea1261dda32aba5696bb8a6f7f1b88dc5bf36", "n": 2}
REPLACE INTO people VALUES ('a@x.org', 3);
--> delete {"email": "cdd73b6bb549d6148d9c8e355ccea1261dda32aba5696bb8a6f7f1b88dc5bf36"} {"email": "cdd73b6bb549d6148d9c8e355ccea1261dda32aba5696bb8a6f7f1b88dc5bf36", "n": 2} null
--> insert {"email": "93bca949ee787d8cd474ea30be982f75997fcac069ce15035b191761f55408c1"} null {"email": "93bca949ee787d8cd474ea30be982f75997fcac069ce15035b191761f55408c1", "n": 3}
DELETE FROM people;
--> delete {"email": "93bca949ee787d8cd474ea30be982f75997fcac069ce15035b191761f55408c1"} {"email": "93bca949ee787d8cd474ea30be982f75997fcac069ce15035b191761f55408c1", "n": 3} null
