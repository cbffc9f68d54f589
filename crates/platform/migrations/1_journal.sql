-- Everything that was accepted, in its order. What follows from it is computed anew from here.
CREATE TABLE journal (
    -- The place in the log, from 0 on.
    place BIGINT NOT NULL PRIMARY KEY,
    -- When it was accepted, in Unix seconds.
    accepted BIGINT NOT NULL,
    -- SHA-256 of the object's bytes.
    id BYTEA NOT NULL UNIQUE,
    -- What makes the log's entry of something that is not public: 32 random bytes. NULL for what is.
    salt BYTEA,
    -- The object with its signatures. NULL once it was erased; the log keeps the hash.
    sent BYTEA
);
