-- name: group_channels
SELECT c.id, c.interval_seconds, p.time_zone
FROM channel c
JOIN reading_type t ON t.id = c.reading_type_id
JOIN usage_point p ON p.id = c.usage_point_id
WHERE t.name = %(reading_type)s AND c.interval_seconds > 0
  AND (%(usage_point)s::text IS NULL OR p.mrid = %(usage_point)s)
  AND (%(billing_group)s::text IS NULL OR p.billing_group = %(billing_group)s)
ORDER BY c.id

-- name: system_zone
SELECT time_zone FROM usage_point p
WHERE (%(usage_point)s::text IS NULL OR p.mrid = %(usage_point)s)
  AND (%(billing_group)s::text IS NULL OR p.billing_group = %(billing_group)s)
GROUP BY time_zone ORDER BY count(*) DESC, time_zone LIMIT 1

-- name: peak
SELECT moments
FROM billing_peak
WHERE peak_of = %(peak_of)s AND question = %(question)s AND starts_at = %(starts_at)s
  AND ends_at = %(ends_at)s AND known_at = %(known_at)s

-- name: may_keep
SELECT current_setting('transaction_read_only') = 'off'

-- name: keep_peak
-- Nobody waits for another's row: two who keep several in another order would wait in a circle.
INSERT INTO billing_peak (peak_of, question, starts_at, ends_at, known_at, moments)
SELECT %(peak_of)s, %(question)s, %(starts_at)s, %(ends_at)s, %(known_at)s, %(moments)s
WHERE pg_try_advisory_xact_lock(hashtext('billing_peak'),
                                hashtext(concat_ws('/', %(peak_of)s::text, %(question)s::text)))
ON CONFLICT DO NOTHING

-- name: history
SELECT s.usage_point_id, s.starts_on, d.value
FROM (
    SELECT DISTINCT ON (s.usage_point_id, c.starts_on) s.id, s.usage_point_id, c.starts_on
    FROM determinant_set s JOIN billing_cycle c ON c.id = s.cycle_id
    WHERE s.usage_point_id = ANY(%(usage_points)s) AND s.ends_at <= %(before)s
      AND s.computed_at <= %(known_at)s
      AND s.state IN ('ready', 'released', 'exported', 'billed')
    ORDER BY s.usage_point_id, c.starts_on, s.version DESC
) s
JOIN determinant d ON d.determinant_set_id = s.id
WHERE d.name = %(name)s AND d.part = %(part)s AND d.unit = %(unit)s AND d.value IS NOT NULL
ORDER BY s.usage_point_id, s.starts_on

-- name: losses
SELECT usage_point_id, name, effective_from, factor
FROM loss_factor
WHERE usage_point_id = ANY(%(usage_points)s) AND name = ANY(%(names)s)
  AND effective_from < %(before)s
ORDER BY usage_point_id, name, effective_from
