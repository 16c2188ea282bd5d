-- name: terms
SELECT usage_point_id, starts_on, tariff, account
FROM usage_point_term
WHERE usage_point_id = ANY(%(usage_points)s) AND starts_on < %(until)s
ORDER BY usage_point_id, starts_on

-- name: known_usage_points
SELECT mrid, id FROM usage_point WHERE mrid = ANY(%(mrids)s)

-- name: stored_terms
SELECT usage_point_id, starts_on, tariff, account
FROM usage_point_term WHERE usage_point_id = ANY(%(usage_points)s)

-- name: stored_losses
SELECT usage_point_id, name, effective_from, factor
FROM loss_factor WHERE usage_point_id = ANY(%(usage_points)s)

-- name: put_terms
INSERT INTO usage_point_term (usage_point_id, starts_on, tariff, account)
SELECT * FROM unnest(%(usage_points)s::integer[], %(starts_on)s::date[], %(tariffs)s::text[],
                     %(accounts)s::text[])
ON CONFLICT (usage_point_id, starts_on) DO UPDATE
SET tariff = excluded.tariff, account = excluded.account

-- name: put_losses
INSERT INTO loss_factor (usage_point_id, name, effective_from, factor)
SELECT * FROM unnest(%(usage_points)s::integer[], %(names)s::text[], %(effective_from)s::date[],
                     %(factors)s::numeric[])
ON CONFLICT (usage_point_id, name, effective_from) DO UPDATE SET factor = excluded.factor
