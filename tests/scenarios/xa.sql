-- Distributed transactions: only the one that is committed.
CREATE TABLE t (id INT PRIMARY KEY);
--! capture {t: }

XA START 'one';
INSERT INTO t VALUES (1);
--> insert {"id": 1} null {"id": 1}
XA END 'one';
XA PREPARE 'one';
XA COMMIT 'one';

XA START 'two';
INSERT INTO t VALUES (2);
XA END 'two';
XA PREPARE 'two';
XA ROLLBACK 'two';

XA START 'three';
INSERT INTO t VALUES (3);
--> insert {"id": 3} null {"id": 3}
XA END 'three';
XA COMMIT 'three' ONE PHASE;
