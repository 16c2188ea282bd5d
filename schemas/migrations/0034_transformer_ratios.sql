-- Which transformer ratios a meter says that it is set to: a row for each change.
CREATE TABLE transformer_ratio (
    end_device_id integer NOT NULL REFERENCES end_device ON DELETE CASCADE,
    told_at timestamptz NOT NULL,
    current_ratio bigint NOT NULL CHECK (current_ratio > 0),
    voltage_ratio bigint NOT NULL CHECK (voltage_ratio > 0),
    PRIMARY KEY (end_device_id, told_at)
);
COMMENT ON TABLE transformer_ratio IS
    'in thousandths, 1000 where the meter told none; what it tells again adds no row';
