//! The vocabulary of credit: subject, record, snapshot, cache, and the guards that bound what a record may do.
