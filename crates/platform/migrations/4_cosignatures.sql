-- The last checkpoint of each witness.
CREATE TABLE cosignatures (
    -- The witness's name.
    witness TEXT NOT NULL PRIMARY KEY,
    -- How many entries the log had.
    size BIGINT NOT NULL,
    -- The line of the signed note.
    line BYTEA NOT NULL
);
