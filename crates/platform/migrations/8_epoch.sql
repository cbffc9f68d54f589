-- Which epoch of the public log the journal is of; the first where nothing stands. It outlives the journal's own entries.
CREATE TABLE epoch (
    -- There is one.
    place BIGINT NOT NULL PRIMARY KEY,
    -- From 1 on.
    number BIGINT NOT NULL
);
