//! The rules, in the language of the program `nft`.
//!
//! They do in the same order what `bpf/credence.bpf.c` does: neighbours first, then what lists say, then behaviour, and before
//! anything is held up those who are spared and those who complain. A packet is dropped nowhere but behind `jump spare`.
//!
//! Who is listed stands in two maps, of which each set of records has its own: one from ranges to the chains of their classes,
//! one from ranges to the numbers of subjects whose rate is limited. A new pair is filled while no rule asks it; then the two
//! rules that ask are exchanged and the old pair removed, in one transaction.

use std::fmt::Write as _;

use credence_credit::Measure;
use credence_prefix::Prefix;

use super::counters::{COUNTED, counter};
use super::elements::TOLD;
use super::flatten::Class;
use super::subjects::SUBJECTS_MAX;
use crate::abi::{Reason, Stand};
use crate::control::Policy;
use crate::limiters::Rate;
use crate::xdp::Setup;

/// Sources that the engine may have an opinion of at a time, as many as the program for XDP keeps.
pub const OPINIONS_MAX: usize = 1 << 16;
/// Networks whose complaints are heard at a time.
const HEARD_MAX: usize = 1 << 14;
/// How long a limiter is kept that nothing came to: by then it is full again.
const IDLE_S: u32 = 60;
/// How many times its share of the limiter good credit adds.
const INCENTIVE_SHARE: u64 = 3;

/// The rules of one table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules<'s> {
    pub(crate) table: &'s str,
    pub(crate) setup: &'s Setup,
    pub(crate) policy: &'s Policy,
}

impl Rules<'_> {
    /// Defines the table. No packet comes to it before [`Rules::join`].
    pub(crate) fn define(&self) -> String {
        let mut text = format!("table ip6 {} {{\n", self.table);
        for (measure, reason) in COUNTED {
            let _ = writeln!(text, "counter {} {{ }}", counter(measure, reason));
        }
        text.push_str(&prefixes("spared", &self.setup.spared.sources));
        text.push_str(&prefixes("portals", &self.setup.spared.portals));
        // Twice as many as a set of records has: those of the set before may still be there.
        text.push_str(&limiters("limited", "classid", 2 * SUBJECTS_MAX));
        text.push_str(&limiters("heard", "ipv6_addr", HEARD_MAX));
        text.push_str(&limiters("paced", "ipv6_addr", OPINIONS_MAX));
        text.push_str(&limiters("paced_good", "ipv6_addr", OPINIONS_MAX));
        for (set, _) in TOLD {
            // Twice as many again: the kernel takes its time to clear away what is over.
            let size = 2 * OPINIONS_MAX;
            let _ = writeln!(text, "set {set} {{ type ipv6_addr; size {size}; flags timeout; }}");
        }
        for (name, body) in maps(FIRST) {
            let _ = writeln!(text, "map {name} {{ {body} }}");
        }
        for (chain, rules) in self.chains() {
            let _ = writeln!(text, "chain {chain} {{\n{}\n}}", rules.join("\n"));
        }
        text.push_str("}\n");
        text
    }

    /// Lets the packets of an interface come to the table, in the place of the tables `before`.
    pub(crate) fn join(&self, interface: &str, before: &[String]) -> String {
        let table = self.table;
        // Before connections are tracked: what is dropped takes no entry there.
        let mut text = format!(
            "add chain ip6 {table} incoming {{ type filter hook prerouting priority raw; policy accept; }}\n\
             add rule ip6 {table} incoming iifname \"{interface}\" goto judged\n"
        );
        for table in before {
            let _ = writeln!(text, "delete table ip6 {table}");
        }
        text
    }

    /// Paces sources by another rate than before.
    pub(crate) fn pace(&self, rate: Rate) -> String {
        let table = self.table;
        let mut text = format!("flush set ip6 {table} paced\nflush set ip6 {table} paced_good\n");
        for (chain, rules) in self.pacing(rate) {
            let _ = writeln!(text, "flush chain ip6 {table} {chain}");
            for rule in rules {
                let _ = writeln!(text, "add rule ip6 {table} {chain} {rule}");
            }
        }
        text
    }

    /// Exchanges the maps of a generation for those of the next.
    pub(crate) fn swap(&self, next: &str, before: &str) -> String {
        let table = self.table;
        let mut text = format!("flush chain ip6 {table} lists\nflush chain ip6 {table} pace_listed\n");
        for (chain, rules) in self.asking(next) {
            for rule in rules {
                let _ = writeln!(text, "add rule ip6 {table} {chain} {rule}");
            }
        }
        text.push_str(&self.remove(before));
        text
    }

    /// Makes the maps of a generation.
    pub(crate) fn make(&self, generation: &str) -> String {
        let table = self.table;
        maps(generation).map(|(name, body)| format!("add map ip6 {table} {name} {{ {body} }}\n")).concat()
    }

    /// Removes the maps of a generation.
    pub(crate) fn remove(&self, generation: &str) -> String {
        let table = self.table;
        maps(generation).map(|(name, _)| format!("delete map ip6 {table} {name}\n")).concat()
    }

    /// The chains that ask the maps of a generation.
    fn asking(&self, generation: &str) -> [(String, Vec<String>); 2] {
        let (listed, subjects) = (listed(generation), subjects(generation));
        // The program takes no look-up where it wants a key, so that the subject's number goes by way of the packet's
        // priority, which nothing has set on the way in.
        let number = format!("meta priority set ip6 saddr map @{subjects}");
        let over = format!("update @limited {{ meta priority {} }}", over(self.setup.rate));
        [
            chain("lists", &[&format!("ip6 saddr vmap @{listed}")]),
            chain(
                "pace_listed",
                &[
                    &format!("{number} {over} meta priority set 0 goto beyond_listed"),
                    &format!("meta priority set 0 {}", accept(Measure::None, Reason::WithinRate)),
                ],
            ),
        ]
    }

    /// All chains with their rules.
    fn chains(&self) -> Vec<(String, Vec<String>)> {
        let mut chains = vec![
            // Neighbour discovery (RFC 4861) and multicast listening (RFC 2710, RFC 3810), as they stay on the link.
            chain(
                "judged",
                &[
                    &format!(
                        "icmpv6 type 133-137 ip6 hoplimit 255 {}",
                        accept(Measure::None, Reason::Neighbour)
                    ),
                    &format!(
                        "icmpv6 type {{ 130-132, 143 }} ip6 hoplimit 1 {}",
                        accept(Measure::None, Reason::Neighbour)
                    ),
                    "jump lists",
                    "goto unlisted",
                ],
            ),
            chain(
                "unlisted",
                &[
                    "ip6 saddr @told_rate_limit goto pace",
                    "ip6 saddr @told_mark goto mark_behaviour",
                    &accept(Measure::None, Reason::Unlisted),
                ],
            ),
            chain("mark_behaviour", &[&self.mark(Reason::Behaviour)]),
            chain("beyond", &["jump spare", &self.block(Measure::RateLimit, Reason::Behaviour)]),
            chain("beyond_listed", &["jump spare", &self.block(Measure::RateLimit, Reason::Listed)]),
            chain(
                "spare",
                &[
                    &format!("ip6 saddr @spared {}", accept(Measure::None, Reason::Spared)),
                    "ip6 daddr @portals goto hear",
                ],
            ),
            chain(
                "hear",
                &[&format!(
                    "update @heard {{ ip6 saddr & ffff:ffff:ffff:ffff:: {} }} {}",
                    within(self.policy.heard_rate),
                    accept(Measure::None, Reason::Heard)
                )],
            ),
        ];
        chains.extend(self.asking(FIRST));
        chains.extend(self.pacing(self.policy.told_rate));
        chains.extend(Class::ALL.map(|class| (class.chain(), self.class(class))));
        chains
    }

    /// The chains that keep a source to a rate for its behaviour; with good credit it has more.
    fn pacing(&self, rate: Rate) -> [(String, Vec<String>); 3] {
        let extra = Rate {
            bytes_per_s: rate.bytes_per_s.saturating_mul(INCENTIVE_SHARE),
            burst_bytes: rate.burst_bytes.saturating_mul(INCENTIVE_SHARE),
        };
        let paced = |beyond: &str| format!("update @paced {{ ip6 saddr {} }} goto {beyond}", over(rate));
        let incentive = format!(
            "update @paced_good {{ ip6 saddr {} }} {}",
            within(extra),
            accept(Measure::Incentive, Reason::Incentive)
        );
        let passes = accept(Measure::None, Reason::WithinRate);
        [
            chain("pace", &[&paced("beyond"), &passes]),
            chain("pace_good", &[&paced("beyond_good"), &passes]),
            chain("beyond_good", &[&incentive, "goto beyond"]),
        ]
    }

    /// What happens to the packets of a class: behaviour counts where it is harder than what is asked for, and where no list of
    /// the operator's rules.
    fn class(&self, class: Class) -> Vec<String> {
        let Class { measure, is_operators, is_good } = class;
        let mut rules = Vec::new();
        if !is_operators && measure < Measure::RateLimit {
            let pace = if is_good { "pace_good" } else { "pace" };
            rules.push(format!("ip6 saddr @told_rate_limit goto {pace}"));
            if measure < Measure::Mark {
                rules.push("ip6 saddr @told_mark goto mark_behaviour".to_owned());
            }
        }
        match measure {
            Measure::Drop => {
                rules.push("jump spare".to_owned());
                rules.push(self.block(measure, Reason::Listed));
            }
            Measure::RateLimit => rules.push("goto pace_listed".to_owned()),
            Measure::Mark => rules.push(self.mark(Reason::Listed)),
            Measure::Incentive | Measure::None | Measure::Observe => {
                rules.push(accept(measure, Reason::Listed));
            }
        }
        rules
    }

    /// Whether anything is done, and not only counted.
    fn is_carried_out(&self) -> bool {
        !self.policy.dry_run && self.policy.stand != Stand::Tap
    }

    /// Counts, and drops.
    fn block(&self, measure: Measure, reason: Reason) -> String {
        let verdict = if self.is_carried_out() { "drop" } else { "accept" };
        format!("counter name \"{}\" {verdict}", counter(measure, reason))
    }

    /// Counts, marks, and lets pass.
    fn mark(&self, reason: Reason) -> String {
        let mut marks = String::new();
        if let Some(dscp) = self.policy.dscp.filter(|_| self.is_carried_out()) {
            let _ = write!(marks, "ip6 dscp set {dscp} ");
        }
        if self.policy.mark != 0 && self.is_carried_out() {
            let _ = write!(marks, "meta mark set {} ", self.policy.mark);
        }
        format!("{marks}{}", accept(Measure::Mark, reason))
    }
}

/// The generation of maps that a table is defined with, which hold nothing.
pub(crate) const FIRST: &str = "0";

/// The map from ranges to chains of a generation.
pub(crate) fn listed(generation: &str) -> String {
    format!("listed_{generation}")
}

/// The map from ranges to numbers of subjects of a generation.
pub(crate) fn subjects(generation: &str) -> String {
    format!("subjects_{generation}")
}

/// The maps of a generation, with what they are.
fn maps(generation: &str) -> [(String, &'static str); 2] {
    [
        (listed(generation), "type ipv6_addr : verdict; flags interval,timeout;"),
        (subjects(generation), "type ipv6_addr : classid; flags interval,timeout;"),
    ]
}

/// Counts, and lets pass.
fn accept(measure: Measure, reason: Reason) -> String {
    format!("counter name \"{}\" accept", counter(measure, reason))
}

fn chain(name: &str, rules: &[&str]) -> (String, Vec<String>) {
    (name.to_owned(), rules.iter().map(|rule| (*rule).to_owned()).collect())
}

/// Matches what is beyond a rate.
fn over(rate: Rate) -> String {
    format!("limit rate over {}", bounds(rate))
}

/// Matches what is within a rate.
fn within(rate: Rate) -> String {
    format!("limit rate {}", bounds(rate))
}

/// The kernel lets a second's worth come at once, and the burst on top of that.
fn bounds(rate: Rate) -> String {
    // It counts time in nanoseconds by bytes of 64 bits, and bursts by 32.
    let bytes_per_s = rate.bytes_per_s.clamp(1, u32::MAX.into());
    let burst = rate.burst_bytes.saturating_sub(bytes_per_s).clamp(1, u32::MAX.into());
    format!("{bytes_per_s} bytes/second burst {burst} bytes")
}

/// A set of limiters, one for each key that comes.
fn limiters(name: &str, key: &str, most: usize) -> String {
    format!("set {name} {{ type {key}; size {most}; flags dynamic,timeout; timeout {IDLE_S}s; }}\n")
}

/// A set of prefixes, which may lie within each other.
fn prefixes(name: &str, prefixes: &[Prefix]) -> String {
    let each: Vec<String> = prefixes.iter().map(ToString::to_string).collect();
    let elements =
        if each.is_empty() { String::new() } else { format!("elements = {{ {} }};", each.join(", ")) };
    format!("set {name} {{ type ipv6_addr; flags interval; auto-merge; {elements} }}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spared::Spared;

    fn defined(policy: Policy) -> String {
        let spared = Spared { sources: vec!["fe80::/10".parse().unwrap()], portals: Vec::new() };
        let setup = Setup { spared, ..Setup::default() };
        Rules { table: "t", setup: &setup, policy: &policy }.define()
    }

    #[test]
    fn nothing_is_dropped_before_it_was_asked_whether_it_is_spared() {
        let text = defined(Policy::default());
        let lines: Vec<&str> = text.lines().collect();
        let drops: Vec<usize> = (0..lines.len()).filter(|&at| lines[at].ends_with(" drop")).collect();
        assert_eq!(drops.len(), 3, "{text}");
        assert!(drops.iter().all(|&at| lines[at - 1] == "jump spare"), "{text}");
    }

    #[test]
    fn a_dry_run_and_a_tap_change_no_packet() {
        let dry = Policy { dry_run: true, mark: 7, dscp: Some(8), ..Policy::default() };
        let tap = Policy { stand: Stand::Tap, dry_run: false, ..dry };
        for policy in [dry, tap] {
            let text = defined(policy);
            for word in [" drop\n", "dscp set", "mark set"] {
                assert!(!text.contains(word), "{text}");
            }
        }
        let text = defined(Policy { dry_run: false, ..dry });
        assert!(
            text.contains("ip6 dscp set 8 meta mark set 7 counter name \"mark/listed\" accept"),
            "{text}"
        );
    }

    #[test]
    fn every_counter_counts() {
        let text = defined(Policy::default());
        for (measure, reason) in COUNTED {
            let name = counter(measure, reason);
            assert!(text.contains(&format!("\"{name}\"")), "{name} in {text}");
        }
    }

    #[test]
    fn rates_are_in_the_kernels_terms() {
        let rate = |bytes_per_s, burst_bytes| bounds(Rate { bytes_per_s, burst_bytes });
        assert_eq!(rate(1_000, 65_536), "1000 bytes/second burst 64536 bytes");
        assert_eq!(rate(1_000_000, 500_000), "1000000 bytes/second burst 1 bytes");
        assert_eq!(rate(0, 0), "1 bytes/second burst 1 bytes");
        assert_eq!(rate(u64::MAX, u64::MAX), "4294967295 bytes/second burst 4294967295 bytes");
    }

    #[test]
    fn an_exchange_leaves_no_map_of_before() {
        let (setup, policy) = (Setup::default(), Policy::default());
        let text = Rules { table: "t", setup: &setup, policy: &policy }.swap("2", "1");
        assert!(text.contains("vmap @listed_2") && text.contains("map @subjects_2"), "{text}");
        assert!(text.contains("delete map ip6 t listed_1\ndelete map ip6 t subjects_1"), "{text}");
    }
}
