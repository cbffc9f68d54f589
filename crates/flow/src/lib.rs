//! Flows in a fixed-capacity table, fragments, and nested source aggregates.
