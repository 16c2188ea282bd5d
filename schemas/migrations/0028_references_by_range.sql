-- What is stored by the thousand refers to neighbours: a run's channels, its one provenance. Sorting
-- the references and probing an index for each took 3 to 4 µs a row, half of what storing a channel
-- or a register reading takes. Where they lie close together, the range that they span is read once and
-- hashed now (0.7 µs a row); where they don't, each is still probed, whatever size the tables had
-- when the plan was made. What is refused, and how, is as it was.
CREATE FUNCTION lie_together(low bigint, high bigint, many bigint) RETURNS boolean
    LANGUAGE sql IMMUTABLE AS 'SELECT high - low < 4 * many';

CREATE OR REPLACE FUNCTION check_channel_references() RETURNS trigger LANGUAGE plpgsql
    SET enable_seqscan = off SET enable_nestloop = off SET enable_mergejoin = off AS $$
DECLARE
    low integer; high integer; many bigint;
BEGIN
    SELECT min(usage_point_id), max(usage_point_id), count(*) INTO low, high, many FROM added;
    IF lie_together(low, high, many) THEN
        PERFORM refuse_unknown('usage_point_id ' || a.usage_point_id, TG_TABLE_NAME)
        FROM added a LEFT JOIN usage_point p
            ON p.id = a.usage_point_id AND p.id BETWEEN low AND high
        WHERE p.id IS NULL;
    ELSE
        PERFORM refuse_unknown('usage_point_id ' || a.id, TG_TABLE_NAME)
        FROM (SELECT DISTINCT usage_point_id FROM added) AS a (id)
        WHERE (SELECT p.id FROM usage_point p WHERE p.id = a.id) IS NULL;
    END IF;
    PERFORM refuse_unknown('reading_type_id ' || a.reading_type_id, TG_TABLE_NAME)
    FROM added a LEFT JOIN reading_type t ON t.id = a.reading_type_id
    WHERE t.id IS NULL;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION check_final_references() RETURNS trigger LANGUAGE plpgsql
    SET enable_seqscan = off SET enable_nestloop = off SET enable_mergejoin = off AS $$
DECLARE
    low integer; high integer; first bigint; last bigint; many bigint;
BEGIN
    SELECT min(channel_id), max(channel_id), min(provenance_id), max(provenance_id), count(*)
        INTO low, high, first, last, many FROM added;
    IF lie_together(low, high, many) THEN
        PERFORM refuse_unknown('channel_id ' || a.channel_id, TG_TABLE_NAME)
        FROM added a LEFT JOIN channel c ON c.id = a.channel_id AND c.id BETWEEN low AND high
        WHERE c.id IS NULL;
    ELSE
        PERFORM refuse_unknown('channel_id ' || a.id, TG_TABLE_NAME)
        FROM (SELECT DISTINCT channel_id FROM added) AS a (id)
        WHERE (SELECT c.id FROM channel c WHERE c.id = a.id) IS NULL;
    END IF;
    IF first = last THEN
        PERFORM refuse_unknown('provenance_id ' || first, TG_TABLE_NAME)
        WHERE (SELECT p.id FROM provenance p WHERE p.id = first) IS NULL;
    ELSE
        PERFORM refuse_unknown('provenance_id ' || a.id, TG_TABLE_NAME)
        FROM (SELECT DISTINCT provenance_id FROM added) AS a (id)
        WHERE (SELECT p.id FROM provenance p WHERE p.id = a.id) IS NULL;
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION check_installation_references() RETURNS trigger LANGUAGE plpgsql
    SET enable_seqscan = off SET enable_nestloop = off SET enable_mergejoin = off AS $$
DECLARE
    low integer; high integer; many bigint;
BEGIN
    SELECT min(installation_id), max(installation_id), count(*) INTO low, high, many FROM added;
    IF lie_together(low, high, many) THEN
        PERFORM refuse_unknown('installation_id ' || a.installation_id, TG_TABLE_NAME)
        FROM added a LEFT JOIN installation i
            ON i.id = a.installation_id AND i.id BETWEEN low AND high
        WHERE i.id IS NULL;
    ELSE
        PERFORM refuse_unknown('installation_id ' || a.id, TG_TABLE_NAME)
        FROM (SELECT DISTINCT installation_id FROM added) AS a (id)
        WHERE (SELECT i.id FROM installation i WHERE i.id = a.id) IS NULL;
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION check_finding_references() RETURNS trigger LANGUAGE plpgsql
    SET enable_seqscan = off SET enable_nestloop = off SET enable_mergejoin = off AS $$
DECLARE
    low integer; high integer; first bigint; last bigint; many bigint;
BEGIN
    SELECT min(channel_id), max(channel_id), min(vee_run_id), max(vee_run_id), count(*)
        INTO low, high, first, last, many FROM added;
    IF lie_together(low, high, many) THEN
        PERFORM refuse_unknown('channel_id ' || a.channel_id, TG_TABLE_NAME)
        FROM added a LEFT JOIN channel c ON c.id = a.channel_id AND c.id BETWEEN low AND high
        WHERE c.id IS NULL;
    ELSE
        PERFORM refuse_unknown('channel_id ' || a.id, TG_TABLE_NAME)
        FROM (SELECT DISTINCT channel_id FROM added) AS a (id)
        WHERE (SELECT c.id FROM channel c WHERE c.id = a.id) IS NULL;
    END IF;
    PERFORM refuse_unknown('vee_run_id ' || a.id, TG_TABLE_NAME)
    FROM (SELECT DISTINCT vee_run_id FROM added WHERE first < last UNION ALL SELECT first) AS a (id)
    WHERE a.id IS NOT NULL AND (SELECT r.id FROM vee_run r WHERE r.id = a.id) IS NULL;
    RETURN NULL;
END $$;

-- Runs take numbers for thousands of channels and findings: a hundred at a time cost what one did. A
-- session that needs fewer leaves a gap in them.
ALTER SEQUENCE channel_id_seq CACHE 100;
ALTER SEQUENCE finding_id_seq CACHE 100;
