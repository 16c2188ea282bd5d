-- name: lock
SELECT pg_try_advisory_lock(hashtext('billing_advance'), %(cycle)s)

-- name: unlock
SELECT pg_advisory_unlock(hashtext('billing_advance'), %(cycle)s)

-- name: add_step
INSERT INTO billing_step (cycle_id, kind, happened_at, detail)
VALUES (%(cycle)s, %(kind)s, %(now)s, %(detail)s)

-- name: last_step
SELECT kind, detail FROM billing_step WHERE cycle_id = %(cycle)s ORDER BY id DESC LIMIT 1

-- name: steps
SELECT kind, detail, happened_at FROM billing_step WHERE cycle_id = %(cycle)s ORDER BY id

-- name: done
SELECT max(happened_at) FILTER (WHERE kind IN ('computed', 'closed')),
       max(happened_at) FILTER (WHERE kind = 'closed'),
       -- What a delivery did not bring through is tried again each time.
       coalesce((array_agg(kind ORDER BY id DESC) FILTER (WHERE kind IN ('delivered', 'failed')))[1]
                = 'failed', false),
       max(happened_at) FILTER (WHERE kind = 'summed')
FROM billing_step WHERE cycle_id = %(cycle)s
