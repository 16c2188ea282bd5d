-- name: lock
SELECT pg_advisory_xact_lock(hashtext('account_balance_file'), hashtext(%(target)s))

-- name: newest
SELECT sha256 FROM account_balance_file
WHERE (target, name) = (%(target)s, %(name)s) ORDER BY id DESC LIMIT 1

-- name: add
INSERT INTO account_balance_file (target, name, sha256, taken_at)
VALUES (%(target)s, %(name)s, %(sha256)s, %(now)s)
