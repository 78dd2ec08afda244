-- Least privileges for evtrig on MySQL. Run it as an administrator of the database.
-- A new account is locked; what is there already is left as it is. To let it in:
--     ALTER USER … IDENTIFIED BY '…' ACCOUNT UNLOCK;
-- The passwords that MySQL prints are drawn to be replaced: never unlock with one of them.
--
-- Run evtrig install after the part for the installer: the servers refuse a grant on a
-- table that is not there yet (1146). Whatever has been done may be done again.

-- installer: runs evtrig install
-- With the binary log on, creating triggers also takes SUPER, or
-- SET GLOBAL log_bin_trust_function_creators = 1 (on RDS in the parameter group; 1419).
CREATE USER IF NOT EXISTS `evtrig_installer`@`%` IDENTIFIED BY RANDOM PASSWORD ACCOUNT LOCK;

-- CREATE          to create the outbox
--                 to draw the salt of `hash`
-- SELECT          to add the relay's row
--                 to draw the salt of `hash`
--                 to pass on to the definer
-- INSERT          to add the relay's row
--                 to draw the salt of `hash`
--                 to pass on to the definer
-- CREATE ROUTINE  to create the procedure emit
-- EXECUTE         to pass on to the definer
-- GRANT OPTION    to pass on what the definer needs
GRANT CREATE, SELECT, INSERT, CREATE ROUTINE, EXECUTE ON `evtrig`.* TO `evtrig_installer`@`%` WITH GRANT OPTION;

-- SELECT        to see all of its columns
--               to pass on to the definer
-- TRIGGER       to create, replace and drop its triggers
--               to pass on to the definer
-- GRANT OPTION  to pass on what the definer needs
GRANT SELECT, TRIGGER ON `shop`.`orders` TO `evtrig_installer`@`%` WITH GRANT OPTION;
GRANT SELECT, TRIGGER ON `shop`.`customers` TO `evtrig_installer`@`%` WITH GRANT OPTION;

-- to try the expressions of the spec
GRANT CREATE, DROP, SELECT, INSERT, UPDATE, DELETE, TRIGGER ON `evtrig\_scratch`.* TO `evtrig_installer`@`%`;

-- SHOW_ROUTINE     to see whether the procedure emit is as it should be
-- CREATE USER      to create evtrig_definer@localhost
-- SET_ANY_DEFINER  to make evtrig_definer@localhost the owner; before MySQL 8.2 it is SET_USER_ID
GRANT SHOW_ROUTINE, CREATE USER, SET_ANY_DEFINER ON *.* TO `evtrig_installer`@`%`;

-- SELECT        to pass on to the definer
-- GRANT OPTION  to pass on what the definer needs
GRANT SELECT ON `performance_schema`.`threads` TO `evtrig_installer`@`%` WITH GRANT OPTION;
GRANT SELECT ON `performance_schema`.`events_transactions_current` TO `evtrig_installer`@`%` WITH GRANT OPTION;

-- Optional: to name the transaction that is in the way, and to know a replica.
--     GRANT PROCESS ON *.* TO `evtrig_installer`@`%`;
--     GRANT SELECT ON `performance_schema`.`metadata_locks` TO `evtrig_installer`@`%`;
--     GRANT SELECT ON `performance_schema`.`threads` TO `evtrig_installer`@`%`;
--     GRANT SELECT ON `performance_schema`.`events_statements_current` TO `evtrig_installer`@`%`;
--     GRANT SELECT ON `performance_schema`.`replication_connection_status` TO `evtrig_installer`@`%`;

-- Run evtrig install now, if evtrig.events is not there. What follows is for afterwards.

-- definer: owns the triggers, which do what it may do; nobody logs in with it
-- evtrig install has created it and granted it all of this. It stays locked.
CREATE USER IF NOT EXISTS `evtrig_definer`@`localhost` IDENTIFIED BY RANDOM PASSWORD ACCOUNT LOCK;

-- EXECUTE  to run the procedure emit as its owner
GRANT EXECUTE ON `evtrig`.* TO `evtrig_definer`@`localhost`;

-- INSERT  to write the events
-- SELECT  to read it in a trigger
GRANT INSERT, SELECT ON `evtrig`.`events` TO `evtrig_definer`@`localhost`;

-- SELECT   to read the row that changes
-- TRIGGER  for its triggers to fire
GRANT SELECT, TRIGGER ON `shop`.`orders` TO `evtrig_definer`@`localhost`;
GRANT SELECT, TRIGGER ON `shop`.`customers` TO `evtrig_definer`@`localhost`;

-- SELECT  to read it in a trigger
GRANT SELECT ON `evtrig`.`salts` TO `evtrig_definer`@`localhost`;
GRANT SELECT ON `performance_schema`.`threads` TO `evtrig_definer`@`localhost`;
GRANT SELECT ON `performance_schema`.`events_transactions_current` TO `evtrig_definer`@`localhost`;

-- relay: runs evtrig relay
CREATE USER IF NOT EXISTS `evtrig_relay`@`%` IDENTIFIED BY RANDOM PASSWORD ACCOUNT LOCK;

-- SELECT  to read the events
-- DELETE  to delete what was acknowledged
GRANT SELECT, DELETE ON `evtrig`.`events` TO `evtrig_relay`@`%`;

-- SELECT  to see which relay publishes
-- UPDATE  to be the one that publishes
GRANT SELECT, UPDATE ON `evtrig`.`event_polling_state` TO `evtrig_relay`@`%`;

-- SELECT  to see which keys wait for a dead letter
-- INSERT  to put aside what no sink takes
GRANT SELECT, INSERT ON `evtrig`.`dead_letters` TO `evtrig_relay`@`%`;

-- snapshot: writes existing rows into the outbox, as if they had just changed
CREATE USER IF NOT EXISTS `evtrig_snapshot`@`%` IDENTIFIED BY RANDOM PASSWORD ACCOUNT LOCK;

-- SELECT  to read its rows
GRANT SELECT ON `shop`.`orders` TO `evtrig_snapshot`@`%`;
GRANT SELECT ON `shop`.`customers` TO `evtrig_snapshot`@`%`;

-- INSERT  to write the events
GRANT INSERT ON `evtrig`.`events` TO `evtrig_snapshot`@`%`;

-- SELECT  to redact by hash; whoever has it can find out values by trying
GRANT SELECT ON `evtrig`.`salts` TO `evtrig_snapshot`@`%`;

-- status: runs evtrig check; sees captured rows in their events only
CREATE USER IF NOT EXISTS `evtrig_status`@`%` IDENTIFIED BY RANDOM PASSWORD ACCOUNT LOCK;

-- REFERENCES  to see tables, columns and foreign keys, but no row
-- TRIGGER     to see triggers; no lesser privilege shows them
GRANT REFERENCES, TRIGGER ON `shop`.* TO `evtrig_status`@`%`;

-- SELECT   to see how many wait, and how long
-- TRIGGER  to see whether somebody has put a trigger on it
GRANT SELECT, TRIGGER ON `evtrig`.`events` TO `evtrig_status`@`%`;

-- SELECT  to see which relay publishes
GRANT SELECT ON `evtrig`.`event_polling_state` TO `evtrig_status`@`%`;

-- SELECT (13 columns)  to see which events no sink takes, but not what is in them
-- REFERENCES           to see all of its columns, but no row
GRANT SELECT (`id`, `uid`, `type`, `source`, `operation`, `captured_at`, `holds_key`, `reason`, `attempts`, `first_error`, `last_error`, `failed_at`, `parked_at`), REFERENCES ON `evtrig`.`dead_letters` TO `evtrig_status`@`%`;

-- SELECT (`name`)  to see that there is a salt, but not which
GRANT SELECT (`name`) ON `evtrig`.`salts` TO `evtrig_status`@`%`;

-- SHOW_ROUTINE  to see the procedure emit
GRANT SHOW_ROUTINE ON *.* TO `evtrig_status`@`%`;

-- SELECT  to see what the definer and others may do; shows password hashes too
GRANT SELECT ON `mysql`.`user` TO `evtrig_status`@`%`;
GRANT SELECT ON `mysql`.`db` TO `evtrig_status`@`%`;
GRANT SELECT ON `mysql`.`tables_priv` TO `evtrig_status`@`%`;
GRANT SELECT ON `mysql`.`role_edges` TO `evtrig_status`@`%`;

-- SELECT  to see whether transactions are watched
GRANT SELECT ON `performance_schema`.`setup_instruments` TO `evtrig_status`@`%`;
GRANT SELECT ON `performance_schema`.`setup_consumers` TO `evtrig_status`@`%`;

-- operator: runs evtrig dead-letters; sees the events that no sink takes
CREATE USER IF NOT EXISTS `evtrig_operator`@`%` IDENTIFIED BY RANDOM PASSWORD ACCOUNT LOCK;

-- SELECT  to see what no sink takes, with the rows in it
-- DELETE  to take out what is put back or discarded
GRANT SELECT, DELETE ON `evtrig`.`dead_letters` TO `evtrig_operator`@`%`;

-- INSERT                to put events back
-- SELECT (`id`, `uid`)  to see whether an id has been issued again
GRANT INSERT, SELECT (`id`, `uid`) ON `evtrig`.`events` TO `evtrig_operator`@`%`;

-- uninstaller: runs evtrig uninstall
CREATE USER IF NOT EXISTS `evtrig_uninstaller`@`%` IDENTIFIED BY RANDOM PASSWORD ACCOUNT LOCK;

-- TRIGGER  to see and drop every trigger that writes to the outbox
GRANT TRIGGER ON `shop`.* TO `evtrig_uninstaller`@`%`;

-- SELECT         to see what is in the outbox still
-- DROP           to drop the outbox
-- ALTER ROUTINE  to see and drop the procedure emit
GRANT SELECT, DROP, ALTER ROUTINE ON `evtrig`.* TO `evtrig_uninstaller`@`%`;
