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

-- shop.after_only

DELIMITER $$
CREATE DEFINER = CURRENT_USER
TRIGGER `shop`.`evtrig_4f3d8bcc678c_i_1`
AFTER INSERT ON `shop`.`after_only`
FOR EACH ROW
capture: BEGIN
    -- Managed by evtrig: change the spec and run evtrig install, not this trigger.
    DECLARE session_context LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

    -- The next generation of this trigger, if there is one, has recorded the change and
    -- left a mark, which is good for this statement only.
    IF CAST(@evtrig_4f3d8bcc678c_i_2 AS BINARY) = CONCAT('915c118463e12428', NOW(6)) THEN
        SET @evtrig_4f3d8bcc678c_i_2 = NULL;
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

    INSERT INTO `evtrig`.`events`
    SET
        `uid`         = UUID_SHORT(),
        `type`        = 'after_only.insert',
        `source`      = 'shop.after_only',
        `operation`   = 'insert',
        `captured_at` = UTC_TIMESTAMP(6),
        `key`         = JSON_OBJECT(
              'id',                NEW.`id`
        ),
        `before`      = NULL,
        `after`       = JSON_OBJECT(
              'id',                NEW.`id`
            , 'name',              NEW.`name`
        ),
        `context`     = session_context;
END $$
DELIMITER ;

DELIMITER $$
CREATE DEFINER = CURRENT_USER
TRIGGER `shop`.`evtrig_4f3d8bcc678c_u_1`
AFTER UPDATE ON `shop`.`after_only`
FOR EACH ROW
capture: BEGIN
    -- Managed by evtrig: change the spec and run evtrig install, not this trigger.
    DECLARE before_key, after_key LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE before_row, after_row LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE session_context LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

    -- The next generation of this trigger, if there is one, has recorded the change and
    -- left a mark, which is good for this statement only.
    IF CAST(@evtrig_4f3d8bcc678c_u_2 AS BINARY) = CONCAT('2cda95624862c96f', NOW(6)) THEN
        SET @evtrig_4f3d8bcc678c_u_2 = NULL;
        LEAVE capture;
    END IF;

    SET before_row = JSON_OBJECT(
          'id',                OLD.`id`
        , 'name',              OLD.`name`
    );
    SET after_row = JSON_OBJECT(
          'id',                NEW.`id`
        , 'name',              NEW.`name`
    );

    -- An update that changes nothing is no event. Compared as text, byte for byte:
    -- case, trailing spaces and the last bit of a float are changes.
    IF before_row <=> after_row THEN
        LEAVE capture;
    END IF;

    SET before_key = JSON_OBJECT(
          'id',                OLD.`id`
    );
    SET after_key = JSON_OBJECT(
          'id',                NEW.`id`
    );

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

    IF before_key <=> after_key THEN
        INSERT INTO `evtrig`.`events`
        SET
            `uid`         = UUID_SHORT(),
            `type`        = 'after_only.update',
            `source`      = 'shop.after_only',
            `operation`   = 'update',
            `captured_at` = UTC_TIMESTAMP(6),
            `key`         = after_key,
            `before`      = NULL,
            `after`       = after_row,
            `context`     = session_context;
    ELSE
        -- Under its old key the row is gone, and under the new one it has come: two
        -- events, so that each is in order with the other changes of its key.
        INSERT INTO `evtrig`.`events`
        SET
            `uid`         = UUID_SHORT(),
            `type`        = 'after_only.delete',
            `source`      = 'shop.after_only',
            `operation`   = 'delete',
            `captured_at` = UTC_TIMESTAMP(6),
            `key`         = before_key,
            `before`      = NULL,
            `after`       = NULL,
            `context`     = session_context;

        INSERT INTO `evtrig`.`events`
        SET
            `uid`         = UUID_SHORT(),
            `type`        = 'after_only.insert',
            `source`      = 'shop.after_only',
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
CREATE DEFINER = CURRENT_USER
TRIGGER `shop`.`evtrig_4f3d8bcc678c_d_1`
AFTER DELETE ON `shop`.`after_only`
FOR EACH ROW
capture: BEGIN
    -- Managed by evtrig: change the spec and run evtrig install, not this trigger.
    DECLARE session_context LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

    -- The next generation of this trigger, if there is one, has recorded the change and
    -- left a mark, which is good for this statement only.
    IF CAST(@evtrig_4f3d8bcc678c_d_2 AS BINARY) = CONCAT('7153b18701c848a7', NOW(6)) THEN
        SET @evtrig_4f3d8bcc678c_d_2 = NULL;
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

    INSERT INTO `evtrig`.`events`
    SET
        `uid`         = UUID_SHORT(),
        `type`        = 'after_only.delete',
        `source`      = 'shop.after_only',
        `operation`   = 'delete',
        `captured_at` = UTC_TIMESTAMP(6),
        `key`         = JSON_OBJECT(
              'id',                OLD.`id`
        ),
        `before`      = NULL,
        `after`       = NULL,
        `context`     = session_context;
END $$
DELIMITER ;

-- shop.key_only

DELIMITER $$
CREATE DEFINER = CURRENT_USER
TRIGGER `shop`.`evtrig_2b8116d16414_i_1`
AFTER INSERT ON `shop`.`key_only`
FOR EACH ROW
capture: BEGIN
    -- Managed by evtrig: change the spec and run evtrig install, not this trigger.
    DECLARE session_context LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

    -- The next generation of this trigger, if there is one, has recorded the change and
    -- left a mark, which is good for this statement only.
    IF CAST(@evtrig_2b8116d16414_i_2 AS BINARY) = CONCAT('509caee4ab9db5c3', NOW(6)) THEN
        SET @evtrig_2b8116d16414_i_2 = NULL;
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

    INSERT INTO `evtrig`.`events`
    SET
        `uid`         = UUID_SHORT(),
        `type`        = 'key_only.insert',
        `source`      = 'shop.key_only',
        `operation`   = 'insert',
        `captured_at` = UTC_TIMESTAMP(6),
        `key`         = JSON_OBJECT(
              'id',                NEW.`id`
        ),
        `before`      = NULL,
        `after`       = NULL,
        `context`     = session_context;
END $$
DELIMITER ;

DELIMITER $$
CREATE DEFINER = CURRENT_USER
TRIGGER `shop`.`evtrig_2b8116d16414_u_1`
AFTER UPDATE ON `shop`.`key_only`
FOR EACH ROW
capture: BEGIN
    -- Managed by evtrig: change the spec and run evtrig install, not this trigger.
    DECLARE before_key, after_key LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE before_row, after_row LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE session_context LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

    -- The next generation of this trigger, if there is one, has recorded the change and
    -- left a mark, which is good for this statement only.
    IF CAST(@evtrig_2b8116d16414_u_2 AS BINARY) = CONCAT('9829d68b7f04a068', NOW(6)) THEN
        SET @evtrig_2b8116d16414_u_2 = NULL;
        LEAVE capture;
    END IF;

    SET before_row = JSON_OBJECT(
          'id',                OLD.`id`
        , 'name',              OLD.`name`
    );
    SET after_row = JSON_OBJECT(
          'id',                NEW.`id`
        , 'name',              NEW.`name`
    );

    -- An update that changes nothing is no event. Compared as text, byte for byte:
    -- case, trailing spaces and the last bit of a float are changes.
    IF before_row <=> after_row THEN
        LEAVE capture;
    END IF;

    SET before_key = JSON_OBJECT(
          'id',                OLD.`id`
    );
    SET after_key = JSON_OBJECT(
          'id',                NEW.`id`
    );

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

    IF before_key <=> after_key THEN
        INSERT INTO `evtrig`.`events`
        SET
            `uid`         = UUID_SHORT(),
            `type`        = 'key_only.update',
            `source`      = 'shop.key_only',
            `operation`   = 'update',
            `captured_at` = UTC_TIMESTAMP(6),
            `key`         = after_key,
            `before`      = NULL,
            `after`       = NULL,
            `context`     = session_context;
    ELSE
        -- Under its old key the row is gone, and under the new one it has come: two
        -- events, so that each is in order with the other changes of its key.
        INSERT INTO `evtrig`.`events`
        SET
            `uid`         = UUID_SHORT(),
            `type`        = 'key_only.delete',
            `source`      = 'shop.key_only',
            `operation`   = 'delete',
            `captured_at` = UTC_TIMESTAMP(6),
            `key`         = before_key,
            `before`      = NULL,
            `after`       = NULL,
            `context`     = session_context;

        INSERT INTO `evtrig`.`events`
        SET
            `uid`         = UUID_SHORT(),
            `type`        = 'key_only.insert',
            `source`      = 'shop.key_only',
            `operation`   = 'insert',
            `captured_at` = UTC_TIMESTAMP(6),
            `key`         = after_key,
            `before`      = NULL,
            `after`       = NULL,
            `context`     = session_context;
    END IF;
END $$
DELIMITER ;

DELIMITER $$
CREATE DEFINER = CURRENT_USER
TRIGGER `shop`.`evtrig_2b8116d16414_d_1`
AFTER DELETE ON `shop`.`key_only`
FOR EACH ROW
capture: BEGIN
    -- Managed by evtrig: change the spec and run evtrig install, not this trigger.
    DECLARE session_context LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

    -- The next generation of this trigger, if there is one, has recorded the change and
    -- left a mark, which is good for this statement only.
    IF CAST(@evtrig_2b8116d16414_d_2 AS BINARY) = CONCAT('4501e31e1bc8591d', NOW(6)) THEN
        SET @evtrig_2b8116d16414_d_2 = NULL;
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

    INSERT INTO `evtrig`.`events`
    SET
        `uid`         = UUID_SHORT(),
        `type`        = 'key_only.delete',
        `source`      = 'shop.key_only',
        `operation`   = 'delete',
        `captured_at` = UTC_TIMESTAMP(6),
        `key`         = JSON_OBJECT(
              'id',                OLD.`id`
        ),
        `before`      = NULL,
        `after`       = NULL,
        `context`     = session_context;
END $$
DELIMITER ;

-- shop.excluded

DELIMITER $$
CREATE DEFINER = CURRENT_USER
TRIGGER `shop`.`evtrig_d9b08e78042a_i_1`
AFTER INSERT ON `shop`.`excluded`
FOR EACH ROW
capture: BEGIN
    -- Managed by evtrig: change the spec and run evtrig install, not this trigger.
    DECLARE session_context LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

    -- The next generation of this trigger, if there is one, has recorded the change and
    -- left a mark, which is good for this statement only.
    IF CAST(@evtrig_d9b08e78042a_i_2 AS BINARY) = CONCAT('f938fa2854e0c1a9', NOW(6)) THEN
        SET @evtrig_d9b08e78042a_i_2 = NULL;
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

    INSERT INTO `evtrig`.`events`
    SET
        `uid`         = UUID_SHORT(),
        `type`        = 'excluded.insert',
        `source`      = 'shop.excluded',
        `operation`   = 'insert',
        `captured_at` = UTC_TIMESTAMP(6),
        `key`         = JSON_OBJECT(
              'id',                NEW.`id`
        ),
        `before`      = NULL,
        `after`       = JSON_OBJECT(
              'id',                NEW.`id`
            , 'name',              NEW.`name`
        ),
        `context`     = session_context;
END $$
DELIMITER ;

DELIMITER $$
CREATE DEFINER = CURRENT_USER
TRIGGER `shop`.`evtrig_d9b08e78042a_u_1`
AFTER UPDATE ON `shop`.`excluded`
FOR EACH ROW
capture: BEGIN
    -- Managed by evtrig: change the spec and run evtrig install, not this trigger.
    DECLARE before_key, after_key LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE before_row, after_row LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE session_context LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

    -- The next generation of this trigger, if there is one, has recorded the change and
    -- left a mark, which is good for this statement only.
    IF CAST(@evtrig_d9b08e78042a_u_2 AS BINARY) = CONCAT('1b74c0bdefc5f2c9', NOW(6)) THEN
        SET @evtrig_d9b08e78042a_u_2 = NULL;
        LEAVE capture;
    END IF;

    SET before_row = JSON_OBJECT(
          'id',                OLD.`id`
        , 'name',              OLD.`name`
    );
    SET after_row = JSON_OBJECT(
          'id',                NEW.`id`
        , 'name',              NEW.`name`
    );

    -- An update that changes nothing is no event. Compared as text, byte for byte:
    -- case, trailing spaces and the last bit of a float are changes.
    IF before_row <=> after_row THEN
        LEAVE capture;
    END IF;

    SET before_key = JSON_OBJECT(
          'id',                OLD.`id`
    );
    SET after_key = JSON_OBJECT(
          'id',                NEW.`id`
    );

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

    IF before_key <=> after_key THEN
        INSERT INTO `evtrig`.`events`
        SET
            `uid`         = UUID_SHORT(),
            `type`        = 'excluded.update',
            `source`      = 'shop.excluded',
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
            `type`        = 'excluded.delete',
            `source`      = 'shop.excluded',
            `operation`   = 'delete',
            `captured_at` = UTC_TIMESTAMP(6),
            `key`         = before_key,
            `before`      = before_row,
            `after`       = NULL,
            `context`     = session_context;

        INSERT INTO `evtrig`.`events`
        SET
            `uid`         = UUID_SHORT(),
            `type`        = 'excluded.insert',
            `source`      = 'shop.excluded',
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
CREATE DEFINER = CURRENT_USER
TRIGGER `shop`.`evtrig_d9b08e78042a_d_1`
AFTER DELETE ON `shop`.`excluded`
FOR EACH ROW
capture: BEGIN
    -- Managed by evtrig: change the spec and run evtrig install, not this trigger.
    DECLARE session_context LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

    -- The next generation of this trigger, if there is one, has recorded the change and
    -- left a mark, which is good for this statement only.
    IF CAST(@evtrig_d9b08e78042a_d_2 AS BINARY) = CONCAT('abc9bf73279fee92', NOW(6)) THEN
        SET @evtrig_d9b08e78042a_d_2 = NULL;
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

    INSERT INTO `evtrig`.`events`
    SET
        `uid`         = UUID_SHORT(),
        `type`        = 'excluded.delete',
        `source`      = 'shop.excluded',
        `operation`   = 'delete',
        `captured_at` = UTC_TIMESTAMP(6),
        `key`         = JSON_OBJECT(
              'id',                OLD.`id`
        ),
        `before`      = JSON_OBJECT(
              'id',                OLD.`id`
            , 'name',              OLD.`name`
        ),
        `after`       = NULL,
        `context`     = session_context;
END $$
DELIMITER ;

-- shop.composite

DELIMITER $$
CREATE DEFINER = CURRENT_USER
TRIGGER `shop`.`evtrig_2b24030a211e_i_1`
AFTER INSERT ON `shop`.`composite`
FOR EACH ROW
capture: BEGIN
    -- Managed by evtrig: change the spec and run evtrig install, not this trigger.
    DECLARE session_context LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

    -- The next generation of this trigger, if there is one, has recorded the change and
    -- left a mark, which is good for this statement only.
    IF CAST(@evtrig_2b24030a211e_i_2 AS BINARY) = CONCAT('b487a823aa65075e', NOW(6)) THEN
        SET @evtrig_2b24030a211e_i_2 = NULL;
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

    INSERT INTO `evtrig`.`events`
    SET
        `uid`         = UUID_SHORT(),
        `type`        = 'composite.insert',
        `source`      = 'shop.composite',
        `operation`   = 'insert',
        `captured_at` = UTC_TIMESTAMP(6),
        `key`         = JSON_OBJECT(
              'order_id',          NEW.`order_id`
            , 'line',              NEW.`line`
        ),
        `before`      = NULL,
        `after`       = JSON_OBJECT(
              'order_id',          NEW.`order_id`
            , 'line',              NEW.`line`
            , 'quantity',          NEW.`quantity`
        ),
        `context`     = session_context;
END $$
DELIMITER ;

DELIMITER $$
CREATE DEFINER = CURRENT_USER
TRIGGER `shop`.`evtrig_2b24030a211e_d_1`
AFTER DELETE ON `shop`.`composite`
FOR EACH ROW
capture: BEGIN
    -- Managed by evtrig: change the spec and run evtrig install, not this trigger.
    DECLARE session_context LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

    -- The next generation of this trigger, if there is one, has recorded the change and
    -- left a mark, which is good for this statement only.
    IF CAST(@evtrig_2b24030a211e_d_2 AS BINARY) = CONCAT('522b7c3519db0f62', NOW(6)) THEN
        SET @evtrig_2b24030a211e_d_2 = NULL;
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

    INSERT INTO `evtrig`.`events`
    SET
        `uid`         = UUID_SHORT(),
        `type`        = 'composite.delete',
        `source`      = 'shop.composite',
        `operation`   = 'delete',
        `captured_at` = UTC_TIMESTAMP(6),
        `key`         = JSON_OBJECT(
              'order_id',          OLD.`order_id`
            , 'line',              OLD.`line`
        ),
        `before`      = JSON_OBJECT(
              'order_id',          OLD.`order_id`
            , 'line',              OLD.`line`
            , 'quantity',          OLD.`quantity`
        ),
        `after`       = NULL,
        `context`     = session_context;
END $$
DELIMITER ;

-- shop.only_updates

DELIMITER $$
CREATE DEFINER = CURRENT_USER
TRIGGER `shop`.`evtrig_8c92e99b1815_u_1`
AFTER UPDATE ON `shop`.`only_updates`
FOR EACH ROW
capture: BEGIN
    -- Managed by evtrig: change the spec and run evtrig install, not this trigger.
    DECLARE before_key, after_key LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE before_row, after_row LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE session_context LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

    -- The next generation of this trigger, if there is one, has recorded the change and
    -- left a mark, which is good for this statement only.
    IF CAST(@evtrig_8c92e99b1815_u_2 AS BINARY) = CONCAT('06ed09447429e244', NOW(6)) THEN
        SET @evtrig_8c92e99b1815_u_2 = NULL;
        LEAVE capture;
    END IF;

    SET before_row = JSON_OBJECT(
          'id',                REPLACE(TO_BASE64(OLD.`id`), CHAR(10 USING utf8mb4), '')
        , 'name',              OLD.`name`
    );
    SET after_row = JSON_OBJECT(
          'id',                REPLACE(TO_BASE64(NEW.`id`), CHAR(10 USING utf8mb4), '')
        , 'name',              NEW.`name`
    );

    -- An update that changes nothing is no event. Compared as text, byte for byte:
    -- case, trailing spaces and the last bit of a float are changes.
    IF before_row <=> after_row THEN
        LEAVE capture;
    END IF;

    SET before_key = JSON_OBJECT(
          'id',                REPLACE(TO_BASE64(OLD.`id`), CHAR(10 USING utf8mb4), '')
    );
    SET after_key = JSON_OBJECT(
          'id',                REPLACE(TO_BASE64(NEW.`id`), CHAR(10 USING utf8mb4), '')
    );

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

    IF before_key <=> after_key THEN
        INSERT INTO `evtrig`.`events`
        SET
            `uid`         = UUID_SHORT(),
            `type`        = 'only_updates.update',
            `source`      = 'shop.only_updates',
            `operation`   = 'update',
            `captured_at` = UTC_TIMESTAMP(6),
            `key`         = after_key,
            `before`      = NULL,
            `after`       = after_row,
            `context`     = session_context;
    ELSE
        -- Under its old key the row is gone, and under the new one it has come: two
        -- events, so that each is in order with the other changes of its key.
        INSERT INTO `evtrig`.`events`
        SET
            `uid`         = UUID_SHORT(),
            `type`        = 'only_updates.delete',
            `source`      = 'shop.only_updates',
            `operation`   = 'delete',
            `captured_at` = UTC_TIMESTAMP(6),
            `key`         = before_key,
            `before`      = NULL,
            `after`       = NULL,
            `context`     = session_context;

        INSERT INTO `evtrig`.`events`
        SET
            `uid`         = UUID_SHORT(),
            `type`        = 'only_updates.insert',
            `source`      = 'shop.only_updates',
            `operation`   = 'insert',
            `captured_at` = UTC_TIMESTAMP(6),
            `key`         = after_key,
            `before`      = NULL,
            `after`       = after_row,
            `context`     = session_context;
    END IF;
END $$
DELIMITER ;