//! Who the process is, and what it may do beyond what everybody may.

use std::fmt;
use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;

use anyhow::Context;
use rustix::process::{Gid, Uid, geteuid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    configure_capability_in_ambient_set, remove_capability_from_bounding_set, set_capabilities,
    set_keep_capabilities, set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use crate::config::{Backend, CarriedBy, Config};
use crate::exit::HostCannot;

/// Where users are listed (passwd(5)).
const USERS: &str = "/etc/passwd";

/// A user of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    name: String,
    uid: Uid,
    gid: Gid,
}

impl User {
    /// The user of that name.
    ///
    /// # Errors
    /// When there is none, with what to do.
    pub(crate) fn named(name: &str) -> anyhow::Result<Self> {
        let listed = fs::read_to_string(USERS).with_context(|| format!("{USERS} cannot be read"))?;
        Self::among(&listed, name).ok_or_else(|| {
            let cure = format!("`useradd --system {name}` makes it, or leave `sandbox.user` out");
            HostCannot(format!("{USERS} lists no user {name}; {cure}")).into()
        })
    }

    /// The user of that name among the lines of `listed`.
    fn among(listed: &str, name: &str) -> Option<Self> {
        let mut fields =
            listed.lines().map(|line| line.split(':')).find(|fields| fields.clone().next() == Some(name))?;
        // The name and the password, which is elsewhere.
        let mut number = fields.by_ref().skip(2).map_while(|field| field.parse::<u32>().ok());
        let (uid, gid) = (number.next()?, number.next()?);
        // The last number of all means that there is none.
        let is_number = |number: u32| number != u32::MAX;
        (is_number(uid) && is_number(gid)).then(|| Self {
            name: name.to_owned(),
            uid: Uid::from_raw(uid),
            gid: Gid::from_raw(gid),
        })
    }

    /// The user's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Leaves all groups for that of the user, so that it can read what is made from now on.
    ///
    /// # Errors
    /// When this process may not.
    pub(super) fn join_group(&self) -> anyhow::Result<()> {
        if self.is_here() {
            return Ok(());
        }
        set_thread_groups(&[self.gid])
            .and_then(|()| set_thread_res_gid(self.gid, self.gid, self.gid))
            .map_err(|error| self.refusal(error))
    }

    /// Gives the user what is at `path`.
    ///
    /// # Errors
    /// When this process may not.
    pub(crate) fn own(&self, path: &Path) -> anyhow::Result<()> {
        if self.is_here() {
            return Ok(());
        }
        chown(path, Some(self.uid.as_raw()), Some(self.gid.as_raw()))
            .with_context(|| format!("{} cannot be given to the user {}", path.display(), self.name))
    }

    /// Becomes the user. The permitted capabilities stay, and none is in effect.
    fn take_over(&self) -> anyhow::Result<()> {
        set_keep_capabilities(true)
            .and_then(|()| set_thread_res_uid(self.uid, self.uid, self.uid))
            .and_then(|()| set_keep_capabilities(false))
            .map_err(|error| self.refusal(error))
    }

    /// Whether the process is this user.
    fn is_here(&self) -> bool {
        geteuid() == self.uid
    }

    fn refusal(&self, error: rustix::io::Errno) -> anyhow::Error {
        let cure = "start it as root, or leave `sandbox.user` out";
        HostCannot(format!("this process may not become the user {}: {error}; {cure}", self.name)).into()
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The capabilities that a run by `config` needs once everything is open, all to open a capture again whose interface comes back:
/// `CAP_NET_RAW` for its sockets and, with `AF_XDP`, those that load its program, join it to the interface and lock its memory.
/// Where verdicts are carried out `CAP_BPF` stays too, without which nobody joins a program to an interface, and on kernels before 5.19
/// nobody touches a map, while `kernel.unprivileged_bpf_disabled` is set.
pub(super) fn needed(config: &Config) -> CapabilitySet {
    let mut needed = CapabilitySet::NET_RAW;
    if config.enforce.is_on() && config.enforce.carrier != CarriedBy::Nftables {
        needed |= CapabilitySet::BPF;
    }
    if config.backend == Backend::AfXdp {
        let load = CapabilitySet::BPF | CapabilitySet::PERFMON;
        needed |= load | CapabilitySet::NET_ADMIN | CapabilitySet::IPC_LOCK;
    }
    needed
}

/// Becomes `user`, if any, and gives up all capabilities but `kept`, if that is to be; returns those that are left then.
///
/// # Errors
/// When this process may not become the user, or the kernel refuses what it never should.
pub(super) fn give_up(
    user: Option<&User>,
    kept: Option<CapabilitySet>,
) -> anyhow::Result<Option<CapabilitySet>> {
    let held = capabilities(None).context("the capabilities of this process cannot be read")?;
    let left = held.permitted & kept.unwrap_or(held.permitted);
    if kept.is_some() && held.effective.contains(CapabilitySet::SETPCAP) {
        bound(left);
    }
    if let Some(user) = user.filter(|user| !user.is_here()) {
        user.take_over()?;
    }
    let inheritable = if kept.is_some() { CapabilitySet::empty() } else { held.inheritable };
    let sets = CapabilitySets { effective: held.effective & left, permitted: left, inheritable };
    set_capabilities(None, sets).context("capabilities cannot be given up")?;
    if kept.is_none() {
        return Ok(None);
    }
    clear_ambient_capability_set().context("capabilities cannot be kept from programs started")?;
    Ok(Some(left))
}

/// Gives up all capabilities but `kept`, which programs that are started from now on have as well.
///
/// # Errors
/// When the kernel refuses what it never should.
pub(crate) fn keep_for_programs(kept: CapabilitySet) -> anyhow::Result<()> {
    set_no_new_privs(true).context("privileges cannot be given up for good")?;
    let held = capabilities(None).context("the capabilities of this process cannot be read")?;
    let left = held.permitted & kept;
    if held.effective.contains(CapabilitySet::SETPCAP) {
        bound(left);
    }
    let sets = CapabilitySets { effective: left, permitted: left, inheritable: left };
    set_capabilities(None, sets).context("capabilities cannot be given up")?;
    clear_ambient_capability_set().context("capabilities cannot be kept from programs started")?;
    for capability in left.iter() {
        configure_capability_in_ambient_set(capability, true)
            .context("capabilities cannot be handed to programs started")?;
    }
    Ok(())
}

/// Makes all but `left` out of reach for good.
fn bound(left: CapabilitySet) {
    for capability in CapabilitySet::all().difference(left) {
        // A kernel that is older than a capability does not know it.
        let _ = remove_capability_from_bounding_set(capability);
    }
}

/// The capabilities that are left, in words.
pub(super) fn told(left: CapabilitySet) -> String {
    if left.is_empty() {
        return "capabilities left: none".to_owned();
    }
    let names: Vec<String> = left.iter_names().map(|(name, _)| format!("CAP_{name}")).collect();
    format!("capabilities left: {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use std::thread;

    use rustix::thread::capability_is_in_ambient_set;

    use super::*;

    const LISTED: &str = "root:x:0:0:root:/root:/bin/sh\ncredence:x:998:997::/:/usr/sbin/nologin\ncredence2:x:1:1:::\n\
                          none:x:4294967295:1:::\nshort:x:5\nwords:x:a:b:::\n";

    #[test]
    fn users_are_found_by_their_whole_name() {
        let user = User::among(LISTED, "credence").unwrap();
        assert_eq!((user.name(), user.uid.as_raw(), user.gid.as_raw()), ("credence", 998, 997));
        for nobody in ["", "cred", "x", "none", "short", "words"] {
            assert_eq!(User::among(LISTED, nobody), None, "{nobody}");
        }
        let told = User::named("no-such-user").unwrap_err();
        assert!(
            told.is::<HostCannot>() && told.to_string().contains("useradd --system no-such-user"),
            "{told}"
        );
    }

    #[test]
    fn what_is_needed_depends_on_what_is_done() {
        let needed_by = |text: &str| needed(&Config::parse("gateway.toml", text, 1).unwrap());
        let raw = CapabilitySet::NET_RAW;
        assert_eq!(needed_by(""), raw);
        assert_eq!(needed_by("backend = 'pnet'"), raw);
        assert_eq!(needed_by("enforce.mode = 'dry_run'"), raw | CapabilitySet::BPF);
        assert_eq!(
            needed_by("enforce.mode = 'on'\nenforce.stand = 'tap'\nenforce.carrier = 'nftables'"),
            raw
        );
        let xdp = needed_by("backend = 'af_xdp'");
        assert!(xdp.contains(raw | CapabilitySet::NET_ADMIN) && !xdp.contains(CapabilitySet::SYS_ADMIN));
    }

    #[test]
    fn what_is_given_up_is_gone_for_this_thread_and_those_that_it_starts() {
        // Of this thread alone, which is no other test's.
        let confined = thread::spawn(|| {
            let held = capabilities(None).unwrap();
            let left = give_up(None, Some(CapabilitySet::NET_RAW)).unwrap().unwrap();
            assert_eq!(left, held.permitted & CapabilitySet::NET_RAW);
            let is = CapabilitySets { effective: left, permitted: left, inheritable: CapabilitySet::empty() };
            assert_eq!(capabilities(None).unwrap(), is);
            assert_eq!(thread::spawn(|| capabilities(None).unwrap()).join().unwrap(), is);
            let more = CapabilitySets { permitted: left | CapabilitySet::SYS_ADMIN, ..is };
            set_capabilities(None, more).unwrap_err();
        });
        confined.join().unwrap();
    }

    #[test]
    fn what_is_kept_for_programs_is_handed_to_them() {
        // Of this thread alone, which is no other test's.
        let confined = thread::spawn(|| {
            let held = capabilities(None).unwrap();
            let kept = held.permitted & CapabilitySet::NET_ADMIN;
            keep_for_programs(CapabilitySet::NET_ADMIN).unwrap();
            let is = CapabilitySets { effective: kept, permitted: kept, inheritable: kept };
            assert_eq!(capabilities(None).unwrap(), is);
            assert!(kept.iter().all(|each| capability_is_in_ambient_set(each).unwrap()));
            assert!(!capability_is_in_ambient_set(CapabilitySet::NET_RAW).unwrap());
        });
        confined.join().unwrap();
    }

    #[test]
    fn who_gives_nothing_up_keeps_everything() {
        let held = capabilities(None).unwrap();
        assert_eq!(give_up(None, None).unwrap(), None);
        assert_eq!(capabilities(None).unwrap().permitted, held.permitted);
    }
}
