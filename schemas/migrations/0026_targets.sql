-- An acknowledgement that fits no bill, or contradicts an earlier one: it changes nothing, and is
-- kept once for people to see.
CREATE TABLE stray_acknowledgement (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    export_id integer NOT NULL REFERENCES export,
    usage_point text NOT NULL,
    version integer NOT NULL,
    outcome text NOT NULL,
    reason text NOT NULL,
    why text NOT NULL CHECK (why <> ''),
    first_at timestamptz NOT NULL,
    UNIQUE (export_id, usage_point, version, outcome, reason)
);
