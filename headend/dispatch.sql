-- name: only_one
SELECT pg_try_advisory_xact_lock(7105024)

-- name: pending_schedules
SELECT s.id, s.name, g.name, s.cron, s.interval_seconds, s.time_zone, s.reads, s.stagger_seconds,
       s.misfire, s.grace_seconds, s.enabled, s.keep_clock_seconds, s.decided_until
FROM read_schedule s JOIN end_device_group g ON g.id = s.group_id
WHERE s.enabled AND s.decided_until < %(now)s
ORDER BY s.id
FOR UPDATE OF s

-- name: decided
UPDATE read_schedule SET decided_until = %(now)s WHERE id = ANY (%(schedules)s::integer[])

-- name: members_due
SELECT m.end_device_id, d.segment_id, coalesce(st.consecutive_failures, 0) > 0,
       -- What several meters may share: a serial line, a gateway's address.
       coalesce(
           d.address ->> 'line',
           CASE WHEN d.protocol = 'modbus' THEN d.host || ':' || coalesce(d.port, 0) END),
       EXISTS (
           SELECT FROM collection_batch b
           WHERE b.schedule_id = %(schedule)s AND b.finished_at IS NULL
             AND m.end_device_id = ANY (b.end_device_ids)
       ) AS still_queued
FROM read_schedule s
JOIN end_device_group_membership m ON m.group_id = s.group_id
JOIN end_device d ON d.id = m.end_device_id
LEFT JOIN device_status st ON st.end_device_id = d.id
WHERE s.id = %(schedule)s AND d.protocol IN ('dlms', 'modbus')
  AND EXISTS (
      SELECT FROM installation i
      WHERE i.end_device_id = d.id AND tstzrange(i.starts_at, i.ends_at) @> %(due_at)s::timestamptz
  )
ORDER BY m.end_device_id

-- name: record_fire
INSERT INTO read_schedule_fire (schedule_id, due_at, decided_at, outcome, end_devices, still_queued)
VALUES (%(schedule)s, %(due_at)s, %(now)s, %(outcome)s, %(end_devices)s, %(still_queued)s)
ON CONFLICT DO NOTHING

-- name: devices_due_again
SELECT st.end_device_id, d.segment_id, st.backlog, st.next_reads
FROM device_status st JOIN end_device d ON d.id = st.end_device_id
WHERE st.next_attempt <= %(now)s AND NOT st.held AND cardinality(st.next_reads) > 0
  AND EXISTS (
      SELECT FROM installation i
      WHERE i.end_device_id = d.id AND tstzrange(i.starts_at, i.ends_at) @> %(now)s::timestamptz
  )
  AND NOT EXISTS (
      SELECT FROM collection_batch b
      WHERE b.finished_at IS NULL AND st.end_device_id = ANY (b.end_device_ids)
  )
ORDER BY st.end_device_id

-- name: devices_with_controls_due
SELECT DISTINCT c.end_device_id, d.segment_id
FROM end_device_control c
JOIN end_device d ON d.id = c.end_device_id
LEFT JOIN device_status st ON st.end_device_id = c.end_device_id
WHERE c.next_attempt <= %(now)s AND c.not_before <= %(now)s
  AND (c.state IN ('requested', 'approved') AND c.expires_at > %(now)s
           AND (c.needs_approval IS NULL OR c.state = 'approved')
       OR c.state = 'running'
       -- After a day only a conversation for another reason settles it.
       OR c.state = 'unknown' AND c.sent_at > %(now)s::timestamptz - interval '1 day')
  AND NOT coalesce(st.held, false)
  AND (st.next_attempt IS NULL OR st.next_attempt <= %(now)s)
  AND NOT EXISTS (
      SELECT FROM collection_batch b
      WHERE b.finished_at IS NULL AND (b.not_before <= %(now)s OR b.reason = 'control')
        AND c.end_device_id = ANY (b.end_device_ids)
  )
ORDER BY 1

-- name: add_batch
INSERT INTO collection_batch (
    reason, schedule_id, segment_id, end_device_ids, reads, due_at, not_before, failing)
VALUES (
    %(reason)s, %(schedule)s, %(segment)s, %(end_devices)s::integer[], %(reads)s::text[], %(due_at)s,
    %(not_before)s, %(failing)s)

-- name: release_batches
UPDATE collection_batch SET released_at = %(now)s
WHERE released_at IS NULL AND not_before <= %(now)s
RETURNING id, reason, segment_id, failing

-- name: batch
SELECT b.id, b.reason, b.end_device_ids, b.reads, s.keep_clock_seconds, s.name
FROM collection_batch b LEFT JOIN read_schedule s ON s.id = b.schedule_id
WHERE b.id = %(batch)s AND b.finished_at IS NULL

-- name: finish_batch
UPDATE collection_batch SET finished_at = %(now)s WHERE id = %(batch)s AND finished_at IS NULL

-- name: queue
SELECT count(*) FILTER (WHERE released_at IS NULL)::integer,
       count(*) FILTER (WHERE released_at IS NOT NULL)::integer,
       coalesce(sum(cardinality(end_device_ids)), 0)::integer,
       min(not_before)
FROM collection_batch WHERE finished_at IS NULL

-- name: has_more
SELECT EXISTS (
    SELECT FROM procrastinate_jobs
    WHERE queue_name = %(queue)s AND status = 'todo'
      AND (scheduled_at IS NULL OR scheduled_at <= now())
) OR EXISTS (
    SELECT FROM device_status WHERE next_attempt <= %(now)s AND NOT held
) OR EXISTS (
    SELECT FROM end_device_control
    WHERE state IN ('requested', 'approved', 'running', 'unknown') AND next_attempt <= %(now)s
)

-- name: has_jobs
SELECT EXISTS (
    SELECT FROM procrastinate_jobs
    WHERE queue_name = %(queue)s AND status = 'todo'
      AND (scheduled_at IS NULL OR scheduled_at <= now())
)
