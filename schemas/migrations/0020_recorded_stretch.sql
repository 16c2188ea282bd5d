-- What is known of a channel's days without reading them, so that validation reads a day or two and
-- not five weeks. It says nothing that the blocks do not say: a row that is not there costs time only.
CREATE TABLE recorded_stretch (
    channel_id integer PRIMARY KEY,
    clear_from timestamptz NOT NULL,
    starts_at timestamptz NOT NULL,
    lowest bigint NOT NULL,
    highest bigint NOT NULL,
    CHECK (clear_from <= starts_at)
) WITH (fillfactor = 80);
COMMENT ON TABLE recorded_stretch IS
    'derived: every day from starts_at to the last recorded one is recorded; kept by mdm.readings';
COMMENT ON COLUMN recorded_stretch.clear_from IS 'no day from here to starts_at is recorded';
COMMENT ON COLUMN recorded_stretch.lowest IS
    'no day since starts_at, measured in full, has a lower sum in any version; nor a higher one';
