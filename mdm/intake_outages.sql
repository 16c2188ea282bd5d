-- name: events
SELECT e.end_device_id, (extract(epoch FROM e.occurred_at))::bigint, o.effect
FROM unnest(%(end_devices)s::integer[]) AS w (id)
JOIN end_device_event e ON e.end_device_id = w.id
    AND e.occurred_at >= %(since)s AND e.occurred_at < %(end)s
JOIN outage_event o ON o.category = e.category AND o.code = e.code
ORDER BY e.end_device_id, e.occurred_at

-- name: switched
-- A switch is off once that was confirmed, and perhaps on as soon as that was sent.
SELECT c.end_device_id,
       (extract(epoch FROM CASE WHEN r.kind = 'disconnect' THEN c.changed_at ELSE c.sent_at END))
           ::bigint,
       CASE WHEN r.kind = 'disconnect' THEN 'off' ELSE 'on' END
FROM unnest(%(end_devices)s::integer[]) AS w (id)
JOIN end_device_control c ON c.end_device_id = w.id
JOIN end_device_control_request r ON r.id = c.request_id
WHERE c.sent_at < %(end)s
  AND (r.kind IN ('connect', 'arm') OR (r.kind = 'disconnect' AND c.state = 'done'))
