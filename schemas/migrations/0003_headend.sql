-- Who is read together: named members, or all end devices that a selector matches, or both.
CREATE TABLE end_device_group (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (name <> ''),
    selector jsonb CHECK (
        jsonb_typeof(selector) = 'object'
        AND selector - ARRAY['protocol', 'manufacturer', 'model', 'profile', 'segment', 'commodity',
                             'sector', 'tariff', 'billing_group'] = '{}'
    )
);
COMMENT ON COLUMN end_device_group.selector IS
    'each key with the values it may have, such as {"protocol": ["dlms"]}; {} matches every end '
    'device, NULL none';

CREATE TABLE end_device_group_member (
    group_id integer NOT NULL REFERENCES end_device_group ON DELETE CASCADE,
    end_device_id integer NOT NULL REFERENCES end_device,
    PRIMARY KEY (group_id, end_device_id)
);

-- When a group is read, and what is read.
CREATE TABLE read_schedule (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (name <> ''),
    group_id integer NOT NULL REFERENCES end_device_group,
    cron text,
    interval_seconds integer CHECK (interval_seconds > 0),
    time_zone text NOT NULL,
    reads text[] NOT NULL CHECK (
        cardinality(reads) > 0
        AND reads <@ ARRAY['identity', 'registers', 'register_history', 'intervals', 'events', 'clock']
    ),
    stagger_seconds integer NOT NULL DEFAULT 0 CHECK (stagger_seconds >= 0),
    misfire text NOT NULL DEFAULT 'once' CHECK (misfire IN ('skip', 'once', 'all')),
    grace_seconds integer NOT NULL DEFAULT 300 CHECK (grace_seconds >= 0),
    enabled boolean NOT NULL DEFAULT true,
    decided_until timestamptz NOT NULL,
    CHECK (num_nonnulls(cron, interval_seconds) = 1)
);
COMMENT ON COLUMN read_schedule.decided_until IS
    'every fire time up to this moment has been decided: batched or passed over';

-- What became of each fire time; the key keeps any from being fired twice.
CREATE TABLE read_schedule_fire (
    schedule_id integer NOT NULL REFERENCES read_schedule ON DELETE CASCADE,
    due_at timestamptz NOT NULL,
    decided_at timestamptz NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('batched', 'missed')),
    end_devices integer NOT NULL,
    still_queued integer NOT NULL,
    PRIMARY KEY (schedule_id, due_at)
);
COMMENT ON COLUMN read_schedule_fire.still_queued IS
    'end devices left out because an earlier batch of the schedule still waits to read them';

-- A unit of collection work: some hundred end devices of one network segment.
CREATE TABLE collection_batch (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    reason text NOT NULL CHECK (reason IN ('schedule', 'retry', 'backlog')),
    schedule_id integer REFERENCES read_schedule ON DELETE SET NULL,
    segment_id integer REFERENCES network_segment,
    end_device_ids integer[] NOT NULL CHECK (cardinality(end_device_ids) > 0),
    reads text[] NOT NULL CHECK (cardinality(reads) > 0),
    due_at timestamptz NOT NULL,
    not_before timestamptz NOT NULL,
    released_at timestamptz,
    finished_at timestamptz
);
CREATE INDEX ON collection_batch (not_before) WHERE released_at IS NULL;
CREATE INDEX ON collection_batch (schedule_id) WHERE finished_at IS NULL;

-- One conversation (with its immediate retries) with one end device.
CREATE TABLE collection_session (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    end_device_id integer NOT NULL REFERENCES end_device,
    batch_id bigint REFERENCES collection_batch ON DELETE SET NULL,
    reads text[] NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at timestamptz NOT NULL CHECK (ended_at >= started_at),
    outcome text NOT NULL CHECK (outcome IN ('ok', 'partial', 'failed')),
    error text,
    message text,
    attempts integer NOT NULL CHECK (attempts > 0),
    intervals integer NOT NULL,
    registers integer NOT NULL,
    events integer NOT NULL,
    seconds real NOT NULL,
    UNIQUE (batch_id, end_device_id),
    CHECK ((outcome = 'ok') = (error IS NULL))
);
CREATE INDEX ON collection_session (end_device_id, started_at DESC);
COMMENT ON COLUMN collection_session.error IS 'class of drivers.errors, such as Unreachable';

-- How an end device is doing now: the result of its sessions.
CREATE TABLE device_status (
    end_device_id integer PRIMARY KEY REFERENCES end_device,
    last_attempt timestamptz,
    last_ok timestamptz,
    failing_since timestamptz,
    error text,
    message text,
    consecutive_failures integer NOT NULL DEFAULT 0 CHECK (consecutive_failures >= 0),
    next_attempt timestamptz,
    next_reads text[],
    backlog boolean NOT NULL DEFAULT false,
    held boolean NOT NULL DEFAULT false,
    history_until timestamptz,
    events_until timestamptz,
    clock_deviation real,
    clock_read_at timestamptz,
    identity jsonb,
    CHECK ((failing_since IS NULL) = (consecutive_failures = 0))
);
CREATE INDEX ON device_status (next_attempt) WHERE next_attempt IS NOT NULL AND NOT held;
COMMENT ON COLUMN device_status.held IS 'not tried again by itself until somebody acts';
COMMENT ON COLUMN device_status.backlog IS 'next_attempt goes on with a backlog, not with a failure';
COMMENT ON COLUMN device_status.history_until IS 'stored registers before this moment were asked for';
COMMENT ON COLUMN device_status.clock_deviation IS 'meter minus reference [s]';

-- Keys, sealed with AES-256-GCM under the master key, which is not in the database.
CREATE TABLE end_device_key (
    end_device_id integer NOT NULL REFERENCES end_device,
    kind text NOT NULL CHECK (kind IN ('password', 'encryption', 'authentication')),
    sealed bytea NOT NULL,
    imported_at timestamptz NOT NULL,
    PRIMARY KEY (end_device_id, kind)
);

-- Invocation counters below next_value have been used or may have been: never use them again.
CREATE TABLE invocation_counter (
    end_device_id integer PRIMARY KEY REFERENCES end_device,
    next_value bigint NOT NULL CHECK (next_value >= 0)
);

CREATE TABLE end_device_event (
    end_device_id integer NOT NULL REFERENCES end_device,
    occurred_at timestamptz NOT NULL,
    category text NOT NULL,
    code integer NOT NULL,
    description text NOT NULL,
    collected_at timestamptz NOT NULL,
    session_id bigint,
    PRIMARY KEY (end_device_id, occurred_at, category, code)
);

CREATE VIEW end_device_group_membership AS
SELECT g.id AS group_id, d.id AS end_device_id
FROM end_device_group g
CROSS JOIN end_device d
LEFT JOIN network_segment s ON s.id = d.segment_id
WHERE EXISTS (
        SELECT FROM end_device_group_member m WHERE m.group_id = g.id AND m.end_device_id = d.id
    )
    OR (
        (g.selector -> 'protocol' ? d.protocol OR NOT g.selector ? 'protocol')
        AND (g.selector -> 'manufacturer' ? d.manufacturer OR NOT g.selector ? 'manufacturer')
        AND (g.selector -> 'model' ? d.model OR NOT g.selector ? 'model')
        AND (g.selector -> 'profile' ? d.profile OR NOT g.selector ? 'profile')
        AND (coalesce(g.selector -> 'segment' ? s.code, false) OR NOT g.selector ? 'segment')
        AND (
            NOT g.selector ?| ARRAY['commodity', 'sector', 'tariff', 'billing_group']
            OR EXISTS (
                SELECT FROM installation i JOIN usage_point p ON p.id = i.usage_point_id
                WHERE i.end_device_id = d.id
                  AND (g.selector -> 'commodity' ? p.commodity OR NOT g.selector ? 'commodity')
                  AND (g.selector -> 'sector' ? p.sector OR NOT g.selector ? 'sector')
                  AND (g.selector -> 'tariff' ? p.tariff OR NOT g.selector ? 'tariff')
                  AND (g.selector -> 'billing_group' ? p.billing_group
                       OR NOT g.selector ? 'billing_group')
            )
        )
    );
COMMENT ON VIEW end_device_group_membership IS 'every end device of each group';
