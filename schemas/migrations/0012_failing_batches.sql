-- Meters that failed last time are read in batches of their own: the others do not wait for them.
ALTER TABLE collection_batch ADD COLUMN failing boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN collection_batch.failing IS 'its end devices failed last time; they come last';
