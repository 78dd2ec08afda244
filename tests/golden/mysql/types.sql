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

-- The password that this prints is of no use: the account is locked.
CREATE USER IF NOT EXISTS `evtrig_definer`@`localhost` IDENTIFIED BY RANDOM PASSWORD ACCOUNT LOCK;

GRANT INSERT ON `evtrig`.`events` TO `evtrig_definer`@`localhost`;
GRANT SELECT, TRIGGER ON `shop`.`types` TO `evtrig_definer`@`localhost`;

-- shop.types

DELIMITER $$
CREATE DEFINER = `evtrig_definer`@`localhost`
TRIGGER `shop`.`evtrig_31c7058526d3_i_1`
AFTER INSERT ON `shop`.`types`
FOR EACH ROW
capture: BEGIN
    -- Managed by evtrig: change the spec and run evtrig install, not this trigger.
    DECLARE session_context LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

    -- The next generation of this trigger, if there is one, has recorded the change and
    -- left a mark, which is good for this statement only.
    IF CAST(@evtrig_31c7058526d3_i_2 AS BINARY) = CONCAT('d0f36f29b679cf05', NOW(6)) THEN
        SET @evtrig_31c7058526d3_i_2 = NULL;
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
        `type`        = 'types.insert',
        `source`      = 'shop.types',
        `operation`   = 'insert',
        `captured_at` = UTC_TIMESTAMP(6),
        `key`         = JSON_OBJECT(
              'id',                REPLACE(TO_BASE64(NEW.`id`), CHAR(10 USING utf8mb4), '')
        ),
        `before`      = NULL,
        `after`       = JSON_OBJECT(
              'id',                REPLACE(TO_BASE64(NEW.`id`), CHAR(10 USING utf8mb4), '')
            , 'tinyint',           NEW.`tinyint`
            , 'tinyint_unsigned',  NEW.`tinyint_unsigned`
            , 'bool',              NEW.`bool`
            , 'smallint',          NEW.`smallint`
            , 'mediumint',         NEW.`mediumint`
            , 'int',               NEW.`int`
            , 'int_zerofill',      NEW.`int_zerofill` + 0
            , 'bigint',            NEW.`bigint`
            , 'bigint_unsigned',   NEW.`bigint_unsigned`
            , 'bit_1',             NEW.`bit_1` + 0
            , 'bit_64',            NEW.`bit_64` + 0
            , 'year',              NEW.`year` + 0
            , 'decimal',           CAST(NEW.`decimal` AS CHAR)
            , 'decimal_zerofill',  CAST(NEW.`decimal_zerofill` + 0 AS CHAR)
            , 'float',             CAST(NEW.`float` AS DOUBLE)
            , 'float_zerofill',    CAST(NEW.`float_zerofill` + 0 AS DOUBLE)
            , 'double',            CAST(NEW.`double` AS DOUBLE)
            , 'double_zerofill',   CAST(NEW.`double_zerofill` + 0 AS DOUBLE)
            , 'char',              NEW.`char`
            , 'varchar',           NEW.`varchar`
            , 'tinytext',          NEW.`tinytext`
            , 'text',              NEW.`text`
            , 'mediumtext',        NEW.`mediumtext`
            , 'longtext',          NEW.`longtext`
            , 'enum',              NEW.`enum`
            , 'set',               NEW.`set`
            , 'ascii',             NEW.`ascii`
            , 'utf8mb3',           NEW.`utf8mb3`
            , 'latin1',            CONVERT(NEW.`latin1` USING utf8mb4)
            , 'ucs2',              CONVERT(NEW.`ucs2` USING utf8mb4)
            , 'utf16',             CONVERT(NEW.`utf16` USING utf8mb4)
            , 'utf32',             CONVERT(NEW.`utf32` USING utf8mb4)
            , 'sjis',              CONVERT(NEW.`sjis` USING utf8mb4)
            , 'enum_latin1',       CONVERT(NEW.`enum_latin1` USING utf8mb4)
            , 'binary',            REPLACE(TO_BASE64(NEW.`binary`), CHAR(10 USING utf8mb4), '')
            , 'varbinary',         REPLACE(TO_BASE64(NEW.`varbinary`), CHAR(10 USING utf8mb4), '')
            , 'tinyblob',          REPLACE(TO_BASE64(NEW.`tinyblob`), CHAR(10 USING utf8mb4), '')
            , 'blob',              REPLACE(TO_BASE64(NEW.`blob`), CHAR(10 USING utf8mb4), '')
            , 'mediumblob',        REPLACE(TO_BASE64(NEW.`mediumblob`), CHAR(10 USING utf8mb4), '')
            , 'longblob',          REPLACE(TO_BASE64(NEW.`longblob`), CHAR(10 USING utf8mb4), '')
            , 'date',              CAST(NEW.`date` AS CHAR)
            , 'time',              CAST(NEW.`time` AS CHAR)
            , 'time_6',            CAST(NEW.`time_6` AS CHAR)
            , 'datetime',          CAST(NEW.`datetime` AS CHAR)
            , 'datetime_6',        CAST(NEW.`datetime_6` AS CHAR)
            , 'timestamp',         CAST(TIMESTAMP'1970-01-01 00:00:00' + INTERVAL UNIX_TIMESTAMP(NEW.`timestamp`) SECOND AS CHAR)
            , 'timestamp_6',       CAST(TIMESTAMP'1970-01-01 00:00:00' + INTERVAL UNIX_TIMESTAMP(NEW.`timestamp_6`) SECOND AS CHAR)
            , 'geometry',          REPLACE(TO_BASE64(NEW.`geometry`), CHAR(10 USING utf8mb4), '')
            , 'point',             REPLACE(TO_BASE64(NEW.`point`), CHAR(10 USING utf8mb4), '')
            , 'linestring',        REPLACE(TO_BASE64(NEW.`linestring`), CHAR(10 USING utf8mb4), '')
            , 'polygon',           REPLACE(TO_BASE64(NEW.`polygon`), CHAR(10 USING utf8mb4), '')
            , 'multipoint',        REPLACE(TO_BASE64(NEW.`multipoint`), CHAR(10 USING utf8mb4), '')
            , 'multilinestring',   REPLACE(TO_BASE64(NEW.`multilinestring`), CHAR(10 USING utf8mb4), '')
            , 'multipolygon',      REPLACE(TO_BASE64(NEW.`multipolygon`), CHAR(10 USING utf8mb4), '')
            , 'geomcollection',    REPLACE(TO_BASE64(NEW.`geomcollection`), CHAR(10 USING utf8mb4), '')
            , 'json',              IF(JSON_DEPTH(NEW.`json`) <= 99, NEW.`json`, CAST(JSON_QUOTE(CAST(NEW.`json` AS CHAR)) AS JSON))
        ),
        `context`     = session_context;
END $$
DELIMITER ;

DELIMITER $$
CREATE DEFINER = `evtrig_definer`@`localhost`
TRIGGER `shop`.`evtrig_31c7058526d3_u_1`
AFTER UPDATE ON `shop`.`types`
FOR EACH ROW
capture: BEGIN
    -- Managed by evtrig: change the spec and run evtrig install, not this trigger.
    DECLARE before_key, after_key LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE before_row, after_row LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE session_context LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

    -- The next generation of this trigger, if there is one, has recorded the change and
    -- left a mark, which is good for this statement only.
    IF CAST(@evtrig_31c7058526d3_u_2 AS BINARY) = CONCAT('f1d4c4cc122aba2b', NOW(6)) THEN
        SET @evtrig_31c7058526d3_u_2 = NULL;
        LEAVE capture;
    END IF;

    SET before_row = JSON_OBJECT(
          'id',                REPLACE(TO_BASE64(OLD.`id`), CHAR(10 USING utf8mb4), '')
        , 'tinyint',           OLD.`tinyint`
        , 'tinyint_unsigned',  OLD.`tinyint_unsigned`
        , 'bool',              OLD.`bool`
        , 'smallint',          OLD.`smallint`
        , 'mediumint',         OLD.`mediumint`
        , 'int',               OLD.`int`
        , 'int_zerofill',      OLD.`int_zerofill` + 0
        , 'bigint',            OLD.`bigint`
        , 'bigint_unsigned',   OLD.`bigint_unsigned`
        , 'bit_1',             OLD.`bit_1` + 0
        , 'bit_64',            OLD.`bit_64` + 0
        , 'year',              OLD.`year` + 0
        , 'decimal',           CAST(OLD.`decimal` AS CHAR)
        , 'decimal_zerofill',  CAST(OLD.`decimal_zerofill` + 0 AS CHAR)
        , 'float',             CAST(OLD.`float` AS DOUBLE)
        , 'float_zerofill',    CAST(OLD.`float_zerofill` + 0 AS DOUBLE)
        , 'double',            CAST(OLD.`double` AS DOUBLE)
        , 'double_zerofill',   CAST(OLD.`double_zerofill` + 0 AS DOUBLE)
        , 'char',              OLD.`char`
        , 'varchar',           OLD.`varchar`
        , 'tinytext',          OLD.`tinytext`
        , 'text',              OLD.`text`
        , 'mediumtext',        OLD.`mediumtext`
        , 'longtext',          OLD.`longtext`
        , 'enum',              OLD.`enum`
        , 'set',               OLD.`set`
        , 'ascii',             OLD.`ascii`
        , 'utf8mb3',           OLD.`utf8mb3`
        , 'latin1',            CONVERT(OLD.`latin1` USING utf8mb4)
        , 'ucs2',              CONVERT(OLD.`ucs2` USING utf8mb4)
        , 'utf16',             CONVERT(OLD.`utf16` USING utf8mb4)
        , 'utf32',             CONVERT(OLD.`utf32` USING utf8mb4)
        , 'sjis',              CONVERT(OLD.`sjis` USING utf8mb4)
        , 'enum_latin1',       CONVERT(OLD.`enum_latin1` USING utf8mb4)
        , 'binary',            REPLACE(TO_BASE64(OLD.`binary`), CHAR(10 USING utf8mb4), '')
        , 'varbinary',         REPLACE(TO_BASE64(OLD.`varbinary`), CHAR(10 USING utf8mb4), '')
        , 'tinyblob',          REPLACE(TO_BASE64(OLD.`tinyblob`), CHAR(10 USING utf8mb4), '')
        , 'blob',              REPLACE(TO_BASE64(OLD.`blob`), CHAR(10 USING utf8mb4), '')
        , 'mediumblob',        REPLACE(TO_BASE64(OLD.`mediumblob`), CHAR(10 USING utf8mb4), '')
        , 'longblob',          REPLACE(TO_BASE64(OLD.`longblob`), CHAR(10 USING utf8mb4), '')
        , 'date',              CAST(OLD.`date` AS CHAR)
        , 'time',              CAST(OLD.`time` AS CHAR)
        , 'time_6',            CAST(OLD.`time_6` AS CHAR)
        , 'datetime',          CAST(OLD.`datetime` AS CHAR)
        , 'datetime_6',        CAST(OLD.`datetime_6` AS CHAR)
        , 'timestamp',         CAST(TIMESTAMP'1970-01-01 00:00:00' + INTERVAL UNIX_TIMESTAMP(OLD.`timestamp`) SECOND AS CHAR)
        , 'timestamp_6',       CAST(TIMESTAMP'1970-01-01 00:00:00' + INTERVAL UNIX_TIMESTAMP(OLD.`timestamp_6`) SECOND AS CHAR)
        , 'geometry',          REPLACE(TO_BASE64(OLD.`geometry`), CHAR(10 USING utf8mb4), '')
        , 'point',             REPLACE(TO_BASE64(OLD.`point`), CHAR(10 USING utf8mb4), '')
        , 'linestring',        REPLACE(TO_BASE64(OLD.`linestring`), CHAR(10 USING utf8mb4), '')
        , 'polygon',           REPLACE(TO_BASE64(OLD.`polygon`), CHAR(10 USING utf8mb4), '')
        , 'multipoint',        REPLACE(TO_BASE64(OLD.`multipoint`), CHAR(10 USING utf8mb4), '')
        , 'multilinestring',   REPLACE(TO_BASE64(OLD.`multilinestring`), CHAR(10 USING utf8mb4), '')
        , 'multipolygon',      REPLACE(TO_BASE64(OLD.`multipolygon`), CHAR(10 USING utf8mb4), '')
        , 'geomcollection',    REPLACE(TO_BASE64(OLD.`geomcollection`), CHAR(10 USING utf8mb4), '')
        , 'json',              IF(JSON_DEPTH(OLD.`json`) <= 99, OLD.`json`, CAST(JSON_QUOTE(CAST(OLD.`json` AS CHAR)) AS JSON))
    );
    SET after_row = JSON_OBJECT(
          'id',                REPLACE(TO_BASE64(NEW.`id`), CHAR(10 USING utf8mb4), '')
        , 'tinyint',           NEW.`tinyint`
        , 'tinyint_unsigned',  NEW.`tinyint_unsigned`
        , 'bool',              NEW.`bool`
        , 'smallint',          NEW.`smallint`
        , 'mediumint',         NEW.`mediumint`
        , 'int',               NEW.`int`
        , 'int_zerofill',      NEW.`int_zerofill` + 0
        , 'bigint',            NEW.`bigint`
        , 'bigint_unsigned',   NEW.`bigint_unsigned`
        , 'bit_1',             NEW.`bit_1` + 0
        , 'bit_64',            NEW.`bit_64` + 0
        , 'year',              NEW.`year` + 0
        , 'decimal',           CAST(NEW.`decimal` AS CHAR)
        , 'decimal_zerofill',  CAST(NEW.`decimal_zerofill` + 0 AS CHAR)
        , 'float',             CAST(NEW.`float` AS DOUBLE)
        , 'float_zerofill',    CAST(NEW.`float_zerofill` + 0 AS DOUBLE)
        , 'double',            CAST(NEW.`double` AS DOUBLE)
        , 'double_zerofill',   CAST(NEW.`double_zerofill` + 0 AS DOUBLE)
        , 'char',              NEW.`char`
        , 'varchar',           NEW.`varchar`
        , 'tinytext',          NEW.`tinytext`
        , 'text',              NEW.`text`
        , 'mediumtext',        NEW.`mediumtext`
        , 'longtext',          NEW.`longtext`
        , 'enum',              NEW.`enum`
        , 'set',               NEW.`set`
        , 'ascii',             NEW.`ascii`
        , 'utf8mb3',           NEW.`utf8mb3`
        , 'latin1',            CONVERT(NEW.`latin1` USING utf8mb4)
        , 'ucs2',              CONVERT(NEW.`ucs2` USING utf8mb4)
        , 'utf16',             CONVERT(NEW.`utf16` USING utf8mb4)
        , 'utf32',             CONVERT(NEW.`utf32` USING utf8mb4)
        , 'sjis',              CONVERT(NEW.`sjis` USING utf8mb4)
        , 'enum_latin1',       CONVERT(NEW.`enum_latin1` USING utf8mb4)
        , 'binary',            REPLACE(TO_BASE64(NEW.`binary`), CHAR(10 USING utf8mb4), '')
        , 'varbinary',         REPLACE(TO_BASE64(NEW.`varbinary`), CHAR(10 USING utf8mb4), '')
        , 'tinyblob',          REPLACE(TO_BASE64(NEW.`tinyblob`), CHAR(10 USING utf8mb4), '')
        , 'blob',              REPLACE(TO_BASE64(NEW.`blob`), CHAR(10 USING utf8mb4), '')
        , 'mediumblob',        REPLACE(TO_BASE64(NEW.`mediumblob`), CHAR(10 USING utf8mb4), '')
        , 'longblob',          REPLACE(TO_BASE64(NEW.`longblob`), CHAR(10 USING utf8mb4), '')
        , 'date',              CAST(NEW.`date` AS CHAR)
        , 'time',              CAST(NEW.`time` AS CHAR)
        , 'time_6',            CAST(NEW.`time_6` AS CHAR)
        , 'datetime',          CAST(NEW.`datetime` AS CHAR)
        , 'datetime_6',        CAST(NEW.`datetime_6` AS CHAR)
        , 'timestamp',         CAST(TIMESTAMP'1970-01-01 00:00:00' + INTERVAL UNIX_TIMESTAMP(NEW.`timestamp`) SECOND AS CHAR)
        , 'timestamp_6',       CAST(TIMESTAMP'1970-01-01 00:00:00' + INTERVAL UNIX_TIMESTAMP(NEW.`timestamp_6`) SECOND AS CHAR)
        , 'geometry',          REPLACE(TO_BASE64(NEW.`geometry`), CHAR(10 USING utf8mb4), '')
        , 'point',             REPLACE(TO_BASE64(NEW.`point`), CHAR(10 USING utf8mb4), '')
        , 'linestring',        REPLACE(TO_BASE64(NEW.`linestring`), CHAR(10 USING utf8mb4), '')
        , 'polygon',           REPLACE(TO_BASE64(NEW.`polygon`), CHAR(10 USING utf8mb4), '')
        , 'multipoint',        REPLACE(TO_BASE64(NEW.`multipoint`), CHAR(10 USING utf8mb4), '')
        , 'multilinestring',   REPLACE(TO_BASE64(NEW.`multilinestring`), CHAR(10 USING utf8mb4), '')
        , 'multipolygon',      REPLACE(TO_BASE64(NEW.`multipolygon`), CHAR(10 USING utf8mb4), '')
        , 'geomcollection',    REPLACE(TO_BASE64(NEW.`geomcollection`), CHAR(10 USING utf8mb4), '')
        , 'json',              IF(JSON_DEPTH(NEW.`json`) <= 99, NEW.`json`, CAST(JSON_QUOTE(CAST(NEW.`json` AS CHAR)) AS JSON))
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
            `type`        = 'types.update',
            `source`      = 'shop.types',
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
            `type`        = 'types.delete',
            `source`      = 'shop.types',
            `operation`   = 'delete',
            `captured_at` = UTC_TIMESTAMP(6),
            `key`         = before_key,
            `before`      = before_row,
            `after`       = NULL,
            `context`     = session_context;

        INSERT INTO `evtrig`.`events`
        SET
            `uid`         = UUID_SHORT(),
            `type`        = 'types.insert',
            `source`      = 'shop.types',
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
TRIGGER `shop`.`evtrig_31c7058526d3_d_1`
AFTER DELETE ON `shop`.`types`
FOR EACH ROW
capture: BEGIN
    -- Managed by evtrig: change the spec and run evtrig install, not this trigger.
    DECLARE session_context LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

    -- The next generation of this trigger, if there is one, has recorded the change and
    -- left a mark, which is good for this statement only.
    IF CAST(@evtrig_31c7058526d3_d_2 AS BINARY) = CONCAT('a3ab9de1f827761c', NOW(6)) THEN
        SET @evtrig_31c7058526d3_d_2 = NULL;
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
        `type`        = 'types.delete',
        `source`      = 'shop.types',
        `operation`   = 'delete',
        `captured_at` = UTC_TIMESTAMP(6),
        `key`         = JSON_OBJECT(
              'id',                REPLACE(TO_BASE64(OLD.`id`), CHAR(10 USING utf8mb4), '')
        ),
        `before`      = JSON_OBJECT(
              'id',                REPLACE(TO_BASE64(OLD.`id`), CHAR(10 USING utf8mb4), '')
            , 'tinyint',           OLD.`tinyint`
            , 'tinyint_unsigned',  OLD.`tinyint_unsigned`
            , 'bool',              OLD.`bool`
            , 'smallint',          OLD.`smallint`
            , 'mediumint',         OLD.`mediumint`
            , 'int',               OLD.`int`
            , 'int_zerofill',      OLD.`int_zerofill` + 0
            , 'bigint',            OLD.`bigint`
            , 'bigint_unsigned',   OLD.`bigint_unsigned`
            , 'bit_1',             OLD.`bit_1` + 0
            , 'bit_64',            OLD.`bit_64` + 0
            , 'year',              OLD.`year` + 0
            , 'decimal',           CAST(OLD.`decimal` AS CHAR)
            , 'decimal_zerofill',  CAST(OLD.`decimal_zerofill` + 0 AS CHAR)
            , 'float',             CAST(OLD.`float` AS DOUBLE)
            , 'float_zerofill',    CAST(OLD.`float_zerofill` + 0 AS DOUBLE)
            , 'double',            CAST(OLD.`double` AS DOUBLE)
            , 'double_zerofill',   CAST(OLD.`double_zerofill` + 0 AS DOUBLE)
            , 'char',              OLD.`char`
            , 'varchar',           OLD.`varchar`
            , 'tinytext',          OLD.`tinytext`
            , 'text',              OLD.`text`
            , 'mediumtext',        OLD.`mediumtext`
            , 'longtext',          OLD.`longtext`
            , 'enum',              OLD.`enum`
            , 'set',               OLD.`set`
            , 'ascii',             OLD.`ascii`
            , 'utf8mb3',           OLD.`utf8mb3`
            , 'latin1',            CONVERT(OLD.`latin1` USING utf8mb4)
            , 'ucs2',              CONVERT(OLD.`ucs2` USING utf8mb4)
            , 'utf16',             CONVERT(OLD.`utf16` USING utf8mb4)
            , 'utf32',             CONVERT(OLD.`utf32` USING utf8mb4)
            , 'sjis',              CONVERT(OLD.`sjis` USING utf8mb4)
            , 'enum_latin1',       CONVERT(OLD.`enum_latin1` USING utf8mb4)
            , 'binary',            REPLACE(TO_BASE64(OLD.`binary`), CHAR(10 USING utf8mb4), '')
            , 'varbinary',         REPLACE(TO_BASE64(OLD.`varbinary`), CHAR(10 USING utf8mb4), '')
            , 'tinyblob',          REPLACE(TO_BASE64(OLD.`tinyblob`), CHAR(10 USING utf8mb4), '')
            , 'blob',              REPLACE(TO_BASE64(OLD.`blob`), CHAR(10 USING utf8mb4), '')
            , 'mediumblob',        REPLACE(TO_BASE64(OLD.`mediumblob`), CHAR(10 USING utf8mb4), '')
            , 'longblob',          REPLACE(TO_BASE64(OLD.`longblob`), CHAR(10 USING utf8mb4), '')
            , 'date',              CAST(OLD.`date` AS CHAR)
            , 'time',              CAST(OLD.`time` AS CHAR)
            , 'time_6',            CAST(OLD.`time_6` AS CHAR)
            , 'datetime',          CAST(OLD.`datetime` AS CHAR)
            , 'datetime_6',        CAST(OLD.`datetime_6` AS CHAR)
            , 'timestamp',         CAST(TIMESTAMP'1970-01-01 00:00:00' + INTERVAL UNIX_TIMESTAMP(OLD.`timestamp`) SECOND AS CHAR)
            , 'timestamp_6',       CAST(TIMESTAMP'1970-01-01 00:00:00' + INTERVAL UNIX_TIMESTAMP(OLD.`timestamp_6`) SECOND AS CHAR)
            , 'geometry',          REPLACE(TO_BASE64(OLD.`geometry`), CHAR(10 USING utf8mb4), '')
            , 'point',             REPLACE(TO_BASE64(OLD.`point`), CHAR(10 USING utf8mb4), '')
            , 'linestring',        REPLACE(TO_BASE64(OLD.`linestring`), CHAR(10 USING utf8mb4), '')
            , 'polygon',           REPLACE(TO_BASE64(OLD.`polygon`), CHAR(10 USING utf8mb4), '')
            , 'multipoint',        REPLACE(TO_BASE64(OLD.`multipoint`), CHAR(10 USING utf8mb4), '')
            , 'multilinestring',   REPLACE(TO_BASE64(OLD.`multilinestring`), CHAR(10 USING utf8mb4), '')
            , 'multipolygon',      REPLACE(TO_BASE64(OLD.`multipolygon`), CHAR(10 USING utf8mb4), '')
            , 'geomcollection',    REPLACE(TO_BASE64(OLD.`geomcollection`), CHAR(10 USING utf8mb4), '')
            , 'json',              IF(JSON_DEPTH(OLD.`json`) <= 99, OLD.`json`, CAST(JSON_QUOTE(CAST(OLD.`json` AS CHAR)) AS JSON))
        ),
        `after`       = NULL,
        `context`     = session_context;
END $$
DELIMITER ;