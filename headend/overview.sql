-- name: condition
SELECT st.last_attempt, st.last_ok, st.failing_since, st.error, st.message,
       st.consecutive_failures, st.next_attempt, st.held, st.clock_deviation, p.capture_seconds,
       st.power_off_at, st.identity
FROM device_status st
LEFT JOIN LATERAL (
    SELECT m.capture_seconds FROM end_device_profile e JOIN meter_profile m USING (digest)
    WHERE e.end_device_id = st.end_device_id ORDER BY e.read_at DESC LIMIT 1
) p ON true
WHERE st.end_device_id = %(id)s

-- name: last_sessions
SELECT started_at, ended_at, reads, outcome, error, message, attempts, intervals, registers, events,
       seconds
FROM collection_session WHERE end_device_id = %(id)s
ORDER BY started_at DESC, id DESC LIMIT %(limit)s

-- name: last_registers
SELECT DISTINCT ON (reading_type_id) reading_type_id, read_at, value, quality
FROM raw_register_reading
WHERE end_device_id = %(id)s AND read_at > %(since)s AND read_at <= %(now)s
ORDER BY reading_type_id, read_at DESC

-- name: last_intervals
SELECT DISTINCT ON (b.reading_type_id) b.reading_type_id,
       b.starts_at + (u.i - 1) * make_interval(secs => b.interval_seconds), u.value,
       coalesce(b.quality[u.i], 0::smallint)
FROM raw_interval_block b
CROSS JOIN LATERAL unnest(b.values) WITH ORDINALITY AS u (value, i)
LEFT JOIN quality_code q ON q.code = b.quality[u.i]
WHERE b.end_device_id = %(id)s AND b.starts_at > %(since)s AND b.starts_at <= %(now)s
  AND q.class IS DISTINCT FROM 'missing'
ORDER BY b.reading_type_id, b.starts_at + (u.i - 1) * make_interval(secs => b.interval_seconds) DESC

-- name: last_events
SELECT occurred_at, category, code, description FROM end_device_event
WHERE end_device_id = %(id)s ORDER BY occurred_at DESC LIMIT %(limit)s

-- name: conditions
SELECT d.id, d.mrid, d.protocol, s.code, d.interval_seconds, st.last_attempt, st.last_ok,
       st.failing_since, st.error, st.message, coalesce(st.consecutive_failures, 0), st.next_attempt,
       coalesce(st.held, false), st.clock_deviation, p.capture_seconds, st.power_off_at
FROM end_device d
LEFT JOIN network_segment s ON s.id = d.segment_id
LEFT JOIN device_status st ON st.end_device_id = d.id
LEFT JOIN LATERAL (
    SELECT m.capture_seconds FROM end_device_profile e JOIN meter_profile m USING (digest)
    WHERE e.end_device_id = d.id ORDER BY e.read_at DESC LIMIT 1
) p ON true
WHERE d.protocol <> 'manual'
  AND EXISTS (
      SELECT FROM installation i
      WHERE i.end_device_id = d.id AND tstzrange(i.starts_at, i.ends_at) @> %(now)s::timestamptz
  )
ORDER BY d.mrid
