-- Profiles and temperatures are kept as they were known, so that an estimate can be computed again
-- from what it was made of.
ALTER TABLE class_profile DROP CONSTRAINT class_profile_pkey;
ALTER TABLE class_profile ADD PRIMARY KEY
    (sector, tariff, reading_type_id, interval_seconds, day_kind, made_at);

ALTER TABLE day_temperature DROP CONSTRAINT day_temperature_pkey;
ALTER TABLE day_temperature ADD PRIMARY KEY (place, day, imported_at);
