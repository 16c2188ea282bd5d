-- name: propose
INSERT INTO edit_proposal (channel_id, proposed_at, person, reason, moments, values, quality, days,
                           versions, amount, after_billing, restores)
VALUES (%(channel)s, %(now)s, %(person)s, %(reason)s, %(moments)s, %(values)s, %(quality)s,
        %(days)s, %(versions)s, %(amount)s, %(after_billing)s, %(restores)s)
RETURNING id

-- name: proposals
SELECT e.id, e.channel_id, p.mrid, t.name, e.proposed_at, e.person, e.reason, e.moments, e.values,
       e.quality, e.days, e.versions, e.amount, e.after_billing, e.restores,
       d.approved, d.decided_at, d.person, d.reason
FROM edit_proposal e
JOIN channel c ON c.id = e.channel_id
JOIN usage_point p ON p.id = c.usage_point_id
JOIN reading_type t ON t.id = c.reading_type_id
LEFT JOIN edit_decision d ON d.edit_proposal_id = e.id
WHERE (%(number)s::bigint IS NULL OR e.id = %(number)s)
  AND (%(all)s OR d.edit_proposal_id IS NULL)
ORDER BY e.id

-- name: lock_proposal
SELECT id FROM edit_proposal WHERE id = %(number)s FOR UPDATE

-- name: decide_edit
INSERT INTO edit_decision (edit_proposal_id, decided_at, approved, person, reason)
VALUES (%(number)s, %(now)s, %(approved)s, %(person)s, %(reason)s)

-- name: newest_versions
SELECT starts_at, max(version)
FROM interval_block
WHERE channel_id = %(channel)s AND starts_at = ANY(%(days)s)
GROUP BY starts_at
