-- A plain column is written in a domain event as in an image, redaction included.
CREATE TABLE t (
    id BIGINT UNSIGNED PRIMARY KEY,
    price DECIMAL(12,2),
    at TIMESTAMP NULL,
    day DATE,
    raw BLOB,
    doc JSON,
    flags BIT(3),
    ratio FLOAT,
    card VARCHAR(20),
    name VARCHAR(9) CHARACTER SET latin1
);
--! capture
--!     {t: {change_rows: false, redact: {card: last4}, events: [
--!         {type: All, on: insert, data: {
--!             id: NEW.id, price: NEW.price, at: NEW.at, day: NEW.day, raw: NEW.raw, doc: NEW.doc,
--!             flags: NEW.flags, ratio: NEW.ratio, card: NEW.card, name: NEW.`name`}}]}}

SET time_zone = '+05:00';
INSERT INTO t VALUES (18446744073709551615, 10.10, '2026-01-01 05:00:00', '2026-01-02', x'00ff', '{"a": [1, {"b": null}]}', 5, 0.1, '4111111111111111', 'é');
--> event All insert {"id": 18446744073709551615} null {"id": 18446744073709551615, "price": "10.10", "at": "2026-01-01 00:00:00", "day": "2026-01-02", "raw": "AP8=", "doc": {"a": [1, {"b": null}]}, "flags": 5, "ratio": 0.10000000149011612, "card": "****1111", "name": "é"}
INSERT INTO t (id) VALUES (1);
--> event All insert {"id": 1} null {"id": 1, "price": null, "at": null, "day": null, "raw": null, "doc": null, "flags": null, "ratio": null, "card": null, "name": null}
