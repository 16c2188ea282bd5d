-- A comparison with NULL is not false, so the first wording let a missing reason pass.
ALTER TABLE provenance ADD CONSTRAINT provenance_person_and_reason CHECK (
    kind = 'vee' OR (coalesce(person, '') <> '' AND coalesce(reason, '') <> ''));

-- One validation run: what it saw, what it did, and the versions that it made (by provenance).
CREATE TABLE vee_run (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ran_at timestamptz NOT NULL,
    rule_set text NOT NULL CHECK (rule_set <> ''),
    rule_set_digest text NOT NULL,
    provenance_id bigint REFERENCES provenance,
    channels integer NOT NULL CHECK (channels >= 0),
    days integer NOT NULL CHECK (days >= 0),
    versions integer NOT NULL CHECK (versions >= 0),
    opened integer NOT NULL CHECK (opened >= 0),
    closed integer NOT NULL CHECK (closed >= 0),
    counters jsonb NOT NULL DEFAULT '{}'
);
COMMENT ON COLUMN vee_run.provenance_id IS 'NULL when nothing changed: the run made no version';
COMMENT ON COLUMN vee_run.days IS 'channel-days that were validated';

-- What failed, until somebody or a later run settles it. The stretch is half-open.
CREATE TABLE finding (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel_id integer NOT NULL REFERENCES channel,
    day timestamptz NOT NULL,
    starts_at timestamptz NOT NULL CHECK (starts_at >= day),
    ends_at timestamptz NOT NULL CHECK (ends_at > starts_at),
    rule text NOT NULL CHECK (rule <> ''),
    severity text NOT NULL CHECK (severity IN ('info', 'issue', 'terminate')),
    action text NOT NULL CHECK (action IN ('note', 'suspect', 'estimate')),
    observed double precision,
    "limit" double precision,
    found_at timestamptz NOT NULL,
    vee_run_id bigint NOT NULL REFERENCES vee_run,
    state text NOT NULL DEFAULT 'open'
        CHECK (state IN ('open', 'accepted', 'edited', 'resolved', 'superseded')),
    decided_by text,
    decided_at timestamptz,
    reason text,
    CHECK ((state = 'open') = (decided_at IS NULL)),
    CHECK (state = 'open' OR coalesce(reason, '') <> ''),
    CHECK (state NOT IN ('accepted', 'edited') OR coalesce(decided_by, '') <> '')
);
COMMENT ON COLUMN finding.day IS 'start of the local day in which the stretch starts';
COMMENT ON COLUMN finding.decided_by IS 'a person; NULL where a later run closed it';
CREATE UNIQUE INDEX finding_open_key ON finding (channel_id, day, rule, starts_at)
    WHERE state = 'open';
CREATE INDEX finding_channel_day ON finding (channel_id, day);
CREATE INDEX finding_open ON finding (rule, severity) WHERE state = 'open';

-- What intake could not place stays in the raw store; taking it in again adds no second row.
CREATE UNIQUE INDEX quarantine_intake_key ON quarantine (subject, reason)
    WHERE source = 'intake' AND resolved_at IS NULL;

-- A day that is not over cannot be validated: its arrival waits until then.
ALTER TABLE arrival ADD COLUMN not_before timestamptz NOT NULL DEFAULT '-infinity';
CREATE INDEX arrival_due ON arrival (not_before, id);

-- Readings come in by the thousand. A foreign key asks once a row, which took two thirds of the time
-- of a COPY (measured: 3.4 M intervals/s with, 10 M without); these triggers ask once a statement,
-- with the same lock and the same error.
DO $$
DECLARE
    key record;
BEGIN
    FOR key IN
        SELECT conrelid::regclass AS place, conname AS name
        FROM pg_constraint
        WHERE contype = 'f' AND conrelid IN (
            'raw_interval_block'::regclass, 'raw_register_reading'::regclass,
            'interval_block'::regclass, 'register_reading'::regclass)
    LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', key.place, key.name);
    END LOOP;
END $$;

CREATE FUNCTION check_raw_references() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    end_devices integer[] := ARRAY(SELECT DISTINCT end_device_id FROM added);
    reading_types smallint[] := ARRAY(SELECT DISTINCT reading_type_id FROM added);
    unknown text;
BEGIN
    PERFORM FROM end_device WHERE id = ANY(end_devices) ORDER BY id FOR KEY SHARE;
    SELECT 'end_device_id ' || id INTO unknown FROM unnest(end_devices) AS id
    WHERE NOT EXISTS (SELECT FROM end_device d WHERE d.id = id.id) LIMIT 1;
    IF unknown IS NULL THEN
        SELECT 'reading_type_id ' || id INTO unknown FROM unnest(reading_types) AS id
        WHERE NOT EXISTS (SELECT FROM reading_type t WHERE t.id = id.id) LIMIT 1;
    END IF;
    IF unknown IS NOT NULL THEN
        RAISE foreign_key_violation USING MESSAGE =
            format('%s of table %s does not exist', unknown, TG_TABLE_NAME);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION check_final_references() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    channels integer[] := ARRAY(SELECT DISTINCT channel_id FROM added);
    provenances bigint[] := ARRAY(SELECT DISTINCT provenance_id FROM added);
    unknown text;
BEGIN
    PERFORM FROM channel WHERE id = ANY(channels) ORDER BY id FOR KEY SHARE;
    PERFORM FROM provenance WHERE id = ANY(provenances) ORDER BY id FOR KEY SHARE;
    SELECT 'channel_id ' || id INTO unknown FROM unnest(channels) AS id
    WHERE NOT EXISTS (SELECT FROM channel c WHERE c.id = id.id) LIMIT 1;
    IF unknown IS NULL THEN
        SELECT 'provenance_id ' || id INTO unknown FROM unnest(provenances) AS id
        WHERE NOT EXISTS (SELECT FROM provenance p WHERE p.id = id.id) LIMIT 1;
    END IF;
    IF unknown IS NOT NULL THEN
        RAISE foreign_key_violation USING MESSAGE =
            format('%s of table %s does not exist', unknown, TG_TABLE_NAME);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION check_installation_references() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    installations integer[] := ARRAY(SELECT DISTINCT installation_id FROM added);
    unknown integer;
BEGIN
    PERFORM FROM installation WHERE id = ANY(installations) ORDER BY id FOR KEY SHARE;
    SELECT id.id INTO unknown FROM unnest(installations) AS id (id)
    WHERE NOT EXISTS (SELECT FROM installation i WHERE i.id = id.id) LIMIT 1;
    IF unknown IS NOT NULL THEN
        RAISE foreign_key_violation USING MESSAGE =
            format('installation_id %s of table %s does not exist', unknown, TG_TABLE_NAME);
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER raw_references AFTER INSERT ON raw_interval_block
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION check_raw_references();
CREATE TRIGGER raw_references AFTER INSERT ON raw_register_reading
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION check_raw_references();
CREATE TRIGGER final_references AFTER INSERT ON interval_block
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION check_final_references();
CREATE TRIGGER final_references AFTER INSERT ON register_reading
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION check_final_references();
CREATE TRIGGER installation_references AFTER INSERT ON register_reading
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT
    EXECUTE FUNCTION check_installation_references();

-- And the other way round: what readings refer to cannot go while they are there.
CREATE FUNCTION keep_referenced() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    place text;
    referred boolean;
BEGIN
    FOREACH place IN ARRAY TG_ARGV[1:] LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE %I = $1)', place, TG_ARGV[0])
            INTO referred USING OLD.id;
        IF referred THEN
            RAISE foreign_key_violation USING MESSAGE = format(
                '%s %s is still referred to by table %s', TG_TABLE_NAME, OLD.id, place);
        END IF;
    END LOOP;
    RETURN OLD;
END $$;

CREATE TRIGGER keep_referenced BEFORE DELETE ON end_device FOR EACH ROW EXECUTE FUNCTION
    keep_referenced('end_device_id', 'raw_interval_block', 'raw_register_reading');
CREATE TRIGGER keep_referenced BEFORE DELETE ON reading_type FOR EACH ROW EXECUTE FUNCTION
    keep_referenced('reading_type_id', 'raw_interval_block', 'raw_register_reading');
CREATE TRIGGER keep_referenced BEFORE DELETE ON channel FOR EACH ROW EXECUTE FUNCTION
    keep_referenced('channel_id', 'interval_block', 'register_reading');
CREATE TRIGGER keep_referenced BEFORE DELETE ON provenance FOR EACH ROW EXECUTE FUNCTION
    keep_referenced('provenance_id', 'interval_block', 'register_reading');
CREATE TRIGGER keep_referenced BEFORE DELETE ON installation FOR EACH ROW EXECUTE FUNCTION
    keep_referenced('installation_id', 'register_reading');
