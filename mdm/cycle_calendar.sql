-- name: add
INSERT INTO billing_plan (billing_group, definition, kept_at)
VALUES (%(group)s, %(definition)s, %(now)s)

-- name: newest
SELECT p.billing_group, p.definition
FROM (SELECT DISTINCT ON (billing_group) * FROM billing_plan ORDER BY billing_group, id DESC) p
WHERE p.definition <> 'null'
ORDER BY p.billing_group
