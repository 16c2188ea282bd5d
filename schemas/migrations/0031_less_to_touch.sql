-- A channel's month read day by day took a third of what closing a month by days asks of the database.
-- Days that were summed together stand in one row now; days that come one by one are put together when
-- there are some. All of it can be made again from the intervals, so what was there is not moved: it is
-- summed again, or its channels go by their intervals.
DROP TRIGGER keep_days ON channel;
DROP TABLE interval_day;
CREATE TABLE interval_days (
    recipe_id integer NOT NULL,
    channel_id integer NOT NULL,
    starts_at timestamptz NOT NULL,
    days smallint NOT NULL CHECK (days > 0),
    day timestamptz[] NOT NULL,
    version integer[] NOT NULL,
    total bigint[] NOT NULL,
    actual smallint[] NOT NULL,
    questionable smallint[] NOT NULL,
    missing smallint[] NOT NULL,
    estimated smallint[] NOT NULL,
    edited smallint[] NOT NULL,
    figures bytea NOT NULL
) WITH (toast_tuple_target = 8160);
-- A month's record fits on a page: neither packed nor put elsewhere, it is read at once.
ALTER TABLE interval_days ALTER COLUMN figures SET STORAGE EXTERNAL;
CREATE INDEX interval_days_key ON interval_days (recipe_id, channel_id, starts_at);
COMMENT ON TABLE interval_days IS
    'days of a channel that were summed beforehand, each in one version of its block';
COMMENT ON COLUMN interval_days.starts_at IS 'of the first day; the last begins less than 31 days later';
COMMENT ON COLUMN interval_days.figures IS
    'a fixed record a day, see mdm/daily.py; all but this and the key is for who reads SQL';
CREATE TRIGGER "references" AFTER INSERT ON interval_days
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION check_references(
        'recipe_id', 'daily_recipe', 'id', 'channel_id', 'channel', 'id');
CREATE TRIGGER keep_days BEFORE DELETE ON channel FOR EACH ROW EXECUTE FUNCTION
    keep_referenced('channel_id', 'interval_days');
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
        PERFORM create_hypertable('interval_days', 'starts_at',
            chunk_time_interval => interval '28 days', create_default_indexes => false);
    END IF;
END $$;

CREATE VIEW interval_day AS
SELECT d.recipe_id, d.channel_id, n.starts_at, n.version, n.total, n.actual, n.questionable,
       n.missing, n.estimated, n.edited
FROM interval_days d
CROSS JOIN LATERAL unnest(d.day, d.version, d.total, d.actual, d.questionable, d.missing,
    d.estimated, d.edited)
    AS n (starts_at, version, total, actual, questionable, missing, estimated, edited);
COMMENT ON VIEW interval_day IS 'a day that was summed beforehand a row';

-- The octets of an array as the server has it: a head of 20 octets and its elements, native. Sending an
-- array asks a function for each element, two thirds of what reading a month of intervals takes.
-- PostgreSQL's own function gives them as they are, but only a superuser may say so; for others it is
-- the array as it is sent. Readers know the two apart (schemas/binary_stacks.py).
DO $$
BEGIN
    CREATE FUNCTION array_octets(integer[]) RETURNS bytea
        LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'byteasend';
    CREATE FUNCTION array_octets(smallint[]) RETURNS bytea
        LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'byteasend';
EXCEPTION WHEN insufficient_privilege THEN
    CREATE FUNCTION array_octets(integer[]) RETURNS bytea
        LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE RETURN array_send($1);
    CREATE FUNCTION array_octets(smallint[]) RETURNS bytea
        LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE RETURN array_send($1);
END $$;
COMMENT ON FUNCTION array_octets(integer[]) IS 'head and elements, as the server has or sends them';
COMMENT ON FUNCTION array_octets(smallint[]) IS 'head and elements, as the server has or sends them';

-- What waits for data or a person is few among all that was ever billed. An index of it named the
-- state, so each move of a set wrote to all its indexes; these few are listed instead, and a set that
-- moves from ready to exported to billed touches none.
CREATE TABLE determinant_unsettled (
    determinant_set_id bigint PRIMARY KEY
);
COMMENT ON TABLE determinant_unsettled IS 'sets that are waiting, held or rejected; kept by triggers';
INSERT INTO determinant_unsettled
SELECT id FROM determinant_set WHERE state IN ('waiting', 'held', 'rejected');
DROP INDEX determinant_set_unsettled;
CREATE FUNCTION list_unsettled() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO determinant_unsettled
        SELECT id FROM added WHERE state IN ('waiting', 'held', 'rejected');
    ELSIF NEW.state IN ('waiting', 'held', 'rejected') THEN
        INSERT INTO determinant_unsettled VALUES (NEW.id) ON CONFLICT DO NOTHING;
    ELSE
        DELETE FROM determinant_unsettled WHERE determinant_set_id = NEW.id;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER unsettled AFTER INSERT ON determinant_set
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION list_unsettled();
CREATE TRIGGER unsettled_moves AFTER UPDATE OF state ON determinant_set FOR EACH ROW
    WHEN ((OLD.state IN ('waiting', 'held', 'rejected'))
          <> (NEW.state IN ('waiting', 'held', 'rejected')))
    EXECUTE FUNCTION list_unsettled();
