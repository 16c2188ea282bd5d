-- A billing group's stretch of local days, closed as one. Days are the usage points' own.
CREATE TABLE billing_cycle (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    billing_group text NOT NULL CHECK (billing_group <> ''),
    starts_on date NOT NULL,
    ends_on date NOT NULL CHECK (ends_on > starts_on),
    opened_at timestamptz NOT NULL,
    UNIQUE (billing_group, starts_on, ends_on)
);
COMMENT ON COLUMN billing_cycle.ends_on IS 'the first day that is not in the cycle';

-- No day of a group is billed in two cycles. An exclusion constraint would need an extension for text.
CREATE FUNCTION billing_cycle_stands_alone() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    other billing_cycle;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('billing_cycle'), hashtext(NEW.billing_group));
    SELECT * INTO other FROM billing_cycle c
    WHERE c.billing_group = NEW.billing_group AND c.id <> NEW.id
      AND daterange(c.starts_on, c.ends_on) && daterange(NEW.starts_on, NEW.ends_on)
      AND (c.starts_on, c.ends_on) <> (NEW.starts_on, NEW.ends_on)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'billing group % already has a cycle from % to %',
            NEW.billing_group, other.starts_on, other.ends_on - 1
            USING ERRCODE = 'exclusion_violation', CONSTRAINT = 'billing_cycle_stands_alone';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_cycle_stands_alone BEFORE INSERT OR UPDATE ON billing_cycle
    FOR EACH ROW EXECUTE FUNCTION billing_cycle_stands_alone();

-- What a bill was computed by, kept as it was: files may change, a bill must still be replayed.
CREATE TABLE billing_definition (
    digest text PRIMARY KEY CHECK (digest ~ '^[0-9a-f]{64}$'),
    kind text NOT NULL CHECK (kind IN ('tariff', 'calendar')),
    name text NOT NULL CHECK (name <> ''),
    definition text NOT NULL,
    CHECK (digest = encode(sha256(convert_to(definition, 'UTF8')), 'hex'))
);

CREATE TABLE determinant_set (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cycle_id integer NOT NULL REFERENCES billing_cycle,
    usage_point_id integer NOT NULL REFERENCES usage_point,
    version integer NOT NULL CHECK (version > 0),
    state text NOT NULL CHECK (state IN (
        'held', 'ready', 'released', 'exported', 'billed', 'rejected', 'superseded')),
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL CHECK (ends_at > starts_at),
    time_zone text NOT NULL,
    sector text NOT NULL REFERENCES sector,
    tariff text NOT NULL REFERENCES billing_definition,
    calendar text NOT NULL REFERENCES billing_definition,
    computed_at timestamptz NOT NULL,
    software text NOT NULL CHECK (software <> ''),
    rule_sets text[] NOT NULL,
    input_digest text NOT NULL CHECK (input_digest ~ '^[0-9a-f]{64}$'),
    digest text NOT NULL CHECK (digest ~ '^[0-9a-f]{64}$'),
    UNIQUE (cycle_id, usage_point_id, version),
    CONSTRAINT determinant_set_of_a_period_that_is_over CHECK (computed_at >= ends_at)
);
CREATE INDEX ON determinant_set (usage_point_id);
COMMENT ON COLUMN determinant_set.input_digest IS
    'SHA-256 of the versions and definitions that it was computed from';
COMMENT ON COLUMN determinant_set.digest IS 'SHA-256 of its determinants';

CREATE TABLE determinant (
    determinant_set_id bigint NOT NULL REFERENCES determinant_set,
    position smallint NOT NULL CHECK (position > 0),
    name text NOT NULL CHECK (name <> ''),
    reading_type_id smallint NOT NULL REFERENCES reading_type,
    part text NOT NULL,
    value numeric,
    unit text NOT NULL CHECK (unit <> ''),
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL CHECK (ends_at >= starts_at),
    actual integer NOT NULL CHECK (actual >= 0),
    questionable integer NOT NULL CHECK (questionable >= 0),
    missing integer NOT NULL CHECK (missing >= 0),
    estimated integer NOT NULL CHECK (estimated >= 0),
    edited integer NOT NULL CHECK (edited >= 0),
    rounding text NOT NULL,
    note text NOT NULL CHECK (value IS NOT NULL OR note <> ''),
    PRIMARY KEY (determinant_set_id, position),
    UNIQUE (determinant_set_id, name, reading_type_id, part)
);
COMMENT ON COLUMN determinant.part IS
    'which of several: time-of-use period, end device or window; empty where there is one only';
COMMENT ON COLUMN determinant.note IS 'why there is no value, or what to know about it';
COMMENT ON COLUMN determinant.actual IS
    'this and the next four: readings by quality that the value was made from';

-- The versions that a set was computed from, a channel a row.
CREATE TABLE determinant_interval_input (
    determinant_set_id bigint NOT NULL REFERENCES determinant_set,
    channel_id integer NOT NULL REFERENCES channel,
    starts_at timestamptz[] NOT NULL,
    version integer[] NOT NULL,
    PRIMARY KEY (determinant_set_id, channel_id),
    CHECK (cardinality(starts_at) = cardinality(version))
);

-- An installation's stretch in the period, with the two readings that bound it. What the registry
-- said then is kept: it may be put right later.
CREATE TABLE determinant_register_input (
    determinant_set_id bigint NOT NULL REFERENCES determinant_set,
    installation_id integer NOT NULL REFERENCES installation,
    channel_id integer REFERENCES channel,
    end_device text NOT NULL,
    interval_seconds integer NOT NULL CHECK (interval_seconds > 0),
    multiplier numeric(14, 6) NOT NULL CHECK (multiplier > 0),
    register_modulus bigint,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL CHECK (ends_at > starts_at),
    start_read_at timestamptz,
    start_version integer,
    end_read_at timestamptz,
    end_version integer,
    PRIMARY KEY (determinant_set_id, installation_id),
    CHECK ((start_read_at IS NULL) = (start_version IS NULL)),
    CHECK ((end_read_at IS NULL) = (end_version IS NULL))
);

CREATE TABLE determinant_hold (
    determinant_set_id bigint NOT NULL REFERENCES determinant_set,
    gate text NOT NULL CHECK (gate <> ''),
    detail text NOT NULL CHECK (detail <> ''),
    PRIMARY KEY (determinant_set_id, gate)
);

-- A person's decision to bill a set that was held or rejected.
CREATE TABLE determinant_release (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    determinant_set_id bigint NOT NULL REFERENCES determinant_set,
    released_at timestamptz NOT NULL,
    person text NOT NULL CHECK (btrim(person) <> ''),
    reason text NOT NULL CHECK (btrim(reason) <> '')
);
CREATE INDEX ON determinant_release (determinant_set_id);

-- What changed after a set was billed.
CREATE TABLE correction (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    old_set_id bigint NOT NULL REFERENCES determinant_set,
    new_set_id bigint NOT NULL UNIQUE REFERENCES determinant_set CHECK (new_set_id > old_set_id),
    raised_at timestamptz NOT NULL
);
CREATE INDEX ON correction (old_set_id);

CREATE TABLE correction_item (
    correction_id bigint NOT NULL REFERENCES correction,
    name text NOT NULL,
    reading_type_id smallint NOT NULL REFERENCES reading_type,
    part text NOT NULL,
    unit text NOT NULL,
    old_value numeric,
    new_value numeric,
    difference numeric NOT NULL GENERATED ALWAYS AS
        (coalesce(new_value, 0) - coalesce(old_value, 0)) STORED,
    PRIMARY KEY (correction_id, name, reading_type_id, part, unit)
);

CREATE TABLE export (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cycle_id integer NOT NULL REFERENCES billing_cycle,
    name text NOT NULL UNIQUE CHECK (name ~ '^[A-Za-z0-9._-]+$'),
    format text NOT NULL CHECK (format <> ''),
    target text NOT NULL CHECK (target <> ''),
    prepared_at timestamptz NOT NULL,
    software text NOT NULL,
    delivered_at timestamptz CHECK (delivered_at >= prepared_at),
    problem text
);
COMMENT ON COLUMN export.problem IS 'why the last attempt did not deliver it; NULL once delivered';

CREATE TABLE export_file (
    export_id integer NOT NULL REFERENCES export,
    name text NOT NULL CHECK (name ~ '^[A-Za-z0-9._-]+$'),
    sha256 text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    bytes bigint NOT NULL CHECK (bytes > 0),
    usage_points integer NOT NULL CHECK (usage_points >= 0),
    PRIMARY KEY (export_id, name)
);

CREATE TABLE export_item (
    export_id integer NOT NULL,
    file text NOT NULL,
    determinant_set_id bigint NOT NULL REFERENCES determinant_set,
    outcome text CHECK (outcome IN ('billed', 'rejected')),
    reason text,
    acknowledged_at timestamptz,
    PRIMARY KEY (export_id, determinant_set_id),
    FOREIGN KEY (export_id, file) REFERENCES export_file,
    CHECK ((outcome IS NULL) = (acknowledged_at IS NULL)),
    CHECK (outcome IS DISTINCT FROM 'rejected' OR reason <> '')
);
-- Nothing twice: a set is under way or billed in one export only.
CREATE UNIQUE INDEX export_item_once ON export_item (determinant_set_id)
    WHERE outcome IS DISTINCT FROM 'rejected';

-- Values stand for ever; a set's state moves along these arrows only.
CREATE FUNCTION billing_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% in % is refused: what was computed or delivered stands', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE FUNCTION determinant_set_moves() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR (to_jsonb(NEW) - 'state') <> (to_jsonb(OLD) - 'state') THEN
        RAISE EXCEPTION '% of determinant set % is refused: only its state moves', TG_OP, OLD.id
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN (
        ('held', 'released'), ('held', 'superseded'),
        ('ready', 'exported'), ('ready', 'superseded'),
        ('released', 'exported'), ('released', 'superseded'),
        ('exported', 'billed'), ('exported', 'rejected'),
        ('rejected', 'released'), ('rejected', 'superseded')
    ) THEN
        RAISE EXCEPTION 'determinant set % is %, it cannot become %', OLD.id, OLD.state, NEW.state
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF NEW.state = 'released' AND OLD.state <> 'released' AND NOT EXISTS (
        SELECT FROM determinant_release r WHERE r.determinant_set_id = NEW.id
    ) THEN
        RAISE EXCEPTION 'determinant set % needs a person and a reason to be released', NEW.id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER determinant_set_moves BEFORE UPDATE OR DELETE ON determinant_set
    FOR EACH ROW EXECUTE FUNCTION determinant_set_moves();

-- An acknowledgement is given once; the rest of an item stands.
CREATE FUNCTION export_item_is_acknowledged() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR OLD.outcome IS NOT NULL
        OR (NEW.export_id, NEW.file, NEW.determinant_set_id)
            <> (OLD.export_id, OLD.file, OLD.determinant_set_id)
    THEN
        RAISE EXCEPTION '% of export %, determinant set % is refused: it is acknowledged once',
            TG_OP, OLD.export_id, OLD.determinant_set_id USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER export_item_is_acknowledged BEFORE UPDATE OR DELETE ON export_item
    FOR EACH ROW EXECUTE FUNCTION export_item_is_acknowledged();

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'billing_definition', 'determinant', 'determinant_interval_input',
        'determinant_register_input', 'determinant_hold', 'determinant_release', 'correction',
        'correction_item', 'export_file'
    ] LOOP
        EXECUTE format(
            'CREATE TRIGGER billing_stands BEFORE UPDATE OR DELETE ON %I '
            'FOR EACH ROW EXECUTE FUNCTION billing_stands()', name);
    END LOOP;
END $$;

-- The newest set of every usage point in a cycle, for people who write SQL.
CREATE VIEW billing AS
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
