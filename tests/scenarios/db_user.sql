-- Which account wrote; the session cannot say another.
CREATE TABLE t (id INT PRIMARY KEY);
--! spec {db_user: true, emit: true}
--! capture {t: {images: key, events: [{type: Came, on: insert}]}}

INSERT INTO t VALUES (1);
--> insert {"id": 1} null null {"db_user": "$user"}
--> event Came insert {"id": 1} null {} {"db_user": "$user"}
SET @evtrig_context = '{"actor": "alice", "db_user": "mallory"}';
DELETE FROM t;
--> delete {"id": 1} null null {"actor": "alice", "db_user": "$user"}
CALL $outbox.emit('T', '{}', NULL);
--> event T emit {} null null {"actor": "alice", "db_user": "$user"}
SET @evtrig_context = 'alice';
INSERT INTO t VALUES (2);
--> insert {"id": 2} null null {"db_user": "$user"}
--> event Came insert {"id": 2} null {} {"db_user": "$user"}
