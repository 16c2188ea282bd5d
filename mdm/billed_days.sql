-- name: billed_days
SELECT p.mrid, n.starts_at, p.time_zone, c.billing_group, c.starts_on, max(s.state)
FROM unnest(%(channels)s::integer[], %(starts)s::timestamptz[]) AS n (channel_id, starts_at)
JOIN channel ch ON ch.id = n.channel_id
JOIN usage_point p ON p.id = ch.usage_point_id
JOIN determinant_set s ON s.usage_point_id = p.id AND s.state IN ('billed', 'exported')
    AND s.starts_at <= n.starts_at AND s.ends_at > n.starts_at
JOIN determinant_interval_input i
    ON i.determinant_set_id = s.id AND i.channel_id = n.channel_id
    AND n.starts_at = ANY(i.starts_at)
JOIN billing_cycle c ON c.id = s.cycle_id
GROUP BY 1, 2, 3, 4, 5
ORDER BY n.starts_at, p.mrid
