//! Every form of the map against a linear scan, and the shapes on which others have failed.

mod exhaustive;
pub(crate) mod operations;
mod shapes;
pub(crate) mod twin;
