-- name: registers_alone
-- Registers without intervals beside them, at each installation: the usage point has no channel of the
-- intervals that they count, or another meter's made it. Meters without memory are sampled: the steps
-- of their registers are the intervals.
SELECT c.id, i.id, c.reading_type_id, c.usage_point_id, p.commodity, p.sector, p.time_zone,
       (i.multiplier * 1000000)::bigint, coalesce(d.register_modulus, w.modulus, 0), i.ends_at
FROM channel c
JOIN reading_type t ON t.id = c.reading_type_id AND t.accumulation = 'cumulative'
JOIN usage_point p ON p.id = c.usage_point_id
JOIN installation i ON i.usage_point_id = c.usage_point_id
JOIN end_device d ON d.id = i.end_device_id
LEFT JOIN register_wrap w
    ON w.end_device_id = i.end_device_id AND w.reading_type_id = c.reading_type_id
LEFT JOIN unnest(%(registers)s::smallint[], %(intervals)s::smallint[])
    AS f (register, interval_type) ON f.register = c.reading_type_id
WHERE c.interval_seconds = 0
  AND (%(usage_points)s::integer[] IS NULL OR c.usage_point_id = ANY(%(usage_points)s::integer[]))
  AND NOT EXISTS (
    SELECT FROM channel v
    WHERE v.usage_point_id = c.usage_point_id AND v.interval_seconds > 0
      AND v.reading_type_id = f.interval_type
      AND (d.protocol IN ('modbus', 'mqtt')
        OR NOT EXISTS (
            SELECT FROM installation o WHERE o.usage_point_id = c.usage_point_id AND o.id <> i.id)
        OR EXISTS (
            SELECT FROM raw_interval_block b
            WHERE b.end_device_id = i.end_device_id AND b.reading_type_id = v.reading_type_id)))
ORDER BY c.id, i.starts_at

-- name: points_with_registers_alone
-- With those whose findings about registers are to be closed, for intervals have come since.
SELECT c.usage_point_id
FROM channel c
JOIN reading_type t ON t.id = c.reading_type_id AND t.accumulation = 'cumulative'
LEFT JOIN unnest(%(registers)s::smallint[], %(intervals)s::smallint[])
    AS f (register, interval_type) ON f.register = c.reading_type_id
WHERE c.interval_seconds = 0 AND (
    NOT EXISTS (
        SELECT FROM channel v
        WHERE v.usage_point_id = c.usage_point_id AND v.interval_seconds > 0
          AND v.reading_type_id = f.interval_type)
    OR (SELECT count(*) FROM installation i WHERE i.usage_point_id = c.usage_point_id) > 1)
UNION
SELECT c.usage_point_id
FROM finding n JOIN channel c ON c.id = n.channel_id
WHERE n.state = 'open' AND n.rule = ANY(%(rules)s) AND c.interval_seconds = 0
ORDER BY 1

-- name: channels_found
SELECT DISTINCT n.channel_id
FROM finding n JOIN channel c ON c.id = n.channel_id
WHERE n.state = 'open' AND n.rule = ANY(%(rules)s) AND c.interval_seconds = 0
  AND (%(usage_points)s::integer[] IS NULL OR c.usage_point_id = ANY(%(usage_points)s::integer[]))

-- name: known_findings
SELECT id, channel_id, starts_at, ends_at, rule, observed, state
FROM finding
WHERE channel_id = ANY(%(channels)s) AND rule = ANY(%(rules)s) AND starts_at >= %(since)s
  AND state IN ('open', 'accepted', 'edited')
ORDER BY id

-- name: open_finding
INSERT INTO finding (channel_id, day, starts_at, ends_at, rule, severity, action, observed,
                     "limit", found_at, vee_run_id)
VALUES (%(channel)s, %(day)s, %(starts_at)s, %(ends_at)s, %(rule)s, %(severity)s, 'note',
        %(observed)s, %(limit)s, %(now)s, %(run)s)

-- name: see_finding_again
UPDATE finding
SET ends_at = %(ends_at)s, observed = %(observed)s, "limit" = %(limit)s, severity = %(severity)s
WHERE id = %(id)s

-- name: close_finding
UPDATE finding SET state = 'resolved', decided_at = %(now)s, reason = %(reason)s
WHERE id = %(id)s

-- name: add_run
INSERT INTO vee_run (ran_at, rule_set, rule_set_digest, channels, days, versions, opened, closed,
                     counters)
VALUES (%(now)s, 'registers', '', %(channels)s, 0, 0, %(opened)s, %(closed)s, '{}')
RETURNING id
