-- Captures changes on MariaDB. Apply it with the mysql client, or run
-- evtrig install, which also checks the database first.
SET NAMES utf8mb4 COLLATE utf8mb4_bin;
SET SESSION sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION';
SET SESSION lock_wait_timeout = 3;

CREATE SCHEMA IF NOT EXISTS `out``box % \'` DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The outbox: one row an event, written by the triggers, deleted by the relay.
-- LONGTEXT and not JSON: a JSON text larger than the max_allowed_packet of its
-- reader would come back empty. No secondary index: each would slow every write.
CREATE TABLE IF NOT EXISTS `out``box % \'`.`events` (
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
CREATE TABLE IF NOT EXISTS `out``box % \'`.`event_polling_state` (
    `name`              VARCHAR(64)     NOT NULL,
    `claim`             BIGINT UNSIGNED NOT NULL DEFAULT 0 COMMENT 'epoch of the newest relay that asked',
    `holder`            BIGINT UNSIGNED NOT NULL DEFAULT 0 COMMENT 'epoch of the relay that publishes, 0 for none',
    `holder_id`         VARCHAR(255)    NOT NULL DEFAULT '' COMMENT 'host and process, for people',
    `holder_connection` BIGINT UNSIGNED NOT NULL DEFAULT 0 COMMENT 'its connection id',
    `expires_at`        DATETIME(6)     NOT NULL DEFAULT '2000-01-01 00:00:00' COMMENT 'UTC, by the clock of the database',
    PRIMARY KEY (`name`)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;

INSERT IGNORE INTO `out``box % \'`.`event_polling_state` (`name`) VALUES ('default');

-- Events that no sink takes, put aside by the relay until somebody puts them back or
-- discards them: evtrig dead-letters. The columns of an event, then what happened to it.
CREATE TABLE IF NOT EXISTS `out``box % \'`.`dead_letters` (
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

GRANT INSERT ON `out``box % \'`.`events` TO `evtrig_definer`@`localhost`;
GRANT SELECT, TRIGGER ON `the ``shop``'s 100% \ "店"`.`first
DROP TABLE ``second``; -- $$` TO `evtrig_definer`@`localhost`;
GRANT SELECT, TRIGGER ON `the ``shop``'s 100% \ "店"`.`second` TO `evtrig_definer`@`localhost`;
GRANT SELECT, TRIGGER ON `the ``shop``'s 100% \ "店"`.`sixty_four_characters_are_the_most_that_a_table_may_have________` TO `evtrig_definer`@`localhost`;

-- the `shop`'s 100% \ "店".first DROP TABLE `second`; -- $$

DELIMITER $$
CREATE DEFINER = `evtrig_definer`@`localhost`
TRIGGER `the ``shop``'s 100% \ "店"`.`evtrig_60bcb32ff52d_i_1`
AFTER INSERT ON `the ``shop``'s 100% \ "店"`.`first
DROP TABLE ``second``; -- $$`
FOR EACH ROW
capture: BEGIN
    -- Managed by evtrig: change the spec and run evtrig install, not this trigger.
    DECLARE session_context LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

    -- The next generation of this trigger, if there is one, has recorded the change and
    -- left a mark, which is good for this statement only.
    IF CAST(@evtrig_60bcb32ff52d_i_2 AS BINARY) = CONCAT('a36e9aba1e5e531e', NOW(6)) THEN
        SET @evtrig_60bcb32ff52d_i_2 = NULL;
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

    INSERT INTO `out``box % \'`.`events`
    SET
        `uid`         = UUID_SHORT(),
        `type`        = 'first
DROP TABLE `second`; -- $$.insert',
        `source`      = 'the `shop`''s 100% \\ "店".first
DROP TABLE `second`; -- $$',
        `operation`   = 'insert',
        `captured_at` = UTC_TIMESTAMP(6),
        `key`         = JSON_OBJECT(
              '''id''',            NEW.`'id'`
        ),
        `before`      = NULL,
        `after`       = JSON_OBJECT(
              '''id''',            NEW.`'id'`
            , '`back`ticks``',     NEW.```back``ticks`````
            , '"double" quotes',   NEW.`"double" quotes`
            , '100%s %(x)s %%',    NEW.`100%s %(x)s %%`
            , 'back\\slash\\',     NEW.`back\slash\`
            , 'new
line; $$',      NEW.`new
line; $$`
            , '-- comment',        NEW.`-- comment`
            , '/* comment',        NEW.`/* comment`
            , '*/',                NEW.`*/`
            , '{{ trigger }} {% raw %}', NEW.`{{ trigger }} {% raw %}`
            , ' leading space',    NEW.` leading space`
        ),
        `context`     = session_context;
END $$
DELIMITER ;

DELIMITER $$
CREATE DEFINER = `evtrig_definer`@`localhost`
TRIGGER `the ``shop``'s 100% \ "店"`.`evtrig_60bcb32ff52d_u_1`
AFTER UPDATE ON `the ``shop``'s 100% \ "店"`.`first
DROP TABLE ``second``; -- $$`
FOR EACH ROW
capture: BEGIN
    -- Managed by evtrig: change the spec and run evtrig install, not this trigger.
    DECLARE before_key, after_key LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE before_row, after_row LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE session_context LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

    -- The next generation of this trigger, if there is one, has recorded the change and
    -- left a mark, which is good for this statement only.
    IF CAST(@evtrig_60bcb32ff52d_u_2 AS BINARY) = CONCAT('8bbab6d7492df33e', NOW(6)) THEN
        SET @evtrig_60bcb32ff52d_u_2 = NULL;
        LEAVE capture;
    END IF;

    SET before_row = JSON_OBJECT(
          '''id''',            OLD.`'id'`
        , '`back`ticks``',     OLD.```back``ticks`````
        , '"double" quotes',   OLD.`"double" quotes`
        , '100%s %(x)s %%',    OLD.`100%s %(x)s %%`
        , 'back\\slash\\',     OLD.`back\slash\`
        , 'new
line; $$',      OLD.`new
line; $$`
        , '-- comment',        OLD.`-- comment`
        , '/* comment',        OLD.`/* comment`
        , '*/',                OLD.`*/`
        , '{{ trigger }} {% raw %}', OLD.`{{ trigger }} {% raw %}`
        , ' leading space',    OLD.` leading space`
    );
    SET after_row = JSON_OBJECT(
          '''id''',            NEW.`'id'`
        , '`back`ticks``',     NEW.```back``ticks`````
        , '"double" quotes',   NEW.`"double" quotes`
        , '100%s %(x)s %%',    NEW.`100%s %(x)s %%`
        , 'back\\slash\\',     NEW.`back\slash\`
        , 'new
line; $$',      NEW.`new
line; $$`
        , '-- comment',        NEW.`-- comment`
        , '/* comment',        NEW.`/* comment`
        , '*/',                NEW.`*/`
        , '{{ trigger }} {% raw %}', NEW.`{{ trigger }} {% raw %}`
        , ' leading space',    NEW.` leading space`
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
        FROM `the ``shop``'s 100% \ "店"`.`first
DROP TABLE ``second``; -- $$` AS `now`
        WHERE
                `now`.`'id'` <=> OLD.`'id'`
            AND before_row <=> JSON_OBJECT(
                  '''id''',            `now`.`'id'`
                , '`back`ticks``',     `now`.```back``ticks`````
                , '"double" quotes',   `now`.`"double" quotes`
                , '100%s %(x)s %%',    `now`.`100%s %(x)s %%`
                , 'back\\slash\\',     `now`.`back\slash\`
                , 'new
line; $$',      `now`.`new
line; $$`
                , '-- comment',        `now`.`-- comment`
                , '/* comment',        `now`.`/* comment`
                , '*/',                `now`.`*/`
                , '{{ trigger }} {% raw %}', `now`.`{{ trigger }} {% raw %}`
                , ' leading space',    `now`.` leading space`
            )
    ) THEN
        LEAVE capture;
    END IF;

    SET before_key = JSON_OBJECT(
          '''id''',            OLD.`'id'`
    );
    SET after_key = JSON_OBJECT(
          '''id''',            NEW.`'id'`
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
        INSERT INTO `out``box % \'`.`events`
        SET
            `uid`         = UUID_SHORT(),
            `type`        = 'first
DROP TABLE `second`; -- $$.update',
            `source`      = 'the `shop`''s 100% \\ "店".first
DROP TABLE `second`; -- $$',
            `operation`   = 'update',
            `captured_at` = UTC_TIMESTAMP(6),
            `key`         = after_key,
            `before`      = before_row,
            `after`       = after_row,
            `context`     = session_context;
    ELSE
        -- Under its old key the row is gone, and under the new one it has come: two
        -- events, so that each is in order with the other changes of its key.
        INSERT INTO `out``box % \'`.`events`
        SET
            `uid`         = UUID_SHORT(),
            `type`        = 'first
DROP TABLE `second`; -- $$.delete',
            `source`      = 'the `shop`''s 100% \\ "店".first
DROP TABLE `second`; -- $$',
            `operation`   = 'delete',
            `captured_at` = UTC_TIMESTAMP(6),
            `key`         = before_key,
            `before`      = before_row,
            `after`       = NULL,
            `context`     = session_context;

        INSERT INTO `out``box % \'`.`events`
        SET
            `uid`         = UUID_SHORT(),
            `type`        = 'first
DROP TABLE `second`; -- $$.insert',
            `source`      = 'the `shop`''s 100% \\ "店".first
DROP TABLE `second`; -- $$',
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
TRIGGER `the ``shop``'s 100% \ "店"`.`evtrig_60bcb32ff52d_d_1`
AFTER DELETE ON `the ``shop``'s 100% \ "店"`.`first
DROP TABLE ``second``; -- $$`
FOR EACH ROW
capture: BEGIN
    -- Managed by evtrig: change the spec and run evtrig install, not this trigger.
    DECLARE session_context LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

    -- The next generation of this trigger, if there is one, has recorded the change and
    -- left a mark, which is good for this statement only.
    IF CAST(@evtrig_60bcb32ff52d_d_2 AS BINARY) = CONCAT('4d9452ea3846d63a', NOW(6)) THEN
        SET @evtrig_60bcb32ff52d_d_2 = NULL;
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

    INSERT INTO `out``box % \'`.`events`
    SET
        `uid`         = UUID_SHORT(),
        `type`        = 'first
DROP TABLE `second`; -- $$.delete',
        `source`      = 'the `shop`''s 100% \\ "店".first
DROP TABLE `second`; -- $$',
        `operation`   = 'delete',
        `captured_at` = UTC_TIMESTAMP(6),
        `key`         = JSON_OBJECT(
              '''id''',            OLD.`'id'`
        ),
        `before`      = JSON_OBJECT(
              '''id''',            OLD.`'id'`
            , '`back`ticks``',     OLD.```back``ticks`````
            , '"double" quotes',   OLD.`"double" quotes`
            , '100%s %(x)s %%',    OLD.`100%s %(x)s %%`
            , 'back\\slash\\',     OLD.`back\slash\`
            , 'new
line; $$',      OLD.`new
line; $$`
            , '-- comment',        OLD.`-- comment`
            , '/* comment',        OLD.`/* comment`
            , '*/',                OLD.`*/`
            , '{{ trigger }} {% raw %}', OLD.`{{ trigger }} {% raw %}`
            , ' leading space',    OLD.` leading space`
        ),
        `after`       = NULL,
        `context`     = session_context;
END $$
DELIMITER ;

-- the `shop`'s 100% \ "店".second

DELIMITER $$
CREATE DEFINER = `evtrig_definer`@`localhost`
TRIGGER `the ``shop``'s 100% \ "店"`.`evtrig_0768f87a16f9_i_1`
AFTER INSERT ON `the ``shop``'s 100% \ "店"`.`second`
FOR EACH ROW
capture: BEGIN
    -- Managed by evtrig: change the spec and run evtrig install, not this trigger.
    DECLARE session_context LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

    -- The next generation of this trigger, if there is one, has recorded the change and
    -- left a mark, which is good for this statement only.
    IF CAST(@evtrig_0768f87a16f9_i_2 AS BINARY) = CONCAT('2f3c1d695df2bfb0', NOW(6)) THEN
        SET @evtrig_0768f87a16f9_i_2 = NULL;
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

    INSERT INTO `out``box % \'`.`events`
    SET
        `uid`         = UUID_SHORT(),
        `type`        = 'second.insert',
        `source`      = 'the `shop`''s 100% \\ "店".second',
        `operation`   = 'insert',
        `captured_at` = UTC_TIMESTAMP(6),
        `key`         = JSON_OBJECT(
              'select',            NEW.`select`
            , '鍵',                 NEW.`鍵`
        ),
        `before`      = NULL,
        `after`       = JSON_OBJECT(
              'select',            NEW.`select`
            , '鍵',                 NEW.`鍵`
            , 'né',                NEW.`né`
            , '二三四五六七八九十二三四五六七八九十二三四五六七八九十二三四五六七八九十二三四五六七八九十二三四五六七八九十二三四五六七八九十', NEW.`二三四五六七八九十二三四五六七八九十二三四五六七八九十二三四五六七八九十二三四五六七八九十二三四五六七八九十二三四五六七八九十`
            , 'sixty_four_characters_are_the_most_that_a_name_may_have_________', NEW.`sixty_four_characters_are_the_most_that_a_name_may_have_________`
        ),
        `context`     = session_context;
END $$
DELIMITER ;

DELIMITER $$
CREATE DEFINER = `evtrig_definer`@`localhost`
TRIGGER `the ``shop``'s 100% \ "店"`.`evtrig_0768f87a16f9_u_1`
AFTER UPDATE ON `the ``shop``'s 100% \ "店"`.`second`
FOR EACH ROW
capture: BEGIN
    -- Managed by evtrig: change the spec and run evtrig install, not this trigger.
    DECLARE before_key, after_key LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE before_row, after_row LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE session_context LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

    -- The next generation of this trigger, if there is one, has recorded the change and
    -- left a mark, which is good for this statement only.
    IF CAST(@evtrig_0768f87a16f9_u_2 AS BINARY) = CONCAT('1c6b8f55b3a55503', NOW(6)) THEN
        SET @evtrig_0768f87a16f9_u_2 = NULL;
        LEAVE capture;
    END IF;

    SET before_row = JSON_OBJECT(
          'select',            OLD.`select`
        , '鍵',                 OLD.`鍵`
        , 'né',                OLD.`né`
        , '二三四五六七八九十二三四五六七八九十二三四五六七八九十二三四五六七八九十二三四五六七八九十二三四五六七八九十二三四五六七八九十', OLD.`二三四五六七八九十二三四五六七八九十二三四五六七八九十二三四五六七八九十二三四五六七八九十二三四五六七八九十二三四五六七八九十`
        , 'sixty_four_characters_are_the_most_that_a_name_may_have_________', OLD.`sixty_four_characters_are_the_most_that_a_name_may_have_________`
    );
    SET after_row = JSON_OBJECT(
          'select',            NEW.`select`
        , '鍵',                 NEW.`鍵`
        , 'né',                NEW.`né`
        , '二三四五六七八九十二三四五六七八九十二三四五六七八九十二三四五六七八九十二三四五六七八九十二三四五六七八九十二三四五六七八九十', NEW.`二三四五六七八九十二三四五六七八九十二三四五六七八九十二三四五六七八九十二三四五六七八九十二三四五六七八九十二三四五六七八九十`
        , 'sixty_four_characters_are_the_most_that_a_name_may_have_________', NEW.`sixty_four_characters_are_the_most_that_a_name_may_have_________`
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
        FROM `the ``shop``'s 100% \ "店"`.`second` AS `now`
        WHERE
                `now`.`select` <=> OLD.`select`
            AND `now`.`鍵` <=> OLD.`鍵`
            AND before_row <=> JSON_OBJECT(
                  'select',            `now`.`select`
                , '鍵',                 `now`.`鍵`
                , 'né',                `now`.`né`
                , '二三四五六七八九十二三四五六七八九十二三四五六七八九十二三四五六七八九十二三四五六七八九十二三四五六七八九十二三四五六七八九十', `now`.`二三四五六七八九十二三四五六七八九十二三四五六七八九十二三四五六七八九十二三四五六七八九十二三四五六七八九十二三四五六七八九十`
                , 'sixty_four_characters_are_the_most_that_a_name_may_have_________', `now`.`sixty_four_characters_are_the_most_that_a_name_may_have_________`
            )
    ) THEN
        LEAVE capture;
    END IF;

    SET before_key = JSON_OBJECT(
          'select',            OLD.`select`
        , '鍵',                 OLD.`鍵`
    );
    SET after_key = JSON_OBJECT(
          'select',            NEW.`select`
        , '鍵',                 NEW.`鍵`
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
        INSERT INTO `out``box % \'`.`events`
        SET
            `uid`         = UUID_SHORT(),
            `type`        = 'second.update',
            `source`      = 'the `shop`''s 100% \\ "店".second',
            `operation`   = 'update',
            `captured_at` = UTC_TIMESTAMP(6),
            `key`         = after_key,
            `before`      = before_row,
            `after`       = after_row,
            `context`     = session_context;
    ELSE
        -- Under its old key the row is gone, and under the new one it has come: two
        -- events, so that each is in order with the other changes of its key.
        INSERT INTO `out``box % \'`.`events`
        SET
            `uid`         = UUID_SHORT(),
            `type`        = 'second.delete',
            `source`      = 'the `shop`''s 100% \\ "店".second',
            `operation`   = 'delete',
            `captured_at` = UTC_TIMESTAMP(6),
            `key`         = before_key,
            `before`      = before_row,
            `after`       = NULL,
            `context`     = session_context;

        INSERT INTO `out``box % \'`.`events`
        SET
            `uid`         = UUID_SHORT(),
            `type`        = 'second.insert',
            `source`      = 'the `shop`''s 100% \\ "店".second',
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
TRIGGER `the ``shop``'s 100% \ "店"`.`evtrig_0768f87a16f9_d_1`
AFTER DELETE ON `the ``shop``'s 100% \ "店"`.`second`
FOR EACH ROW
capture: BEGIN
    -- Managed by evtrig: change the spec and run evtrig install, not this trigger.
    DECLARE session_context LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

    -- The next generation of this trigger, if there is one, has recorded the change and
    -- left a mark, which is good for this statement only.
    IF CAST(@evtrig_0768f87a16f9_d_2 AS BINARY) = CONCAT('6fb2c19fb43ef85e', NOW(6)) THEN
        SET @evtrig_0768f87a16f9_d_2 = NULL;
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

    INSERT INTO `out``box % \'`.`events`
    SET
        `uid`         = UUID_SHORT(),
        `type`        = 'second.delete',
        `source`      = 'the `shop`''s 100% \\ "店".second',
        `operation`   = 'delete',
        `captured_at` = UTC_TIMESTAMP(6),
        `key`         = JSON_OBJECT(
              'select',            OLD.`select`
            , '鍵',                 OLD.`鍵`
        ),
        `before`      = JSON_OBJECT(
              'select',            OLD.`select`
            , '鍵',                 OLD.`鍵`
            , 'né',                OLD.`né`
            , '二三四五六七八九十二三四五六七八九十二三四五六七八九十二三四五六七八九十二三四五六七八九十二三四五六七八九十二三四五六七八九十', OLD.`二三四五六七八九十二三四五六七八九十二三四五六七八九十二三四五六七八九十二三四五六七八九十二三四五六七八九十二三四五六七八九十`
            , 'sixty_four_characters_are_the_most_that_a_name_may_have_________', OLD.`sixty_four_characters_are_the_most_that_a_name_may_have_________`
        ),
        `after`       = NULL,
        `context`     = session_context;
END $$
DELIMITER ;

-- the `shop`'s 100% \ "店".sixty_four_characters_are_the_most_that_a_table_may_have________

DELIMITER $$
CREATE DEFINER = `evtrig_definer`@`localhost`
TRIGGER `the ``shop``'s 100% \ "店"`.`evtrig_52472c8ff1cb_i_1`
AFTER INSERT ON `the ``shop``'s 100% \ "店"`.`sixty_four_characters_are_the_most_that_a_table_may_have________`
FOR EACH ROW
capture: BEGIN
    -- Managed by evtrig: change the spec and run evtrig install, not this trigger.
    DECLARE session_context LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

    -- The next generation of this trigger, if there is one, has recorded the change and
    -- left a mark, which is good for this statement only.
    IF CAST(@evtrig_52472c8ff1cb_i_2 AS BINARY) = CONCAT('7ee56ecddf0de776', NOW(6)) THEN
        SET @evtrig_52472c8ff1cb_i_2 = NULL;
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

    INSERT INTO `out``box % \'`.`events`
    SET
        `uid`         = UUID_SHORT(),
        `type`        = 'sixty_four_characters_are_the_most_that_a_table_may_have________.insert',
        `source`      = 'the `shop`''s 100% \\ "店".sixty_four_characters_are_the_most_that_a_table_may_have________',
        `operation`   = 'insert',
        `captured_at` = UTC_TIMESTAMP(6),
        `key`         = JSON_OBJECT(
              'id',                NEW.`id`
        ),
        `before`      = NULL,
        `after`       = JSON_OBJECT(
              'id',                NEW.`id`
        ),
        `context`     = session_context;
END $$
DELIMITER ;

DELIMITER $$
CREATE DEFINER = `evtrig_definer`@`localhost`
TRIGGER `the ``shop``'s 100% \ "店"`.`evtrig_52472c8ff1cb_u_1`
AFTER UPDATE ON `the ``shop``'s 100% \ "店"`.`sixty_four_characters_are_the_most_that_a_table_may_have________`
FOR EACH ROW
capture: BEGIN
    -- Managed by evtrig: change the spec and run evtrig install, not this trigger.
    DECLARE before_key, after_key LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE before_row, after_row LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE session_context LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

    -- The next generation of this trigger, if there is one, has recorded the change and
    -- left a mark, which is good for this statement only.
    IF CAST(@evtrig_52472c8ff1cb_u_2 AS BINARY) = CONCAT('ac641e838ce49cf0', NOW(6)) THEN
        SET @evtrig_52472c8ff1cb_u_2 = NULL;
        LEAVE capture;
    END IF;

    SET before_row = JSON_OBJECT(
          'id',                OLD.`id`
    );
    SET after_row = JSON_OBJECT(
          'id',                NEW.`id`
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
        FROM `the ``shop``'s 100% \ "店"`.`sixty_four_characters_are_the_most_that_a_table_may_have________` AS `now`
        WHERE
                `now`.`id` <=> OLD.`id`
            AND before_row <=> JSON_OBJECT(
                  'id',                `now`.`id`
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
        INSERT INTO `out``box % \'`.`events`
        SET
            `uid`         = UUID_SHORT(),
            `type`        = 'sixty_four_characters_are_the_most_that_a_table_may_have________.update',
            `source`      = 'the `shop`''s 100% \\ "店".sixty_four_characters_are_the_most_that_a_table_may_have________',
            `operation`   = 'update',
            `captured_at` = UTC_TIMESTAMP(6),
            `key`         = after_key,
            `before`      = before_row,
            `after`       = after_row,
            `context`     = session_context;
    ELSE
        -- Under its old key the row is gone, and under the new one it has come: two
        -- events, so that each is in order with the other changes of its key.
        INSERT INTO `out``box % \'`.`events`
        SET
            `uid`         = UUID_SHORT(),
            `type`        = 'sixty_four_characters_are_the_most_that_a_table_may_have________.delete',
            `source`      = 'the `shop`''s 100% \\ "店".sixty_four_characters_are_the_most_that_a_table_may_have________',
            `operation`   = 'delete',
            `captured_at` = UTC_TIMESTAMP(6),
            `key`         = before_key,
            `before`      = before_row,
            `after`       = NULL,
            `context`     = session_context;

        INSERT INTO `out``box % \'`.`events`
        SET
            `uid`         = UUID_SHORT(),
            `type`        = 'sixty_four_characters_are_the_most_that_a_table_may_have________.insert',
            `source`      = 'the `shop`''s 100% \\ "店".sixty_four_characters_are_the_most_that_a_table_may_have________',
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
TRIGGER `the ``shop``'s 100% \ "店"`.`evtrig_52472c8ff1cb_d_1`
AFTER DELETE ON `the ``shop``'s 100% \ "店"`.`sixty_four_characters_are_the_most_that_a_table_may_have________`
FOR EACH ROW
capture: BEGIN
    -- Managed by evtrig: change the spec and run evtrig install, not this trigger.
    DECLARE session_context LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

    -- The next generation of this trigger, if there is one, has recorded the change and
    -- left a mark, which is good for this statement only.
    IF CAST(@evtrig_52472c8ff1cb_d_2 AS BINARY) = CONCAT('2dd11c089d26ac35', NOW(6)) THEN
        SET @evtrig_52472c8ff1cb_d_2 = NULL;
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

    INSERT INTO `out``box % \'`.`events`
    SET
        `uid`         = UUID_SHORT(),
        `type`        = 'sixty_four_characters_are_the_most_that_a_table_may_have________.delete',
        `source`      = 'the `shop`''s 100% \\ "店".sixty_four_characters_are_the_most_that_a_table_may_have________',
        `operation`   = 'delete',
        `captured_at` = UTC_TIMESTAMP(6),
        `key`         = JSON_OBJECT(
              'id',                OLD.`id`
        ),
        `before`      = JSON_OBJECT(
              'id',                OLD.`id`
        ),
        `after`       = NULL,
        `context`     = session_context;
END $$
DELIMITER ;