-- name: segment
INSERT INTO network_segment (code) VALUES (%(code)s)
ON CONFLICT (code) DO UPDATE SET code = excluded.code
RETURNING id

-- name: put_usage_point
INSERT INTO usage_point AS p (mrid, commodity, sector, time_zone, tariff, billing_group)
VALUES (%(usage_point)s, %(commodity)s, %(sector)s, %(time_zone)s, %(tariff)s, %(billing_group)s)
ON CONFLICT (mrid) DO UPDATE SET
    sector = excluded.sector, time_zone = excluded.time_zone, tariff = excluded.tariff,
    billing_group = excluded.billing_group
WHERE (p.sector, p.time_zone, p.tariff, p.billing_group)
    IS DISTINCT FROM (excluded.sector, excluded.time_zone, excluded.tariff, excluded.billing_group)
RETURNING (xmax = 0) AS added

-- name: usage_point_id
SELECT id, commodity FROM usage_point WHERE mrid = %(usage_point)s

-- name: put_end_device
INSERT INTO end_device AS d (mrid, manufacturer, model, protocol, profile, interval_seconds,
    register_modulus, segment_id, host, port, address, security)
VALUES (%(end_device)s, %(manufacturer)s, %(model)s, %(protocol)s, %(profile)s,
    %(interval_seconds)s, %(register_modulus)s, %(segment_id)s, %(host)s, %(port)s, %(address)s,
    %(security)s)
ON CONFLICT (mrid) DO UPDATE SET
    manufacturer = excluded.manufacturer, model = excluded.model, protocol = excluded.protocol,
    profile = excluded.profile, interval_seconds = excluded.interval_seconds,
    register_modulus = excluded.register_modulus, segment_id = excluded.segment_id,
    host = excluded.host, port = excluded.port, address = excluded.address,
    security = excluded.security
WHERE (d.manufacturer, d.model, d.protocol, d.profile, d.interval_seconds, d.register_modulus,
       d.segment_id, d.host, d.port, d.address, d.security)
    IS DISTINCT FROM (excluded.manufacturer, excluded.model, excluded.protocol, excluded.profile,
       excluded.interval_seconds, excluded.register_modulus, excluded.segment_id, excluded.host,
       excluded.port, excluded.address, excluded.security)
RETURNING (xmax = 0) AS added

-- name: end_device_id
SELECT id FROM end_device WHERE mrid = %(end_device)s

-- name: installation
SELECT id, ends_at, multiplier FROM installation
WHERE usage_point_id = %(usage_point_id)s AND end_device_id = %(end_device_id)s
  AND starts_at = %(installed_from)s

-- name: add_installation
INSERT INTO installation (usage_point_id, end_device_id, starts_at, ends_at, multiplier)
VALUES (%(usage_point_id)s, %(end_device_id)s, %(installed_from)s, %(installed_until)s,
    %(multiplier)s)

-- name: change_installation
UPDATE installation SET ends_at = %(installed_until)s, multiplier = %(multiplier)s
WHERE id = %(installation_id)s
