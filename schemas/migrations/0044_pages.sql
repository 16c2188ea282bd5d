-- The worklist in its order, and what somebody has: pages of it are asked for by people who wait.
CREATE INDEX finding_in_order
    ON finding ((severity = 'info'), day, channel_id, starts_at, id) WHERE state = 'open';
CREATE INDEX finding_event_assigned ON finding_event (assignee) WHERE kind = 'assigned';
