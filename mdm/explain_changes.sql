-- name: changes
-- What, when first and last, and how often, after a version was made.
WITH installed AS (
    SELECT i.id, i.end_device_id
    FROM installation i
    WHERE i.usage_point_id = %(usage_point)s
    UNION
    SELECT (s.content ->> 'id')::integer, (s.content ->> 'end_device_id')::integer
    FROM superseded s
    WHERE s.place = 'installation' AND s.superseded_at > %(since)s
      AND s.content -> 'usage_point_id' = to_jsonb(%(usage_point)s::integer)
), checks AS (
    SELECT m.id, m.check_usage_point_id
    FROM check_meter m
    WHERE m.usage_point_id = %(usage_point)s
    UNION
    SELECT (s.content ->> 'id')::integer, (s.content ->> 'check_usage_point_id')::integer
    FROM superseded s
    WHERE s.place = 'check_meter' AND s.superseded_at > %(since)s
      AND s.content -> 'usage_point_id' = to_jsonb(%(usage_point)s::integer)
), nodes AS (
    SELECT DISTINCT t.channel_id
    FROM virtual_term t JOIN virtual_channel v ON v.channel_id = t.channel_id
    WHERE t.usage_point_id = %(usage_point)s AND v.kind = 'balance'
), known AS (
    SELECT p.*, t.id AS reading_type_id
    FROM usage_point p JOIN reading_type t ON t.name = %(reading_type)s
    WHERE p.id = %(usage_point)s
), changed AS (
    SELECT s.place AS what, s.superseded_at AS at
    FROM superseded s
    WHERE s.superseded_at > %(since)s AND (
        s.place = 'usage_point' AND s.key = jsonb_build_array(%(usage_point)s::integer)
        OR s.place = 'usage_point_term' AND s.key -> 0 = to_jsonb(%(usage_point)s::integer)
        OR s.place = 'installation' AND s.key IN (SELECT jsonb_build_array(id) FROM installed)
        OR s.place = 'check_meter' AND s.key IN (SELECT jsonb_build_array(id) FROM checks)
        OR s.place = 'end_device'
            AND s.key IN (SELECT jsonb_build_array(end_device_id) FROM installed)
        OR s.place = 'register_wrap'
            AND s.key -> 0 IN (SELECT to_jsonb(end_device_id) FROM installed)
        OR s.place = 'outage_event')
  UNION ALL
    SELECT 'reading', b.collected_at
    FROM installed i
    JOIN raw_interval_block b ON b.end_device_id = i.end_device_id
        AND b.starts_at < %(end)s AND b.starts_at > %(start)s::timestamptz - interval '1 day'
    JOIN known k ON k.reading_type_id = b.reading_type_id
    WHERE b.collected_at > %(since)s
      AND b.starts_at + cardinality(b."values") * make_interval(secs => b.interval_seconds)
          > %(start)s
  UNION ALL
    SELECT 'outage', e.collected_at
    FROM installed i
    JOIN end_device_event e ON e.end_device_id = i.end_device_id
        AND e.occurred_at < %(day_end)s
        AND e.occurred_at > %(day)s::timestamptz - interval '14 days'
    JOIN outage_event o ON o.category = e.category AND o.code = e.code
    WHERE e.collected_at > %(since)s
  UNION ALL
    SELECT 'outage', h.at
    FROM installed i
    JOIN end_device_control c ON c.end_device_id = i.end_device_id
    JOIN end_device_control_request r ON r.id = c.request_id
        AND r.kind IN ('connect', 'arm', 'disconnect')
    JOIN end_device_control_change h ON h.control_id = c.id
    WHERE h.at > %(since)s AND h.sent_at < %(day_end)s
      AND (h.state = 'done' OR r.kind <> 'disconnect')
  UNION ALL
    SELECT 'transformer_ratio', t.told_at
    FROM installed i JOIN transformer_ratio t ON t.end_device_id = i.end_device_id
    WHERE t.told_at > %(since)s
  UNION ALL
    SELECT 'check_meter_reading', b.recorded_at
    FROM checks m
    JOIN channel c ON c.usage_point_id = m.check_usage_point_id AND c.interval_seconds > 0
    JOIN known k ON k.reading_type_id = c.reading_type_id
    JOIN interval_block b ON b.channel_id = c.id
        AND b.starts_at > %(start)s::timestamptz - interval '26 hours' AND b.starts_at < %(end)s
    WHERE b.recorded_at > %(since)s
  UNION ALL
    SELECT 'node', moment.at
    FROM nodes n
    JOIN virtual_term t ON t.channel_id = n.channel_id
    CROSS JOIN LATERAL (VALUES (t.recorded_at), (t.withdrawn_at)) AS moment (at)
    WHERE moment.at > %(since)s
  UNION ALL
    SELECT 'node', s.superseded_at
    FROM nodes n
    JOIN superseded s ON s.place = 'virtual_channel' AND s.key = jsonb_build_array(n.channel_id)
    WHERE s.superseded_at > %(since)s
  UNION ALL
    SELECT 'node_reading', b.recorded_at
    FROM nodes n
    JOIN virtual_term t ON t.channel_id = n.channel_id AND t.usage_point_id <> %(usage_point)s
    JOIN channel c ON c.usage_point_id = t.usage_point_id AND c.interval_seconds > 0
        AND c.reading_type_id = t.reading_type_id
    JOIN interval_block b ON b.channel_id = c.id
        AND b.starts_at > %(start)s::timestamptz - interval '26 hours' AND b.starts_at < %(end)s
    WHERE b.recorded_at > %(since)s
  UNION ALL
    SELECT 'class_profile', f.made_at
    FROM known k
    JOIN class_profile f ON f.sector = k.sector AND f.tariff = k.tariff
        AND f.reading_type_id = k.reading_type_id AND f.interval_seconds = %(interval)s
    WHERE f.made_at > %(since)s
  UNION ALL
    SELECT 'temperature', d.imported_at
    FROM known k
    JOIN day_temperature d ON d.place IN (k.billing_group, k.time_zone)
        AND d.day BETWEEN %(first_date)s AND %(last_date)s
    WHERE d.imported_at > %(since)s
)
SELECT what, min(at), max(at), count(*)::integer
FROM changed
GROUP BY what
ORDER BY what
