//! The worker loop: the whole line a packet travels, its counters and its outbox.
