//! Exit codes, a contract: 0 done, 1 the input or the configuration is wrong, 2 usage, 3 the host cannot do it.

use std::process::ExitCode;

use credence_enforce::LoadError;

/// How a command ended, when it did not fail outright. Failures are `anyhow` errors; [`code_of`] finds theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything asked for was done.
    Done,
    /// The input was wrong in places, which were told; what was valid was still written.
    BadInput,
}

impl Exit {
    /// [`Exit::BadInput`] when anything was wrong.
    pub(crate) const fn after(anything_wrong: bool) -> Self {
        if anything_wrong { Self::BadInput } else { Self::Done }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => Self::SUCCESS,
            Exit::BadInput => Self::from(1),
        }
    }
}

/// The host lacks what was asked for: a privilege, a device, a kernel feature.
#[derive(Debug)]
pub(crate) struct HostCannot(pub(crate) String);

impl std::fmt::Display for HostCannot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for HostCannot {}

/// Whatever keeps the kernel's program from running lies in the host.
impl From<LoadError> for HostCannot {
    fn from(error: LoadError) -> Self {
        Self(error.to_string())
    }
}

/// The arguments contradict each other in a way that the argument parser cannot see.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// The code of a failure: 3 when the host is the cause, 2 when the arguments are, otherwise 1.
pub(crate) fn code_of(error: &anyhow::Error) -> ExitCode {
    if error.is::<HostCannot>() {
        ExitCode::from(3)
    } else if error.is::<Usage>() {
        ExitCode::from(2)
    } else {
        ExitCode::from(1)
    }
}
