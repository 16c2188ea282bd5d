-- What was put aside is kept with what is needed to try it again, and with what became of it.
ALTER TABLE quarantine
    ADD COLUMN kind text NOT NULL DEFAULT 'note' CHECK (kind <> ''),
    ADD COLUMN context jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN replays integer NOT NULL DEFAULT 0 CHECK (replays >= 0),
    ADD COLUMN replayed_at timestamptz,
    ADD COLUMN latest_reason text,
    ADD COLUMN fate text CHECK (fate IN ('landed', 'known', 'repeated', 'dismissed')),
    ADD COLUMN resolved_by text,
    ADD COLUMN resolution text;
COMMENT ON COLUMN quarantine.kind IS
    'who can try it again (headend.replayers), such as mqtt; note: nothing to try';
COMMENT ON COLUMN quarantine.context IS 'what its replayer needs beside subject and payload';
COMMENT ON COLUMN quarantine.reason IS 'why it was put aside';
COMMENT ON COLUMN quarantine.latest_reason IS 'why the last replay could not land it';
COMMENT ON COLUMN quarantine.fate IS
    'landed: a replay gave new readings; known: all of it had landed before; repeated: another row '
    'has the same; dismissed: a person decided';

UPDATE quarantine SET kind = 'mqtt' WHERE source = 'mqtt' AND subject NOT LIKE 'end device %';
UPDATE quarantine SET fate = 'dismissed' WHERE resolved_at IS NOT NULL;
UPDATE quarantine AS later SET resolved_at = later.received_at, fate = 'repeated'
WHERE later.resolved_at IS NULL AND EXISTS (
    SELECT FROM quarantine AS first
    WHERE first.id < later.id AND first.resolved_at IS NULL AND first.kind = later.kind
      AND first.source = later.source AND first.subject = later.subject
      AND first.payload = later.payload AND first.reason = later.reason
);
ALTER TABLE quarantine ADD CHECK ((resolved_at IS NULL) = (fate IS NULL));

-- The same is kept once until it is resolved, however often it comes; hashes, for topics and
-- payloads can be longer than an index's row.
CREATE UNIQUE INDEX quarantine_open_key ON quarantine (
    kind, md5(source || E'\x1f' || subject || E'\x1f' || reason), sha256(payload)
) WHERE resolved_at IS NULL;
CREATE INDEX quarantine_open ON quarantine (kind, id) WHERE resolved_at IS NULL;
