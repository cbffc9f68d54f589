-- Who looked at a credit file with its history, when, and what for. Whom the file is about sees it.
CREATE TABLE inquiries (
    -- When, in Unix seconds.
    at BIGINT NOT NULL,
    -- Who, by role.
    who TEXT NOT NULL,
    -- What for.
    purpose TEXT NOT NULL,
    -- Whose file: the first address in 16 bytes, and the prefix as it is written.
    first BYTEA NOT NULL,
    subject TEXT NOT NULL
);
CREATE INDEX inquiries_first ON inquiries (first);
CREATE INDEX inquiries_at ON inquiries (at);
