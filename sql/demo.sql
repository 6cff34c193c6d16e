-- A small session: psql -f sql/demo.sql
CREATE TABLE account (id int PRIMARY KEY, owner text NOT NULL, balance numeric(12,2) DEFAULT 0);
INSERT INTO account VALUES (1, 'Ada', 100), (2, 'Grace', 250.5) RETURNING id, owner;
BEGIN;
UPDATE account SET balance = balance - 30 WHERE id = 1;
UPDATE account SET balance = balance + 30 WHERE id = 2 RETURNING *;
COMMIT;
SELECT owner, balance, round(balance / sum, 3) AS share
FROM account CROSS JOIN (SELECT sum(balance) FROM account) AS total
ORDER BY share DESC;
BEGIN;
DELETE FROM account;
ROLLBACK;
SELECT count(*) FROM account;
INSERT INTO account VALUES (1, 'Edsger');
SELECT owner FROM account WHERE balanc > 0;
