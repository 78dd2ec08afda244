-- Captures changes on MariaDB. Apply it with the mysql client, or run
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

CREATE USER IF NOT EXISTS `evtrig_definer`@`localhost` ACCOUNT LOCK;

GRANT INSERT ON `evtrig`.`events` TO `evtrig_definer`@`localhost`;
GRANT SELECT, TRIGGER ON `shop`.`customers` TO `evtrig_definer`@`localhost`;
GRANT SELECT, TRIGGER ON `shop`.`orders` TO `evtrig_definer`@`localhost`;

-- shop.customers

DELIMITER $$
CREATE DEFINER = `evtrig_definer`@`localhost`
TRIGGER `shop`.`evtrig_fe8afeaace68_i_1`
AFTER INSERT ON `shop`.`customers`
FOR EACH ROW
capture: BEGIN
    -- Managed by evtrig: change the spec and run evtrig install, not this trigger.
    DECLARE session_context LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

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
                AND session_context REGEXP REPLACE(
                    CONCAT(
                        '^(?:"(?:[^"~~]++|~~["~~/bfnrtu])*+"',
                        '|-?[0-9]++(?:[.][0-9]++)?(?:[eE][-+]?[0-9]++)?(?![0-9.eE+-])',
                        '|[^"0-9.+~~-])*+$'
                    ),
                    '~', CHAR(92 USING utf8mb4)
                )
                AND JSON_TYPE(session_context) = 'OBJECT'
            ) IS NOT TRUE THEN
                SET session_context = NULL;
            END IF;
            SET session_context = JSON_COMPACT(session_context);
        END IF;
    END;

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
            , 'email',             NEW.`email`
            , 'name',              NEW.`name`
            , 'registered_at',     CAST(TIMESTAMP'1970-01-01 00:00:00' + INTERVAL IF(NEW.`registered_at` = 0, 0, UNIX_TIMESTAMP(NEW.`registered_at`)) SECOND AS CHAR)
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
    DECLARE session_context LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

    -- The next generation of this trigger, if there is one, has recorded the change and
    -- left a mark, which is good for this statement only.
    IF CAST(@evtrig_fe8afeaace68_u_2 AS BINARY) = CONCAT('1909508ea29596f5', NOW(6)) THEN
        SET @evtrig_fe8afeaace68_u_2 = NULL;
        LEAVE capture;
    END IF;

    SET before_row = JSON_OBJECT(
          'id',                OLD.`id`
        , 'email',             OLD.`email`
        , 'name',              OLD.`name`
        , 'registered_at',     CAST(TIMESTAMP'1970-01-01 00:00:00' + INTERVAL IF(OLD.`registered_at` = 0, 0, UNIX_TIMESTAMP(OLD.`registered_at`)) SECOND AS CHAR)
    );
    SET after_row = JSON_OBJECT(
          'id',                NEW.`id`
        , 'email',             NEW.`email`
        , 'name',              NEW.`name`
        , 'registered_at',     CAST(TIMESTAMP'1970-01-01 00:00:00' + INTERVAL IF(NEW.`registered_at` = 0, 0, UNIX_TIMESTAMP(NEW.`registered_at`)) SECOND AS CHAR)
    );

    -- An update that changes nothing is no event. Compared as text, byte for byte:
    -- case, trailing spaces and the last bit of a float are changes.
    IF before_row <=> after_row THEN
        LEAVE capture;
    END IF;

    -- MariaDB also comes here for a row that UPDATE IGNORE had to leave as it was:
    -- then the row is still there with its values from before.
    IF EXISTS (
        SELECT 1
        FROM `shop`.`customers` AS `now`
        WHERE
                `now`.`id` <=> OLD.`id`
            AND before_row <=> JSON_OBJECT(
                  'id',                `now`.`id`
                , 'email',             `now`.`email`
                , 'name',              `now`.`name`
                , 'registered_at',     CAST(TIMESTAMP'1970-01-01 00:00:00' + INTERVAL IF(`now`.`registered_at` = 0, 0, UNIX_TIMESTAMP(`now`.`registered_at`)) SECOND AS CHAR)
            )
    ) THEN
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
                AND session_context REGEXP REPLACE(
                    CONCAT(
                        '^(?:"(?:[^"~~]++|~~["~~/bfnrtu])*+"',
                        '|-?[0-9]++(?:[.][0-9]++)?(?:[eE][-+]?[0-9]++)?(?![0-9.eE+-])',
                        '|[^"0-9.+~~-])*+$'
                    ),
                    '~', CHAR(92 USING utf8mb4)
                )
                AND JSON_TYPE(session_context) = 'OBJECT'
            ) IS NOT TRUE THEN
                SET session_context = NULL;
            END IF;
            SET session_context = JSON_COMPACT(session_context);
        END IF;
    END;

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
                AND session_context REGEXP REPLACE(
                    CONCAT(
                        '^(?:"(?:[^"~~]++|~~["~~/bfnrtu])*+"',
                        '|-?[0-9]++(?:[.][0-9]++)?(?:[eE][-+]?[0-9]++)?(?![0-9.eE+-])',
                        '|[^"0-9.+~~-])*+$'
                    ),
                    '~', CHAR(92 USING utf8mb4)
                )
                AND JSON_TYPE(session_context) = 'OBJECT'
            ) IS NOT TRUE THEN
                SET session_context = NULL;
            END IF;
            SET session_context = JSON_COMPACT(session_context);
        END IF;
    END;

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
            , 'email',             OLD.`email`
            , 'name',              OLD.`name`
            , 'registered_at',     CAST(TIMESTAMP'1970-01-01 00:00:00' + INTERVAL IF(OLD.`registered_at` = 0, 0, UNIX_TIMESTAMP(OLD.`registered_at`)) SECOND AS CHAR)
        ),
        `after`       = NULL,
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
                AND session_context REGEXP REPLACE(
                    CONCAT(
                        '^(?:"(?:[^"~~]++|~~["~~/bfnrtu])*+"',
                        '|-?[0-9]++(?:[.][0-9]++)?(?:[eE][-+]?[0-9]++)?(?![0-9.eE+-])',
                        '|[^"0-9.+~~-])*+$'
                    ),
                    '~', CHAR(92 USING utf8mb4)
                )
                AND JSON_TYPE(session_context) = 'OBJECT'
            ) IS NOT TRUE THEN
                SET session_context = NULL;
            END IF;
            SET session_context = JSON_COMPACT(session_context);
        END IF;
    END;

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
            , 'customer_id',       NEW.`customer_id`
            , 'status',            NEW.`status`
            , 'total',             CAST(NEW.`total` AS CHAR)
            , 'placed_at',         CAST(NEW.`placed_at` AS CHAR)
            , 'note',              NEW.`note`
        ),
        `context`     = session_context;
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
    DECLARE session_context LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

    -- The next generation of this trigger, if there is one, has recorded the change and
    -- left a mark, which is good for this statement only.
    IF CAST(@evtrig_7458f44cdbf1_u_2 AS BINARY) = CONCAT('e1b89b49ae58d086', NOW(6)) THEN
        SET @evtrig_7458f44cdbf1_u_2 = NULL;
        LEAVE capture;
    END IF;

    SET before_row = JSON_OBJECT(
          'id',                OLD.`id`
        , 'customer_id',       OLD.`customer_id`
        , 'status',            OLD.`status`
        , 'total',             CAST(OLD.`total` AS CHAR)
        , 'placed_at',         CAST(OLD.`placed_at` AS CHAR)
        , 'note',              OLD.`note`
    );
    SET after_row = JSON_OBJECT(
          'id',                NEW.`id`
        , 'customer_id',       NEW.`customer_id`
        , 'status',            NEW.`status`
        , 'total',             CAST(NEW.`total` AS CHAR)
        , 'placed_at',         CAST(NEW.`placed_at` AS CHAR)
        , 'note',              NEW.`note`
    );

    -- An update that changes nothing is no event. Compared as text, byte for byte:
    -- case, trailing spaces and the last bit of a float are changes.
    IF before_row <=> after_row THEN
        LEAVE capture;
    END IF;

    -- MariaDB also comes here for a row that UPDATE IGNORE had to leave as it was:
    -- then the row is still there with its values from before.
    IF EXISTS (
        SELECT 1
        FROM `shop`.`orders` AS `now`
        WHERE
                `now`.`id` <=> OLD.`id`
            AND before_row <=> JSON_OBJECT(
                  'id',                `now`.`id`
                , 'customer_id',       `now`.`customer_id`
                , 'status',            `now`.`status`
                , 'total',             CAST(`now`.`total` AS CHAR)
                , 'placed_at',         CAST(`now`.`placed_at` AS CHAR)
                , 'note',              `now`.`note`
            )
    ) THEN
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
                AND session_context REGEXP REPLACE(
                    CONCAT(
                        '^(?:"(?:[^"~~]++|~~["~~/bfnrtu])*+"',
                        '|-?[0-9]++(?:[.][0-9]++)?(?:[eE][-+]?[0-9]++)?(?![0-9.eE+-])',
                        '|[^"0-9.+~~-])*+$'
                    ),
                    '~', CHAR(92 USING utf8mb4)
                )
                AND JSON_TYPE(session_context) = 'OBJECT'
            ) IS NOT TRUE THEN
                SET session_context = NULL;
            END IF;
            SET session_context = JSON_COMPACT(session_context);
        END IF;
    END;

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
                AND session_context REGEXP REPLACE(
                    CONCAT(
                        '^(?:"(?:[^"~~]++|~~["~~/bfnrtu])*+"',
                        '|-?[0-9]++(?:[.][0-9]++)?(?:[eE][-+]?[0-9]++)?(?![0-9.eE+-])',
                        '|[^"0-9.+~~-])*+$'
                    ),
                    '~', CHAR(92 USING utf8mb4)
                )
                AND JSON_TYPE(session_context) = 'OBJECT'
            ) IS NOT TRUE THEN
                SET session_context = NULL;
            END IF;
            SET session_context = JSON_COMPACT(session_context);
        END IF;
    END;

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
            , 'customer_id',       OLD.`customer_id`
            , 'status',            OLD.`status`
            , 'total',             CAST(OLD.`total` AS CHAR)
            , 'placed_at',         CAST(OLD.`placed_at` AS CHAR)
            , 'note',              OLD.`note`
        ),
        `after`       = NULL,
        `context`     = session_context;
END $$
DELIMITER ;