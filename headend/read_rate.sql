-- name: read_rate
WITH due AS (
    SELECT d.id, d.interval_seconds, d.protocol = ANY (%(sampled)s::text[]) AS sampled,
           range_agg(tstzrange(i.starts_at, i.ends_at)
               * tstzrange(%(start)s::timestamptz, %(end)s::timestamptz)) AS stretches
    FROM end_device d
    JOIN installation i ON i.end_device_id = d.id
    WHERE d.protocol <> 'manual'
      AND tstzrange(i.starts_at, i.ends_at)
          && tstzrange(%(start)s::timestamptz, %(end)s::timestamptz)
    GROUP BY d.id
), missing AS (
    SELECT array_agg(code) AS codes FROM quality_code WHERE class = 'missing'
), block AS (
    SELECT end_device_id AS id, starts_at, quality, make_interval(secs => interval_seconds) AS step,
           tstzrange(starts_at, starts_at
               + make_interval(secs => interval_seconds * cardinality("values"))) AS r,
           coalesce(quality && (SELECT codes FROM missing), false) AS lacks
    FROM raw_interval_block
    WHERE starts_at >= %(start)s::timestamptz - interval '1 day' AND starts_at < %(end)s
), stretch AS (
    SELECT id, r FROM block WHERE NOT lacks
    UNION ALL
    SELECT block.id, unnest(tstzmultirange(block.r) - holes.r)
    FROM block
    CROSS JOIN LATERAL (
        SELECT range_agg(tstzrange(
            block.starts_at + (u.i - 1) * block.step, block.starts_at + u.i * block.step)) AS r
        FROM unnest(block.quality) WITH ORDINALITY AS u (code, i)
        WHERE u.code = ANY ((SELECT codes FROM missing)::smallint[])
    ) holes
    WHERE block.lacks
), by_blocks AS (
    SELECT id, range_agg(r) AS have FROM stretch GROUP BY id
), by_samples AS (
    SELECT s.id, range_agg(tstzrange(s.slot, s.slot + s.length)) AS have
    FROM (
        SELECT DISTINCT due.id, make_interval(secs => due.interval_seconds) AS length,
               date_bin(make_interval(secs => due.interval_seconds), r.read_at, 'epoch') AS slot
        FROM due JOIN raw_register_reading r ON r.end_device_id = due.id
        WHERE due.sampled AND r.read_at >= %(start)s AND r.read_at < %(end)s
    ) s
    GROUP BY s.id
)
SELECT coalesce(sum(floor(wanted.seconds / due.interval_seconds)), 0)::bigint,
       coalesce(sum(floor(had.seconds / due.interval_seconds)), 0)::bigint
FROM due
LEFT JOIN by_blocks ON by_blocks.id = due.id AND NOT due.sampled
LEFT JOIN by_samples ON by_samples.id = due.id
CROSS JOIN LATERAL (
    SELECT sum(extract(epoch FROM upper(r) - lower(r))) AS seconds FROM unnest(due.stretches) AS r
) wanted
CROSS JOIN LATERAL (
    SELECT coalesce(sum(extract(epoch FROM upper(r) - lower(r))), 0) AS seconds
    FROM unnest(due.stretches * coalesce(by_blocks.have, by_samples.have, '{}'::tstzmultirange))
        AS r
) had
