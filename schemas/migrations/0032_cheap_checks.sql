-- A pattern with {64} took 7 to 15 µs for each digest, and a set's two were asked again at each of its
-- moves: two thirds of what marking an export's sets took. Length and letters apart say the same.
ALTER TABLE determinant_set
    DROP CONSTRAINT determinant_set_input_digest_check,
    DROP CONSTRAINT determinant_set_digest_check;
ALTER TABLE determinant_set
    ADD CONSTRAINT determinant_set_input_digest_check
        CHECK (octet_length(input_digest) = 64 AND input_digest !~ '[^0-9a-f]'),
    ADD CONSTRAINT determinant_set_digest_check
        CHECK (octet_length(digest) = 64 AND digest !~ '[^0-9a-f]');

-- Whether an item's file is there is asked once a statement, as of what else belongs to a set. Files of
-- exports refuse to change or go by themselves, so nothing needs to be locked, and no item changes its
-- file (export_item_is_acknowledged).
ALTER TABLE export_item DROP CONSTRAINT export_item_export_id_file_fkey;
CREATE FUNCTION check_export_file() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    unknown text;
BEGIN
    SELECT a.file INTO unknown
    FROM (SELECT DISTINCT export_id, file FROM added) a
    WHERE NOT EXISTS (
        SELECT FROM export_file f WHERE f.export_id = a.export_id AND f.name = a.file)
    LIMIT 1;
    IF FOUND THEN
        RAISE foreign_key_violation USING MESSAGE =
            format('file %s of table export_item does not exist', unknown);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER file_references AFTER INSERT ON export_item
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION check_export_file();
