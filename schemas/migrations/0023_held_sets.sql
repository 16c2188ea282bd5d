-- What waits for data or a person is few among all that was ever billed.
CREATE INDEX determinant_set_unsettled ON determinant_set (cycle_id, id)
    WHERE state IN ('waiting', 'held', 'rejected');
