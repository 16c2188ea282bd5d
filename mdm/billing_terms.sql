-- name: terms
SELECT usage_point_id, starts_on, tariff, account
FROM usage_point_term
WHERE usage_point_id = ANY(%(usage_points)s) AND starts_on < %(until)s
ORDER BY usage_point_id, starts_on

-- name: known_usage_points
SELECT mrid, id FROM usage_point WHERE mrid = ANY(%(mrids)s)

-- name: put_term
INSERT INTO usage_point_term (usage_point_id, starts_on, tariff, account)
VALUES (%(usage_point)s, %(starts_on)s, %(tariff)s, %(account)s)
ON CONFLICT (usage_point_id, starts_on) DO UPDATE
SET tariff = excluded.tariff, account = excluded.account
WHERE (usage_point_term.tariff, usage_point_term.account) <> (excluded.tariff, excluded.account)

-- name: put_loss
INSERT INTO loss_factor (usage_point_id, name, effective_from, factor)
VALUES (%(usage_point)s, %(name)s, %(effective_from)s, %(factor)s)
ON CONFLICT (usage_point_id, name, effective_from) DO UPDATE
SET factor = excluded.factor
WHERE loss_factor.factor <> excluded.factor
