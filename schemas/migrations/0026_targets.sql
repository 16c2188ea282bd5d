-- An acknowledgement that fits no bill, or contradicts an earlier one: it changes nothing, and is
-- kept once for people to see.
CREATE TABLE stray_acknowledgement (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    export_id integer REFERENCES export,
    bill text NOT NULL,
    outcome text NOT NULL,
    reason text NOT NULL,
    why text NOT NULL CHECK (why <> ''),
    first_at timestamptz NOT NULL,
    UNIQUE NULLS NOT DISTINCT (export_id, bill, outcome, reason)
);
COMMENT ON COLUMN stray_acknowledgement.export_id IS 'NULL where not even the export is known';
COMMENT ON COLUMN stray_acknowledgement.bill IS 'as the receiver named it';

-- A change after billing that is too small for a correction, beside the billed figures.
CREATE TABLE logged_change (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    billed_set_id bigint NOT NULL REFERENCES determinant_set,
    digest text NOT NULL CHECK (digest ~ '^[0-9a-f]{64}$'),
    logged_at timestamptz NOT NULL,
    UNIQUE (billed_set_id, digest)
);
COMMENT ON COLUMN logged_change.digest IS 'SHA-256 of the determinants that would be there now';

CREATE TABLE logged_change_item (
    logged_change_id bigint NOT NULL REFERENCES logged_change,
    name text NOT NULL,
    reading_type_id smallint NOT NULL REFERENCES reading_type,
    part text NOT NULL,
    unit text NOT NULL,
    old_value numeric,
    new_value numeric,
    difference numeric NOT NULL GENERATED ALWAYS AS
        (coalesce(new_value, 0) - coalesce(old_value, 0)) STORED,
    PRIMARY KEY (logged_change_id, name, reading_type_id, part, unit)
);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['stray_acknowledgement', 'logged_change', 'logged_change_item'] LOOP
        EXECUTE format(
            'CREATE TRIGGER billing_stands BEFORE UPDATE OR DELETE ON %I '
            'FOR EACH ROW EXECUTE FUNCTION billing_stands()', name);
    END LOOP;
END $$;

-- The target 'database:': exports for whoever reads the database. An export is there from the moment
-- at which it is marked delivered, in one statement: never a part of it.
CREATE VIEW billing_export AS
SELECT e.name AS export, c.billing_group, c.starts_on, c.ends_on, e.prepared_at,
       e.delivered_at AS published_at, count(*) AS usage_points, count(i.outcome) AS acknowledged
FROM export e
JOIN billing_cycle c ON c.id = e.cycle_id
JOIN export_item i ON i.export_id = e.id
WHERE e.target = 'database:' AND e.delivered_at IS NOT NULL
GROUP BY e.id, c.id;
COMMENT ON VIEW billing_export IS 'whole exports for readers of the database, see docs/billing.md';

CREATE VIEW billing_export_bill AS
SELECT e.name AS export, concat_ws('/', p.mrid, c.starts_on, c.ends_on, s.version) AS key,
       p.mrid AS usage_point, p.commodity, s.sector, t.name AS tariff, c.billing_group, s.time_zone,
       s.starts_at AS period_start, s.ends_at AS period_end, s.version, o.version AS corrects,
       s.digest, i.outcome, i.reason, i.acknowledged_at, s.id AS determinant_set_id
FROM export e
JOIN billing_cycle c ON c.id = e.cycle_id
JOIN export_item i ON i.export_id = e.id
JOIN determinant_set s ON s.id = i.determinant_set_id
JOIN usage_point p ON p.id = s.usage_point_id
JOIN billing_definition t ON t.digest = s.tariff
LEFT JOIN correction x ON x.new_set_id = s.id
LEFT JOIN determinant_set o ON o.id = x.old_set_id
WHERE e.target = 'database:' AND e.delivered_at IS NOT NULL;
COMMENT ON VIEW billing_export_bill IS 'a usage point of an export a row, with its acknowledgement';

-- The figures as every format writes them; in a correction beside what was billed, and with those
-- that are no longer there.
CREATE VIEW billing_export_determinant AS
SELECT b.export, b.key, b.usage_point, d.name AS determinant, r.name AS reading_type, d.part,
       d.value, d.unit, d.starts_at, d.ends_at, d.actual, d.questionable, d.missing, d.estimated,
       d.edited, d.rounding, d.note,
       CASE WHEN b.corrects IS NULL THEN NULL WHEN n.correction_id IS NULL THEN d.value
            ELSE n.old_value END AS previous,
       CASE WHEN b.corrects IS NULL THEN NULL WHEN n.correction_id IS NOT NULL THEN n.difference
            WHEN d.value IS NOT NULL THEN 0 END AS difference,
       d.position
FROM billing_export_bill b
JOIN determinant d ON d.determinant_set_id = b.determinant_set_id
JOIN reading_type r ON r.id = d.reading_type_id
LEFT JOIN correction x ON x.new_set_id = b.determinant_set_id
LEFT JOIN correction_item n ON n.correction_id = x.id
    AND (n.name, n.reading_type_id, n.part, n.unit) = (d.name, d.reading_type_id, d.part, d.unit)
UNION ALL
SELECT b.export, b.key, b.usage_point, n.name, r.name, n.part, NULL, n.unit, d.starts_at, d.ends_at,
       0, 0, 0, 0, 0, d.rounding, 'no longer there', n.old_value, n.difference, NULL
FROM billing_export_bill b
JOIN correction x ON x.new_set_id = b.determinant_set_id
JOIN correction_item n ON n.correction_id = x.id
JOIN reading_type r ON r.id = n.reading_type_id
JOIN determinant d ON d.determinant_set_id = b.determinant_set_id AND d.position = 1
WHERE NOT EXISTS (
    SELECT FROM determinant m WHERE m.determinant_set_id = b.determinant_set_id
      AND (m.name, m.reading_type_id, m.part, m.unit) = (n.name, n.reading_type_id, n.part, n.unit)
);
COMMENT ON VIEW billing_export_determinant IS 'a determinant of an export a row';

-- How a reader of the views says what became of a bill. It may be said again; what fits nothing is
-- kept and changes nothing. Its own rights, so that a reader needs none on the tables.
CREATE FUNCTION acknowledge_bill(bill_key text, bill_outcome text, bill_reason text DEFAULT '')
RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    export_number integer;
    set_number bigint;
    before text;
    problem text;
BEGIN
    IF bill_outcome NOT IN ('billed', 'rejected') OR bill_outcome IS NULL
        OR (bill_outcome = 'rejected' AND coalesce(btrim(bill_reason), '') = '')
    THEN
        RAISE EXCEPTION 'bill % must be billed, or rejected with a reason', bill_key
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- A bill that was rejected may come again in a later export: the newest is meant.
    SELECT e.id, b.determinant_set_id INTO export_number, set_number
    FROM billing_export_bill b JOIN export e ON e.name = b.export
    WHERE b.key = bill_key ORDER BY e.id DESC LIMIT 1;
    IF NOT FOUND THEN
        problem := 'no such bill is in an export';
    ELSE
        PERFORM FROM export e WHERE e.id = export_number FOR NO KEY UPDATE;
        SELECT i.outcome INTO before FROM export_item i
        WHERE i.export_id = export_number AND i.determinant_set_id = set_number;
        IF before = bill_outcome THEN
            RETURN 'repeated';
        ELSIF before IS NOT NULL THEN
            problem := 'it was said before that it is ' || before;
        END IF;
    END IF;
    IF problem IS NOT NULL THEN
        INSERT INTO stray_acknowledgement (export_id, bill, outcome, reason, why, first_at)
        VALUES (export_number, bill_key, bill_outcome, coalesce(bill_reason, ''), problem, now())
        ON CONFLICT DO NOTHING;
        RETURN 'not taken: ' || problem;
    END IF;
    UPDATE export_item i
    SET outcome = bill_outcome, reason = nullif(bill_reason, ''), acknowledged_at = now()
    WHERE i.export_id = export_number AND i.determinant_set_id = set_number;
    UPDATE determinant_set s SET state = bill_outcome WHERE s.id = set_number;
    RETURN 'taken';
END $$;
REVOKE ALL ON FUNCTION acknowledge_bill(text, text, text) FROM PUBLIC;
