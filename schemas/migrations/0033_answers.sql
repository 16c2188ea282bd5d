-- Acknowledgements that receivers leave in files are taken without anybody asking for it, too.
ALTER TABLE billing_step DROP CONSTRAINT billing_step_kind_check;
ALTER TABLE billing_step ADD CONSTRAINT billing_step_kind_check CHECK (kind IN
    ('opened', 'summed', 'computed', 'estimated', 'closed', 'delivered', 'failed', 'acknowledged',
     'unread'));
-- Whether an export waits for any is asked each time.
CREATE INDEX export_item_waiting ON export_item (export_id) WHERE outcome IS NULL;

-- What a person made of a stray acknowledgement: it need not be looked at any more.
CREATE TABLE stray_decision (
    stray_id bigint PRIMARY KEY REFERENCES stray_acknowledgement,
    person text NOT NULL CHECK (btrim(person) <> ''),
    reason text NOT NULL CHECK (btrim(reason) <> ''),
    decided_at timestamptz NOT NULL
);
CREATE TRIGGER billing_stands BEFORE UPDATE OR DELETE ON stray_decision
    FOR EACH ROW EXECUTE FUNCTION billing_stands();

-- A set moves twice, from ready to exported to billed, and both rows fit beside it on its page: then none
-- of its indexes is written to. What moved before leaves as much room behind.
ALTER TABLE determinant_set SET (fillfactor = 50);
