-- The rule sets that versions were made with, word by word: an interval can be computed again
-- although the files have changed since.
CREATE TABLE rule_set_definition (
    digest text PRIMARY KEY,
    name text NOT NULL CHECK (name <> ''),
    definition text NOT NULL
);
COMMENT ON COLUMN rule_set_definition.definition IS 'the TOML text';
