-- Where a meter's register starts again from 0, as its driver knows it: of its register map, or of a
-- scale that the meter tells. What the registry says (end_device.register_modulus) goes before it.
CREATE TABLE register_wrap (
    end_device_id integer NOT NULL REFERENCES end_device ON DELETE CASCADE,
    reading_type_id smallint NOT NULL REFERENCES reading_type,
    modulus bigint NOT NULL CHECK (modulus > 0),
    told_at timestamptz NOT NULL,
    PRIMARY KEY (end_device_id, reading_type_id)
);
COMMENT ON COLUMN register_wrap.modulus IS 'in the reading type''s scaled unit, before the multiplier';
