-- What somebody (or a schedule) asked to be done with one meter or with a group of them.
CREATE TABLE end_device_control_request (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind <> ''),
    parameters jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(parameters) = 'object'),
    group_name text,
    reason text NOT NULL,
    requested_by text NOT NULL CHECK (requested_by <> ''),
    requested_at timestamptz NOT NULL,
    CHECK (kind <> 'disconnect' OR reason <> '')
);
COMMENT ON TABLE end_device_control_request IS 'EndDeviceControls of IEC 61968-9: who asked for what, and why';
COMMENT ON COLUMN end_device_control_request.kind IS 'row of headend.control_kinds';

-- The part of a request that concerns one meter, and how far it is.
CREATE TABLE end_device_control (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    request_id bigint NOT NULL REFERENCES end_device_control_request,
    end_device_id integer NOT NULL REFERENCES end_device,
    not_before timestamptz NOT NULL,
    expires_at timestamptz NOT NULL CHECK (expires_at > not_before),
    needs_approval text CHECK (needs_approval <> ''),
    approved_by text,
    state text NOT NULL CHECK (state IN (
        'requested', 'approved', 'running', 'done', 'failed', 'expired', 'cancelled', 'unknown')),
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    next_attempt timestamptz NOT NULL,
    sent_at timestamptz,
    progress jsonb,
    result jsonb,
    error text,
    message text,
    session_id bigint,
    changed_at timestamptz NOT NULL,
    changed_by text NOT NULL CHECK (changed_by <> ''),
    CHECK (state <> 'unknown' OR sent_at IS NOT NULL),
    CHECK (state <> 'approved' OR approved_by IS NOT NULL),
    CHECK (needs_approval IS NULL OR approved_by IS NOT NULL
           OR state IN ('requested', 'cancelled', 'expired'))
);
COMMENT ON TABLE end_device_control IS 'EndDeviceControl of IEC 61968-9';
COMMENT ON COLUMN end_device_control.needs_approval IS 'why a second person must approve; NULL: none needs to';
COMMENT ON COLUMN end_device_control.sent_at IS
    'from this moment on the meter may have done what must not be done twice unseen';
COMMENT ON COLUMN end_device_control.progress IS 'how far a long one is, such as {"blocks": 12, "of": 300}';
COMMENT ON COLUMN end_device_control.error IS 'class of drivers.errors, such as Unreachable';
CREATE UNIQUE INDEX end_device_control_one_at_a_time ON end_device_control (end_device_id)
    WHERE state = 'running';
CREATE INDEX ON end_device_control (next_attempt)
    WHERE state IN ('requested', 'approved', 'running', 'unknown');
CREATE INDEX ON end_device_control (end_device_id, id);
CREATE INDEX ON end_device_control (request_id);

-- Every state that a control was in; nothing here is ever changed.
CREATE TABLE end_device_control_change (
    control_id bigint NOT NULL REFERENCES end_device_control,
    id bigint GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL,
    by text NOT NULL,
    state text NOT NULL,
    attempts integer NOT NULL,
    sent_at timestamptz,
    result jsonb,
    error text,
    message text,
    PRIMARY KEY (control_id, id)
);

CREATE FUNCTION end_device_control_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN (
        ('requested', 'approved'), ('requested', 'running'), ('requested', 'failed'),
        ('requested', 'expired'), ('requested', 'cancelled'),
        ('approved', 'running'), ('approved', 'failed'), ('approved', 'expired'),
        ('approved', 'cancelled'),
        ('running', 'done'), ('running', 'failed'), ('running', 'expired'), ('running', 'unknown'),
        ('running', 'requested'), ('running', 'approved'),
        ('unknown', 'running'), ('unknown', 'done'), ('unknown', 'failed')
    ) THEN
        RAISE EXCEPTION 'control % cannot go from % to %', NEW.id, OLD.state, NEW.state
            USING ERRCODE = 'check_violation';
    END IF;
    INSERT INTO end_device_control_change (
        control_id, at, by, state, attempts, sent_at, result, error, message)
    VALUES (NEW.id, NEW.changed_at, NEW.changed_by, NEW.state, NEW.attempts, NEW.sent_at,
            NEW.result, NEW.error, NEW.message);
    RETURN NULL;
END
$$;
CREATE TRIGGER end_device_control_made AFTER INSERT ON end_device_control
    FOR EACH ROW EXECUTE FUNCTION end_device_control_changed();
CREATE TRIGGER end_device_control_changed AFTER UPDATE ON end_device_control
    FOR EACH ROW WHEN (
        (OLD.state, OLD.attempts, OLD.sent_at, OLD.result, OLD.error, OLD.message, OLD.approved_by,
         OLD.expires_at)
        IS DISTINCT FROM
        (NEW.state, NEW.attempts, NEW.sent_at, NEW.result, NEW.error, NEW.message, NEW.approved_by,
         NEW.expires_at)
    ) EXECUTE FUNCTION end_device_control_changed();

CREATE FUNCTION append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'check_violation';
END
$$;
CREATE TRIGGER end_device_control_change_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON end_device_control_change
    FOR EACH STATEMENT EXECUTE FUNCTION append_only();

-- Usage points that no group ever disconnects, beside the sectors that the settings name.
CREATE TABLE critical_usage_point (
    usage_point_id integer PRIMARY KEY REFERENCES usage_point,
    reason text NOT NULL CHECK (reason <> ''),
    marked_by text NOT NULL CHECK (marked_by <> ''),
    marked_at timestamptz NOT NULL
);

-- Keys on their way into a meter, sealed like those in use; kept from before they are sent until the
-- meter has proved that it took them.
CREATE TABLE end_device_pending_key (
    end_device_id integer NOT NULL REFERENCES end_device,
    kind text NOT NULL CHECK (kind <> ''),
    sealed bytea NOT NULL,
    made_at timestamptz NOT NULL,
    PRIMARY KEY (end_device_id, kind)
);

-- Firmware images to be transferred, whole: workers on any host take them from here.
CREATE TABLE firmware_image (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    identifier text NOT NULL CHECK (identifier <> ''),
    digest bytea NOT NULL UNIQUE CHECK (octet_length(digest) = 32),
    content bytea NOT NULL,
    added_at timestamptz NOT NULL
);
ALTER TABLE firmware_image ALTER COLUMN content SET STORAGE EXTERNAL;
COMMENT ON COLUMN firmware_image.digest IS 'SHA-256 of the content';

-- What meters say they offer. Meters of a kind say the same: it is kept once.
CREATE TABLE meter_profile (
    digest bytea PRIMARY KEY CHECK (octet_length(digest) = 32),
    offers jsonb NOT NULL CHECK (jsonb_typeof(offers) = 'object'),
    capture_seconds integer CHECK (capture_seconds > 0)
);
COMMENT ON COLUMN meter_profile.capture_seconds IS
    'how often the meter stores its intervals [s]; NULL: it does not say, or stores none';

-- A row for each time that a meter said something new.
CREATE TABLE end_device_profile (
    end_device_id integer NOT NULL REFERENCES end_device,
    read_at timestamptz NOT NULL,
    confirmed_at timestamptz NOT NULL CHECK (confirmed_at >= read_at),
    digest bytea NOT NULL REFERENCES meter_profile,
    PRIMARY KEY (end_device_id, read_at)
);

-- Controls are brought to meters by batches of their own where no reading is due.
ALTER TABLE collection_batch DROP CONSTRAINT collection_batch_reason_check;
ALTER TABLE collection_batch ADD CONSTRAINT collection_batch_reason_check
    CHECK (reason IN ('schedule', 'retry', 'backlog', 'control'));
ALTER TABLE collection_batch DROP CONSTRAINT collection_batch_reads_check;
ALTER TABLE collection_batch ADD CONSTRAINT collection_batch_reads_check
    CHECK (cardinality(reads) > 0 OR reason = 'control');

ALTER TABLE read_schedule ADD COLUMN keep_clock_seconds integer CHECK (keep_clock_seconds > 0);
COMMENT ON COLUMN read_schedule.keep_clock_seconds IS
    'clocks that are further off than this are put right [s]; NULL: none is';
