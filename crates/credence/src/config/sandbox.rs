//! The section `[sandbox]`: what the process gives up once everything is open.

use serde::{Deserialize, Serialize};

/// What the process gives up once everything is open. Each key can be switched off by itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Sandbox {
    /// Name of the user of `/etc/passwd` that the process becomes. Default none: it stays who started it, as under a service
    /// manager, which has changed the user already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    /// Whether it gives up the capabilities that it needs no more. Default true.
    pub(crate) drop_capabilities: bool,
    /// Whether it shuts itself out of all files but those that a reload reads, and out of new TCP connections (landlock(7)).
    /// Default true.
    pub(crate) landlock: bool,
    /// Whether the system calls that it never makes are refused (seccomp(2)). Default true.
    pub(crate) seccomp: bool,
}

impl Default for Sandbox {
    fn default() -> Self {
        Self { user: None, drop_capabilities: true, landlock: true, seccomp: true }
    }
}

impl Sandbox {
    /// What is given up, for people.
    pub(crate) fn told(&self) -> String {
        let user = self.user.as_ref().map(|user| format!("becomes the user {user}"));
        let parts = [
            user,
            self.drop_capabilities.then(|| "drops capabilities".to_owned()),
            self.landlock.then(|| "enters landlock".to_owned()),
            self.seccomp.then(|| "enters seccomp".to_owned()),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() { "none: nothing is given up".to_owned() } else { parts.join(", ") }
    }

    /// What no type can refuse.
    pub(super) fn unsound(&self, faults: &mut Vec<(&'static str, String)>) {
        let is_no_name = |user: &str| user.is_empty() || user.contains([':', '/', '\n']);
        match self.user.as_deref() {
            Some("root") => {
                let fault = "is root, who gives nothing up; name another, or leave it out".to_owned();
                faults.push(("sandbox.user", fault));
            }
            Some(user) if is_no_name(user) => {
                faults.push(("sandbox.user", format!("is {user:?}, which nobody is called")));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_up_is_told() {
        let all = Sandbox { user: Some("credence".to_owned()), ..Sandbox::default() };
        let told = "becomes the user credence, drops capabilities, enters landlock, enters seccomp";
        assert_eq!(all.told(), told);
        let none = Sandbox { user: None, drop_capabilities: false, landlock: false, seccomp: false };
        assert_eq!(none.told(), "none: nothing is given up");
    }
}
