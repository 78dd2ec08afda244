-- Each change is one event; the key stands beside the images.
CREATE TABLE orders (id INT AUTO_INCREMENT PRIMARY KEY, status VARCHAR(9) DEFAULT 'new');
INSERT INTO orders VALUES (1, 'old');
--! capture {orders: }

INSERT INTO orders () VALUES ();
--> insert {"id": 2} null {"id": 2, "status": "new"}
UPDATE orders SET status = 'paid' WHERE id = 2;
--> update {"id": 2} {"id": 2, "status": "new"} {"id": 2, "status": "paid"}
UPDATE orders SET status = NULL WHERE id = 2;
--> update {"id": 2} {"id": 2, "status": "paid"} {"id": 2, "status": null}
DELETE FROM orders WHERE id = 2;
--> delete {"id": 2} {"id": 2, "status": null} null

-- A row from before the capture.
DELETE FROM orders WHERE id = 1;
--> delete {"id": 1} {"id": 1, "status": "old"} null
