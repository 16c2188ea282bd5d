-- name: open
INSERT INTO billing_cycle
    (billing_group, starts_on, ends_on, opened_at, closes_on, estimates, addressee)
VALUES (%(billing_group)s, %(starts_on)s, %(ends_on)s, %(opened_at)s, %(closes_on)s, %(estimates)s,
        %(addressee)s)
ON CONFLICT (billing_group, starts_on, ends_on) DO NOTHING

-- name: zone
SELECT time_zone FROM usage_point
WHERE %(billing_group)s::text IS NULL OR billing_group = %(billing_group)s
GROUP BY time_zone ORDER BY count(*) DESC, time_zone LIMIT 1

-- name: usage_points
SELECT count(*) FROM usage_point WHERE billing_group = %(billing_group)s

-- name: waiting
SELECT usage_point_id FROM determinant_set
WHERE cycle_id = %(cycle)s AND usage_point_id = ANY(%(usage_points)s) AND state = 'waiting'
ORDER BY usage_point_id

-- name: in_group
SELECT FROM usage_point WHERE billing_group = %(billing_group)s LIMIT 1

-- name: zones
SELECT DISTINCT time_zone FROM usage_point WHERE billing_group = %(billing_group)s

-- name: members
SELECT coalesce(array_agg(id ORDER BY id), '{}')
FROM usage_point WHERE billing_group = %(billing_group)s

-- name: partition
SELECT id, mrid, commodity, sector, time_zone, tariff, billing_group
FROM usage_point
WHERE id = ANY(%(usage_points)s) AND billing_group = %(billing_group)s
ORDER BY id

-- name: groups
SELECT DISTINCT billing_group FROM usage_point ORDER BY billing_group

-- name: cycles
SELECT id, billing_group, starts_on, ends_on, closes_on, estimates, addressee
FROM billing_cycle
WHERE (%(billing_group)s::text IS NULL OR billing_group = %(billing_group)s)
  AND (%(starts_on)s::date IS NULL OR starts_on = %(starts_on)s)
ORDER BY starts_on, billing_group

-- name: cycle_of_id
SELECT id, billing_group, starts_on, ends_on, closes_on, estimates, addressee
FROM billing_cycle WHERE id = %(cycle)s

-- name: lock
-- Who delivers waits, and is waited for; who computes other usage points of the cycle does neither.
SELECT id FROM billing_cycle WHERE id = %(cycle)s FOR SHARE

-- name: channels
SELECT c.id, c.usage_point_id, t.name, c.interval_seconds
FROM channel c JOIN reading_type t ON t.id = c.reading_type_id
WHERE c.usage_point_id = ANY(%(usage_points)s) AND c.interval_seconds > 0
  AND t.name = ANY(%(reading_types)s)
ORDER BY c.id

-- name: stretches
SELECT i.usage_point_id, i.id, r.id AS channel_id, d.mrid, d.interval_seconds, i.multiplier,
       coalesce(d.register_modulus, w.modulus),
       extract(epoch FROM greatest(i.starts_at, %(start)s))::bigint,
       extract(epoch FROM least(i.ends_at, %(end)s))::bigint
FROM installation i
JOIN end_device d ON d.id = i.end_device_id
LEFT JOIN (
    SELECT c.id, c.usage_point_id
    FROM channel c JOIN reading_type t ON t.id = c.reading_type_id
    WHERE t.name = %(register)s AND c.interval_seconds = 0
) r ON r.usage_point_id = i.usage_point_id
LEFT JOIN register_wrap w ON w.end_device_id = d.id
    AND w.reading_type_id = (SELECT id FROM reading_type WHERE name = %(register)s)
WHERE i.usage_point_id = ANY(%(usage_points)s)
  AND i.starts_at < %(end)s AND (i.ends_at IS NULL OR i.ends_at > %(start)s)
ORDER BY i.usage_point_id, i.starts_at

-- name: boundary_readings
SELECT DISTINCT ON (channel_id, read_at, installation_id)
       channel_id, installation_id, read_at, version, value, quality
FROM register_reading
WHERE channel_id = ANY(%(channels)s::integer[]) AND read_at = ANY(%(moments)s::timestamptz[])
  AND recorded_at <= %(known_at)s
ORDER BY channel_id, read_at, installation_id, version DESC

-- name: beyond
-- Stretches inside of which a register fell, but for the one fall that its ends tell of, if they do.
SELECT channel_id, installation_id
FROM (
    SELECT b.channel_id, b.installation_id, b.low > b.high AS told,
           r.value < lag(r.value, 1, b.low) OVER of_one AS fell,
           lead(r.value) OVER of_one IS NULL AND r.value > b.high AS fell_at_last
    FROM unnest(%(channels)s::integer[], %(installations)s::integer[], %(since)s::bigint[],
                %(until)s::bigint[], %(low)s::bigint[], %(high)s::bigint[])
        AS b (channel_id, installation_id, since, until, low, high)
    JOIN register_reading r ON r.channel_id = b.channel_id
        AND r.installation_id = b.installation_id
        AND r.read_at > %(start)s AND r.read_at < %(end)s AND r.recorded_at <= %(known_at)s
    WHERE r.read_at > to_timestamp(b.since) AND r.read_at < to_timestamp(b.until)
    WINDOW of_one AS (PARTITION BY b.channel_id, b.installation_id, b.since
                      ORDER BY r.read_at, r.version)
) readings
GROUP BY channel_id, installation_id, told
HAVING count(*) FILTER (WHERE fell) + count(*) FILTER (WHERE fell_at_last) > told::integer

-- name: rule_sets
SELECT id, rule_set || '@' || rule_set_digest
FROM provenance
WHERE id = ANY(%(provenances)s) AND rule_set IS NOT NULL

-- name: current_sets
SELECT n.usage_point_id, n.newest, c.id, c.state, c.input_digest, c.digest, b.id, b.digest
FROM (
    SELECT usage_point_id, max(version) AS newest
    FROM determinant_set
    WHERE cycle_id = %(cycle)s AND usage_point_id = ANY(%(usage_points)s)
    GROUP BY usage_point_id
) n
LEFT JOIN LATERAL (
    SELECT s.* FROM determinant_set s
    WHERE s.cycle_id = %(cycle)s AND s.usage_point_id = n.usage_point_id
      AND s.state <> 'superseded'
    ORDER BY s.version DESC LIMIT 1
) c ON true
LEFT JOIN LATERAL (
    SELECT s.* FROM determinant_set s
    WHERE s.cycle_id = %(cycle)s AND s.usage_point_id = n.usage_point_id AND s.state = 'billed'
    ORDER BY s.version DESC LIMIT 1
) b ON true

-- name: held_by
SELECT determinant_set_id, array_agg(gate) FROM determinant_hold
WHERE determinant_set_id = ANY(%(sets)s) GROUP BY determinant_set_id

-- name: values
SELECT s.usage_point_id, d.name, t.name, d.part, d.unit, d.value
FROM determinant_set s
JOIN determinant d ON d.determinant_set_id = s.id
JOIN reading_type t ON t.id = d.reading_type_id
WHERE s.id = ANY(%(sets)s)

-- name: definitions
SELECT digest FROM billing_definition WHERE digest = ANY(%(digests)s)

-- name: lock_definitions
SELECT pg_advisory_xact_lock(hashtext('billing_definition'), 0)

-- name: add_definition
INSERT INTO billing_definition (digest, kind, name, definition)
VALUES (%(digest)s, %(kind)s, %(name)s, %(definition)s)
ON CONFLICT (digest) DO NOTHING

-- name: settle
-- The waiting is over: what a gate stopped is held, the rest may be billed.
UPDATE determinant_set s
SET state = CASE WHEN EXISTS (SELECT FROM determinant_hold h WHERE h.determinant_set_id = s.id)
                 THEN 'held' ELSE 'ready' END
WHERE s.cycle_id = %(cycle)s AND s.usage_point_id = ANY(%(usage_points)s) AND s.state = 'waiting'

-- name: supersede
UPDATE determinant_set SET state = 'superseded' WHERE id = ANY(%(sets)s)

-- name: new_sets
-- Numbers for new sets, in the order of the usage points.
SELECT p.id, nextval(pg_get_serial_sequence('determinant_set', 'id')), p.sector
FROM (SELECT id, sector FROM usage_point WHERE id = ANY(%(usage_points)s) ORDER BY id) AS p

-- name: copy_determinants
COPY determinant_line (determinant_set_id, position, name, reading_type_id, part, value, unit, starts_at,
    ends_at, actual, questionable, missing, estimated, edited, rounding, note) FROM STDIN

-- name: copy_facts
COPY determinant_fact (determinant_set_id, facts) FROM STDIN

-- name: copy_holds
COPY determinant_hold (determinant_set_id, gate, detail) FROM STDIN

-- name: add_correction
INSERT INTO correction (old_set_id, new_set_id, raised_at)
VALUES (%(old)s, %(new)s, %(raised_at)s)
RETURNING id

-- name: add_correction_items
INSERT INTO correction_item
    (correction_id, name, reading_type_id, part, unit, old_value, new_value)
SELECT %(correction)s, coalesce(n.name, o.name), coalesce(n.reading_type_id, o.reading_type_id),
       coalesce(n.part, o.part), coalesce(n.unit, o.unit), o.value, n.value
FROM (SELECT * FROM determinant WHERE determinant_set_id = %(new)s) n
FULL JOIN (SELECT * FROM determinant WHERE determinant_set_id = %(old)s) o
    ON (o.name, o.reading_type_id, o.part, o.unit) = (n.name, n.reading_type_id, n.part, n.unit)
WHERE n.value IS DISTINCT FROM o.value

-- name: add_release
INSERT INTO determinant_release (determinant_set_id, released_at, person, reason)
VALUES (%(set)s, %(released_at)s, %(person)s, %(reason)s)

-- name: mark_released
UPDATE determinant_set SET state = 'released' WHERE id = %(set)s

-- name: releasable
SELECT s.id, s.state
FROM determinant_set s JOIN usage_point p ON p.id = s.usage_point_id
WHERE s.cycle_id = %(cycle)s AND p.mrid = %(usage_point)s AND s.state <> 'superseded'
ORDER BY s.version DESC LIMIT 1

-- name: states
SELECT s.state, count(*)
FROM determinant_set s
WHERE s.cycle_id = %(cycle)s AND s.state <> 'superseded' AND NOT EXISTS (
    SELECT FROM determinant_set newer
    WHERE newer.cycle_id = s.cycle_id AND newer.usage_point_id = s.usage_point_id
      AND newer.version > s.version AND newer.state <> 'superseded')
GROUP BY s.state

-- name: corrections
SELECT p.mrid, o.version, n.version, n.state, c.raised_at, i.name, t.name, i.part, i.unit,
       i.old_value, i.new_value, i.difference, coalesce(od.estimated, 0),
       coalesce(nd.estimated, 0)
FROM correction c
JOIN determinant_set o ON o.id = c.old_set_id
JOIN determinant_set n ON n.id = c.new_set_id
JOIN usage_point p ON p.id = n.usage_point_id
JOIN correction_item i ON i.correction_id = c.id
JOIN reading_type t ON t.id = i.reading_type_id
LEFT JOIN determinant od ON od.determinant_set_id = o.id
    AND (od.name, od.reading_type_id, od.part) = (i.name, i.reading_type_id, i.part)
LEFT JOIN determinant nd ON nd.determinant_set_id = n.id
    AND (nd.name, nd.reading_type_id, nd.part) = (i.name, i.reading_type_id, i.part)
WHERE n.cycle_id = %(cycle)s
ORDER BY c.id, i.name, t.name, i.part

-- name: correction_count
SELECT count(*)
FROM correction c JOIN determinant_set n ON n.id = c.new_set_id
WHERE n.cycle_id = %(cycle)s

-- name: sums
-- Summed by reading type first: what each type measures is then asked once, not for each bill.
SELECT g.unit, t.commodity, sum(g.billed), sum(g.total)
FROM (
    SELECT d.unit, d.reading_type_id, sum(d.value) FILTER (WHERE s.state = 'billed') AS billed,
           sum(d.value) AS total
    FROM determinant_set s
    JOIN determinant d ON d.determinant_set_id = s.id AND d.name = 'consumption'
    WHERE s.cycle_id = %(cycle)s AND s.state <> 'superseded' AND NOT EXISTS (
        SELECT FROM determinant_set newer
        WHERE newer.cycle_id = s.cycle_id AND newer.usage_point_id = s.usage_point_id
          AND newer.version > s.version AND newer.state <> 'superseded')
    GROUP BY d.unit, d.reading_type_id
) g
JOIN reading_type t ON t.id = g.reading_type_id
GROUP BY g.unit, t.commodity
ORDER BY t.commodity, g.unit

-- name: holds
SELECT s.id, p.mrid, p.sector, s.version, s.state, s.computed_at, h.gate, h.detail
FROM determinant_set s
JOIN usage_point p ON p.id = s.usage_point_id
JOIN determinant_hold h ON h.determinant_set_id = s.id
WHERE s.cycle_id = %(cycle)s AND s.state = 'held'
UNION ALL
SELECT s.id, p.mrid, p.sector, s.version, s.state, i.acknowledged_at, 'rejected', i.reason
FROM determinant_set s
JOIN usage_point p ON p.id = s.usage_point_id
JOIN LATERAL (
    SELECT x.acknowledged_at, x.reason FROM export_item x
    WHERE x.determinant_set_id = s.id AND x.outcome = 'rejected'
    ORDER BY x.acknowledged_at DESC LIMIT 1
) i ON true
WHERE s.cycle_id = %(cycle)s AND s.state = 'rejected'
ORDER BY 2, 7
