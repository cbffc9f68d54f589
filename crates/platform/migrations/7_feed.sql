-- What several processes on one database have of each other: what was published last, for whoever goes on with it, and who leads.
CREATE TABLE feed_head (
    -- There is one.
    place BIGINT NOT NULL PRIMARY KEY,
    -- The run of serials, and the serial.
    session BIGINT NOT NULL,
    serial BIGINT NOT NULL,
    -- The head with its signatures.
    head BYTEA NOT NULL
);
CREATE TABLE feed_files (
    -- SHA-256 of the bytes.
    hash BYTEA NOT NULL PRIMARY KEY,
    bytes BYTEA NOT NULL
);
CREATE TABLE leader (
    -- There is one.
    place BIGINT NOT NULL PRIMARY KEY,
    -- Where the others find it.
    address TEXT NOT NULL,
    -- By what it knows them.
    token BYTEA NOT NULL
);
