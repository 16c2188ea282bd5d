-- What came for days that were validated before it: temperatures, a first profile of a class, which
-- meter checks which, a node's definition, what events say about the supply. A validation run that has
-- nothing else to do looks for the days that may come out otherwise, some usage points at a time, and
-- takes them on like late readings.
CREATE TABLE late_input (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (
        kind IN ('temperature', 'class_profile', 'check_meter', 'node', 'outage_event')),
    place text,
    usage_point_id integer,
    channel_id integer,
    sector text,
    tariff text,
    reading_type_id smallint,
    interval_seconds integer,
    category text,
    code integer,
    first_day date NOT NULL,
    last_day date NOT NULL CHECK (last_day >= first_day),
    own boolean NOT NULL DEFAULT false,
    after_id integer NOT NULL DEFAULT 0,
    noted_at timestamptz NOT NULL
);
COMMENT ON COLUMN late_input.place IS 'of temperatures: a billing group, or a time zone';
COMMENT ON COLUMN late_input.channel_id IS 'the node''s virtual channel';
COMMENT ON COLUMN late_input.own IS
    'whether estimates that were made from what it was before are made again';
COMMENT ON COLUMN late_input.after_id IS
    'usage points (of outage_event: end devices) up to this one have been looked at';

CREATE FUNCTION note_outage_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz := record_moment();
BEGIN
    INSERT INTO late_input (kind, category, code, first_day, last_day, noted_at)
    SELECT DISTINCT 'outage_event', each.category, each.code, moment::date - 366, moment::date + 1,
           moment
    FROM (VALUES (OLD.category, OLD.code), (NEW.category, NEW.code)) AS each (category, code)
    WHERE each.category IS NOT NULL;
    RETURN NULL;
END $$;
CREATE TRIGGER note_outage_event AFTER INSERT OR UPDATE OR DELETE ON outage_event
    FOR EACH ROW EXECUTE FUNCTION note_outage_event();
