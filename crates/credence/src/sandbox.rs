//! What a run gives up once everything is open: who it is, its capabilities, its way to files, and system calls.
//!
//! From the moment in which the process is inside, frames of strangers are parsed by someone who can neither start a program,
//! nor open a file but to read what a reload needs, nor reach another host. What is read, written and served from then on is
//! open already. A thread inherits all this from the one that starts it, and can never have it taken back: [`Sandbox::enter`]
//! is called by the only thread there is.
//!
//! What the kernel lacks is told and done without: a gateway that refuses to start protects nobody.

mod calls;
mod files;
pub(crate) mod privileges;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use credence_enforce::PINS;
use rustix::thread::{CapabilitySet, set_no_new_privs};
use tracing::{info, warn};

use self::calls::Programs;
use crate::config::{Backend, CarriedBy, Config, Sandbox as Switches};
pub(crate) use files::has_landlock;
pub(crate) use privileges::User;

/// What a run will give up.
pub(crate) struct Sandbox {
    switches: Switches,
    user: Option<User>,
    /// The capabilities that it keeps, as far as it has them.
    kept: CapabilitySet,
    /// What it does with programs of the kernel's when an interface comes back.
    programs: Programs,
    /// Whether the place of those that outlive it is left to it.
    pins: bool,
    /// What a reload reads.
    files: Vec<PathBuf>,
    /// Where the copies of lists are that another process fetches.
    copies: Option<PathBuf>,
}

impl Sandbox {
    /// What a run by `config`, read from `file`, will give up. Files that are made from now on belong to the group of the user
    /// that the process becomes.
    ///
    /// # Errors
    /// When there is no such user, or this process may not become it.
    pub(crate) fn prepare(config: &Config, file: &Path) -> anyhow::Result<Self> {
        let switches = config.sandbox.clone();
        let user = switches.user.as_deref().map(User::named).transpose()?;
        if let Some(user) = &user {
            user.join_group()?;
        }
        let files = std::iter::once(file).chain(config.credit.files());
        let files = files.map(Path::to_path_buf).collect();
        let copies = config.sync.is_on().then(|| config.sync.state.clone());
        let enforces = config.enforce.is_on() && config.enforce.carrier != CarriedBy::Nftables;
        let programs = match config.backend {
            Backend::AfXdp => Programs::Loaded,
            _ if enforces => Programs::Joined,
            _ => Programs::None,
        };
        let pins = enforces && config.enforce.outlives();
        Ok(Self { switches, user, kept: privileges::needed(config), programs, pins, files, copies })
    }

    /// Goes inside: this thread, and every one that it starts from now on.
    ///
    /// # Errors
    /// When this process may not become the user, or not give up what it has.
    pub(crate) fn enter(self) -> anyhow::Result<()> {
        let mut given_up = Vec::new();
        set_no_new_privs(true).context("privileges cannot be given up for good")?;
        let kept =
            privileges::give_up(self.user.as_ref(), self.switches.drop_capabilities.then_some(self.kept))?;
        given_up.extend(self.user.as_ref().map(|user| format!("the user is {user}")));
        given_up.extend(kept.map(privileges::told));
        if self.switches.landlock {
            let pins = self.pins.then_some(Path::new(PINS));
            given_up.extend(told(files::confine(&self.files, self.copies.as_deref(), pins), "landlock"));
        }
        if self.switches.seccomp {
            given_up.extend(told(calls::confine(calls::Role::Engine(self.programs)), "seccomp"));
        }
        if !given_up.is_empty() {
            info!("sandbox: {}", given_up.join("; "));
        }
        self.files.iter().for_each(|file| self.try_again(file));
        Ok(())
    }

    /// Says so when a file that was read cannot be read again.
    fn try_again(&self, file: &Path) {
        if let Err(error) = File::open(file) {
            let (file, who) = (file.display(), self.user.as_ref().map_or("this process", User::name));
            warn!("{file} cannot be read again by {who} ({error}); let it be read, or a reload will fail");
        }
    }
}

/// Leaves the process that talks to other hosts its own directory `kept`, the files by which names are found, and the system
/// calls that it makes.
pub(crate) fn confine_follower(switches: &Switches, kept: &Path, read: &[PathBuf]) {
    let mut given_up = Vec::new();
    if switches.landlock {
        given_up.extend(told(files::confine_follower(kept, read), "landlock"));
    }
    if switches.seccomp {
        given_up.extend(told(calls::confine(calls::Role::Follower), "seccomp"));
    }
    if !given_up.is_empty() {
        info!("sandbox: {}", given_up.join("; "));
    }
}

/// Whether there is a file at `path` that this process may not read, although anybody may.
pub(crate) fn is_shut_out(path: &Path) -> bool {
    let is_denied = |error: &io::Error| error.kind() == io::ErrorKind::PermissionDenied;
    File::open(path).as_ref().is_err_and(is_denied)
}

/// Becomes the configured user and gives up every capability, for this process and all that it starts.
///
/// # Errors
/// When it may not become the user, or cannot give up what it has.
pub(crate) fn become_nobody_special(switches: &Switches) -> anyhow::Result<()> {
    let user = switches.user.as_deref().map(User::named).transpose()?;
    if let Some(user) = &user {
        user.join_group()?;
    }
    set_no_new_privs(true).context("privileges cannot be given up for good")?;
    privileges::give_up(user.as_ref(), Some(CapabilitySet::empty()))?;
    Ok(())
}

/// What came of a way to confine the process. Where this kernel does not have it, that is told.
fn told(came: anyhow::Result<String>, way: &str) -> Option<String> {
    came.map_err(|error| warn!("{error:#}; the run goes on, and `sandbox.{way} = false` silences this")).ok()
}

#[cfg(test)]
mod tests;
