//! `credence explain`: why an address stands as it does, and what a gateway on this host does about it.

use std::io::{self, Write};
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use credence_credit::{Cache, Guarded, KeepReason, Learned, Published, Subject};
use credence_engine::clock::unix_s;
use credence_engine::{Lists, TermLine, standing};
use credence_flow::Anomalies;
use credence_prefix::NO_MATCH;
use credence_score::{Assessment, Facts, Policy, RULES, Term, assess};
use serde::Serialize;

use crate::config::Config;
use crate::control::SOCKET;
use crate::exit::Exit;
use crate::lookup::{parse, shortened};
use crate::moment::{distance, parse_moment, utc};
use crate::outputs::{Format, json, print, tell};
use crate::run::{Request, request};
use crate::snapshots::{ListArgs, NOTHING, load_some};
use crate::sources::Sources;
use crate::statement::Statement;

/// Where an installed gateway has its configuration.
pub(crate) const CONFIG: &str = "/etc/credence/credence.toml";

/// What is wrong where a gateway fetches, and has not put anything in force.
const NOTHING_YET: &str = "nothing that was fetched is in force yet: `credence run` puts it in force, and `credence control \
                           status` says what waits for whom";

/// Arguments of `credence explain`.
#[derive(clap::Args)]
pub(crate) struct ExplainArgs {
    /// An IPv6 address
    #[arg(value_name = "ADDR")]
    address: String,

    /// Explain from this credit snapshot; may be given several times
    #[arg(long, value_name = "SNAPSHOT")]
    credit: Vec<PathBuf>,

    /// Explain from the snapshots, lists and exceptions of this configuration, where no --credit is given
    #[arg(long, value_name = "FILE", default_value = CONFIG, conflicts_with = "credit")]
    config: PathBuf,

    /// The socket of the gateway that is asked what it does, instead of the configuration's or the usual one
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,

    /// Explain for this moment instead of now: Unix seconds, or a time like 2026-11-21T10:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    at: Option<u64>,

    #[command(flatten)]
    lists: ListArgs,

    /// The form of the answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Prints every record that covers an address, which of them rule and rate, and what follows for a flow.
pub(crate) fn explain(args: &ExplainArgs) -> anyhow::Result<Exit> {
    let address = match parse(&args.address) {
        Ok(address) => address,
        Err(fault) => bail!("{:?} {fault}", shortened(&args.address)),
    };
    let Known { cache, lists, socket, exit } = Known::of(args)?;
    let now = args.at.unwrap_or_else(unix_s);
    let mut explanation = Explanation::of(&cache, &lists, address, now);
    explanation.gateway = Gateway::asked(&socket, address.into());
    print(|out| match args.format {
        Format::Text => explanation.write_text(out),
        Format::Json => json(out, &explanation),
    })?;
    Ok(exit)
}

/// What an explanation is made of.
struct Known {
    cache: Arc<Cache>,
    lists: Lists,
    socket: PathBuf,
    exit: Exit,
}

impl Known {
    /// What the arguments name, or all that a gateway by the configuration that they name would begin with.
    ///
    /// # Errors
    /// When the configuration cannot be taken, or there is nothing to look up in.
    fn of(args: &ExplainArgs) -> anyhow::Result<Self> {
        let socket = |of: Option<PathBuf>| args.socket.clone().or(of).unwrap_or_else(|| SOCKET.into());
        if !args.credit.is_empty() {
            let guards = args.lists.guards();
            let (cache, exit) = load_some(&args.credit, &guards)?;
            let (cache, lists) = (Arc::new(cache), args.lists.lists(&guards)?);
            return Ok(Self { cache, lists, socket: socket(None), exit });
        }
        let config =
            Config::read(&args.config).context("name snapshots with --credit, or another --config")?;
        let lists = args.lists.beside(&config.lists);
        let (guards, mut faults) = (lists.guards(), Vec::new());
        let keeper = Sources::begin(&config, &mut faults).keeper([], &guards, &Published::default())?;
        faults.iter().for_each(tell);
        let cache = Arc::clone(keeper.cache());
        if cache.sources().is_empty() {
            ensure!(!config.sync.is_on(), NOTHING_YET);
            bail!(NOTHING);
        }
        let (lists, exit) = (lists.lists(&guards)?, Exit::after(!faults.is_empty()));
        Ok(Self { cache, lists, socket: socket(config.control.socket), exit })
    }
}

/// What a gateway on this host does to the address.
#[derive(Default, Serialize)]
struct Gateway {
    /// Whether one answered.
    answers: bool,
    /// What it said, or why nobody did.
    says: String,
}

impl Gateway {
    /// The answer at `socket`.
    fn asked(socket: &Path, address: Ipv6Addr) -> Self {
        match request(socket, Request::Explain { address }) {
            Ok(answer) => Self { answers: answer.ok, says: answer.text },
            Err(error) => Self { answers: false, says: error.to_string() },
        }
    }
}

/// Why an address stands as it does.
#[derive(Serialize)]
struct Explanation {
    address: Ipv6Addr,
    subject: Block,
    /// The moment explained, Unix seconds.
    at: u64,
    /// The address is in one of the operator's own prefixes.
    own: bool,
    /// The address is on the never-block list.
    never_block: bool,
    /// Every record that covers the address, from the widest prefix to the narrowest.
    records: Vec<Covering>,
    /// What a flow of the address would be given if it did nothing of note.
    assessment: Verdict,
    /// What is done to it here.
    gateway: Gateway,
    complaints: String,
}

/// The block that is attributed to the holder of the address.
#[derive(Serialize)]
struct Block {
    prefix: String,
    learned: Learned,
}

/// A record that covers the address.
#[derive(Serialize)]
struct Covering {
    #[serde(flatten)]
    statement: Statement,
    /// Whether it has not ended.
    live: bool,
    /// Whether the guards let it act.
    enforced: bool,
    /// Why it is shown and never enforced, as a word.
    kept: Option<&'static str>,
    /// Why, as a sentence.
    #[serde(skip)]
    kept_why: Option<KeepReason>,
    /// Whether it tells the credit of the address.
    rates: bool,
    /// Whether it rules what may be done.
    rules: bool,
}

/// An assessment with its terms.
#[derive(Serialize)]
struct Verdict {
    score: u16,
    terms: Vec<TermLine>,
    /// The sentence behind each term.
    #[serde(skip)]
    meanings: Vec<&'static str>,
    rules: &'static str,
    verdict: &'static str,
    basis: &'static str,
}

impl Explanation {
    fn of(cache: &Cache, lists: &Lists, address: u128, now: u64) -> Self {
        let subject = Subject::assumed(address);
        let known = cache.effective(address, now);
        let records: Vec<_> = cache
            .covering(address)
            .into_iter()
            .map(|(number, record)| {
                let entry = cache.entry(number);
                Covering {
                    statement: Statement::of(&record, &cache.issuer(record.issuer)),
                    live: record.is_live(now),
                    enforced: entry.guarded() == Guarded::Enforce,
                    kept: entry.kept().map(KeepReason::name),
                    kept_why: entry.kept(),
                    rates: known.credit == Some(number),
                    rules: known.ruling == Some(number),
                }
            })
            .collect();
        let record = cache.longest_match(address).unwrap_or(NO_MATCH);
        let standing = standing(cache, record, lists, address, now);
        let facts = Facts { standing, confirmed: false, anomalies: Anomalies::NONE, behaviour: [None; 4] };
        Self {
            address: Ipv6Addr::from(address),
            subject: Block { prefix: subject.block().to_string(), learned: subject.learned() },
            at: now,
            own: lists.is_own(address),
            never_block: standing.never_block,
            complaints: complaints(&records),
            records,
            assessment: Verdict::of(&assess(&facts, &Policy::default())),
            gateway: Gateway::default(),
        }
    }

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let learned = match self.subject.learned {
            Learned::Declared => "declared by the holder",
            Learned::Observed => "observed",
            Learned::Default => "attributed, since nothing else is known",
        };
        writeln!(out, "address    {}", self.address)?;
        writeln!(out, "subject    {} ({learned})", self.subject.prefix)?;
        writeln!(out, "at         {}", utc(self.at))?;
        for (is_listed, list) in [(self.own, "an own prefix"), (self.never_block, "the never-block list")] {
            if is_listed {
                writeln!(out, "listed     in {list}")?;
            }
        }
        writeln!(out, "\nrecords, from the widest prefix to the narrowest")?;
        if self.records.is_empty() {
            writeln!(out, "  none covers this address")?;
        }
        self.records.iter().try_for_each(|record| record.write_text(out, self.at))?;
        self.assessment.write_text(out)?;
        writeln!(out, "\ngateway    {}", self.gateway.says)?;
        writeln!(out, "complaints {}", self.complaints)
    }
}

impl Covering {
    fn write_text(&self, out: &mut dyn Write, now: u64) -> io::Result<()> {
        let s = &self.statement;
        writeln!(out, "  {}  {}{}", s.prefix, s, self.role())?;
        match self.kept_why {
            None => writeln!(out, "    guards     enforced")?,
            Some(why) => writeln!(out, "    guards     kept and never enforced: {why}")?,
        }
        writeln!(out, "    issuer     {}, {}", s.issuer, s.authority)?;
        writeln!(out, "    reasons    {}, evidence {}", s.reasons.join(", "), s.evidence)?;
        match &s.act {
            None => writeln!(out, "    act        none: an unsigned local list")?,
            Some(act) => {
                let keys = if s.signatures == 1 { "key" } else { "keys" };
                writeln!(out, "    act        {act}, signed by {} {keys}", s.signatures)?;
            }
        }
        let over = if self.live { "" } else { ", over" };
        writeln!(out, "    expires    {} ({}{over})", utc(s.expires), distance(s.expires, now))
    }

    fn role(&self) -> &'static str {
        match (self.rates, self.rules) {
            (true, true) => "  <- rates and rules",
            (true, false) => "  <- rates",
            (false, true) => "  <- rules",
            (false, false) => "",
        }
    }
}

impl Verdict {
    fn of(assessment: &Assessment) -> Self {
        let terms = assessment.terms.as_slice();
        let meaning = |term: &Term| term.rule.meaning();
        Self {
            score: assessment.score.value(),
            terms: terms.iter().map(TermLine::of).collect(),
            meanings: terms.iter().map(meaning).collect(),
            rules: RULES,
            verdict: assessment.verdict.name(),
            basis: assessment.basis.name(),
        }
    }

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "\na flow that does nothing of note, by {}", self.rules)?;
        for (term, meaning) in self.terms.iter().zip(&self.meanings) {
            writeln!(out, "  {:>5}  {:<16} {meaning}", term.points, term.rule)?;
        }
        writeln!(out, "  {:>5}  score", self.score)?;
        writeln!(out, "  verdict {}, decided by {}", self.verdict, self.basis)
    }
}

/// Where to turn: to the issuer of the record that rules, else of the one that rates.
fn complaints(records: &[Covering]) -> String {
    let Some(record) = records.iter().find(|r| r.rules).or_else(|| records.iter().find(|r| r.rates)) else {
        return "no record in force speaks of this address; for what is observed here the operator answers"
            .to_owned();
    };
    match &record.statement.complaints {
        Some(place) => place.to_owned(),
        None if record.statement.act.is_none() => {
            format!(
                "{:?} is the operator's own list; the operator of this gateway answers for it",
                record.statement.issuer
            )
        }
        None => format!(
            "{:?} names no place for complaints; ask the operator of this gateway",
            record.statement.issuer
        ),
    }
}

#[cfg(test)]
mod tests {
    use credence_credit::{
        ActRef, Authority, EvidenceClass, Guards, Header, Issuer, IssuerId, Measure, Rating, Reason, Record,
        Score, Snapshot,
    };

    use super::*;

    const ADDRESS: &str = "2a00:db8:1:2::5";

    fn record(prefix: &str, authority: Authority, signatures: u16, issuer: u16) -> Record {
        Record {
            prefix: prefix.parse().unwrap(),
            rating: Rating::of(Score::new(120).unwrap()),
            measure: Measure::Drop,
            reasons: Reason::Flooding.into(),
            issuer: IssuerId(issuer),
            evidence: EvidenceClass::Confirmed,
            authority,
            signatures,
            expires: 2_000,
            act: Some(ActRef([0xab; 8])),
        }
    }

    /// The explanation of [`ADDRESS`] at second 1,000 with these records of a board, which takes complaints, and of a
    /// network, which does not say.
    fn explained(records: Vec<Record>) -> String {
        let board =
            Issuer::new("board").unwrap().with_complaints("https://board.example/complaints").unwrap();
        let issuers = vec![board, Issuer::new("network").unwrap()];
        let snapshot = Snapshot::new(Header::default(), issuers, records).unwrap();
        let cache = Cache::build(vec![snapshot], &Guards::default()).unwrap();
        let lists = Lists::new(&[], &[]).unwrap();
        let mut text = Vec::new();
        Explanation::of(&cache, &lists, parse(ADDRESS).unwrap(), 1_000).write_text(&mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[track_caller]
    fn check(text: &str, words: &[&str]) {
        for word in words {
            assert!(text.contains(word), "{word:?} is missing from:\n{text}");
        }
    }

    #[test]
    fn a_signed_act_is_shown_with_its_keys_and_its_place_for_complaints() {
        let decision = record("2a00:db8:1::/48", Authority::Decision, 3, 0);
        let alert = record("2a00:db8:1:2::/64", Authority::OwnAlert, 1, 1);
        let text = explained(vec![decision, alert]);
        check(
            &text,
            &["2a00:db8:1::/48  120 seriously_dishonest, drop  <- rules", "signed by 3 keys", "abababab"],
        );
        check(&text, &["2a00:db8:1:2::/64  120 seriously_dishonest, drop  <- rates", "evidence confirmed"]);
        check(&text, &["verdict drop, decided by decision", "complaints https://board.example/complaints"]);
    }

    #[test]
    fn a_record_on_one_signature_too_few_is_shown_without_effect() {
        let text = explained(vec![record("2a00:db8::/32", Authority::Decision, 1, 1)]);
        check(&text, &["kept and never enforced: a prefix shorter than /48 needs 2 signatures", "<- rates"]);
        check(&text, &["verdict pass, decided by local_score", "\"network\" names no place for complaints"]);
    }

    #[test]
    fn a_record_that_is_over_is_shown_as_over() {
        let over = Record { expires: 900, ..record("2a00:db8:1::/48", Authority::Decision, 3, 0) };
        check(&explained(vec![over]), &["(1 min ago, over)", "verdict pass", "no record in force"]);
    }
}
