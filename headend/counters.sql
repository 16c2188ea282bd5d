-- name: reserve
INSERT INTO invocation_counter AS c (end_device_id, next_value)
SELECT id, 1 + %(count)s::bigint FROM unnest(%(end_devices)s::integer[]) AS id ORDER BY id
ON CONFLICT (end_device_id) DO UPDATE SET next_value = c.next_value + %(count)s::bigint
RETURNING c.end_device_id, c.next_value - %(count)s::bigint

-- name: advance
INSERT INTO invocation_counter AS c (end_device_id, next_value)
VALUES (%(end_device)s, %(at_least)s)
ON CONFLICT (end_device_id)
DO UPDATE SET next_value = greatest(c.next_value, excluded.next_value)
