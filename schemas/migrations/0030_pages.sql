-- Most determinant sets of a cycle have the same lines, and only the figures differ. A row and two
-- index entries for each line took a third of what closing a month asks of the database: such a set is
-- one row of arrays now, beside its heading, which says what each place is. Sets with lines of their
-- own keep a row a line. Who reads determinants reads the view, which has both; nothing is moved.
ALTER TABLE determinant RENAME TO determinant_line;

CREATE TABLE determinant_heading (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Not unique: who writes the first page of a kind waits for nobody who does the same.
    digest text NOT NULL CHECK (digest ~ '^[0-9a-f]{64}$'),
    lines smallint NOT NULL CHECK (lines > 0)
);
CREATE INDEX ON determinant_heading (digest);
CREATE TABLE determinant_heading_line (
    heading_id integer NOT NULL REFERENCES determinant_heading,
    position smallint NOT NULL CHECK (position > 0),
    name text NOT NULL CHECK (name <> ''),
    reading_type_id smallint NOT NULL REFERENCES reading_type,
    part text NOT NULL,
    scale numeric NOT NULL CHECK (scale > 0),
    unit text NOT NULL CHECK (unit <> ''),
    rounding text NOT NULL,
    note text NOT NULL,
    PRIMARY KEY (heading_id, position),
    UNIQUE (heading_id, name, reading_type_id, part)
);
COMMENT ON COLUMN determinant_heading_line.scale IS 'what one unit of the last decimal is';

CREATE TABLE determinant_page (
    determinant_set_id bigint PRIMARY KEY,
    heading_id integer NOT NULL,
    units bigint[] NOT NULL,
    starts_at timestamptz[] NOT NULL,
    ends_at timestamptz[] NOT NULL,
    actual integer[] CHECK (0 <= ALL (actual)),
    questionable integer[] CHECK (0 <= ALL (questionable)),
    missing integer[] CHECK (0 <= ALL (missing)),
    estimated integer[] CHECK (0 <= ALL (estimated)),
    edited integer[] CHECK (0 <= ALL (edited)),
    CHECK (cardinality(units) = cardinality(starts_at)),
    CHECK (cardinality(units) = cardinality(ends_at)),
    CHECK (cardinality(units) = ALL (ARRAY[cardinality(actual), cardinality(questionable),
        cardinality(missing), cardinality(estimated), cardinality(edited)]))
);
COMMENT ON TABLE determinant_page IS
    'a set whose lines are those of a heading: element n of each array is of line n';
COMMENT ON COLUMN determinant_page.units IS 'figures in units of their last decimal';
COMMENT ON COLUMN determinant_page.actual IS
    'this and the next four: readings by quality that each value was made from; NULL if none';

-- From each set to its lines: a plain UNION ALL of the two would be read whole by whoever joins it.
CREATE VIEW determinant AS
SELECT s.id AS determinant_set_id, d.position, d.name, d.reading_type_id, d.part, d.value, d.unit,
       d.starts_at, d.ends_at, d.actual, d.questionable, d.missing, d.estimated, d.edited,
       d.rounding, d.note
FROM determinant_set s
CROSS JOIN LATERAL (
    SELECT l.position, l.name, l.reading_type_id, l.part, l.value, l.unit, l.starts_at, l.ends_at,
           l.actual, l.questionable, l.missing, l.estimated, l.edited, l.rounding, l.note
    FROM determinant_line l
    WHERE l.determinant_set_id = s.id
    UNION ALL
    SELECT h.position, h.name, h.reading_type_id, h.part, p.units[h.position] * h.scale, h.unit,
           p.starts_at[h.position], p.ends_at[h.position], coalesce(p.actual[h.position], 0),
           coalesce(p.questionable[h.position], 0), coalesce(p.missing[h.position], 0),
           coalesce(p.estimated[h.position], 0), coalesce(p.edited[h.position], 0), h.rounding,
           h.note
    FROM determinant_page p
    JOIN determinant_heading_line h ON h.heading_id = p.heading_id
    WHERE p.determinant_set_id = s.id
) d;
COMMENT ON VIEW determinant IS 'a determinant a row, however it is stored';
CREATE TRIGGER billing_stands INSTEAD OF UPDATE OR DELETE ON determinant
    FOR EACH ROW EXECUTE FUNCTION billing_stands();
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'determinant_heading', 'determinant_heading_line', 'determinant_page'
    ] LOOP
        EXECUTE format(
            'CREATE TRIGGER billing_stands BEFORE UPDATE OR DELETE ON %I '
            'FOR EACH ROW EXECUTE FUNCTION billing_stands()', name);
    END LOOP;
END $$;

-- Views name tables by what they were when they were made: these two read the lines alone else.
CREATE OR REPLACE VIEW billing AS
SELECT c.billing_group, c.starts_on, c.ends_on, p.mrid AS usage_point, s.version, s.state,
       d.name AS determinant, t.name AS reading_type, d.part, d.value, d.unit,
       d.starts_at, d.ends_at, d.actual, d.questionable, d.missing, d.estimated, d.edited, d.note
FROM determinant_set s
JOIN billing_cycle c ON c.id = s.cycle_id
JOIN usage_point p ON p.id = s.usage_point_id
JOIN determinant d ON d.determinant_set_id = s.id
JOIN reading_type t ON t.id = d.reading_type_id
WHERE s.state <> 'superseded' AND NOT EXISTS (
    SELECT FROM determinant_set newer
    WHERE newer.cycle_id = s.cycle_id AND newer.usage_point_id = s.usage_point_id
      AND newer.version > s.version
);
CREATE OR REPLACE VIEW billing_export_determinant AS
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

-- A page has a place for each line of its heading, and no window ends before it begins.
CREATE FUNCTION check_pages() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    wrong bigint;
BEGIN
    SELECT a.determinant_set_id INTO wrong
    FROM added a LEFT JOIN determinant_heading h ON h.id = a.heading_id
    WHERE cardinality(a.units) IS DISTINCT FROM h.lines LIMIT 1;
    IF wrong IS NOT NULL THEN
        RAISE foreign_key_violation USING MESSAGE = format(
            'the heading of determinant set %s does not exist, or has other lines', wrong);
    END IF;
    SELECT a.determinant_set_id INTO wrong
    FROM added a, unnest(a.starts_at, a.ends_at) AS b (starts_at, ends_at)
    WHERE b.ends_at < b.starts_at OR b.starts_at IS NULL OR b.ends_at IS NULL LIMIT 1;
    IF wrong IS NOT NULL THEN
        RAISE check_violation USING MESSAGE = format(
            'a line of determinant set %s ends before it begins', wrong);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER "references" AFTER INSERT ON determinant_page
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION check_references(
        'determinant_set_id', 'determinant_set', 'id');
CREATE TRIGGER "whole" AFTER INSERT ON determinant_page
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION check_pages();

-- What refers to something is asked for, not locked: who deletes waits for those who store
-- (keep_referenced locks the tables that refer). Locking wrote to each channel's page and to the log.
CREATE OR REPLACE FUNCTION check_references() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    unknown text;
BEGIN
    FOR i IN 0 .. TG_NARGS / 3 - 1 LOOP
        EXECUTE format(
            'SELECT a.key FROM (SELECT DISTINCT %1$I AS key FROM added) a LEFT JOIN LATERAL ('
            'SELECT true AS there FROM %2$I r WHERE r.%3$I = a.key) r ON true'
            ' WHERE a.key IS NOT NULL AND there IS NULL LIMIT 1',
            TG_ARGV[3 * i], TG_ARGV[3 * i + 1], TG_ARGV[3 * i + 2])
            INTO unknown;
        IF unknown IS NOT NULL THEN
            RAISE foreign_key_violation USING MESSAGE = format(
                '%s %s of table %s does not exist', TG_ARGV[3 * i], unknown, TG_TABLE_NAME);
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION keep_sector() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    LOCK TABLE determinant_set IN SHARE ROW EXCLUSIVE MODE;
    IF EXISTS (SELECT FROM determinant_set WHERE sector = OLD.code) THEN
        RAISE foreign_key_violation USING MESSAGE =
            format('sector %s is still referred to by table determinant_set', OLD.code);
    END IF;
    RETURN OLD;
END $$;
DROP TRIGGER keep_billing ON reading_type;
CREATE TRIGGER keep_billing BEFORE DELETE ON reading_type FOR EACH ROW EXECUTE FUNCTION
    keep_referenced('reading_type_id', 'determinant_line', 'determinant_heading_line');

-- One index serves who asks by usage point and keeps versions apart; of a cycle's sets, which come in
-- together, a summary of pages is enough.
ALTER TABLE determinant_set DROP CONSTRAINT determinant_set_cycle_id_usage_point_id_version_key;
DROP INDEX determinant_set_usage_point_id_idx;
ALTER TABLE determinant_set ADD CONSTRAINT determinant_set_version
    UNIQUE (usage_point_id, cycle_id, version);
CREATE INDEX determinant_set_of_cycle ON determinant_set USING brin (cycle_id)
    WITH (pages_per_range = 16, autosummarize = on);
