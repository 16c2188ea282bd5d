-- name: groups
-- Meters of which every comparison of a verdict comes out the same are judged as one: the key says
-- how they came out, and one meter stands for the others.
WITH fleet AS (
    SELECT d.id, d.mrid, p.mrid AS usage_point, s.code AS segment, p.time_zone,
           d.protocol = 'manual' AS by_hand,
           CASE WHEN st.power_off_at > coalesce(st.last_ok, '-infinity') THEN st.power_off_at
                ELSE coalesce(st.failing_since, st.last_ok) END AS since,
           concat_ws('|', d.interval_seconds, coalesce(c.capture_seconds, 0),
               coalesce(st.error, '-'), st.last_attempt IS NULL, st.failing_since IS NULL,
               st.last_ok IS NULL,
               coalesce(st.last_ok < %(now)s::timestamptz - greatest(
                   %(silence)s::interval, 3 * make_interval(secs => d.interval_seconds)), false),
               coalesce(st.power_off_at > coalesce(st.last_ok, '-infinity'), false),
               coalesce(abs(st.clock_deviation) > %(clock)s, false)) AS key
    FROM installation i
    JOIN end_device d ON d.id = i.end_device_id
    JOIN usage_point p ON p.id = i.usage_point_id
    LEFT JOIN network_segment s ON s.id = d.segment_id
    LEFT JOIN device_status st ON st.end_device_id = d.id
    LEFT JOIN (
        SELECT DISTINCT ON (e.end_device_id) e.end_device_id, m.capture_seconds
        FROM end_device_profile e JOIN meter_profile m USING (digest)
        ORDER BY e.end_device_id, e.read_at DESC
    ) c ON c.end_device_id = d.id
    WHERE i.starts_at <= %(now)s AND (i.ends_at IS NULL OR i.ends_at > %(now)s)
)
SELECT key, by_hand, time_zone, count(*), min(id)
FROM fleet GROUP BY key, by_hand, time_zone

-- name: members
-- Without a text, a list of keys or of all is one of the fleet in the order of names.
WITH fleet AS (
    SELECT d.id, d.mrid, p.mrid AS usage_point, s.code AS segment, p.time_zone,
           d.protocol = 'manual' AS by_hand,
           CASE WHEN st.power_off_at > coalesce(st.last_ok, '-infinity') THEN st.power_off_at
                ELSE coalesce(st.failing_since, st.last_ok) END AS since,
           concat_ws('|', d.interval_seconds, coalesce(c.capture_seconds, 0),
               coalesce(st.error, '-'), st.last_attempt IS NULL, st.failing_since IS NULL,
               st.last_ok IS NULL,
               coalesce(st.last_ok < %(now)s::timestamptz - greatest(
                   %(silence)s::interval, 3 * make_interval(secs => d.interval_seconds)), false),
               coalesce(st.power_off_at > coalesce(st.last_ok, '-infinity'), false),
               coalesce(abs(st.clock_deviation) > %(clock)s, false)) AS key
    FROM installation i
    JOIN end_device d ON d.id = i.end_device_id
    JOIN usage_point p ON p.id = i.usage_point_id
    LEFT JOIN network_segment s ON s.id = d.segment_id
    LEFT JOIN device_status st ON st.end_device_id = d.id
    LEFT JOIN (
        SELECT DISTINCT ON (e.end_device_id) e.end_device_id, m.capture_seconds
        FROM end_device_profile e JOIN meter_profile m USING (digest)
        ORDER BY e.end_device_id, e.read_at DESC
    ) c ON c.end_device_id = d.id
    WHERE i.starts_at <= %(now)s AND (i.ends_at IS NULL OR i.ends_at > %(now)s)
)
SELECT id, count(*) OVER ()
FROM fleet
WHERE (%(groups)s::text[] IS NULL OR by_hand::text || ' ' || key = ANY(%(groups)s::text[]))
  AND (%(text)s::text IS NULL OR strpos(lower(mrid), %(text)s) > 0
       OR strpos(lower(usage_point), %(text)s) > 0 OR strpos(lower(segment), %(text)s) > 0)
ORDER BY CASE WHEN %(oldest)s THEN coalesce(since, '-infinity') END, mrid
LIMIT %(limit)s OFFSET %(offset)s

-- name: conditions
SELECT d.id, d.interval_seconds, st.last_attempt, st.last_ok, st.failing_since, st.error,
       st.message, coalesce(st.consecutive_failures, 0), st.next_attempt, coalesce(st.held, false),
       st.clock_deviation, p.capture_seconds, st.power_off_at
FROM end_device d
LEFT JOIN device_status st ON st.end_device_id = d.id
LEFT JOIN LATERAL (
    SELECT m.capture_seconds FROM end_device_profile e JOIN meter_profile m USING (digest)
    WHERE e.end_device_id = d.id ORDER BY e.read_at DESC LIMIT 1
) p ON true
WHERE d.id = ANY(%(ids)s)
