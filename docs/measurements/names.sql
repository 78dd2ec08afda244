-- MySQL 9.7: a name with a back-tick loses a byte at its end in the body of a trigger.
-- Where that cuts a character in two the trigger is refused (3507); MariaDB takes both.
--   mysql --force --table --default-character-set=utf8mb4 < names.sql
CREATE SCHEMA evtrig_names;
USE evtrig_names;
CREATE TABLE t (id INT PRIMARY KEY, `a``bc` INT, `a``é` INT);
CREATE TRIGGER kept AFTER INSERT ON t FOR EACH ROW SET @x = NEW.`a``bc`;
CREATE TRIGGER refused AFTER INSERT ON t FOR EACH ROW SET @x = NEW.`a``é`;
SELECT trigger_name, action_statement FROM information_schema.triggers
 WHERE trigger_schema = 'evtrig_names';
DROP SCHEMA evtrig_names;
