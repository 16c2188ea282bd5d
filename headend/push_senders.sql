-- name: senders
WITH wanted AS (
    SELECT id FROM end_device
    WHERE protocol = 'dlms' AND upper(address ->> 'system_title') = ANY (%(titles)s::text[])
    UNION
    SELECT id FROM end_device WHERE protocol = 'dlms' AND mrid = ANY (%(names)s::text[])
    UNION
    SELECT id FROM end_device
    WHERE protocol = 'dlms' AND address ->> 'serial' = ANY (%(names)s::text[])
    UNION
    SELECT id FROM end_device
    WHERE protocol = 'dlms' AND address ->> 'device_name' = ANY (%(names)s::text[])
    UNION
    SELECT end_device_id FROM device_status WHERE identity ->> 'serial' = ANY (%(names)s::text[])
    UNION
    SELECT min(id) FROM end_device
    WHERE protocol = 'dlms' AND host = ANY (%(hosts)s::text[])
    GROUP BY host HAVING count(*) = 1
)
SELECT d.id, d.mrid, d.profile, d.interval_seconds, d.security, d.host, d.address,
       st.identity ->> 'serial', coalesce(k.kinds, '{}'), coalesce(k.sealed, '{}'),
       p.profiles
FROM end_device d
JOIN wanted ON wanted.id = d.id
LEFT JOIN device_status st ON st.end_device_id = d.id
LEFT JOIN LATERAL (
    SELECT array_agg(kind ORDER BY kind) AS kinds, array_agg(sealed ORDER BY kind) AS sealed
    FROM end_device_key WHERE end_device_id = d.id AND kind <> 'password'
) k ON true
LEFT JOIN LATERAL (
    SELECT m.offers -> 'profiles' AS profiles
    FROM end_device_profile e JOIN meter_profile m USING (digest)
    WHERE e.end_device_id = d.id ORDER BY e.read_at DESC LIMIT 1
) p ON true
WHERE d.protocol = 'dlms'

-- name: counters
INSERT INTO push_counter AS c (end_device_id, highest, previous)
SELECT id, highest, -1 FROM unnest(%(ids)s::integer[], %(highest)s::bigint[]) AS w (id, highest)
ORDER BY id
ON CONFLICT (end_device_id) DO UPDATE SET
    previous = c.highest, highest = greatest(c.highest, excluded.highest)
RETURNING c.end_device_id, c.previous
