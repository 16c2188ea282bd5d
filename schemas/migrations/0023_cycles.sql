-- When a group's cycles begin, end and close: the newest of a group counts.
CREATE TABLE billing_plan (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    billing_group text NOT NULL CHECK (billing_group <> ''),
    definition text NOT NULL,
    kept_at timestamptz NOT NULL
);
CREATE INDEX ON billing_plan (billing_group, id);
COMMENT ON COLUMN billing_plan.definition IS 'the group''s entry of the file as JSON; null ends it';

ALTER TABLE billing_cycle
    ADD COLUMN closes_on date CHECK (closes_on >= ends_on),
    ADD COLUMN estimates boolean NOT NULL DEFAULT false,
    ADD COLUMN addressee text NOT NULL DEFAULT '';
COMMENT ON COLUMN billing_cycle.closes_on IS
    'local day from whose start on nothing is waited for; NULL: from the end of the period on';
COMMENT ON COLUMN billing_cycle.estimates IS
    'whether validation is asked to estimate what is missing when the waiting ends';

-- What was done with a cycle without anybody asking for it.
CREATE TABLE billing_step (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cycle_id integer NOT NULL REFERENCES billing_cycle,
    kind text NOT NULL CHECK (kind IN
        ('opened', 'computed', 'estimated', 'closed', 'delivered', 'failed')),
    happened_at timestamptz NOT NULL,
    detail text NOT NULL
);
CREATE INDEX ON billing_step (cycle_id, id);

-- What people do with held sets beside releasing them.
CREATE TABLE determinant_event (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    determinant_set_id bigint NOT NULL REFERENCES determinant_set,
    kind text NOT NULL CHECK (kind IN ('assigned', 'rejected', 'undone')),
    happened_at timestamptz NOT NULL,
    person text NOT NULL CHECK (btrim(person) <> ''),
    assignee text CHECK (assignee <> ''),
    reason text NOT NULL,
    CHECK (kind = 'assigned' OR btrim(reason) <> ''),
    CHECK (kind = 'assigned' OR assignee IS NULL)
);
CREATE INDEX ON determinant_event (determinant_set_id, id);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['billing_plan', 'billing_step', 'determinant_event'] LOOP
        EXECUTE format(
            'CREATE TRIGGER billing_stands BEFORE UPDATE OR DELETE ON %I '
            'FOR EACH ROW EXECUTE FUNCTION billing_stands()', name);
    END LOOP;
END $$;

ALTER TABLE determinant_set DROP CONSTRAINT determinant_set_state_check;
ALTER TABLE determinant_set ADD CONSTRAINT determinant_set_state_check CHECK (state IN (
    'waiting', 'held', 'ready', 'released', 'exported', 'billed', 'rejected', 'superseded'));

-- As before, and: what waits becomes ready or held; people reject, and undo what they did.
CREATE OR REPLACE FUNCTION determinant_set_moves() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    last text;
BEGIN
    IF TG_OP = 'DELETE' OR (to_jsonb(NEW) - 'state') <> (to_jsonb(OLD) - 'state') THEN
        RAISE EXCEPTION '% of determinant set % is refused: only its state moves', TG_OP, OLD.id
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN (
        ('waiting', 'held'), ('waiting', 'ready'), ('waiting', 'superseded'),
        ('held', 'released'), ('held', 'rejected'), ('held', 'superseded'),
        ('ready', 'exported'), ('ready', 'superseded'),
        ('released', 'exported'), ('released', 'held'), ('released', 'superseded'),
        ('exported', 'billed'), ('exported', 'rejected'),
        ('rejected', 'released'), ('rejected', 'held'), ('rejected', 'superseded')
    ) THEN
        RAISE EXCEPTION 'determinant set % is %, it cannot become %', OLD.id, OLD.state, NEW.state
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF NEW.state = 'released' AND OLD.state <> 'released' AND NOT EXISTS (
        SELECT FROM determinant_release r WHERE r.determinant_set_id = NEW.id
    ) THEN
        RAISE EXCEPTION 'determinant set % needs a person and a reason to be released', NEW.id
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF (OLD.state, NEW.state) IN
        (('held', 'rejected'), ('released', 'held'), ('rejected', 'held'))
    THEN
        SELECT e.kind INTO last FROM determinant_event e
        WHERE e.determinant_set_id = NEW.id AND e.kind <> 'assigned' ORDER BY e.id DESC LIMIT 1;
        IF last IS DISTINCT FROM (CASE NEW.state WHEN 'held' THEN 'undone' ELSE 'rejected' END) THEN
            RAISE EXCEPTION 'determinant set % needs a person and a reason to become %',
                NEW.id, NEW.state USING ERRCODE = 'restrict_violation';
        END IF;
    END IF;
    RETURN NEW;
END $$;
