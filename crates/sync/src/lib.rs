//! Keeps a gateway's credit in step with others.
