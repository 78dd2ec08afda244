-- The application's own triggers: what BEFORE ones change is seen, what AFTER ones
-- write is captured.
CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(9));
CREATE TABLE audit (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(9));
CREATE TRIGGER upper_case BEFORE INSERT ON t FOR EACH ROW SET NEW.v = UPPER(NEW.v);
CREATE TRIGGER keep BEFORE UPDATE ON t FOR EACH ROW SET NEW.v = IF(NEW.v = '', OLD.v, NEW.v);
CREATE TRIGGER note AFTER INSERT ON t FOR EACH ROW INSERT INTO audit (v) VALUES (NEW.v);
--! capture {t: , audit: }

INSERT INTO t VALUES (1, 'a');
--> insert audit {"id": 1} null {"id": 1, "v": "A"}
--> insert t {"id": 1} null {"id": 1, "v": "A"}
UPDATE t SET v = '';
UPDATE t SET v = 'b';
--> update t {"id": 1} {"id": 1, "v": "A"} {"id": 1, "v": "b"}

-- One that was there later.
--! delimiter //
CREATE TRIGGER refuse BEFORE DELETE ON t FOR EACH ROW
BEGIN
    IF OLD.id = 1 THEN
        SIGNAL SQLSTATE '45000';
    END IF;
END//
DELETE FROM t//
--> error 1644
