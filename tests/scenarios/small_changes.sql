-- What the collation or a display takes for equal is a change all the same.
CREATE TABLE t (
    id INT PRIMARY KEY,
    v VARCHAR(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci,
    d DOUBLE,
    f FLOAT
);
INSERT INTO t VALUES (1, 'a', 0.3e0, 0.1e0);
--! capture {t: }

UPDATE t SET v = 'A';
--> update {"id": 1} {"id": 1, "v": "a", "d": 0.3, "f": 0.10000000149011612} {"id": 1, "v": "A", "d": 0.3, "f": 0.10000000149011612}
UPDATE t SET v = 'A ';
--> update {"id": 1} {"id": 1, "v": "A", "d": 0.3, "f": 0.10000000149011612} {"id": 1, "v": "A ", "d": 0.3, "f": 0.10000000149011612}
UPDATE t SET v = '🍣';
--> update {"id": 1} {"id": 1, "v": "A ", "d": 0.3, "f": 0.10000000149011612} {"id": 1, "v": "🍣", "d": 0.3, "f": 0.10000000149011612}
UPDATE t SET v = '🍺';
--> update {"id": 1} {"id": 1, "v": "🍣", "d": 0.3, "f": 0.10000000149011612} {"id": 1, "v": "🍺", "d": 0.3, "f": 0.10000000149011612}
UPDATE t SET d = 0.1e0 + 0.2e0;
--> update {"id": 1} {"id": 1, "v": "🍺", "d": 0.3, "f": 0.10000000149011612} {"id": 1, "v": "🍺", "d": 0.30000000000000004, "f": 0.10000000149011612}
UPDATE t SET f = 0.10000000894069672e0;
--> update {"id": 1} {"id": 1, "v": "🍺", "d": 0.30000000000000004, "f": 0.10000000149011612} {"id": 1, "v": "🍺", "d": 0.30000000000000004, "f": 0.10000000894069672}
