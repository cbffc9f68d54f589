//! What a configuration would tell others.

use credence_engine::clock::unix_s;
use credence_sync::fetch::Place;
use credence_sync::outbox::{Member, Rule};
use serde::Serialize;

use super::count;
use crate::config::Config;

/// What others would be told, and where.
#[derive(Serialize)]
pub(super) struct Outbox {
    rule: Rule,
    member: u16,
    platforms: Vec<String>,
    drafts_per_day: u32,
    accounts_s: u64,
}

impl Outbox {
    /// What `config` would tell. A key or rules that cannot be used are a problem: the gateway would run and tell nobody anything.
    pub(super) fn of(config: &Config, problems: &mut Vec<String>) -> Self {
        let outbox = &config.sync.outbox;
        if let Some(voice) = outbox.voice().filter(|_| outbox.is_on())
            && let Err(error) = Member::read(&voice, config.guards().never_block(), unix_s())
        {
            problems.push(format!("nothing could be told to others: {error}"));
        }
        Self {
            rule: outbox.rule,
            member: outbox.member,
            platforms: outbox.places().iter().map(Place::shown).collect(),
            drafts_per_day: outbox.drafts_per_day,
            accounts_s: outbox.accounts_s(),
        }
    }

    /// The same for people.
    pub(super) fn told(&self) -> String {
        let (member, most) = (self.member, count(self.drafts_per_day.into()));
        let platforms = self.platforms.join(", ");
        let accounts = match self.accounts_s {
            0 => String::new(),
            seconds => format!("; what is done here is told every {} s", count(seconds)),
        };
        match self.rule {
            Rule::Off => "nothing leaves; `sync.outbox.rule` lets it".to_owned(),
            Rule::Ask => format!(
                "member {member} drafts at most {most} a day for {platforms}; alerts wait for `credence outbox`{accounts}"
            ),
            Rule::Automatic => format!(
                "member {member} drafts at most {most} a day for {platforms}; alerts about its own go out by themselves{accounts}"
            ),
        }
    }
}
