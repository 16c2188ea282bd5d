-- name: add
INSERT INTO export_redirect (export_id, former_target, delivered_at, redirected_at, person, reason)
VALUES (%(export)s, %(former)s, %(delivered_at)s, %(now)s, %(person)s, %(reason)s)

-- name: redirect
UPDATE export SET target = %(target)s, delivered_at = NULL, problem = NULL WHERE id = %(export)s

-- name: lock_export
SELECT id FROM export WHERE id = %(export)s FOR NO KEY UPDATE
