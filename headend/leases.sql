-- name: take
SELECT pg_try_advisory_lock(7105023, %(id)s::integer)

-- name: give_back
SELECT pg_advisory_unlock(7105023, id) FROM unnest(%(ids)s::integer[]) AS id
