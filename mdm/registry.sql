-- name: one_at_a_time
SELECT pg_advisory_xact_lock(7105026)

-- name: scans
SELECT current_setting('enable_seqscan')

-- name: set_scans
SELECT set_config('enable_seqscan', %(scans)s, true)

-- name: usage_points
SELECT mrid, id, commodity, sector, time_zone, tariff, billing_group
FROM usage_point WHERE mrid = ANY(ARRAY(SELECT unnest(%(mrids)s::text[])))

-- name: end_devices
SELECT d.mrid, d.id, d.manufacturer, d.model, d.protocol, d.profile, d.interval_seconds,
       d.register_modulus, s.code, d.host, d.port, d.address, d.security
FROM end_device d LEFT JOIN network_segment s ON s.id = d.segment_id
WHERE d.mrid = ANY(ARRAY(SELECT unnest(%(mrids)s::text[])))

-- name: installations
SELECT id, usage_point_id, end_device_id, starts_at, ends_at, multiplier
FROM installation
WHERE usage_point_id = ANY(ARRAY(SELECT unnest(%(usage_points)s::integer[])))
   OR end_device_id = ANY(ARRAY(SELECT unnest(%(end_devices)s::integer[])))

-- name: new_ids
SELECT nextval(pg_get_serial_sequence(%(table)s, 'id')) FROM generate_series(1, %(count)s::integer)

-- name: add_segments
INSERT INTO network_segment (code)
SELECT code FROM unnest(%(codes)s::text[]) AS w (code)
WHERE NOT EXISTS (SELECT FROM network_segment s WHERE s.code = w.code)
ORDER BY code
ON CONFLICT (code) DO NOTHING

-- name: segments
SELECT code, id FROM network_segment WHERE code = ANY(%(codes)s::text[])

-- name: copy_usage_points
COPY usage_point (id, mrid, commodity, sector, time_zone, tariff, billing_group)
FROM STDIN (FORMAT BINARY)

-- name: copy_end_devices
COPY end_device (id, mrid, manufacturer, model, protocol, profile, interval_seconds,
    register_modulus, segment_id, host, port, address, security) FROM STDIN (FORMAT BINARY)

-- name: copy_installations
COPY installation (usage_point_id, end_device_id, starts_at, ends_at, multiplier)
FROM STDIN (FORMAT BINARY)

-- name: change_usage_points
UPDATE usage_point AS p SET
    sector = n.sector, time_zone = n.time_zone, tariff = n.tariff, billing_group = n.billing_group
FROM unnest(%(ids)s::integer[], %(sectors)s::text[], %(time_zones)s::text[], %(tariffs)s::text[],
        %(billing_groups)s::text[]) AS n (id, sector, time_zone, tariff, billing_group)
WHERE p.id = n.id

-- name: change_end_devices
UPDATE end_device AS d SET
    manufacturer = n.manufacturer, model = n.model, protocol = n.protocol, profile = n.profile,
    interval_seconds = n.interval_seconds, register_modulus = n.register_modulus,
    segment_id = n.segment_id, host = n.host, port = n.port, address = n.address::jsonb,
    security = n.security
FROM unnest(%(ids)s::integer[], %(manufacturers)s::text[], %(models)s::text[],
        %(protocols)s::text[], %(profiles)s::text[], %(interval_seconds)s::integer[],
        %(register_moduli)s::bigint[], %(segments)s::integer[], %(hosts)s::text[],
        %(ports)s::integer[], %(addresses)s::text[], %(securities)s::text[])
    AS n (id, manufacturer, model, protocol, profile, interval_seconds, register_modulus,
          segment_id, host, port, address, security)
WHERE d.id = n.id

-- name: change_installations
UPDATE installation AS i SET ends_at = n.ends_at, multiplier = n.multiplier
FROM unnest(%(ids)s::integer[], %(ends_at)s::timestamptz[], %(multipliers)s::numeric[])
    AS n (id, ends_at, multiplier)
WHERE i.id = n.id
