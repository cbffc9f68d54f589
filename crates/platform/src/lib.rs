//! The shared alert platform.
//!
//! Everything that it does is the entry of a signed object in a journal; all else follows from the journal and is computed anew
//! when the process starts. Reading order:
//!
//! * [`log`]: the public log over the journal;
//! * [`published`]: what was published of it last; [`witness`]: others who have seen it;
//! * [`desk`]: what is taken and what is not, without clock, network or disk; [`complaint`]: those who are no members are heard,
//!   and what the platform owes by itself;
//! * [`gate`]: what is turned away before its signatures are looked at, by [`allowance`]s among others;
//! * [`request`]: requests that somebody has signed; [`access`]: who may ask for what;
//! * [`store`]: the journal in a database;
//! * [`disk`]: small files that survive a failure of the machine;
//! * [`feed`]: what gateways follow; [`bucket`]: a copy of it in a store of objects;
//! * [`serve`]: all put together, and offered by HTTP;
//! * [`stix`]: security alerts for other programs; [`envelope`]: documents that somebody has signed; [`anonymous`]: what is taken
//!   out without saying whom it is about;
//! * `portal`: the pages that people read; [`sign_in`]: how members and officers show who they are there;
//! * [`words`]: acts told to people;
//! * [`example`]: a world to try things out in;
//! * [`keys`]: secret keys in files.

pub mod access;
pub mod allowance;
pub mod anonymous;
pub mod bucket;
pub mod complaint;
pub mod desk;
pub mod disk;
pub mod envelope;
pub mod example;
pub mod feed;
pub mod gate;
pub mod keys;
pub mod log;
mod portal;
pub mod published;
pub mod request;
pub mod serve;
pub mod sign_in;
pub mod stix;
pub mod store;
pub mod view;
pub mod witness;
pub mod words;
