-- Captures changes on MySQL. Apply it with the mysql client, or run
-- evtrig install, which also checks the database first.
SET NAMES utf8mb4 COLLATE utf8mb4_bin;
SET SESSION sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION';
SET SESSION lock_wait_timeout = 3;

CREATE SCHEMA IF NOT EXISTS `evtrig` DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The outbox: one row an event, written by the triggers, deleted by the relay.
-- LONGTEXT and not JSON: a JSON text larger than the max_allowed_packet of its
-- reader would come back empty. No secondary index: each would slow every write.
CREATE TABLE IF NOT EXISTS `evtrig`.`events` (
    `id`          BIGINT UNSIGNED NOT NULL AUTO_INCREMENT COMMENT 'per row of a captured table in commit order',
    `uid`         BIGINT UNSIGNED NOT NULL COMMENT 'unique also if a fail-over issues an id again',
    `type`        VARCHAR(255)    NOT NULL COMMENT 'such as orders.update',
    `source`      VARCHAR(255)    NOT NULL COMMENT 'schema.table',
    `operation`   VARCHAR(8)      NOT NULL COMMENT 'insert, update, delete, emit or gap',
    `captured_at` DATETIME(6)     NOT NULL COMMENT 'UTC',
    `key`         LONGTEXT        NOT NULL COMMENT 'JSON object of the key columns',
    `before`      LONGTEXT            NULL COMMENT 'JSON object of the row before the change',
    `after`       LONGTEXT            NULL COMMENT 'JSON object of the row after the change',
    `context`     LONGTEXT            NULL COMMENT 'JSON: who and why',
    `transaction` VARCHAR(64)         NULL COMMENT 'shared by the events of one transaction',
    PRIMARY KEY (`id`)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;

-- Which relay publishes: the one whose epoch is `holder`, until `expires_at`.
CREATE TABLE IF NOT EXISTS `evtrig`.`event_polling_state` (
    `name`              VARCHAR(64)     NOT NULL,
    `claim`             BIGINT UNSIGNED NOT NULL DEFAULT 0 COMMENT 'epoch of the newest relay that asked',
    `holder`            BIGINT UNSIGNED NOT NULL DEFAULT 0 COMMENT 'epoch of the relay that publishes, 0 for none',
    `holder_id`         VARCHAR(255)    NOT NULL DEFAULT '' COMMENT 'host and process, for people',
    `holder_connection` BIGINT UNSIGNED NOT NULL DEFAULT 0 COMMENT 'its connection id',
    `expires_at`        DATETIME(6)     NOT NULL DEFAULT '2000-01-01 00:00:00' COMMENT 'UTC, by the clock of the database',
    PRIMARY KEY (`name`)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;

INSERT IGNORE INTO `evtrig`.`event_polling_state` (`name`) VALUES ('default');

-- Events that no sink takes, put aside by the relay until somebody puts them back or
-- discards them: evtrig dead-letters. The columns of an event, then what happened to it.
CREATE TABLE IF NOT EXISTS `evtrig`.`dead_letters` (
    `id`          BIGINT UNSIGNED NOT NULL COMMENT 'that of the event',
    `uid`         BIGINT UNSIGNED NOT NULL COMMENT 'that of the event',
    `type`        VARCHAR(255)    NOT NULL COMMENT 'such as orders.update',
    `source`      VARCHAR(255)    NOT NULL COMMENT 'schema.table',
    `operation`   VARCHAR(8)      NOT NULL COMMENT 'insert, update, delete, emit or gap',
    `captured_at` DATETIME(6)     NOT NULL COMMENT 'UTC',
    `key`         LONGTEXT        NOT NULL COMMENT 'JSON object of the key columns',
    `before`      LONGTEXT            NULL COMMENT 'JSON object of the row before the change',
    `after`       LONGTEXT            NULL COMMENT 'JSON object of the row after the change',
    `context`     LONGTEXT            NULL COMMENT 'JSON: who and why',
    `transaction` VARCHAR(64)         NULL COMMENT 'shared by the events of one transaction',
    `holds_key`   BOOLEAN         NOT NULL COMMENT 'whether later events of its key wait here behind it',
    `reason`      VARCHAR(16)     NOT NULL COMMENT 'refused, oversized, attempts, age or behind',
    `attempts`    INT UNSIGNED    NOT NULL COMMENT 'how often it was sent',
    `first_error` VARCHAR(255)        NULL COMMENT 'codes and sizes, never contents',
    `last_error`  VARCHAR(255)        NULL COMMENT 'codes and sizes, never contents',
    `failed_at`   DATETIME(6)         NULL COMMENT 'UTC, of the first failure',
    `parked_at`   DATETIME(6)     NOT NULL COMMENT 'UTC',
    PRIMARY KEY (`id`, `uid`),
    KEY `by_key` (`source`(191), `key`(191))
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;

-- What `hash` in the spec adds to a value. Whoever can read it can find out the values
-- by trying: applications and the relay get no privilege on it.
CREATE TABLE IF NOT EXISTS `evtrig`.`salts` (
    `name`  VARCHAR(64) NOT NULL,
    `value` CHAR(64)    NOT NULL,
    PRIMARY KEY (`name`)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;

INSERT IGNORE INTO `evtrig`.`salts` (`name`, `value`) VALUES ('default', HEX(RANDOM_BYTES(32)));

-- The password that this prints is of no use: the account is locked.
CREATE USER IF NOT EXISTS `evtrig_definer`@`localhost` IDENTIFIED BY RANDOM PASSWORD ACCOUNT LOCK;

GRANT EXECUTE ON `evtrig`.* TO `evtrig_definer`@`localhost`;
GRANT INSERT, SELECT ON `evtrig`.`events` TO `evtrig_definer`@`localhost`;
GRANT SELECT, TRIGGER ON `shop`.`orders` TO `evtrig_definer`@`localhost`;
GRANT SELECT, TRIGGER ON `shop`.`customers` TO `evtrig_definer`@`localhost`;
GRANT SELECT ON `evtrig`.`salts` TO `evtrig_definer`@`localhost`;
GRANT SELECT ON `performance_schema`.`threads` TO `evtrig_definer`@`localhost`;
GRANT SELECT ON `performance_schema`.`events_transactions_current` TO `evtrig_definer`@`localhost`;

DELIMITER $$
CREATE DEFINER = `evtrig_definer`@`localhost`
PROCEDURE `evtrig`.`emit`(
    IN `event_type` VARCHAR(255) CHARACTER SET utf8mb4,
    IN `event_key`  LONGTEXT CHARACTER SET utf8mb4,
    IN `event_data` LONGTEXT CHARACTER SET utf8mb4
)
MODIFIES SQL DATA
SQL SECURITY DEFINER
COMMENT 'Writes an event into the outbox, in the transaction of the caller'
emit: BEGIN
    -- Managed by evtrig: change the spec and run evtrig install, not this procedure.
    DECLARE session_context LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

    IF COALESCE(TRIM(event_type), '') = '' THEN
        SIGNAL SQLSTATE '45000'
            SET MESSAGE_TEXT = 'evtrig: the type of an event is empty';
    END IF;
    IF (
        JSON_VALID(event_key)
        AND JSON_TYPE(event_key) = 'OBJECT'
    ) IS NOT TRUE THEN
        SIGNAL SQLSTATE '45000'
            SET MESSAGE_TEXT = 'evtrig: the key of an event must be a JSON object';
    END IF;
    IF event_data IS NOT NULL AND (
        JSON_VALID(event_data)
    ) IS NOT TRUE THEN
        SIGNAL SQLSTATE '45000'
            SET MESSAGE_TEXT = 'evtrig: the data of an event must be JSON';
    END IF;

    -- Who and why, as the session says: a JSON object of at most 4096 characters,
    -- or nothing. Whatever is there, it must not make the write fail.
    -- MySQL may read a session variable with the type of an earlier value.
    BEGIN
        DECLARE EXIT HANDLER FOR SQLEXCEPTION SET session_context = NULL;
        IF CAST(@evtrig_context AS BINARY) IS NOT NULL THEN
            IF CHARSET(@evtrig_context) <> 'binary'
                AND CHAR_LENGTH(@evtrig_context) <= 4096
            THEN
                SET session_context = CONVERT(@evtrig_context USING utf8mb4);
            END IF;
            IF (
                JSON_VALID(session_context)
                AND JSON_TYPE(session_context) = 'OBJECT'
            ) IS NOT TRUE THEN
                SET session_context = NULL;
            END IF;
            SET session_context = CAST(CAST(session_context AS JSON) AS CHAR);
        END IF;
    END;
    SET session_context = JSON_SET(
        COALESCE(session_context, '{}'), '$.db_user', USER()
    );

    -- The transaction is looked for by the INSERT and not before it: one that begins
    -- with this CALL is not there until then. NULL while the server does not watch
    -- transactions.
    INSERT INTO `evtrig`.`events`
    SET
        `uid`         = UUID_SHORT(),
        `type`        = event_type,
        `source`      = 'evtrig.emit',
        `operation`   = 'emit',
        `captured_at` = UTC_TIMESTAMP(6),
        `key`         = CAST(CAST(event_key AS JSON) AS CHAR),
        `before`      = NULL,
        `after`       = CAST(CAST(event_data AS JSON) AS CHAR),
        `transaction` = (
            SELECT CONCAT(
                `current`.`THREAD_ID`, '-',
                `current`.`EVENT_ID`, '-',
                `current`.`TIMER_START`
            )
            FROM `performance_schema`.`threads` AS `thread`
            JOIN `performance_schema`.`events_transactions_current` AS `current`
                ON `current`.`THREAD_ID` = `thread`.`THREAD_ID`
            WHERE
                `thread`.`PROCESSLIST_ID` = CONNECTION_ID()
                AND `current`.`STATE` = 'ACTIVE'
        ),
        `context`     = session_context;
END $$
DELIMITER ;

-- shop.orders

DELIMITER $$
CREATE DEFINER = `evtrig_definer`@`localhost`
TRIGGER `shop`.`evtrig_7458f44cdbf1_i_1`
AFTER INSERT ON `shop`.`orders`
FOR EACH ROW
capture: BEGIN
    -- Managed by evtrig: change the spec and run evtrig install, not this trigger.
    DECLARE session_context LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE transaction_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE is_off BOOLEAN DEFAULT FALSE;
    DECLARE salt CHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

    -- The next generation of this trigger, if there is one, has recorded the change and
    -- left a mark, which is good for this statement only.
    IF CAST(@evtrig_7458f44cdbf1_i_2 AS BINARY) = CONCAT('e64d856f5c176870', NOW(6)) THEN
        SET @evtrig_7458f44cdbf1_i_2 = NULL;
        LEAVE capture;
    END IF;

    -- Who and why, as the session says: a JSON object of at most 4096 characters,
    -- or nothing. Whatever is there, it must not make the write fail.
    -- MySQL may read a session variable with the type of an earlier value.
    BEGIN
        DECLARE EXIT HANDLER FOR SQLEXCEPTION SET session_context = NULL;
        IF CAST(@evtrig_context AS BINARY) IS NOT NULL THEN
            IF CHARSET(@evtrig_context) <> 'binary'
                AND CHAR_LENGTH(@evtrig_context) <= 4096
            THEN
                SET session_context = CONVERT(@evtrig_context USING utf8mb4);
            END IF;
            IF (
                JSON_VALID(session_context)
                AND JSON_TYPE(session_context) = 'OBJECT'
            ) IS NOT TRUE THEN
                SET session_context = NULL;
            END IF;
            SET session_context = CAST(CAST(session_context AS JSON) AS CHAR);
        END IF;
    END;
    SET session_context = JSON_SET(
        COALESCE(session_context, '{}'), '$.db_user', USER()
    );

    -- A bulk job has switched recording off: one gap event for each of its
    -- transactions says so, or for each statement where the server cannot tell
    -- transactions apart. It is looked for every time, because ROLLBACK TO SAVEPOINT
    -- takes it along.
    BEGIN
        DECLARE EXIT HANDLER FOR SQLEXCEPTION SET is_off = FALSE;
        SET is_off = CAST(@evtrig_off AS BINARY) = 'nightly-import';
    END;
    IF is_off THEN
        -- The time sets a restarted server's transactions apart. NULL while the server
        -- does not watch transactions.
        SET transaction_id = (
            SELECT CONCAT(
                `current`.`THREAD_ID`, '-',
                `current`.`EVENT_ID`, '-',
                `current`.`TIMER_START`
            )
            FROM `performance_schema`.`threads` AS `thread`
            JOIN `performance_schema`.`events_transactions_current` AS `current`
                ON `current`.`THREAD_ID` = `thread`.`THREAD_ID`
            WHERE
                `thread`.`PROCESSLIST_ID` = CONNECTION_ID()
                AND `current`.`STATE` = 'ACTIVE'
        );
        IF NOT EXISTS (
            SELECT 1
            FROM `evtrig`.`events`
            WHERE
                -- Whatever the session has put there: only a number is looked up.
                `id` = IF(
                    CONVERT(CAST(@evtrig_7458f44cdbf1_gap AS BINARY) USING latin1)
                        REGEXP '^[0-9]{1,18}$',
                    CAST(
                        CONVERT(CAST(@evtrig_7458f44cdbf1_gap AS BINARY) USING latin1)
                        AS UNSIGNED
                    ),
                    0
                )
                AND `type` = 'orders.gap'
                AND (`transaction` = transaction_id OR `captured_at` = UTC_TIMESTAMP(6))
        ) THEN
            INSERT INTO `evtrig`.`events`
            SET
                `uid`         = UUID_SHORT(),
                `type`        = 'orders.gap',
                `source`      = 'shop.orders',
                `operation`   = 'gap',
                `captured_at` = UTC_TIMESTAMP(6),
                `key`         = '{}',
                `before`      = NULL,
                `after`       = NULL,
                `transaction` = transaction_id,
                `context`     = session_context;
            SET @evtrig_7458f44cdbf1_gap = LAST_INSERT_ID();
        END IF;
        LEAVE capture;
    END IF;

    -- Without it the hash of a telephone number would be undone by trying them all.
    SET salt = (SELECT `value` FROM `evtrig`.`salts` WHERE `name` = 'default');

    -- The time sets a restarted server's transactions apart. NULL while the server
    -- does not watch transactions.
    SET transaction_id = (
        SELECT CONCAT(
            `current`.`THREAD_ID`, '-',
            `current`.`EVENT_ID`, '-',
            `current`.`TIMER_START`
        )
        FROM `performance_schema`.`threads` AS `thread`
        JOIN `performance_schema`.`events_transactions_current` AS `current`
            ON `current`.`THREAD_ID` = `thread`.`THREAD_ID`
        WHERE
            `thread`.`PROCESSLIST_ID` = CONNECTION_ID()
            AND `current`.`STATE` = 'ACTIVE'
    );

    IF NEW.`status` <> 'new' THEN
        INSERT INTO `evtrig`.`events`
        SET
            `uid`         = UUID_SHORT(),
            `type`        = 'orders.insert',
            `source`      = 'shop.orders',
            `operation`   = 'insert',
            `captured_at` = UTC_TIMESTAMP(6),
            `key`         = JSON_OBJECT(
                  'id',                NEW.`id`
            ),
            `before`      = NULL,
            `after`       = JSON_OBJECT(
                  'id',                NEW.`id`
                , 'status',            NEW.`status`
                , 'email',             SHA2(CONCAT(salt, NEW.`email`), 256)
                , 'card',              CONCAT('****', RIGHT(NEW.`card`, IF(CHAR_LENGTH(NEW.`card`) >= 8, 4, 0)))
                , 'birthday',          NULL
                , 'comment',           LEFT(NEW.`comment`, 80)
                , 'updated_at',        CAST(TIMESTAMP'1970-01-01 00:00:00' + INTERVAL UNIX_TIMESTAMP(NEW.`updated_at`) SECOND AS CHAR)
            ),
            `transaction` = transaction_id,
            `context`     = session_context;
    END IF;

    IF NEW.`internal_note` IS NOT NULL THEN
        INSERT INTO `evtrig`.`events`
        SET
            `uid`         = UUID_SHORT(),
            `type`        = 'NoteWritten',
            `source`      = 'shop.orders',
            `operation`   = 'insert',
            `captured_at` = UTC_TIMESTAMP(6),
            `key`         = JSON_OBJECT(
                  'id',                NEW.`id`
            ),
            `before`      = NULL,
            `after`       = JSON_OBJECT(),
            `transaction` = transaction_id,
            `context`     = session_context;
    END IF;
END $$
DELIMITER ;

DELIMITER $$
CREATE DEFINER = `evtrig_definer`@`localhost`
TRIGGER `shop`.`evtrig_7458f44cdbf1_u_1`
AFTER UPDATE ON `shop`.`orders`
FOR EACH ROW
capture: BEGIN
    -- Managed by evtrig: change the spec and run evtrig install, not this trigger.
    DECLARE before_key, after_key LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE before_row, after_row LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE before_redacted, after_redacted LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE before_excluded, after_excluded LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE session_context LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE transaction_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE is_off BOOLEAN DEFAULT FALSE;
    DECLARE salt CHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

    -- The next generation of this trigger, if there is one, has recorded the change and
    -- left a mark, which is good for this statement only.
    IF CAST(@evtrig_7458f44cdbf1_u_2 AS BINARY) = CONCAT('e1b89b49ae58d086', NOW(6)) THEN
        SET @evtrig_7458f44cdbf1_u_2 = NULL;
        LEAVE capture;
    END IF;

    -- Who and why, as the session says: a JSON object of at most 4096 characters,
    -- or nothing. Whatever is there, it must not make the write fail.
    -- MySQL may read a session variable with the type of an earlier value.
    BEGIN
        DECLARE EXIT HANDLER FOR SQLEXCEPTION SET session_context = NULL;
        IF CAST(@evtrig_context AS BINARY) IS NOT NULL THEN
            IF CHARSET(@evtrig_context) <> 'binary'
                AND CHAR_LENGTH(@evtrig_context) <= 4096
            THEN
                SET session_context = CONVERT(@evtrig_context USING utf8mb4);
            END IF;
            IF (
                JSON_VALID(session_context)
                AND JSON_TYPE(session_context) = 'OBJECT'
            ) IS NOT TRUE THEN
                SET session_context = NULL;
            END IF;
            SET session_context = CAST(CAST(session_context AS JSON) AS CHAR);
        END IF;
    END;
    SET session_context = JSON_SET(
        COALESCE(session_context, '{}'), '$.db_user', USER()
    );

    -- A bulk job has switched recording off: one gap event for each of its
    -- transactions says so, or for each statement where the server cannot tell
    -- transactions apart. It is looked for every time, because ROLLBACK TO SAVEPOINT
    -- takes it along.
    BEGIN
        DECLARE EXIT HANDLER FOR SQLEXCEPTION SET is_off = FALSE;
        SET is_off = CAST(@evtrig_off AS BINARY) = 'nightly-import';
    END;
    IF is_off THEN
        -- The time sets a restarted server's transactions apart. NULL while the server
        -- does not watch transactions.
        SET transaction_id = (
            SELECT CONCAT(
                `current`.`THREAD_ID`, '-',
                `current`.`EVENT_ID`, '-',
                `current`.`TIMER_START`
            )
            FROM `performance_schema`.`threads` AS `thread`
            JOIN `performance_schema`.`events_transactions_current` AS `current`
                ON `current`.`THREAD_ID` = `thread`.`THREAD_ID`
            WHERE
                `thread`.`PROCESSLIST_ID` = CONNECTION_ID()
                AND `current`.`STATE` = 'ACTIVE'
        );
        IF NOT EXISTS (
            SELECT 1
            FROM `evtrig`.`events`
            WHERE
                -- Whatever the session has put there: only a number is looked up.
                `id` = IF(
                    CONVERT(CAST(@evtrig_7458f44cdbf1_gap AS BINARY) USING latin1)
                        REGEXP '^[0-9]{1,18}$',
                    CAST(
                        CONVERT(CAST(@evtrig_7458f44cdbf1_gap AS BINARY) USING latin1)
                        AS UNSIGNED
                    ),
                    0
                )
                AND `type` = 'orders.gap'
                AND (`transaction` = transaction_id OR `captured_at` = UTC_TIMESTAMP(6))
        ) THEN
            INSERT INTO `evtrig`.`events`
            SET
                `uid`         = UUID_SHORT(),
                `type`        = 'orders.gap',
                `source`      = 'shop.orders',
                `operation`   = 'gap',
                `captured_at` = UTC_TIMESTAMP(6),
                `key`         = '{}',
                `before`      = NULL,
                `after`       = NULL,
                `transaction` = transaction_id,
                `context`     = session_context;
            SET @evtrig_7458f44cdbf1_gap = LAST_INSERT_ID();
        END IF;
        LEAVE capture;
    END IF;

    -- Without it the hash of a telephone number would be undone by trying them all.
    SET salt = (SELECT `value` FROM `evtrig`.`salts` WHERE `name` = 'default');

    SET before_row = JSON_OBJECT(
          'id',                OLD.`id`
        , 'status',            OLD.`status`
        , 'email',             SHA2(CONCAT(salt, OLD.`email`), 256)
        , 'card',              CONCAT('****', RIGHT(OLD.`card`, IF(CHAR_LENGTH(OLD.`card`) >= 8, 4, 0)))
        , 'birthday',          NULL
        , 'comment',           LEFT(OLD.`comment`, 80)
        , 'updated_at',        CAST(TIMESTAMP'1970-01-01 00:00:00' + INTERVAL UNIX_TIMESTAMP(OLD.`updated_at`) SECOND AS CHAR)
    );
    SET after_row = JSON_OBJECT(
          'id',                NEW.`id`
        , 'status',            NEW.`status`
        , 'email',             SHA2(CONCAT(salt, NEW.`email`), 256)
        , 'card',              CONCAT('****', RIGHT(NEW.`card`, IF(CHAR_LENGTH(NEW.`card`) >= 8, 4, 0)))
        , 'birthday',          NULL
        , 'comment',           LEFT(NEW.`comment`, 80)
        , 'updated_at',        CAST(TIMESTAMP'1970-01-01 00:00:00' + INTERVAL UNIX_TIMESTAMP(NEW.`updated_at`) SECOND AS CHAR)
    );
    SET before_redacted = JSON_OBJECT(
          'email',             OLD.`email`
        , 'card',              OLD.`card`
        , 'birthday',          CAST(OLD.`birthday` AS CHAR)
        , 'password',          REPLACE(TO_BASE64(OLD.`password`), CHAR(10 USING utf8mb4), '')
        , 'comment',           OLD.`comment`
    );
    SET after_redacted = JSON_OBJECT(
          'email',             NEW.`email`
        , 'card',              NEW.`card`
        , 'birthday',          CAST(NEW.`birthday` AS CHAR)
        , 'password',          REPLACE(TO_BASE64(NEW.`password`), CHAR(10 USING utf8mb4), '')
        , 'comment',           NEW.`comment`
    );
    SET before_excluded = JSON_OBJECT(
          'internal_note',     OLD.`internal_note`
    );
    SET after_excluded = JSON_OBJECT(
          'internal_note',     NEW.`internal_note`
    );

    -- An update that changes nothing is no event. Compared as text, byte for byte:
    -- case, trailing spaces and the last bit of a float are changes.
    IF before_row <=> after_row
        AND before_redacted <=> after_redacted
        AND before_excluded <=> after_excluded
    THEN
        LEAVE capture;
    END IF;

    SET before_key = JSON_OBJECT(
          'id',                OLD.`id`
    );
    SET after_key = JSON_OBJECT(
          'id',                NEW.`id`
    );

    -- The time sets a restarted server's transactions apart. NULL while the server
    -- does not watch transactions.
    SET transaction_id = (
        SELECT CONCAT(
            `current`.`THREAD_ID`, '-',
            `current`.`EVENT_ID`, '-',
            `current`.`TIMER_START`
        )
        FROM `performance_schema`.`threads` AS `thread`
        JOIN `performance_schema`.`events_transactions_current` AS `current`
            ON `current`.`THREAD_ID` = `thread`.`THREAD_ID`
        WHERE
            `thread`.`PROCESSLIST_ID` = CONNECTION_ID()
            AND `current`.`STATE` = 'ACTIVE'
    );

    IF NOT (before_row <=> after_row AND before_redacted <=> after_redacted)
        AND (NEW.`status` <> 'new' OR OLD.`status` <> 'new')
    THEN
        IF before_key <=> after_key THEN
            INSERT INTO `evtrig`.`events`
            SET
                `uid`         = UUID_SHORT(),
                `type`        = 'orders.update',
                `source`      = 'shop.orders',
                `operation`   = 'update',
                `captured_at` = UTC_TIMESTAMP(6),
                `key`         = after_key,
                `before`      = before_row,
                `after`       = after_row,
                `transaction` = transaction_id,
                `context`     = session_context;
        ELSE
            -- Under its old key the row is gone, and under the new one it has come: two
            -- events, so that each is in order with the other changes of its key.
            INSERT INTO `evtrig`.`events`
            SET
                `uid`         = UUID_SHORT(),
                `type`        = 'orders.delete',
                `source`      = 'shop.orders',
                `operation`   = 'delete',
                `captured_at` = UTC_TIMESTAMP(6),
                `key`         = before_key,
                `before`      = before_row,
                `after`       = NULL,
                `transaction` = transaction_id,
                `context`     = session_context;

            INSERT INTO `evtrig`.`events`
            SET
                `uid`         = UUID_SHORT(),
                `type`        = 'orders.insert',
                `source`      = 'shop.orders',
                `operation`   = 'insert',
                `captured_at` = UTC_TIMESTAMP(6),
                `key`         = after_key,
                `before`      = NULL,
                `after`       = after_row,
                `transaction` = transaction_id,
                `context`     = session_context;
        END IF;
    END IF;

    IF NEW.`status` = 'shipped' AND OLD.`status` <> 'shipped' THEN
        INSERT INTO `evtrig`.`events`
        SET
            `uid`         = UUID_SHORT(),
            `type`        = 'OrderShipped',
            `source`      = 'shop.orders',
            `operation`   = 'update',
            `captured_at` = UTC_TIMESTAMP(6),
            `key`         = after_key,
            `before`      = NULL,
            `after`       = JSON_OBJECT(
                  'order_id',          NEW.`id`
                , 'shipped_at',        CAST(TIMESTAMP'1970-01-01 00:00:00' + INTERVAL UNIX_TIMESTAMP(NEW.`updated_at`) SECOND AS CHAR)
                , 'customer',          SHA2(CONCAT(salt, NEW.`email`), 256)
                , 'was_paid',          (OLD.`status` = 'paid')
            ),
            `transaction` = transaction_id,
            `context`     = session_context;
    END IF;

    IF NEW.`internal_note` IS NOT NULL THEN
        INSERT INTO `evtrig`.`events`
        SET
            `uid`         = UUID_SHORT(),
            `type`        = 'NoteWritten',
            `source`      = 'shop.orders',
            `operation`   = 'update',
            `captured_at` = UTC_TIMESTAMP(6),
            `key`         = after_key,
            `before`      = NULL,
            `after`       = JSON_OBJECT(),
            `transaction` = transaction_id,
            `context`     = session_context;
    END IF;
END $$
DELIMITER ;

DELIMITER $$
CREATE DEFINER = `evtrig_definer`@`localhost`
TRIGGER `shop`.`evtrig_7458f44cdbf1_d_1`
AFTER DELETE ON `shop`.`orders`
FOR EACH ROW
capture: BEGIN
    -- Managed by evtrig: change the spec and run evtrig install, not this trigger.
    DECLARE session_context LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE transaction_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE is_off BOOLEAN DEFAULT FALSE;
    DECLARE salt CHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

    -- The next generation of this trigger, if there is one, has recorded the change and
    -- left a mark, which is good for this statement only.
    IF CAST(@evtrig_7458f44cdbf1_d_2 AS BINARY) = CONCAT('80a439acd9014030', NOW(6)) THEN
        SET @evtrig_7458f44cdbf1_d_2 = NULL;
        LEAVE capture;
    END IF;

    -- Who and why, as the session says: a JSON object of at most 4096 characters,
    -- or nothing. Whatever is there, it must not make the write fail.
    -- MySQL may read a session variable with the type of an earlier value.
    BEGIN
        DECLARE EXIT HANDLER FOR SQLEXCEPTION SET session_context = NULL;
        IF CAST(@evtrig_context AS BINARY) IS NOT NULL THEN
            IF CHARSET(@evtrig_context) <> 'binary'
                AND CHAR_LENGTH(@evtrig_context) <= 4096
            THEN
                SET session_context = CONVERT(@evtrig_context USING utf8mb4);
            END IF;
            IF (
                JSON_VALID(session_context)
                AND JSON_TYPE(session_context) = 'OBJECT'
            ) IS NOT TRUE THEN
                SET session_context = NULL;
            END IF;
            SET session_context = CAST(CAST(session_context AS JSON) AS CHAR);
        END IF;
    END;
    SET session_context = JSON_SET(
        COALESCE(session_context, '{}'), '$.db_user', USER()
    );

    -- A bulk job has switched recording off: one gap event for each of its
    -- transactions says so, or for each statement where the server cannot tell
    -- transactions apart. It is looked for every time, because ROLLBACK TO SAVEPOINT
    -- takes it along.
    BEGIN
        DECLARE EXIT HANDLER FOR SQLEXCEPTION SET is_off = FALSE;
        SET is_off = CAST(@evtrig_off AS BINARY) = 'nightly-import';
    END;
    IF is_off THEN
        -- The time sets a restarted server's transactions apart. NULL while the server
        -- does not watch transactions.
        SET transaction_id = (
            SELECT CONCAT(
                `current`.`THREAD_ID`, '-',
                `current`.`EVENT_ID`, '-',
                `current`.`TIMER_START`
            )
            FROM `performance_schema`.`threads` AS `thread`
            JOIN `performance_schema`.`events_transactions_current` AS `current`
                ON `current`.`THREAD_ID` = `thread`.`THREAD_ID`
            WHERE
                `thread`.`PROCESSLIST_ID` = CONNECTION_ID()
                AND `current`.`STATE` = 'ACTIVE'
        );
        IF NOT EXISTS (
            SELECT 1
            FROM `evtrig`.`events`
            WHERE
                -- Whatever the session has put there: only a number is looked up.
                `id` = IF(
                    CONVERT(CAST(@evtrig_7458f44cdbf1_gap AS BINARY) USING latin1)
                        REGEXP '^[0-9]{1,18}$',
                    CAST(
                        CONVERT(CAST(@evtrig_7458f44cdbf1_gap AS BINARY) USING latin1)
                        AS UNSIGNED
                    ),
                    0
                )
                AND `type` = 'orders.gap'
                AND (`transaction` = transaction_id OR `captured_at` = UTC_TIMESTAMP(6))
        ) THEN
            INSERT INTO `evtrig`.`events`
            SET
                `uid`         = UUID_SHORT(),
                `type`        = 'orders.gap',
                `source`      = 'shop.orders',
                `operation`   = 'gap',
                `captured_at` = UTC_TIMESTAMP(6),
                `key`         = '{}',
                `before`      = NULL,
                `after`       = NULL,
                `transaction` = transaction_id,
                `context`     = session_context;
            SET @evtrig_7458f44cdbf1_gap = LAST_INSERT_ID();
        END IF;
        LEAVE capture;
    END IF;

    -- Without it the hash of a telephone number would be undone by trying them all.
    SET salt = (SELECT `value` FROM `evtrig`.`salts` WHERE `name` = 'default');

    -- The time sets a restarted server's transactions apart. NULL while the server
    -- does not watch transactions.
    SET transaction_id = (
        SELECT CONCAT(
            `current`.`THREAD_ID`, '-',
            `current`.`EVENT_ID`, '-',
            `current`.`TIMER_START`
        )
        FROM `performance_schema`.`threads` AS `thread`
        JOIN `performance_schema`.`events_transactions_current` AS `current`
            ON `current`.`THREAD_ID` = `thread`.`THREAD_ID`
        WHERE
            `thread`.`PROCESSLIST_ID` = CONNECTION_ID()
            AND `current`.`STATE` = 'ACTIVE'
    );

    IF OLD.`status` <> 'new' THEN
        INSERT INTO `evtrig`.`events`
        SET
            `uid`         = UUID_SHORT(),
            `type`        = 'orders.delete',
            `source`      = 'shop.orders',
            `operation`   = 'delete',
            `captured_at` = UTC_TIMESTAMP(6),
            `key`         = JSON_OBJECT(
                  'id',                OLD.`id`
            ),
            `before`      = JSON_OBJECT(
                  'id',                OLD.`id`
                , 'status',            OLD.`status`
                , 'email',             SHA2(CONCAT(salt, OLD.`email`), 256)
                , 'card',              CONCAT('****', RIGHT(OLD.`card`, IF(CHAR_LENGTH(OLD.`card`) >= 8, 4, 0)))
                , 'birthday',          NULL
                , 'comment',           LEFT(OLD.`comment`, 80)
                , 'updated_at',        CAST(TIMESTAMP'1970-01-01 00:00:00' + INTERVAL UNIX_TIMESTAMP(OLD.`updated_at`) SECOND AS CHAR)
            ),
            `after`       = NULL,
            `transaction` = transaction_id,
            `context`     = session_context;
    END IF;

    INSERT INTO `evtrig`.`events`
    SET
        `uid`         = UUID_SHORT(),
        `type`        = 'OrderForgotten',
        `source`      = 'shop.orders',
        `operation`   = 'delete',
        `captured_at` = UTC_TIMESTAMP(6),
        `key`         = JSON_OBJECT(
              'id',                OLD.`id`
        ),
        `before`      = NULL,
        `after`       = JSON_OBJECT(),
        `transaction` = transaction_id,
        `context`     = session_context;
END $$
DELIMITER ;

-- shop.customers

DELIMITER $$
CREATE DEFINER = `evtrig_definer`@`localhost`
TRIGGER `shop`.`evtrig_fe8afeaace68_i_1`
AFTER INSERT ON `shop`.`customers`
FOR EACH ROW
capture: BEGIN
    -- Managed by evtrig: change the spec and run evtrig install, not this trigger.
    DECLARE session_context LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE transaction_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE is_off BOOLEAN DEFAULT FALSE;

    -- The next generation of this trigger, if there is one, has recorded the change and
    -- left a mark, which is good for this statement only.
    IF CAST(@evtrig_fe8afeaace68_i_2 AS BINARY) = CONCAT('759bb47e64ae35c2', NOW(6)) THEN
        SET @evtrig_fe8afeaace68_i_2 = NULL;
        LEAVE capture;
    END IF;

    -- Who and why, as the session says: a JSON object of at most 4096 characters,
    -- or nothing. Whatever is there, it must not make the write fail.
    -- MySQL may read a session variable with the type of an earlier value.
    BEGIN
        DECLARE EXIT HANDLER FOR SQLEXCEPTION SET session_context = NULL;
        IF CAST(@evtrig_context AS BINARY) IS NOT NULL THEN
            IF CHARSET(@evtrig_context) <> 'binary'
                AND CHAR_LENGTH(@evtrig_context) <= 4096
            THEN
                SET session_context = CONVERT(@evtrig_context USING utf8mb4);
            END IF;
            IF (
                JSON_VALID(session_context)
                AND JSON_TYPE(session_context) = 'OBJECT'
            ) IS NOT TRUE THEN
                SET session_context = NULL;
            END IF;
            SET session_context = CAST(CAST(session_context AS JSON) AS CHAR);
        END IF;
    END;

    -- A bulk job has switched recording off: one gap event for each of its
    -- transactions says so, or for each statement where the server cannot tell
    -- transactions apart. It is looked for every time, because ROLLBACK TO SAVEPOINT
    -- takes it along.
    BEGIN
        DECLARE EXIT HANDLER FOR SQLEXCEPTION SET is_off = FALSE;
        SET is_off = CAST(@evtrig_off AS BINARY) = 'nightly-import';
    END;
    IF is_off THEN
        -- The time sets a restarted server's transactions apart. NULL while the server
        -- does not watch transactions.
        SET transaction_id = (
            SELECT CONCAT(
                `current`.`THREAD_ID`, '-',
                `current`.`EVENT_ID`, '-',
                `current`.`TIMER_START`
            )
            FROM `performance_schema`.`threads` AS `thread`
            JOIN `performance_schema`.`events_transactions_current` AS `current`
                ON `current`.`THREAD_ID` = `thread`.`THREAD_ID`
            WHERE
                `thread`.`PROCESSLIST_ID` = CONNECTION_ID()
                AND `current`.`STATE` = 'ACTIVE'
        );
        IF NOT EXISTS (
            SELECT 1
            FROM `evtrig`.`events`
            WHERE
                -- Whatever the session has put there: only a number is looked up.
                `id` = IF(
                    CONVERT(CAST(@evtrig_fe8afeaace68_gap AS BINARY) USING latin1)
                        REGEXP '^[0-9]{1,18}$',
                    CAST(
                        CONVERT(CAST(@evtrig_fe8afeaace68_gap AS BINARY) USING latin1)
                        AS UNSIGNED
                    ),
                    0
                )
                AND `type` = 'customers.gap'
                AND (`transaction` = transaction_id OR `captured_at` = UTC_TIMESTAMP(6))
        ) THEN
            INSERT INTO `evtrig`.`events`
            SET
                `uid`         = UUID_SHORT(),
                `type`        = 'customers.gap',
                `source`      = 'shop.customers',
                `operation`   = 'gap',
                `captured_at` = UTC_TIMESTAMP(6),
                `key`         = '{}',
                `before`      = NULL,
                `after`       = NULL,
                `transaction` = transaction_id,
                `context`     = session_context;
            SET @evtrig_fe8afeaace68_gap = LAST_INSERT_ID();
        END IF;
        LEAVE capture;
    END IF;

    -- Only the changes that the spec asks for.
    IF (NEW.`email` LIKE '%@%') IS NOT TRUE THEN
        LEAVE capture;
    END IF;

    INSERT INTO `evtrig`.`events`
    SET
        `uid`         = UUID_SHORT(),
        `type`        = 'customers.insert',
        `source`      = 'shop.customers',
        `operation`   = 'insert',
        `captured_at` = UTC_TIMESTAMP(6),
        `key`         = JSON_OBJECT(
              'id',                NEW.`id`
        ),
        `before`      = NULL,
        `after`       = JSON_OBJECT(
              'id',                NEW.`id`
            , 'email',             CONCAT('****', RIGHT(NEW.`email`, IF(CHAR_LENGTH(NEW.`email`) >= 8, 4, 0)))
        ),
        `context`     = session_context;
END $$
DELIMITER ;

DELIMITER $$
CREATE DEFINER = `evtrig_definer`@`localhost`
TRIGGER `shop`.`evtrig_fe8afeaace68_u_1`
AFTER UPDATE ON `shop`.`customers`
FOR EACH ROW
capture: BEGIN
    -- Managed by evtrig: change the spec and run evtrig install, not this trigger.
    DECLARE before_key, after_key LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE before_row, after_row LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE before_redacted, after_redacted LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE session_context LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE transaction_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE is_off BOOLEAN DEFAULT FALSE;

    -- The next generation of this trigger, if there is one, has recorded the change and
    -- left a mark, which is good for this statement only.
    IF CAST(@evtrig_fe8afeaace68_u_2 AS BINARY) = CONCAT('1909508ea29596f5', NOW(6)) THEN
        SET @evtrig_fe8afeaace68_u_2 = NULL;
        LEAVE capture;
    END IF;

    -- Who and why, as the session says: a JSON object of at most 4096 characters,
    -- or nothing. Whatever is there, it must not make the write fail.
    -- MySQL may read a session variable with the type of an earlier value.
    BEGIN
        DECLARE EXIT HANDLER FOR SQLEXCEPTION SET session_context = NULL;
        IF CAST(@evtrig_context AS BINARY) IS NOT NULL THEN
            IF CHARSET(@evtrig_context) <> 'binary'
                AND CHAR_LENGTH(@evtrig_context) <= 4096
            THEN
                SET session_context = CONVERT(@evtrig_context USING utf8mb4);
            END IF;
            IF (
                JSON_VALID(session_context)
                AND JSON_TYPE(session_context) = 'OBJECT'
            ) IS NOT TRUE THEN
                SET session_context = NULL;
            END IF;
            SET session_context = CAST(CAST(session_context AS JSON) AS CHAR);
        END IF;
    END;

    -- A bulk job has switched recording off: one gap event for each of its
    -- transactions says so, or for each statement where the server cannot tell
    -- transactions apart. It is looked for every time, because ROLLBACK TO SAVEPOINT
    -- takes it along.
    BEGIN
        DECLARE EXIT HANDLER FOR SQLEXCEPTION SET is_off = FALSE;
        SET is_off = CAST(@evtrig_off AS BINARY) = 'nightly-import';
    END;
    IF is_off THEN
        -- The time sets a restarted server's transactions apart. NULL while the server
        -- does not watch transactions.
        SET transaction_id = (
            SELECT CONCAT(
                `current`.`THREAD_ID`, '-',
                `current`.`EVENT_ID`, '-',
                `current`.`TIMER_START`
            )
            FROM `performance_schema`.`threads` AS `thread`
            JOIN `performance_schema`.`events_transactions_current` AS `current`
                ON `current`.`THREAD_ID` = `thread`.`THREAD_ID`
            WHERE
                `thread`.`PROCESSLIST_ID` = CONNECTION_ID()
                AND `current`.`STATE` = 'ACTIVE'
        );
        IF NOT EXISTS (
            SELECT 1
            FROM `evtrig`.`events`
            WHERE
                -- Whatever the session has put there: only a number is looked up.
                `id` = IF(
                    CONVERT(CAST(@evtrig_fe8afeaace68_gap AS BINARY) USING latin1)
                        REGEXP '^[0-9]{1,18}$',
                    CAST(
                        CONVERT(CAST(@evtrig_fe8afeaace68_gap AS BINARY) USING latin1)
                        AS UNSIGNED
                    ),
                    0
                )
                AND `type` = 'customers.gap'
                AND (`transaction` = transaction_id OR `captured_at` = UTC_TIMESTAMP(6))
        ) THEN
            INSERT INTO `evtrig`.`events`
            SET
                `uid`         = UUID_SHORT(),
                `type`        = 'customers.gap',
                `source`      = 'shop.customers',
                `operation`   = 'gap',
                `captured_at` = UTC_TIMESTAMP(6),
                `key`         = '{}',
                `before`      = NULL,
                `after`       = NULL,
                `transaction` = transaction_id,
                `context`     = session_context;
            SET @evtrig_fe8afeaace68_gap = LAST_INSERT_ID();
        END IF;
        LEAVE capture;
    END IF;

    SET before_row = JSON_OBJECT(
          'id',                OLD.`id`
        , 'email',             CONCAT('****', RIGHT(OLD.`email`, IF(CHAR_LENGTH(OLD.`email`) >= 8, 4, 0)))
    );
    SET after_row = JSON_OBJECT(
          'id',                NEW.`id`
        , 'email',             CONCAT('****', RIGHT(NEW.`email`, IF(CHAR_LENGTH(NEW.`email`) >= 8, 4, 0)))
    );
    SET before_redacted = JSON_OBJECT(
          'email',             OLD.`email`
    );
    SET after_redacted = JSON_OBJECT(
          'email',             NEW.`email`
    );

    -- An update that changes nothing is no event. Compared as text, byte for byte:
    -- case, trailing spaces and the last bit of a float are changes.
    IF before_row <=> after_row
        AND before_redacted <=> after_redacted
    THEN
        LEAVE capture;
    END IF;

    SET before_key = JSON_OBJECT(
          'id',                OLD.`id`
    );
    SET after_key = JSON_OBJECT(
          'id',                NEW.`id`
    );

    IF before_key <=> after_key THEN
        INSERT INTO `evtrig`.`events`
        SET
            `uid`         = UUID_SHORT(),
            `type`        = 'customers.update',
            `source`      = 'shop.customers',
            `operation`   = 'update',
            `captured_at` = UTC_TIMESTAMP(6),
            `key`         = after_key,
            `before`      = before_row,
            `after`       = after_row,
            `context`     = session_context;
    ELSE
        -- Under its old key the row is gone, and under the new one it has come: two
        -- events, so that each is in order with the other changes of its key.
        INSERT INTO `evtrig`.`events`
        SET
            `uid`         = UUID_SHORT(),
            `type`        = 'customers.delete',
            `source`      = 'shop.customers',
            `operation`   = 'delete',
            `captured_at` = UTC_TIMESTAMP(6),
            `key`         = before_key,
            `before`      = before_row,
            `after`       = NULL,
            `context`     = session_context;

        INSERT INTO `evtrig`.`events`
        SET
            `uid`         = UUID_SHORT(),
            `type`        = 'customers.insert',
            `source`      = 'shop.customers',
            `operation`   = 'insert',
            `captured_at` = UTC_TIMESTAMP(6),
            `key`         = after_key,
            `before`      = NULL,
            `after`       = after_row,
            `context`     = session_context;
    END IF;
END $$
DELIMITER ;

DELIMITER $$
CREATE DEFINER = `evtrig_definer`@`localhost`
TRIGGER `shop`.`evtrig_fe8afeaace68_d_1`
AFTER DELETE ON `shop`.`customers`
FOR EACH ROW
capture: BEGIN
    -- Managed by evtrig: change the spec and run evtrig install, not this trigger.
    DECLARE session_context LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE transaction_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE is_off BOOLEAN DEFAULT FALSE;

    -- The next generation of this trigger, if there is one, has recorded the change and
    -- left a mark, which is good for this statement only.
    IF CAST(@evtrig_fe8afeaace68_d_2 AS BINARY) = CONCAT('1096d58a514b9cfe', NOW(6)) THEN
        SET @evtrig_fe8afeaace68_d_2 = NULL;
        LEAVE capture;
    END IF;

    -- Who and why, as the session says: a JSON object of at most 4096 characters,
    -- or nothing. Whatever is there, it must not make the write fail.
    -- MySQL may read a session variable with the type of an earlier value.
    BEGIN
        DECLARE EXIT HANDLER FOR SQLEXCEPTION SET session_context = NULL;
        IF CAST(@evtrig_context AS BINARY) IS NOT NULL THEN
            IF CHARSET(@evtrig_context) <> 'binary'
                AND CHAR_LENGTH(@evtrig_context) <= 4096
            THEN
                SET session_context = CONVERT(@evtrig_context USING utf8mb4);
            END IF;
            IF (
                JSON_VALID(session_context)
                AND JSON_TYPE(session_context) = 'OBJECT'
            ) IS NOT TRUE THEN
                SET session_context = NULL;
            END IF;
            SET session_context = CAST(CAST(session_context AS JSON) AS CHAR);
        END IF;
    END;

    -- A bulk job has switched recording off: one gap event for each of its
    -- transactions says so, or for each statement where the server cannot tell
    -- transactions apart. It is looked for every time, because ROLLBACK TO SAVEPOINT
    -- takes it along.
    BEGIN
        DECLARE EXIT HANDLER FOR SQLEXCEPTION SET is_off = FALSE;
        SET is_off = CAST(@evtrig_off AS BINARY) = 'nightly-import';
    END;
    IF is_off THEN
        -- The time sets a restarted server's transactions apart. NULL while the server
        -- does not watch transactions.
        SET transaction_id = (
            SELECT CONCAT(
                `current`.`THREAD_ID`, '-',
                `current`.`EVENT_ID`, '-',
                `current`.`TIMER_START`
            )
            FROM `performance_schema`.`threads` AS `thread`
            JOIN `performance_schema`.`events_transactions_current` AS `current`
                ON `current`.`THREAD_ID` = `thread`.`THREAD_ID`
            WHERE
                `thread`.`PROCESSLIST_ID` = CONNECTION_ID()
                AND `current`.`STATE` = 'ACTIVE'
        );
        IF NOT EXISTS (
            SELECT 1
            FROM `evtrig`.`events`
            WHERE
                -- Whatever the session has put there: only a number is looked up.
                `id` = IF(
                    CONVERT(CAST(@evtrig_fe8afeaace68_gap AS BINARY) USING latin1)
                        REGEXP '^[0-9]{1,18}$',
                    CAST(
                        CONVERT(CAST(@evtrig_fe8afeaace68_gap AS BINARY) USING latin1)
                        AS UNSIGNED
                    ),
                    0
                )
                AND `type` = 'customers.gap'
                AND (`transaction` = transaction_id OR `captured_at` = UTC_TIMESTAMP(6))
        ) THEN
            INSERT INTO `evtrig`.`events`
            SET
                `uid`         = UUID_SHORT(),
                `type`        = 'customers.gap',
                `source`      = 'shop.customers',
                `operation`   = 'gap',
                `captured_at` = UTC_TIMESTAMP(6),
                `key`         = '{}',
                `before`      = NULL,
                `after`       = NULL,
                `transaction` = transaction_id,
                `context`     = session_context;
            SET @evtrig_fe8afeaace68_gap = LAST_INSERT_ID();
        END IF;
        LEAVE capture;
    END IF;

    INSERT INTO `evtrig`.`events`
    SET
        `uid`         = UUID_SHORT(),
        `type`        = 'customers.delete',
        `source`      = 'shop.customers',
        `operation`   = 'delete',
        `captured_at` = UTC_TIMESTAMP(6),
        `key`         = JSON_OBJECT(
              'id',                OLD.`id`
        ),
        `before`      = JSON_OBJECT(
              'id',                OLD.`id`
            , 'email',             CONCAT('****', RIGHT(OLD.`email`, IF(CHAR_LENGTH(OLD.`email`) >= 8, 4, 0)))
        ),
        `after`       = NULL,
        `context`     = session_context;
END $$
DELIMITER ;