-- name: note
INSERT INTO late_input (kind, place, usage_point_id, channel_id, sector, tariff, reading_type_id,
                        interval_seconds, first_day, last_day, own, noted_at)
VALUES (%(kind)s, %(place)s, %(usage_point)s, %(channel)s, %(sector)s, %(tariff)s,
        %(reading_type)s, %(interval)s, %(first)s, %(last)s, %(own)s, %(now)s::timestamptz)

-- name: claim
SELECT id, kind, own
FROM late_input
ORDER BY id
LIMIT 1
FOR UPDATE SKIP LOCKED

-- name: forget
DELETE FROM late_input WHERE id = %(id)s

-- name: go_on
UPDATE late_input SET after_id = %(after)s WHERE id = %(id)s

-- name: definitions
SELECT digest, definition FROM rule_set_definition WHERE strpos(definition, %(name)s) > 0

-- name: reopen
-- Days of the next usage points that lack something, or have estimates that what came goes before;
-- where a rule looks at every day, all that are recorded.
WITH l AS (
    SELECT * FROM late_input WHERE id = %(id)s
), rules AS (
    SELECT r.digest, r."every",
           ARRAY(SELECT jsonb_array_elements_text(r.codes)::smallint) AS codes
    FROM jsonb_to_recordset(%(rules)s::jsonb) AS r (digest text, codes jsonb, "every" boolean)
), chosen AS MATERIALIZED (
    SELECT p.id, p.time_zone
    FROM usage_point p CROSS JOIN l
    WHERE p.id > l.after_id AND CASE l.kind
        WHEN 'temperature' THEN l.place IN (p.billing_group, p.time_zone)
        WHEN 'class_profile' THEN p.sector = l.sector AND p.tariff = l.tariff
        WHEN 'check_meter' THEN p.id = l.usage_point_id
        WHEN 'node' THEN p.id IN (
            SELECT t.usage_point_id FROM virtual_term t
            WHERE t.channel_id = l.channel_id
              AND (t.withdrawn_at IS NULL OR t.withdrawn_at >= l.noted_at))
        END
    ORDER BY p.id
    LIMIT %(limit)s
), days AS (
    SELECT c.usage_point_id, b.starts_at,
           b.starts_at + b.slots * make_interval(secs => c.interval_seconds) AS ends_at
    FROM l CROSS JOIN chosen p
    JOIN channel c ON c.usage_point_id = p.id AND c.interval_seconds > 0
        AND (l.reading_type_id IS NULL OR c.reading_type_id = l.reading_type_id)
        AND (l.interval_seconds IS NULL OR c.interval_seconds = l.interval_seconds)
    CROSS JOIN LATERAL (
        SELECT DISTINCT ON (d.starts_at) d.starts_at, d.quality, d.provenance_id, d.origin,
               cardinality(d."values") AS slots
        FROM interval_block d
        WHERE d.channel_id = c.id
          AND d.starts_at >= l.first_day::timestamp AT TIME ZONE 'UTC' - interval '1 day'
          AND d.starts_at < (l.last_day + %(reach)s::integer)::timestamp AT TIME ZONE 'UTC'
              + interval '2 days'
        ORDER BY d.starts_at, d.version DESC
    ) b
    WHERE (b.starts_at AT TIME ZONE p.time_zone)::date
          BETWEEN l.first_day AND l.last_day + %(reach)s::integer
      AND EXISTS (
        SELECT FROM provenance v JOIN rules r ON r.digest = v.rule_set_digest
        WHERE v.id = ANY(array_append(coalesce(b.origin, '{}'), b.provenance_id))
          AND (r."every" OR b.quality && r.codes))
), arrived AS (
    INSERT INTO arrival (end_device_id, starts_at, ends_at, landed_at)
    SELECT i.end_device_id, lower(s.stretch), upper(s.stretch), %(now)s::timestamptz
    FROM (
        SELECT usage_point_id, unnest(range_agg(tstzrange(starts_at, ends_at))) AS stretch
        FROM days GROUP BY usage_point_id
    ) s
    JOIN installation i ON i.usage_point_id = s.usage_point_id
        AND tstzrange(i.starts_at, i.ends_at) && s.stretch
    RETURNING 1
)
SELECT (SELECT count(*) FROM chosen), (SELECT max(id) FROM chosen), (SELECT count(*) FROM arrived)

-- name: reopen_events
-- What an event says about the supply counts from it on: until something flows, two days at most;
-- what it says of a switch for 14 days.
WITH l AS (
    SELECT * FROM late_input WHERE id = %(id)s
), chosen AS MATERIALIZED (
    SELECT e.end_device_id AS id, min(e.occurred_at) AS first, max(e.occurred_at) AS last
    FROM l JOIN end_device_event e ON e.end_device_id > l.after_id
        AND e.category = l.category AND e.code = l.code
        AND e.occurred_at >= l.first_day AND e.occurred_at < l.last_day
    GROUP BY e.end_device_id
    ORDER BY e.end_device_id
    LIMIT %(limit)s
), days AS (
    SELECT DISTINCT c.id AS end_device_id, b.starts_at,
           b.starts_at + cardinality(b."values") * make_interval(secs => h.interval_seconds)
           AS ends_at
    FROM chosen c
    JOIN installation i ON i.end_device_id = c.id
    JOIN channel h ON h.usage_point_id = i.usage_point_id AND h.interval_seconds > 0
    JOIN interval_block b ON b.channel_id = h.id AND b.version = 1
        AND b.starts_at > c.first - interval '26 hours'
        AND b.starts_at < c.last + interval '14 days'
        AND tstzrange(i.starts_at, i.ends_at) @> b.starts_at
), arrived AS (
    INSERT INTO arrival (end_device_id, starts_at, ends_at, landed_at)
    SELECT end_device_id, lower(stretch), upper(stretch), %(now)s::timestamptz
    FROM (
        SELECT d.end_device_id,
               unnest(range_agg(tstzrange(d.starts_at, d.ends_at))) AS stretch
        FROM days d JOIN chosen c ON c.id = d.end_device_id AND d.ends_at > c.first
        GROUP BY d.end_device_id
    ) s
    RETURNING 1
)
SELECT (SELECT count(*) FROM chosen), (SELECT max(id) FROM chosen), (SELECT count(*) FROM arrived)
