-- Registers beside the tariff's own one, and several stretches of one installation: a register that
-- was reset is read in two pieces, a period with several tariffs in one a part.
ALTER TABLE determinant_register_input
    ADD COLUMN register text NOT NULL DEFAULT '',
    DROP CONSTRAINT determinant_register_input_pkey,
    ADD PRIMARY KEY (determinant_set_id, installation_id, register, starts_at);
COMMENT ON COLUMN determinant_register_input.register IS
    'reading type of a further register; empty for the tariff''s own';

-- What a set rests on besides readings, as it was: peaks of groups, former demands, loss factors.
CREATE TABLE determinant_fact (
    determinant_set_id bigint PRIMARY KEY REFERENCES determinant_set,
    facts text NOT NULL CHECK (facts <> '')
);
CREATE TRIGGER billing_stands BEFORE UPDATE OR DELETE ON determinant_fact
    FOR EACH ROW EXECUTE FUNCTION billing_stands();

-- The first of two passes: when a group, or a system, had its highest windows in a period.
CREATE TABLE billing_peak (
    peak_of text NOT NULL CHECK (peak_of <> ''),
    question text NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL CHECK (ends_at > starts_at),
    known_at timestamptz NOT NULL,
    moments timestamptz[] NOT NULL,
    PRIMARY KEY (peak_of, question, starts_at, ends_at, known_at)
);
COMMENT ON TABLE billing_peak IS
    'so that the parts of a group that are computed apart go by the same moments';

-- A usage point's own loss factors, by the first local day on which they count.
CREATE TABLE loss_factor (
    usage_point_id integer NOT NULL REFERENCES usage_point,
    name text NOT NULL CHECK (name <> ''),
    effective_from date NOT NULL,
    factor numeric(9, 6) NOT NULL CHECK (factor > 0 AND factor < 10),
    PRIMARY KEY (usage_point_id, name, effective_from)
);

-- From which local day on a usage point has which tariff and consumer; before the first, the
-- registry's tariff counts.
CREATE TABLE usage_point_term (
    usage_point_id integer NOT NULL REFERENCES usage_point,
    starts_on date NOT NULL,
    tariff text NOT NULL CHECK (tariff <> ''),
    account text NOT NULL DEFAULT '',
    PRIMARY KEY (usage_point_id, starts_on)
);
COMMENT ON COLUMN usage_point_term.account IS
    'whose consumption it is from then on; a move-in or move-out is a term with another account';
