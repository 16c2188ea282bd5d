-- name: put_group
INSERT INTO end_device_group (name, selector) VALUES (%(name)s, %(selector)s)
ON CONFLICT (name) DO UPDATE SET selector = excluded.selector

-- name: put_members
WITH this AS (
    SELECT id FROM end_device_group WHERE name = %(name)s
), wanted AS (
    SELECT id, mrid FROM end_device WHERE mrid = ANY (%(members)s::text[])
), gone AS (
    DELETE FROM end_device_group_member m USING this
    WHERE m.group_id = this.id AND m.end_device_id NOT IN (SELECT id FROM wanted)
), come AS (
    INSERT INTO end_device_group_member (group_id, end_device_id)
    SELECT this.id, wanted.id FROM this, wanted
    ON CONFLICT DO NOTHING
)
SELECT mrid FROM wanted

-- name: groups
SELECT g.name, g.selector, count(m.end_device_id)::integer
FROM end_device_group g
LEFT JOIN end_device_group_membership m ON m.group_id = g.id
GROUP BY g.id
ORDER BY g.name

-- name: schedules_of_group
SELECT s.name FROM read_schedule s JOIN end_device_group g ON g.id = s.group_id
WHERE g.name = %(name)s ORDER BY s.name

-- name: remove_group
DELETE FROM end_device_group WHERE name = %(name)s
