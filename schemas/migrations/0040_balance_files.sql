-- Files in which receivers say what accounts owe, each as it was taken: one that still lies there is
-- not taken again, so that what it says does not come back after something newer.
CREATE TABLE account_balance_file (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    target text NOT NULL CHECK (target <> ''),
    name text NOT NULL CHECK (name <> ''),
    sha256 text NOT NULL CHECK (length(sha256) = 64),
    taken_at timestamptz NOT NULL
);
CREATE INDEX account_balance_file_newest ON account_balance_file (target, name, id);
CREATE TRIGGER billing_stands BEFORE UPDATE OR DELETE ON account_balance_file
    FOR EACH ROW EXECUTE FUNCTION billing_stands();
