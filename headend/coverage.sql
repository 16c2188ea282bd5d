-- name: covered_by_intervals
SELECT end_device_id,
       range_agg(tstzrange(
           starts_at, starts_at + make_interval(secs => interval_seconds * cardinality(values)))),
       array_agg(DISTINCT reading_type_id)
FROM raw_interval_block
WHERE end_device_id = ANY (%(ids)s::integer[])
  AND starts_at >= %(since)s::timestamptz - interval '1 day' AND starts_at < %(until)s
GROUP BY end_device_id

-- name: covered_by_samples
SELECT r.end_device_id,
       range_agg(tstzrange(slot.starts_at, slot.starts_at + slot.length)),
       array_agg(DISTINCT r.reading_type_id)
FROM raw_register_reading r
JOIN end_device d ON d.id = r.end_device_id
CROSS JOIN LATERAL (
    SELECT date_bin(make_interval(secs => d.interval_seconds), r.read_at, 'epoch') AS starts_at,
           make_interval(secs => d.interval_seconds) AS length
) slot
WHERE r.end_device_id = ANY (%(ids)s::integer[])
  AND r.read_at >= %(since)s AND r.read_at < %(until)s
GROUP BY r.end_device_id
