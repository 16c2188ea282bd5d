-- name: add
WITH added AS (
    INSERT INTO read_schedule (
        name, group_id, cron, interval_seconds, time_zone, reads, stagger_seconds, misfire,
        grace_seconds, enabled, keep_clock_seconds, decided_until)
    SELECT %(name)s, g.id, %(cron)s, %(interval_seconds)s, %(time_zone)s, %(reads)s::text[],
           %(stagger_seconds)s, %(misfire)s, %(grace_seconds)s, %(enabled)s,
           %(keep_clock_seconds)s, %(now)s
    FROM end_device_group g WHERE g.name = %(group)s
    RETURNING *
)
SELECT a.id, a.name, g.name, a.cron, a.interval_seconds, a.time_zone, a.reads, a.stagger_seconds,
       a.misfire, a.grace_seconds, a.enabled, a.keep_clock_seconds
FROM added a JOIN end_device_group g ON g.id = a.group_id

-- name: schedules
SELECT s.id, s.name, g.name, s.cron, s.interval_seconds, s.time_zone, s.reads, s.stagger_seconds,
       s.misfire, s.grace_seconds, s.enabled, s.keep_clock_seconds
FROM read_schedule s JOIN end_device_group g ON g.id = s.group_id
ORDER BY s.name

-- name: enable
UPDATE read_schedule
SET enabled = %(enabled)s,
    decided_until = CASE WHEN enabled THEN decided_until ELSE %(now)s END
WHERE name = %(name)s

-- name: remove
DELETE FROM read_schedule WHERE name = %(name)s
