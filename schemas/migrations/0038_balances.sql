-- What an invoicing system says that accounts owe, as it comes with acknowledgements: kept as it was
-- said, a row a change. Amounts are the invoicing system's; nothing here is computed from them.
CREATE TABLE account_balance (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    target text NOT NULL CHECK (target <> ''),
    account text NOT NULL CHECK (account <> ''),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    balance numeric NOT NULL,
    as_of date NOT NULL,
    usage_points text[] NOT NULL,
    received_at timestamptz NOT NULL
);
COMMENT ON COLUMN account_balance.balance IS 'invoices + notes - payments; below 0 is credit';
COMMENT ON COLUMN account_balance.usage_points IS 'mRIDs of the account that were in the answer';
CREATE INDEX account_balance_account ON account_balance (account, target, currency, as_of, id);
CREATE TRIGGER billing_stands BEFORE UPDATE OR DELETE ON account_balance
    FOR EACH ROW EXECUTE FUNCTION billing_stands();

-- Each account's newest, for the page and for readers of the database.
CREATE VIEW billing_account_balance AS
SELECT DISTINCT ON (target, account, currency)
       target, account, currency, balance, as_of, usage_points, received_at
FROM account_balance
ORDER BY target, account, currency, as_of DESC, id DESC;
COMMENT ON VIEW billing_account_balance IS 'an account a row, as the invoicing system said last';
