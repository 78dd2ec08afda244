-- What a trigger sees of a zero TIMESTAMP, and what information_schema gives back of it.
-- mysql --table < trigger.sql       (makes and drops the schema evtrig_measure)
DROP SCHEMA IF EXISTS evtrig_measure;
CREATE SCHEMA evtrig_measure;
USE evtrig_measure;
SET SESSION sql_mode = '';
CREATE TABLE `o``dd` (`c\\` INT);
CREATE TABLE t (id INT PRIMARY KEY, at TIMESTAMP NULL);
CREATE TRIGGER t_i AFTER INSERT ON t FOR EACH ROW SET @inside = UNIX_TIMESTAMP(NEW.at);
CREATE TRIGGER odd_i AFTER INSERT ON `o``dd` FOR EACH ROW SET @odd = (SELECT 'a\\b' FROM `o``dd` LIMIT 1);
INSERT INTO t VALUES (1, '0000-00-00 00:00:00');
SELECT UNIX_TIMESTAMP(at) AS outside, @inside AS in_the_trigger FROM t;
SELECT action_statement AS information_schema FROM information_schema.triggers
 WHERE trigger_schema = 'evtrig_measure' AND trigger_name = 'odd_i';
SHOW CREATE TRIGGER odd_i;
DROP SCHEMA evtrig_measure;
