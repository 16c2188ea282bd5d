-- name: session_ids
SELECT nextval('collection_session_id_seq') FROM generate_series(1, %(count)s)

-- name: already_read
SELECT end_device_id FROM collection_session WHERE batch_id = %(batch)s

-- name: record_sessions
INSERT INTO collection_session (
    id, end_device_id, batch_id, reads, started_at, ended_at, outcome, error, message, attempts,
    intervals, registers, events, seconds)
OVERRIDING SYSTEM VALUE
SELECT id, end_device_id, %(batch)s, string_to_array(reads, ','), started_at, ended_at, outcome,
       error, message, attempts, intervals, registers, events, seconds
FROM unnest(
    %(ids)s::bigint[], %(end_devices)s::integer[], %(reads)s::text[], %(started_at)s::timestamptz[],
    %(ended_at)s::timestamptz[], %(outcomes)s::text[], %(errors)s::text[], %(messages)s::text[],
    %(attempts)s::integer[], %(intervals)s::integer[], %(registers)s::integer[],
    %(events)s::integer[], %(seconds)s::real[]
) AS s (id, end_device_id, reads, started_at, ended_at, outcome, error, message, attempts,
        intervals, registers, events, seconds)
ON CONFLICT (batch_id, end_device_id) DO NOTHING

-- name: record_statuses
INSERT INTO device_status AS st (
    end_device_id, last_attempt, last_ok, failing_since, error, message, consecutive_failures,
    next_attempt, next_reads, backlog, held, history_until, events_until, clock_deviation,
    clock_read_at, identity)
SELECT end_device_id, ended_at, CASE WHEN NOT failing THEN ended_at END,
       CASE WHEN failing THEN started_at END, error, message, failing::integer, next_attempt,
       string_to_array(next_reads, ','), backlog, held, history_until, events_until,
       clock_deviation, clock_read_at, identity::jsonb
FROM unnest(
    %(end_devices)s::integer[], %(started_at)s::timestamptz[], %(ended_at)s::timestamptz[],
    %(failing)s::boolean[], %(errors)s::text[], %(messages)s::text[],
    %(next_attempts)s::timestamptz[], %(next_reads)s::text[], %(backlogs)s::boolean[],
    %(held)s::boolean[], %(history_until)s::timestamptz[], %(events_until)s::timestamptz[],
    %(clock_deviations)s::real[], %(clock_read_at)s::timestamptz[], %(identities)s::text[]
) AS s (end_device_id, started_at, ended_at, failing, error, message, next_attempt, next_reads,
        backlog, held, history_until, events_until, clock_deviation, clock_read_at, identity)
ORDER BY end_device_id
ON CONFLICT (end_device_id) DO UPDATE SET
    last_attempt = excluded.last_attempt,
    last_ok = coalesce(excluded.last_ok, st.last_ok),
    failing_since = CASE WHEN excluded.failing_since IS NOT NULL
        THEN coalesce(st.failing_since, excluded.failing_since) END,
    error = excluded.error,
    message = excluded.message,
    consecutive_failures = CASE WHEN excluded.failing_since IS NOT NULL
        THEN st.consecutive_failures + 1 ELSE 0 END,
    next_attempt = excluded.next_attempt,
    next_reads = excluded.next_reads,
    backlog = excluded.backlog,
    held = excluded.held,
    history_until = greatest(st.history_until, excluded.history_until),
    events_until = greatest(st.events_until, excluded.events_until),
    clock_deviation = coalesce(excluded.clock_deviation, st.clock_deviation),
    clock_read_at = coalesce(excluded.clock_read_at, st.clock_read_at),
    identity = coalesce(excluded.identity, st.identity)

-- name: put_off
UPDATE device_status
SET next_reads = ARRAY(SELECT DISTINCT unnest(next_reads || %(reads)s::text[]) ORDER BY 1)
WHERE end_device_id = ANY (%(ids)s::integer[])

-- name: put_off_busy
INSERT INTO device_status AS st (end_device_id, next_attempt, next_reads)
SELECT id, %(at)s, %(reads)s::text[] FROM unnest(%(ids)s::integer[]) AS id
ON CONFLICT (end_device_id) DO UPDATE SET
    next_attempt = least(st.next_attempt, excluded.next_attempt),
    next_reads = ARRAY(SELECT DISTINCT unnest(st.next_reads || excluded.next_reads) ORDER BY 1)

-- name: release
UPDATE device_status SET held = false, next_attempt = %(now)s
WHERE end_device_id = %(end_device)s AND held
