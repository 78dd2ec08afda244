-- What each kind shows: of short values, of NULL, of characters of several bytes.
CREATE TABLE last4 (id INT PRIMARY KEY, v VARCHAR(30));
CREATE TABLE shortened (id INT PRIMARY KEY, v VARCHAR(30) CHARACTER SET latin1, w TEXT);
CREATE TABLE hashed (id INT PRIMARY KEY, v VARCHAR(30), n BIGINT, d DECIMAL(10,2));
CREATE TABLE nothing (id INT PRIMARY KEY, v VARCHAR(30), b BLOB, at TIMESTAMP NULL);
--! capture
--!     {last4: {redact: {v: last4}},
--!     shortened: {redact: {v: {truncate: 2}, w: {truncate: 3}}},
--!     hashed: {redact: {v: hash, n: hash, d: hash}},
--!     nothing: {redact: {v: "null", b: "null", at: omit}}}

-- The last four of a shorter value would be half of it.
INSERT INTO last4 VALUES (1, '4111111111111111'), (2, '12345678'), (3, '1234567'), (4, '12'), (5, ''), (6, NULL), (7, '1234567🍣🍺é');
--> insert last4 {"id": 1} null {"id": 1, "v": "****1111"}
--> insert last4 {"id": 2} null {"id": 2, "v": "****5678"}
--> insert last4 {"id": 3} null {"id": 3, "v": "****"}
--> insert last4 {"id": 4} null {"id": 4, "v": "****"}
--> insert last4 {"id": 5} null {"id": 5, "v": "****"}
--> insert last4 {"id": 6} null {"id": 6, "v": null}
--> insert last4 {"id": 7} null {"id": 7, "v": "****7🍣🍺é"}

INSERT INTO shortened VALUES (1, 'äöü', '🍣🍺éa'), (2, 'é', '🍣'), (3, '', ''), (4, NULL, NULL);
--> insert shortened {"id": 1} null {"id": 1, "v": "äö", "w": "🍣🍺é"}
--> insert shortened {"id": 2} null {"id": 2, "v": "é", "w": "🍣"}
--> insert shortened {"id": 3} null {"id": 3, "v": "", "w": ""}
--> insert shortened {"id": 4} null {"id": 4, "v": null, "w": null}

-- Behind what is cut off there may be a change.
UPDATE shortened SET w = '🍣🍺éb' WHERE id = 1;
--> update shortened {"id": 1} {"id": 1, "v": "äö", "w": "🍣🍺é"} {"id": 1, "v": "äö", "w": "🍣🍺é"}

-- With a salt that is known, so are the hashes: SHA-256 of the salt and the value.
UPDATE $outbox.salts SET value = REPEAT('0', 64);
INSERT INTO hashed VALUES (1, 'é', 7, 7), (2, '7', NULL, NULL);
--> insert hashed {"id": 1} null {"id": 1, "v": "3fce5da746087a9330843002519f3c63b254e105da7192ff4618f70c28f8841d", "n": "961821836f05f0d108619f47928271a8fa9d6e6223334dea835512bbac4c2a5c", "d": "c48c06001b8aab9ca40045165bfbc9cad558e6024a278b330934078e0ff8a9c0"}
--> insert hashed {"id": 2} null {"id": 2, "v": "961821836f05f0d108619f47928271a8fa9d6e6223334dea835512bbac4c2a5c", "n": null, "d": null}

INSERT INTO nothing VALUES (1, 'a', x'ff', NOW()), (2, NULL, NULL, NULL);
--> insert nothing {"id": 1} null {"id": 1, "v": null, "b": null}
--> insert nothing {"id": 2} null {"id": 2, "v": null, "b": null}
UPDATE nothing SET b = x'fe' WHERE id = 1;
--> update nothing {"id": 1} {"id": 1, "v": null, "b": null} {"id": 1, "v": null, "b": null}
UPDATE nothing SET at = '2026-01-01 00:00:00' WHERE id = 2;
--> update nothing {"id": 2} {"id": 2, "v": null, "b": null} {"id": 2, "v": null, "b": null}
