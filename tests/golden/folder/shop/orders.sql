-- Made by evtrig generate from the spec: change that, not this file.
-- shop.orders on MySQL: for a first installation, after outbox.sql.
-- Where triggers are already, evtrig install replaces them without missing a change.
SET NAMES utf8mb4 COLLATE utf8mb4_bin;
SET SESSION sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION';
SET SESSION lock_wait_timeout = 3;

GRANT SELECT, TRIGGER ON `shop`.`orders` TO `evtrig_definer`@`localhost`;

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
