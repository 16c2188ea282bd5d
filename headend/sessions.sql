-- name: session_ids
SELECT nextval(pg_get_serial_sequence('collection_session', 'id')) FROM generate_series(1, %(count)s)

-- name: already_read
SELECT end_device_id FROM collection_session WHERE batch_id = %(batch)s

-- name: record_session
INSERT INTO collection_session (
    id, end_device_id, batch_id, reads, started_at, ended_at, outcome, error, message, attempts,
    intervals, registers, events, seconds)
OVERRIDING SYSTEM VALUE
VALUES (
    %(id)s, %(end_device)s, %(batch)s, %(reads)s::text[], %(started_at)s, %(ended_at)s, %(outcome)s,
    %(error)s, %(message)s, %(attempts)s, %(intervals)s, %(registers)s, %(events)s, %(seconds)s)
ON CONFLICT (batch_id, end_device_id) DO NOTHING

-- name: record_status
INSERT INTO device_status AS st (
    end_device_id, last_attempt, last_ok, failing_since, error, message, consecutive_failures,
    next_attempt, next_reads, backlog, held, history_until, events_until, clock_deviation,
    clock_read_at, identity)
VALUES (
    %(end_device)s, %(ended_at)s, CASE WHEN NOT %(failing)s THEN %(ended_at)s::timestamptz END,
    CASE WHEN %(failing)s THEN %(started_at)s::timestamptz END, %(error)s, %(message)s,
    CASE WHEN %(failing)s THEN 1 ELSE 0 END, %(next_attempt)s, %(next_reads)s::text[], %(backlog)s,
    %(held)s, %(history_until)s, %(events_until)s, %(clock_deviation)s, %(clock_read_at)s,
    %(identity)s)
ON CONFLICT (end_device_id) DO UPDATE SET
    last_attempt = excluded.last_attempt,
    last_ok = coalesce(excluded.last_ok, st.last_ok),
    failing_since = CASE WHEN %(failing)s THEN coalesce(st.failing_since, excluded.failing_since) END,
    error = excluded.error,
    message = excluded.message,
    consecutive_failures = CASE WHEN %(failing)s THEN st.consecutive_failures + 1 ELSE 0 END,
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
