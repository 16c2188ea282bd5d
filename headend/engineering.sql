-- name: last_switch
SELECT c.result -> 'switch', c.changed_at
FROM end_device_control c
WHERE c.end_device_id = %(end_device)s AND c.result ? 'switch'
ORDER BY c.changed_at DESC, c.id DESC LIMIT 1

-- name: switch_in_doubt
SELECT EXISTS (
    SELECT FROM end_device_control c JOIN end_device_control_request r ON r.id = c.request_id
    WHERE c.end_device_id = %(end_device)s AND r.kind = ANY (%(switches)s)
      AND c.state IN ('running', 'unknown') AND c.sent_at IS NOT NULL)

-- name: last_image
SELECT i.identifier, c.state, c.progress, c.result -> 'image', c.changed_at
FROM end_device_control c
JOIN end_device_control_request r ON r.id = c.request_id
JOIN firmware_image i ON i.id = (r.parameters ->> 'image')::integer
WHERE c.end_device_id = %(end_device)s AND r.kind = 'update_firmware'
  AND c.state NOT IN ('cancelled', 'expired')
ORDER BY c.id DESC LIMIT 1
