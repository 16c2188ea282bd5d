-- Two installations of one usage point or one end device never overlap. That was held by exclusion
-- constraints on GiST indexes of ranges, each of which took 100 to 300 µs an installation, more with
-- each million. Now a statement's installations are held against the others by the indexes that are
-- there anyway. Whoever installs waits for others who install at the same usage point or the same end
-- device, and then sees what they did.
ALTER TABLE installation
    DROP CONSTRAINT installation_one_meter_at_a_time,
    DROP CONSTRAINT installation_one_place_at_a_time;

-- By index, whatever the size that the tables had when the plan was made.
CREATE FUNCTION refuse_overlapping_installations() RETURNS trigger LANGUAGE plpgsql
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    taken integer;
BEGIN
    PERFORM FROM usage_point WHERE id = ANY(ARRAY(SELECT usage_point_id FROM added))
    ORDER BY id FOR NO KEY UPDATE;
    PERFORM FROM end_device WHERE id = ANY(ARRAY(SELECT end_device_id FROM added))
    ORDER BY id FOR NO KEY UPDATE;
    SELECT a.usage_point_id INTO taken
    FROM added a JOIN installation i ON i.usage_point_id = a.usage_point_id
    WHERE i.id <> a.id
      AND tstzrange(i.starts_at, i.ends_at) && tstzrange(a.starts_at, a.ends_at) LIMIT 1;
    IF FOUND THEN
        RAISE exclusion_violation USING
            CONSTRAINT = 'installation_one_meter_at_a_time', TABLE = 'installation',
            MESSAGE = format('usage point %s would have two end devices at a time', taken);
    END IF;
    SELECT a.end_device_id INTO taken
    FROM added a JOIN installation i ON i.end_device_id = a.end_device_id
    WHERE i.id <> a.id
      AND tstzrange(i.starts_at, i.ends_at) && tstzrange(a.starts_at, a.ends_at) LIMIT 1;
    IF FOUND THEN
        RAISE exclusion_violation USING
            CONSTRAINT = 'installation_one_place_at_a_time', TABLE = 'installation',
            MESSAGE = format('end device %s would be installed twice at a time', taken);
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER installation_added AFTER INSERT ON installation
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_overlapping_installations();
CREATE TRIGGER installation_changed AFTER UPDATE ON installation
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_overlapping_installations();
