-- Determinant sets come in by the thousand. Their foreign keys asked once a row, which took half of
-- an insert's time; like those of readings they are asked once a statement now, with the same lock
-- and the same error.
DO $$
DECLARE
    key record;
BEGIN
    FOR key IN
        SELECT conrelid::regclass AS place, conname AS name
        FROM pg_constraint
        WHERE contype = 'f' AND (
            conrelid IN ('determinant_set'::regclass, 'determinant'::regclass,
                'determinant_interval_input'::regclass, 'determinant_register_input'::regclass)
            OR (conrelid, confrelid) = ('export_item'::regclass, 'determinant_set'::regclass))
    LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', key.place, key.name);
    END LOOP;
END $$;

-- Arguments: a column, the table that it refers to and its key there; the next column, and so on.
CREATE FUNCTION check_references() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    unknown text;
BEGIN
    FOR i IN 0 .. TG_NARGS / 3 - 1 LOOP
        -- A set refuses to be deleted: what refers to it needs no lock on it.
        EXECUTE format(
            'SELECT a.key FROM (SELECT DISTINCT %1$I AS key FROM added) a LEFT JOIN LATERAL ('
            'SELECT true AS there FROM %2$I r WHERE r.%3$I = a.key %4$s) r ON true'
            ' WHERE a.key IS NOT NULL AND there IS NULL LIMIT 1',
            TG_ARGV[3 * i], TG_ARGV[3 * i + 1], TG_ARGV[3 * i + 2],
            CASE WHEN TG_ARGV[3 * i + 1] = 'determinant_set' THEN '' ELSE 'FOR KEY SHARE' END)
            INTO unknown;
        IF unknown IS NOT NULL THEN
            RAISE foreign_key_violation USING MESSAGE = format(
                '%s %s of table %s does not exist', TG_ARGV[3 * i], unknown, TG_TABLE_NAME);
        END IF;
    END LOOP;
    RETURN NULL;
END $$;

CREATE TRIGGER "references" AFTER INSERT ON determinant_set
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION check_references(
        'cycle_id', 'billing_cycle', 'id', 'usage_point_id', 'usage_point', 'id',
        'sector', 'sector', 'code', 'tariff', 'billing_definition', 'digest',
        'calendar', 'billing_definition', 'digest');
CREATE TRIGGER "references" AFTER INSERT ON determinant
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION check_references(
        'determinant_set_id', 'determinant_set', 'id', 'reading_type_id', 'reading_type', 'id');
CREATE TRIGGER "references" AFTER INSERT ON determinant_interval_input
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION check_references(
        'determinant_set_id', 'determinant_set', 'id', 'channel_id', 'channel', 'id');
CREATE TRIGGER "references" AFTER INSERT ON determinant_register_input
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION check_references(
        'determinant_set_id', 'determinant_set', 'id', 'installation_id', 'installation', 'id',
        'channel_id', 'channel', 'id');
CREATE TRIGGER "references" AFTER INSERT ON export_item
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION check_references(
        'determinant_set_id', 'determinant_set', 'id');

-- And the other way round. Sets and definitions refuse to go by themselves.
CREATE TRIGGER keep_billing BEFORE DELETE ON billing_cycle FOR EACH ROW EXECUTE FUNCTION
    keep_referenced('cycle_id', 'determinant_set');
CREATE TRIGGER keep_billing BEFORE DELETE ON usage_point FOR EACH ROW EXECUTE FUNCTION
    keep_referenced('usage_point_id', 'determinant_set');
CREATE TRIGGER keep_billing BEFORE DELETE ON reading_type FOR EACH ROW EXECUTE FUNCTION
    keep_referenced('reading_type_id', 'determinant');
CREATE TRIGGER keep_billing BEFORE DELETE ON channel FOR EACH ROW EXECUTE FUNCTION
    keep_referenced('channel_id', 'determinant_interval_input', 'determinant_register_input');
CREATE TRIGGER keep_billing BEFORE DELETE ON installation FOR EACH ROW EXECUTE FUNCTION
    keep_referenced('installation_id', 'determinant_register_input');
CREATE FUNCTION keep_sector() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM determinant_set WHERE sector = OLD.code) THEN
        RAISE foreign_key_violation USING MESSAGE =
            format('sector %s is still referred to by table determinant_set', OLD.code);
    END IF;
    RETURN OLD;
END $$;
CREATE TRIGGER keep_billing BEFORE DELETE ON sector FOR EACH ROW EXECUTE FUNCTION keep_sector();

-- The same arrows as before. Rows are compared as rows: a tenth of what JSON of them takes.
CREATE OR REPLACE FUNCTION determinant_set_moves() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    last text;
    moved determinant_set := OLD;
BEGIN
    moved.state := NEW.state;
    IF TG_OP = 'DELETE' OR moved IS DISTINCT FROM NEW THEN
        RAISE EXCEPTION '% of determinant set % is refused: only its state moves', TG_OP, OLD.id
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN (
        ('waiting', 'held'), ('waiting', 'ready'), ('waiting', 'superseded'),
        ('held', 'released'), ('held', 'rejected'), ('held', 'superseded'),
        ('ready', 'exported'), ('ready', 'superseded'),
        ('released', 'exported'), ('released', 'held'), ('released', 'superseded'),
        ('exported', 'billed'), ('exported', 'rejected'),
        ('rejected', 'released'), ('rejected', 'held'), ('rejected', 'superseded')
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
    IF (OLD.state, NEW.state) IN
        (('held', 'rejected'), ('released', 'held'), ('rejected', 'held'))
    THEN
        SELECT e.kind INTO last FROM determinant_event e
        WHERE e.determinant_set_id = NEW.id AND e.kind <> 'assigned' ORDER BY e.id DESC LIMIT 1;
        IF last IS DISTINCT FROM (CASE NEW.state WHEN 'held' THEN 'undone' ELSE 'rejected' END) THEN
            RAISE EXCEPTION 'determinant set % needs a person and a reason to become %',
                NEW.id, NEW.state USING ERRCODE = 'restrict_violation';
        END IF;
    END IF;
    RETURN NEW;
END $$;
-- A set moves two or three times: with room on its page its indexes stay as they are.
ALTER TABLE determinant_set SET (fillfactor = 60);

-- What bills need of a channel's local day, summed once; see mdm/determinants/days.py. A day belongs
-- to the version of the block that it was made from, so it is right for ever or not looked at. All of
-- it can be made again.
CREATE TABLE daily_recipe (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest text NOT NULL UNIQUE,
    definition text NOT NULL,
    CHECK (digest = encode(sha256(convert_to(definition, 'UTF8')), 'hex'))
);
CREATE TABLE interval_day (
    recipe_id integer NOT NULL,
    channel_id integer NOT NULL,
    starts_at timestamptz NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    recorded_at timestamptz NOT NULL,
    provenance_id bigint NOT NULL,
    total bigint NOT NULL,
    actual smallint NOT NULL,
    questionable smallint NOT NULL,
    missing smallint NOT NULL,
    estimated smallint NOT NULL,
    edited smallint NOT NULL,
    figures bytea NOT NULL
);
CREATE UNIQUE INDEX interval_day_key ON interval_day (recipe_id, channel_id, starts_at, version);
COMMENT ON COLUMN interval_day.total IS 'sum of the intervals, in the scaled unit';
COMMENT ON COLUMN interval_day.figures IS
    'sums and counts by time-of-use period, highest windows, slots at both ends: a fixed record';
CREATE TRIGGER "references" AFTER INSERT ON interval_day
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION check_references(
        'recipe_id', 'daily_recipe', 'id', 'channel_id', 'channel', 'id');
CREATE TRIGGER keep_days BEFORE DELETE ON channel FOR EACH ROW EXECUTE FUNCTION
    keep_referenced('channel_id', 'interval_day');
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
        PERFORM create_hypertable('interval_day', 'starts_at',
            chunk_time_interval => interval '7 days', create_default_indexes => false);
    END IF;
END $$;
