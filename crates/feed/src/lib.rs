//! The signed feed that gateways follow.
