-- What people do with findings beside deciding them: who has one, and until when it is put off.
-- The newest row of a kind counts.
CREATE TABLE finding_event (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    finding_id bigint NOT NULL REFERENCES finding,
    happened_at timestamptz NOT NULL,
    kind text NOT NULL CHECK (kind IN ('assigned', 'held', 'reopened')),
    person text NOT NULL CHECK (btrim(person) <> ''),
    assignee text CHECK (btrim(assignee) <> ''),
    held_until timestamptz,
    reason text NOT NULL,
    CHECK (kind = 'assigned' OR btrim(reason) <> ''),
    CHECK (kind = 'assigned' OR assignee IS NULL),
    CHECK ((kind = 'held') = (held_until IS NOT NULL))
);
CREATE INDEX ON finding_event (finding_id, kind, id);
COMMENT ON COLUMN finding_event.assignee IS 'who has it from now on; NULL: nobody';

-- Edits over the limit wait here until another person approves them.
CREATE TABLE edit_proposal (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel_id integer NOT NULL REFERENCES channel,
    proposed_at timestamptz NOT NULL,
    person text NOT NULL CHECK (btrim(person) <> ''),
    reason text NOT NULL CHECK (btrim(reason) <> ''),
    moments timestamptz[] NOT NULL CHECK (cardinality(moments) > 0),
    values integer[] NOT NULL CHECK (cardinality(values) = cardinality(moments)),
    quality smallint[] NOT NULL CHECK (cardinality(quality) = cardinality(moments)),
    days timestamptz[] NOT NULL,
    versions integer[] NOT NULL CHECK (cardinality(versions) = cardinality(days)),
    amount numeric NOT NULL,
    after_billing boolean NOT NULL,
    restores boolean NOT NULL
);
COMMENT ON COLUMN edit_proposal.versions IS
    'that the days had; the edit can be approved only while they have them';
COMMENT ON COLUMN edit_proposal.amount IS 'what changes, without its sign [display unit]';

CREATE TABLE edit_decision (
    edit_proposal_id bigint PRIMARY KEY REFERENCES edit_proposal,
    decided_at timestamptz NOT NULL,
    approved boolean NOT NULL,
    person text NOT NULL CHECK (btrim(person) <> ''),
    reason text NOT NULL CHECK (btrim(reason) <> '')
);

CREATE FUNCTION edit_decision_by_another() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.approved AND EXISTS (
        SELECT FROM edit_proposal p
        WHERE p.id = NEW.edit_proposal_id
          AND lower(btrim(p.person)) = lower(btrim(NEW.person))
    ) THEN
        RAISE EXCEPTION 'edit % cannot be approved by who proposed it', NEW.edit_proposal_id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER edit_decision_by_another BEFORE INSERT ON edit_decision
    FOR EACH ROW EXECUTE FUNCTION edit_decision_by_another();

CREATE FUNCTION worklist_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% in % is refused: what people did stands', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER worklist_stands BEFORE UPDATE OR DELETE ON finding_event
    FOR EACH ROW EXECUTE FUNCTION worklist_stands();
CREATE TRIGGER worklist_stands BEFORE UPDATE OR DELETE ON edit_proposal
    FOR EACH ROW EXECUTE FUNCTION worklist_stands();
CREATE TRIGGER worklist_stands BEFORE UPDATE OR DELETE ON edit_decision
    FOR EACH ROW EXECUTE FUNCTION worklist_stands();
