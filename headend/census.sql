-- name: groups
-- Meters of which every comparison of a verdict comes out the same are judged as one; one meter stands
-- for the others. The key says how the comparisons came out, as in ``members``.
SELECT concat_ws('|', by_hand, interval_seconds, captured, error, unread, well, unheard, old, gasped,
                 drifts) AS key,
       by_hand, meters, one
FROM (
    SELECT d.protocol = 'manual' AS by_hand, d.interval_seconds,
           coalesce(c.capture_seconds, 0) AS captured, coalesce(st.error, '-') AS error,
           st.last_attempt IS NULL AS unread, st.failing_since IS NULL AS well,
           st.last_ok IS NULL AS unheard,
           coalesce(st.last_ok < %(now)s::timestamptz - greatest(
               %(silence)s::interval, 3 * make_interval(secs => d.interval_seconds)), false) AS old,
           coalesce(st.power_off_at > coalesce(st.last_ok, '-infinity'), false) AS gasped,
           coalesce(abs(st.clock_deviation) > %(clock)s, false) AS drifts,
           count(*) AS meters, min(d.id) AS one
    FROM installation i
    JOIN end_device d ON d.id = i.end_device_id
    LEFT JOIN device_status st ON st.end_device_id = d.id
    LEFT JOIN (
        SELECT DISTINCT ON (e.end_device_id) e.end_device_id, m.capture_seconds
        FROM end_device_profile e JOIN meter_profile m USING (digest)
        ORDER BY e.end_device_id, e.read_at DESC
    ) c ON c.end_device_id = d.id
    WHERE i.starts_at <= %(now)s AND (i.ends_at IS NULL OR i.ends_at > %(now)s)
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
) alike

-- name: members
-- What a text is in is looked for first: in three short tables, not in what joins them.
WITH named AS MATERIALIZED (
    SELECT id FROM end_device WHERE strpos(lower(mrid), %(text)s::text) > 0
    UNION ALL
    SELECT i.end_device_id FROM usage_point p JOIN installation i ON i.usage_point_id = p.id
    WHERE strpos(lower(p.mrid), %(text)s) > 0
    UNION ALL
    SELECT d.id FROM network_segment s JOIN end_device d ON d.segment_id = s.id
    WHERE strpos(lower(s.code), %(text)s) > 0
)
SELECT d.id, count(*) OVER ()
FROM installation i
JOIN end_device d ON d.id = i.end_device_id
LEFT JOIN device_status st ON st.end_device_id = d.id
LEFT JOIN (
    SELECT DISTINCT ON (e.end_device_id) e.end_device_id, m.capture_seconds
    FROM end_device_profile e JOIN meter_profile m USING (digest)
    ORDER BY e.end_device_id, e.read_at DESC
) c ON c.end_device_id = d.id
WHERE i.starts_at <= %(now)s AND (i.ends_at IS NULL OR i.ends_at > %(now)s)
  AND (%(text)s IS NULL OR d.id IN (SELECT id FROM named))
  AND (%(keys)s::text[] IS NULL OR concat_ws(
      '|', d.protocol = 'manual', d.interval_seconds, coalesce(c.capture_seconds, 0),
      coalesce(st.error, '-'), st.last_attempt IS NULL, st.failing_since IS NULL,
      st.last_ok IS NULL,
      coalesce(st.last_ok < %(now)s::timestamptz - greatest(
          %(silence)s::interval, 3 * make_interval(secs => d.interval_seconds)), false),
      coalesce(st.power_off_at > coalesce(st.last_ok, '-infinity'), false),
      coalesce(abs(st.clock_deviation) > %(clock)s, false)) = ANY(%(keys)s))
ORDER BY CASE WHEN %(oldest)s THEN coalesce(
             CASE WHEN st.power_off_at > coalesce(st.last_ok, '-infinity') THEN st.power_off_at
                  ELSE coalesce(st.failing_since, st.last_ok) END, '-infinity') END,
         d.mrid
LIMIT %(limit)s OFFSET %(offset)s

-- name: all
SELECT d.id
FROM end_device d
WHERE EXISTS (
    SELECT FROM installation i
    WHERE i.end_device_id = d.id AND i.starts_at <= %(now)s
      AND (i.ends_at IS NULL OR i.ends_at > %(now)s))
ORDER BY d.mrid
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
