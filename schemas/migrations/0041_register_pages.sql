-- Sets that are billed by registers stand as pages, too. Their lines differ in more than figures: what a
-- dial showed is told of an end device, and where no interval is known, lines have a note instead of a
-- figure. The page names its end device, and a heading's line has no part where it is that, and no scale
-- where it has no figure.
ALTER TABLE determinant_heading_line
    ALTER COLUMN part DROP NOT NULL,
    ALTER COLUMN scale DROP NOT NULL,
    ADD CHECK (scale IS NOT NULL OR note <> '');
COMMENT ON COLUMN determinant_heading_line.part IS 'NULL where it is the page''s end device';
COMMENT ON COLUMN determinant_heading_line.scale IS
    'what one unit of the last decimal is; NULL where there is no figure';
ALTER TABLE determinant_page ADD COLUMN end_device text CHECK (end_device <> '');
COMMENT ON COLUMN determinant_page.end_device IS
    'whose register it is, where lines of the heading ask for it';

CREATE OR REPLACE VIEW determinant AS
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
    SELECT h.position, h.name, h.reading_type_id, coalesce(h.part, p.end_device),
           p.units[h.position] * h.scale, h.unit,
           p.starts_at[h.position], p.ends_at[h.position], coalesce(p.actual[h.position], 0),
           coalesce(p.questionable[h.position], 0), coalesce(p.missing[h.position], 0),
           coalesce(p.estimated[h.position], 0), coalesce(p.edited[h.position], 0), h.rounding,
           h.note
    FROM determinant_page p
    JOIN determinant_heading_line h ON h.heading_id = p.heading_id
    WHERE p.determinant_set_id = s.id
) d;

CREATE OR REPLACE FUNCTION check_pages() RETURNS trigger LANGUAGE plpgsql AS $$
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
    FROM added a
    WHERE a.end_device IS NULL AND EXISTS (
        SELECT FROM determinant_heading_line l
        WHERE l.heading_id = a.heading_id AND l.part IS NULL) LIMIT 1;
    IF wrong IS NOT NULL THEN
        RAISE check_violation USING MESSAGE = format(
            'the page of determinant set %s names no end device, and its heading asks for it', wrong);
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
