-- name: take
SELECT id FROM unnest(%(ids)s::integer[]) AS id WHERE pg_try_advisory_lock(7105023, id)

-- name: give_back
SELECT pg_advisory_unlock(7105023, id) FROM unnest(%(ids)s::integer[]) AS id
