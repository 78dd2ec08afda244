-- Meaningful events beside the change rows, after them, in the order of the spec.
CREATE TABLE orders (id INT PRIMARY KEY, status VARCHAR(9), n INT);
CREATE TABLE other (id INT PRIMARY KEY);
--! capture
--!     {other: {},
--!     orders: {
--!         when: {update: NEW.n > 0},
--!         events: [
--!             {type: OrderPlaced, on: insert},
--!             {type: OrderShipped, on: update,
--!              when: NEW.status = 'shipped' AND OLD.status <> 'shipped',
--!              data: {order: NEW.id, "was it paid?": OLD.status = 'paid', "1": "'it''s'"}},
--!             {type: Counted, on: [insert, update], when: NEW.n > 1, data: {n: NEW.n}},
--!             {type: OrderForgotten, on: delete, data: {n: OLD.n, half: OLD.n / 2}}]}}

INSERT INTO orders VALUES (1, 'new', 0), (2, 'new', 2);
--> insert orders {"id": 1} null {"id": 1, "status": "new", "n": 0}
--> event OrderPlaced insert orders {"id": 1} null {}
--> insert orders {"id": 2} null {"id": 2, "status": "new", "n": 2}
--> event OrderPlaced insert orders {"id": 2} null {}
--> event Counted insert orders {"id": 2} null {"n": 2}

-- Each has a condition of its own; that of the change row is not theirs.
UPDATE orders SET status = 'shipped' ORDER BY id;
--> event OrderShipped update orders {"id": 1} null {"order": 1, "was it paid?": 0, "1": "it's"}
--> update orders {"id": 2} {"id": 2, "status": "new", "n": 2} {"id": 2, "status": "shipped", "n": 2}
--> event OrderShipped update orders {"id": 2} null {"order": 2, "was it paid?": 0, "1": "it's"}
--> event Counted update orders {"id": 2} null {"n": 2}

-- An update that changes nothing is no domain event either, nor is a NULL condition.
UPDATE orders SET n = 2 WHERE id = 2;
UPDATE orders SET status = NULL WHERE id = 1;
UPDATE orders SET status = 'shipped' WHERE id = 1;

-- Under a new key, it belongs to that.
UPDATE orders SET id = 3, n = 3 WHERE id = 2;
--> delete orders {"id": 2} {"id": 2, "status": "shipped", "n": 2} null
--> insert orders {"id": 3} null {"id": 3, "status": "shipped", "n": 3}
--> event Counted update orders {"id": 3} null {"n": 3}

START TRANSACTION;
DELETE FROM orders;
ROLLBACK;
INSERT INTO other VALUES (1);
--> insert other {"id": 1} null {"id": 1}
DELETE FROM orders WHERE id = 3;
--> delete orders {"id": 3} {"id": 3, "status": "shipped", "n": 3} null
--> event OrderForgotten delete orders {"id": 3} null {"n": 3, "half": 1.5}
