//! Exit codes, a contract: 0 done, 1 the input or the configuration is wrong, 2 usage, 3 the host cannot do it.

use std::process::ExitCode;

use credence_enforce::LoadError;
use credence_enforce::nft::NftError;
use tracing::debug;

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
        Self(match error {
            LoadError::Share { .. } => format!(
                "{error}; lower `enforce.records`, or leave the process more memory (`LimitAS=` of its unit, `ulimit -v`)"
            ),
            _ => brief(&error.to_string()),
        })
    }
}

/// What kept the kernel from taking a program, without the pages in which the verifier tells how it came to that: its last word
/// is the reason. The log has all of it where it is asked for.
fn brief(told: &str) -> String {
    let Some((refusal, log)) = told.split_once(" Verifier output: ") else { return told.to_owned() };
    debug!("{told}");
    let (log, cure) =
        log.rsplit_once("\n; ").unwrap_or((log, "`credence doctor` says what this kernel lacks"));
    let is_tally = |line: &&str| line.starts_with("verification time") || line.starts_with("processed ");
    let reason = log.lines().take_while(|line| !is_tally(line)).last().unwrap_or_default();
    format!("{} The verifier says: {}; {cure}", refusal, reason.trim())
}

/// And what keeps rules of nftables from it.
impl From<NftError> for HostCannot {
    fn from(error: NftError) -> Self {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_verifiers_pages_its_reason_is_told_with_the_cure() {
        let pages = (0..5_000).map(|n| format!("{n}: (bf) r6 = r1\n")).collect::<String>();
        let told = format!(
            "the program is refused. Verifier output: {pages}; a line of the source\nR8 partial copy of pointer\nverification time \
             430 usec\nprocessed 17 insns\n; it needs root"
        );
        assert_eq!(
            brief(&told),
            "the program is refused. The verifier says: R8 partial copy of pointer; it needs root"
        );
        for short in ["", "no such map; it needs memory"] {
            assert_eq!(brief(short), short);
        }
        assert!(brief("refused. Verifier output: ").contains("credence doctor"));
    }
}
