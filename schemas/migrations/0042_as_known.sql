-- What validation sees beside readings may be changed by an import or by a person. What it was before
-- is kept, so that an interval can be computed again from what was known when it was made. Validation
-- itself reads the tables as they are: nothing of this is in its way.
CREATE TABLE superseded (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    place text NOT NULL,
    key jsonb NOT NULL,
    content jsonb,
    superseded_at timestamptz NOT NULL
);
COMMENT ON TABLE superseded IS 'rows of other tables as they stood until they were changed';
COMMENT ON COLUMN superseded.place IS 'the table';
COMMENT ON COLUMN superseded.key IS 'the values of its key, as an array';
COMMENT ON COLUMN superseded.content IS 'what counts for validation; NULL where there was no row before';
CREATE INDEX ON superseded (place, key, superseded_at);
CREATE TRIGGER superseded_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON superseded
    FOR EACH STATEMENT EXECUTE FUNCTION append_only();

-- When something is changed: what the program says (miqyas.now), else a demonstration's clock, else now.
CREATE FUNCTION record_moment() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
    SELECT coalesce(nullif(current_setting('miqyas.now', true), '')::timestamptz,
                    (SELECT now FROM simulated_clock), clock_timestamp())
$$;

-- Arguments: the columns of the key, and all that are kept, with spaces between.
CREATE FUNCTION keep_superseded() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    keys text[] := string_to_array(TG_ARGV[0], ' ');
    kept text[] := string_to_array(TG_ARGV[1], ' ');
    key_before jsonb;
    key_after jsonb;
    before jsonb;
    after jsonb;
BEGIN
    IF TG_OP <> 'INSERT' THEN
        SELECT jsonb_agg(to_jsonb(OLD) -> name ORDER BY n) INTO key_before
        FROM unnest(keys) WITH ORDINALITY AS k (name, n);
        SELECT jsonb_object_agg(name, to_jsonb(OLD) -> name) INTO before FROM unnest(kept) AS name;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        SELECT jsonb_agg(to_jsonb(NEW) -> name ORDER BY n) INTO key_after
        FROM unnest(keys) WITH ORDINALITY AS k (name, n);
        SELECT jsonb_object_agg(name, to_jsonb(NEW) -> name) INTO after FROM unnest(kept) AS name;
    END IF;
    IF before = after THEN
        RETURN NULL;
    END IF;
    INSERT INTO superseded (place, key, content, superseded_at)
    SELECT TG_TABLE_NAME, coalesce(key_before, key_after), before, record_moment();
    IF key_before <> key_after THEN
        INSERT INTO superseded (place, key, superseded_at)
        SELECT TG_TABLE_NAME, key_after, record_moment();
    END IF;
    RETURN NULL;
END $$;

-- New rows are kept as such only where a run may have gone without them; the registry's are taken as
-- known all along, for what a meter read before it was registered could not be placed.
CREATE TRIGGER keep_superseded AFTER UPDATE OR DELETE ON usage_point
    FOR EACH ROW EXECUTE FUNCTION keep_superseded(
        'id', 'id mrid commodity sector time_zone tariff billing_group');
CREATE TRIGGER keep_superseded AFTER UPDATE OR DELETE ON end_device
    FOR EACH ROW EXECUTE FUNCTION keep_superseded(
        'id', 'id mrid protocol interval_seconds register_modulus');
CREATE TRIGGER keep_superseded AFTER UPDATE OR DELETE ON installation
    FOR EACH ROW EXECUTE FUNCTION keep_superseded(
        'id', 'id usage_point_id end_device_id starts_at ends_at multiplier');
CREATE TRIGGER keep_superseded AFTER UPDATE OR DELETE ON register_wrap
    FOR EACH ROW EXECUTE FUNCTION keep_superseded(
        'end_device_id reading_type_id', 'end_device_id reading_type_id modulus told_at');
CREATE TRIGGER keep_superseded AFTER UPDATE OR DELETE ON virtual_channel
    FOR EACH ROW EXECUTE FUNCTION keep_superseded('channel_id', 'channel_id kind made_at');
CREATE TRIGGER keep_superseded AFTER INSERT OR UPDATE OR DELETE ON check_meter
    FOR EACH ROW EXECUTE FUNCTION keep_superseded(
        'id', 'id usage_point_id check_usage_point_id starts_on ends_on');
CREATE TRIGGER keep_superseded AFTER INSERT OR UPDATE OR DELETE ON outage_event
    FOR EACH ROW EXECUTE FUNCTION keep_superseded('category code', 'category code effect');
CREATE TRIGGER keep_superseded AFTER INSERT OR UPDATE OR DELETE ON usage_point_term
    FOR EACH ROW EXECUTE FUNCTION keep_superseded(
        'usage_point_id starts_on', 'usage_point_id starts_on tariff account');

-- The same tables as they were known at the moment that miqyas.known_at says. Whoever puts this schema
-- before the others on the search path asks the same questions of the past. A view has the columns that
-- validation asks for: with a new one that counts, it and what is kept are to be made anew. One without
-- its views is left behind where somebody emptied the schema that the tables are in.
DROP SCHEMA IF EXISTS as_known CASCADE;
CREATE SCHEMA as_known;

CREATE FUNCTION as_known.known_at() RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT current_setting('miqyas.known_at')::timestamptz
$$;

-- What stood in a table at that moment and does not any more.
CREATE FUNCTION as_known.former(of text) RETURNS TABLE (key jsonb, content jsonb)
LANGUAGE sql STABLE AS $$
    SELECT DISTINCT ON (s.key) s.key, s.content
    FROM public.superseded s
    WHERE s.place = of AND s.superseded_at > as_known.known_at()
    ORDER BY s.key, s.superseded_at, s.id
$$;

CREATE VIEW as_known.usage_point AS
SELECT p.id, p.mrid, p.commodity, p.sector, p.time_zone, p.tariff, p.billing_group
FROM public.usage_point p
WHERE NOT EXISTS (
    SELECT FROM public.superseded s WHERE s.place = 'usage_point' AND s.key = jsonb_build_array(p.id)
      AND s.superseded_at > as_known.known_at())
UNION ALL
SELECT p.id, p.mrid, p.commodity, p.sector, p.time_zone, p.tariff, p.billing_group
FROM as_known.former('usage_point') f
CROSS JOIN jsonb_populate_record(NULL::public.usage_point, f.content) p
WHERE f.content IS NOT NULL;

CREATE VIEW as_known.end_device AS
SELECT d.id, d.mrid, d.protocol, d.interval_seconds, d.register_modulus
FROM public.end_device d
WHERE NOT EXISTS (
    SELECT FROM public.superseded s WHERE s.place = 'end_device' AND s.key = jsonb_build_array(d.id)
      AND s.superseded_at > as_known.known_at())
UNION ALL
SELECT d.id, d.mrid, d.protocol, d.interval_seconds, d.register_modulus
FROM as_known.former('end_device') f
CROSS JOIN jsonb_populate_record(NULL::public.end_device, f.content) d
WHERE f.content IS NOT NULL;

CREATE VIEW as_known.installation AS
SELECT i.id, i.usage_point_id, i.end_device_id, i.starts_at, i.ends_at, i.multiplier
FROM public.installation i
WHERE NOT EXISTS (
    SELECT FROM public.superseded s WHERE s.place = 'installation' AND s.key = jsonb_build_array(i.id)
      AND s.superseded_at > as_known.known_at())
UNION ALL
SELECT i.id, i.usage_point_id, i.end_device_id, i.starts_at, i.ends_at, i.multiplier
FROM as_known.former('installation') f
CROSS JOIN jsonb_populate_record(NULL::public.installation, f.content) i
WHERE f.content IS NOT NULL;

CREATE VIEW as_known.register_wrap AS
SELECT w.end_device_id, w.reading_type_id, w.modulus, w.told_at
FROM public.register_wrap w
WHERE w.told_at <= as_known.known_at() AND NOT EXISTS (
    SELECT FROM public.superseded s WHERE s.place = 'register_wrap'
      AND s.key = jsonb_build_array(w.end_device_id, w.reading_type_id)
      AND s.superseded_at > as_known.known_at())
UNION ALL
SELECT w.end_device_id, w.reading_type_id, w.modulus, w.told_at
FROM as_known.former('register_wrap') f
CROSS JOIN jsonb_populate_record(NULL::public.register_wrap, f.content) w
WHERE w.told_at <= as_known.known_at();

CREATE VIEW as_known.transformer_ratio AS
SELECT end_device_id, told_at, current_ratio, voltage_ratio
FROM public.transformer_ratio
WHERE told_at <= as_known.known_at();

CREATE VIEW as_known.virtual_channel AS
SELECT v.channel_id, v.kind, v.made_at
FROM public.virtual_channel v
WHERE NOT EXISTS (
    SELECT FROM public.superseded s WHERE s.place = 'virtual_channel'
      AND s.key = jsonb_build_array(v.channel_id) AND s.superseded_at > as_known.known_at())
UNION ALL
SELECT v.channel_id, v.kind, v.made_at
FROM as_known.former('virtual_channel') f
CROSS JOIN jsonb_populate_record(NULL::public.virtual_channel, f.content) v
WHERE f.content IS NOT NULL;

CREATE VIEW as_known.check_meter AS
SELECT m.id, m.usage_point_id, m.check_usage_point_id, m.starts_on, m.ends_on
FROM public.check_meter m
WHERE NOT EXISTS (
    SELECT FROM public.superseded s WHERE s.place = 'check_meter' AND s.key = jsonb_build_array(m.id)
      AND s.superseded_at > as_known.known_at())
UNION ALL
SELECT m.id, m.usage_point_id, m.check_usage_point_id, m.starts_on, m.ends_on
FROM as_known.former('check_meter') f
CROSS JOIN jsonb_populate_record(NULL::public.check_meter, f.content) m
WHERE f.content IS NOT NULL;

CREATE VIEW as_known.outage_event AS
SELECT o.category, o.code, o.effect
FROM public.outage_event o
WHERE NOT EXISTS (
    SELECT FROM public.superseded s WHERE s.place = 'outage_event'
      AND s.key = jsonb_build_array(o.category, o.code)
      AND s.superseded_at > as_known.known_at())
UNION ALL
SELECT o.category, o.code, o.effect
FROM as_known.former('outage_event') f
CROSS JOIN jsonb_populate_record(NULL::public.outage_event, f.content) o
WHERE f.content IS NOT NULL;

CREATE VIEW as_known.usage_point_term AS
SELECT t.usage_point_id, t.starts_on, t.tariff, t.account
FROM public.usage_point_term t
WHERE NOT EXISTS (
    SELECT FROM public.superseded s WHERE s.place = 'usage_point_term'
      AND s.key = jsonb_build_array(t.usage_point_id, t.starts_on)
      AND s.superseded_at > as_known.known_at())
UNION ALL
SELECT t.usage_point_id, t.starts_on, t.tariff, t.account
FROM as_known.former('usage_point_term') f
CROSS JOIN jsonb_populate_record(NULL::public.usage_point_term, f.content) t
WHERE f.content IS NOT NULL;

CREATE VIEW as_known.end_device_event AS
SELECT end_device_id, occurred_at, category, code, collected_at
FROM public.end_device_event
WHERE collected_at <= as_known.known_at();

CREATE VIEW as_known.end_device_control AS
SELECT c.id, c.request_id, c.end_device_id, h.state, h.sent_at, h.at AS changed_at
FROM public.end_device_control c
CROSS JOIN LATERAL (
    SELECT g.state, g.sent_at, g.at
    FROM public.end_device_control_change g
    WHERE g.control_id = c.id AND g.at <= as_known.known_at()
    ORDER BY g.id DESC LIMIT 1
) h;
