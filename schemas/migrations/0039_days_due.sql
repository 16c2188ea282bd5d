-- Days that have got a new version and are to be summed for billing, a row for up to a thousand
-- channels of one stretch; whoever validates sums them and takes the row away. Only a hint: a day that
-- is not summed costs time and changes no figure.
CREATE TABLE interval_day_due (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channels integer[] NOT NULL CHECK (cardinality(channels) > 0),
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL CHECK (ends_at > starts_at)
);
COMMENT ON TABLE interval_day_due IS 'days to be summed, see docs/billing.md; may be emptied';
