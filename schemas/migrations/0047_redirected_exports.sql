-- An export that was claimed for a wrong target may be sent elsewhere: the same files under the same
-- keys. Who said so, and where it was to go before, is kept.
CREATE TABLE export_redirect (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    export_id integer NOT NULL REFERENCES export,
    former_target text NOT NULL CHECK (former_target <> ''),
    delivered_at timestamptz,
    redirected_at timestamptz NOT NULL,
    person text NOT NULL CHECK (person <> ''),
    reason text NOT NULL CHECK (reason <> '')
);
COMMENT ON COLUMN export_redirect.delivered_at IS 'when it was delivered to the former target; NULL if it never was';
CREATE INDEX ON export_redirect (export_id);
CREATE TRIGGER export_redirect_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON export_redirect
    FOR EACH STATEMENT EXECUTE FUNCTION append_only();
