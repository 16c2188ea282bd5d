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
CREATE INDEX finding_channel_day ON finding (channel_id, day) WHERE state <> 'open';

-- What intake could not place stays in the raw store; taking it in again adds no second row.
CREATE UNIQUE INDEX quarantine_intake_key ON quarantine (subject, reason)
    WHERE source = 'intake' AND resolved_at IS NULL;

-- A day that is not over cannot be validated: its arrival waits until then.
ALTER TABLE arrival ADD COLUMN not_before timestamptz NOT NULL DEFAULT '-infinity';
CREATE INDEX arrival_due ON arrival (not_before, id);
