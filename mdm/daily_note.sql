-- name: note
INSERT INTO interval_day_due (channels, starts_at, ends_at)
VALUES (%(channels)s, to_timestamp(%(start)s), to_timestamp(%(end)s))
