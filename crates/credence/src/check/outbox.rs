//! What a configuration would tell others.

use credence_sync::fetch::Place;
use credence_sync::outbox::Rule;
use serde::Serialize;

use super::count;
use crate::config::Config;
use crate::follower;

/// What others would be told, and where.
#[derive(Serialize)]
pub(super) struct Outbox {
    rule: Rule,
    member: u16,
    platforms: Vec<String>,
    drafts_per_day: u32,
    accounts_s: u64,
    /// Whether anything happens to packets, of which there could be an account.
    carries_out: bool,
    /// Whether drafts are judged by the rules of the feed that is followed, once they are known, and not by those in files.
    rules_followed: bool,
}

impl Outbox {
    /// What `config` would tell. A key or rules that cannot be used are a problem: the gateway would run and tell nobody anything.
    pub(super) fn of(config: &Config, problems: &mut Vec<String>) -> Self {
        let outbox = &config.sync.outbox;
        let heard = || follower::follow_kept(&mut follower::member(config)?, config);
        if outbox.is_on()
            && let Err(error) = heard()
        {
            problems.push(format!("nothing could be told to others: {error:#}"));
        }
        Self {
            rule: outbox.rule,
            member: outbox.member,
            platforms: outbox.places().iter().map(Place::shown).collect(),
            drafts_per_day: outbox.drafts_per_day,
            accounts_s: outbox.accounts_s(),
            carries_out: config.enforce.carries_out(),
            rules_followed: outbox.is_on() && config.sync.brings_rules().is_some(),
        }
    }

    /// The same for people.
    pub(super) fn told(&self) -> String {
        let (member, most) = (self.member, count(self.drafts_per_day.into()));
        let platforms = self.platforms.join(", ");
        let accounts = match self.accounts_s {
            0 => String::new(),
            _ if !self.carries_out => "; of what is done here nothing is told, since nothing happens to packets (`enforce.mode`, `enforce.stand`)".to_owned(),
            seconds => format!("; what is done here is told every {} s", count(seconds)),
        };
        let rules = if self.rules_followed { ", by the rules of the feed" } else { "" };
        match self.rule {
            Rule::Off => "nothing leaves; `sync.outbox.rule` lets it".to_owned(),
            Rule::Ask => format!(
                "member {member} drafts at most {most} a day for {platforms}{rules}; alerts wait for `credence outbox`{accounts}"
            ),
            Rule::Automatic => format!(
                "member {member} drafts at most {most} a day for {platforms}{rules}; alerts about its own go out by themselves{accounts}"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_promised_where_there_is_something_to_tell() {
        let told = |accounts_s, carries_out| {
            let outbox = Outbox {
                rule: Rule::Automatic,
                member: 7,
                platforms: vec!["https://platform.example".to_owned()],
                drafts_per_day: 32,
                accounts_s,
                carries_out,
                rules_followed: true,
            };
            outbox.told()
        };
        assert!(told(0, true).ends_with("go out by themselves"));
        assert!(told(0, false).ends_with("go out by themselves"));
        assert!(told(3_600, true).ends_with("; what is done here is told every 3,600 s"));
        let nothing = "; of what is done here nothing is told, since nothing happens to packets (`enforce.mode`, `enforce.stand`)";
        assert!(told(3_600, false).ends_with(nothing));
    }
}
