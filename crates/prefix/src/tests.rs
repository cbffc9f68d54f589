//! Every form of the map against a linear scan, and the shapes on which others have failed.

mod exhaustive;
mod operations;
mod shapes;
mod twin;
