//! Acts told to people: what each field says, in a line. Pages show these lines, and so does whoever is about to sign.

use core::fmt;

use credence_credit::{ActId, EvidenceClass, Learned, Measure, Rating, Status};
use credence_law::acts::{Ballot, Block, Claim, Control, Erased, Finding, Ground, Ruling, Stage, Threat};
use credence_law::party::Party;
use credence_law::{Act, Law};

/// One line of an act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// What the line is about.
    pub label: &'static str,
    /// What it says.
    pub value: Value,
}

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Words.
    Text(String),
    /// Addresses, which can be looked up.
    Subject(String),
    /// Another act, which can be gone to.
    Act(ActId),
    /// A moment.
    Moment(Moment),
    /// Bytes that are compared, never read.
    Bytes(String),
}

/// A moment, in UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// As in RFC 3339.
    pub exact: String,
    /// For people.
    pub shown: String,
}

impl Moment {
    /// The moment of a Unix time in seconds.
    pub fn at(unix_s: u64) -> Self {
        let moment =
            i64::try_from(unix_s).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
        moment.map_or_else(
            || Self { exact: "never".to_owned(), shown: "never".to_owned() },
            |moment| Self {
                exact: moment.to_string(),
                shown: moment.strftime("%-d %B %Y, %H:%M UTC").to_string(),
            },
        )
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.label, self.value)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) | Self::Subject(text) | Self::Bytes(text) => f.write_str(text),
            Self::Act(id) => write!(f, "{id}"),
            Self::Moment(moment) => f.write_str(&moment.shown),
        }
    }
}

/// How long it is from `now` until `then`, in words, both in Unix seconds.
pub fn distance(now: u64, then: u64) -> String {
    let (seconds, is_past) = (now.abs_diff(then), then <= now);
    match (seconds, is_past) {
        (0..120, true) => "just now".to_owned(),
        (0..120, false) => "in a moment".to_owned(),
        (_, true) => format!("{} ago", span(seconds)),
        (_, false) => format!("in {}", span(seconds)),
    }
}

/// How long something takes, in words.
pub fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} seconds"),
        120..7_200 => format!("{} minutes", seconds / 60),
        7_200..172_800 => format!("{} hours", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Points with their sign, as typographers write it.
pub fn points(points: i32) -> String {
    match points {
        0.. => format!("+{points}"),
        _ => format!("−{}", points.unsigned_abs()),
    }
}

/// What a kind of act is called.
pub const fn title(act: &Act) -> &'static str {
    match act {
        Act::OwnAlert(_) => "Alert by the holder",
        Act::Report(_) => "Report on another member’s addresses",
        Act::Opinion(_) => "Opinion of the advisers",
        Act::Decision(_) => "Decision of the coordinating body",
        Act::Proposal(_) => "Restriction proposed to all members",
        Act::Vote(_) => "Vote on a restriction",
        Act::Applied(_) => "Account of what a network did",
        Act::Correction(_) => "Correction",
        Act::Lifting(_) => "Lifting",
        Act::Complaint(_) => "Complaint",
        Act::Relief(_) => "Interim relief",
        Act::Outcome(_) => "Step in a complaint",
        Act::Repair(_) => "Repair",
        Act::SecurityAlert(_) => "Security alert",
        Act::Manifest(_) => "Manifest",
        Act::Confirmation(_) => "Confirmation of a repair",
        Act::Draft(_) => "Draft of a rule",
        Act::Comment(_) => "Comment on a draft",
        Act::Call(_) => "Call for help",
        Act::Answer(_) => "Answer to a call for help",
        Act::Erasure(_) => "Erasure",
    }
}

/// The lines of an act besides when it was made and how long it holds. Names of parties and items are those of `law`; without
/// it, numbers stand for them.
pub fn facts(act: &Act, law: Option<&Law>) -> Vec<Fact> {
    let mut facts = vec![text("By", party(law, act.issuer()))];
    if let Some(block) = act.subject() {
        facts.push(Fact { label: "About", value: Value::Subject(block.prefix.to_string()) });
        facts.push(text("Length learned", learned(block)));
    }
    if let Some(said) = act.claim() {
        facts.extend(claim(said, law));
    }
    facts.extend(particulars(act));
    facts
}

/// What only acts of this kind say.
fn particulars(act: &Act) -> Vec<Fact> {
    match act {
        Act::OwnAlert(act) => effect(act.rating, act.measure),
        Act::Report(_) => Vec::new(),
        Act::Opinion(act) => {
            let finding = text("Finding", finding(act.finding));
            std::iter::once(finding).chain(act.reports.iter().map(|id| other("On", *id))).collect()
        }
        Act::Decision(act) => {
            let mut facts = effect(act.rating, act.measure);
            facts.push(other("Cites the opinion", act.opinion));
            facts.push(text("Rests on", format!("{} reports of different authors", act.sources.len())));
            facts
        }
        Act::Proposal(act) => {
            let mut facts = effect(act.rating, act.measure);
            facts.push(other("By the decision", act.decision));
            facts.push(moment("Votes until", act.closes));
            facts
        }
        Act::Vote(act) => vec![other("On the proposal", act.proposal), text("Vote", ballot(act.ballot))],
        Act::Applied(act) => vec![
            text("What was done", consequence(act.measure)),
            other("On the word of", act.because),
            moment("From", act.from),
            moment("Until", act.until),
            text("Traffic", format!("{} packets, {} bytes", act.packets, act.bytes)),
        ],
        Act::Correction(act) => {
            let replaced = act.replacement.map(|id| other("In its place", id));
            [other("Corrects", act.corrects), text("Because", ground(act.ground))]
                .into_iter()
                .chain(replaced)
                .collect()
        }
        Act::Lifting(act) => vec![other("Lifts", act.lifts), text("Because", ground(act.ground))],
        Act::Complaint(act) => vec![
            other("Against", act.against),
            text("Because", ground(act.ground)),
            text("Say over the addresses", control(act.control)),
        ],
        Act::Relief(act) => {
            vec![other("While this is heard", act.complaint), other("Milder until then", act.act)]
        }
        Act::Outcome(act) => {
            let ruling = act.ruling.map_or("none yet", ruling);
            vec![other("Complaint", act.complaint), text("Stage", stage(act.stage)), text("Ruling", ruling)]
        }
        Act::Repair(act) => vec![
            other("After", act.act),
            text("What was done", act.remedy.as_str()),
            moment("On probation until", act.probation_until),
        ],
        Act::SecurityAlert(act) => {
            vec![text("Threat", threat(act.threat)), text("Title", act.title.as_str())]
        }
        Act::Manifest(act) => vec![text("Records", act.count.to_string())],
        Act::Confirmation(act) => vec![other("Has seen the repair", act.repair)],
        Act::Draft(act) => vec![text("Why", act.reasons.as_str()), moment("Comments until", act.closes)],
        Act::Comment(act) => vec![other("On the draft", act.draft), text("Says", act.text.as_str())],
        Act::Call(act) => vec![text("Threat", threat(act.threat)), text("Needs", act.need.as_str())],
        Act::Answer(act) => vec![other("On the call", act.call), text("Offers", act.text.as_str())],
        Act::Erasure(act) => vec![
            text("Because", erased(act.ground)),
            text("What goes", format!("the payload of {} acts; their hashes stay", act.acts.len())),
        ],
    }
}

fn text(label: &'static str, value: impl Into<String>) -> Fact {
    Fact { label, value: Value::Text(value.into()) }
}

const fn other(label: &'static str, id: ActId) -> Fact {
    Fact { label, value: Value::Act(id) }
}

fn moment(label: &'static str, unix_s: u64) -> Fact {
    Fact { label, value: Value::Moment(Moment::at(unix_s)) }
}

fn effect(rating: Rating, measure: Measure) -> Vec<Fact> {
    vec![text("Rates it", rated(rating)), text("What it causes", consequence(measure))]
}

fn claim(claim: &Claim, law: Option<&Law>) -> Vec<Fact> {
    let item = law.and_then(|law| law.catalogues.get(&claim.catalogue)?.item(claim.item));
    let item = item.map_or_else(
        || format!("item {}", claim.item),
        |item| format!("{}: {}", spaced(item.name.as_str()), item.meaning),
    );
    let repeats = claim.repeats.map(|id| other("Only repeats", id));
    [
        text("For", item),
        text("Evidence", evidence(claim.evidence)),
        moment("First seen", claim.seen_from),
        moment("Last seen", claim.seen_until),
        text("Rules", format!("catalogue {}, standard {}", claim.catalogue, claim.standard)),
        Fact {
            label: "Commitment to the evidence",
            value: Value::Bytes(crate::keys::hex(&claim.commitment)),
        },
    ]
    .into_iter()
    .chain(repeats)
    .collect()
}

/// A party as people know it: "Fjord Fibre (member 1)".
pub fn party(law: Option<&Law>, party: Party) -> String {
    let registry = law.map(|law| law.register().registry());
    let name = match (party, registry) {
        (Party::Member(id), _) => law.and_then(|law| law.register().member(id)).map(|member| &member.name),
        (Party::Adviser(place), Some(registry)) => {
            registry.advisers.get(usize::from(place)).map(|office| &office.organisation)
        }
        (Party::Executive, Some(registry)) => Some(&registry.executive.organisation),
        (Party::Operator, Some(registry)) => Some(&registry.operator.organisation),
        _ => None,
    };
    name.map_or_else(|| party.to_string(), |name| format!("{name} ({party})"))
}

/// A word of files as people write it.
pub fn spaced(word: &str) -> String {
    word.replace('_', " ")
}

/// The word for a status, as people write it.
pub fn status(status: Status) -> String {
    spaced(status.name())
}

fn rated(rating: Rating) -> String {
    match rating {
        Rating::Unrated => "unrated".to_owned(),
        Rating::Rated { score, status: word } => format!("{} of 1000, {}", score.value(), status(word)),
    }
}

/// What comes of a measure for traffic.
pub const fn consequence(measure: Measure) -> &'static str {
    match measure {
        Measure::Incentive => "Protection while a gateway is limiting: a higher rate than others have.",
        Measure::None => "Nothing.",
        Measure::Observe => "Gateways count the traffic and touch none of it.",
        Measure::Mark => "Gateways may mark the traffic, so that a congested link sheds it first.",
        Measure::RateLimit => "Gateways may slow the traffic down. None is cut off.",
        Measure::Drop => "Gateways may discard the traffic.",
    }
}

fn learned(block: &Block) -> &'static str {
    match block.learned {
        Learned::Declared => "the holder hands out blocks of this length",
        Learned::Observed => "a gateway saw one subscriber move within it",
        Learned::Default => "by default",
    }
}

const fn evidence(class: EvidenceClass) -> &'static str {
    match class {
        EvidenceClass::Confirmed => "confirmed: the source answered, so its address was not forged",
        EvidenceClass::Unconfirmed => "unconfirmed: the source address may be forged",
        EvidenceClass::Declared => "declared: the issuer answers for it",
    }
}

const fn finding(finding: Finding) -> &'static str {
    match finding {
        Finding::Supports => "the evidence bears a decision",
        Finding::Opposes => "the evidence does not bear a decision",
        Finding::Insufficient => "there is too little evidence",
    }
}

const fn ballot(ballot: Ballot) -> &'static str {
    match ballot {
        Ballot::Yes => "yes",
        Ballot::No => "no",
        Ballot::Abstain => "abstains",
    }
}

/// Why an act is taken back, in words.
pub const fn ground(ground: Ground) -> &'static str {
    match ground {
        Ground::Error => "what it says is wrong",
        Ground::Reassigned => "the addresses have another holder since",
        Ground::Remedied => "what was wrong has been mended",
        Ground::Distrusted => "it rests on a key or a party that is not trusted any more",
        Ground::Upheld => "a complaint about it was upheld",
        Ground::Excessive => "it goes further than it has to",
    }
}

const fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Consultation => "consultation: issuer and subject talk",
        Stage::Mediation => "mediation: somebody with no part in it helps",
        Stage::Adjudication => "adjudication: the coordinating body says how it is",
    }
}

const fn ruling(ruling: Ruling) -> &'static str {
    match ruling {
        Ruling::Upheld => "upheld: the subject was right",
        Ruling::Settled => "settled: right in part, and the act is milder",
        Ruling::Rejected => "rejected",
    }
}

const fn control(control: Control) -> &'static str {
    match control {
        Control::Answered => "answered a challenge from inside the prefix",
        Control::Holder => "the holder speaks for them",
    }
}

const fn erased(ground: Erased) -> &'static str {
    match ground {
        Erased::Retention => "they were kept as long as they may be",
        Erased::Claim => "those concerned have a right to it",
    }
}

const fn threat(threat: Threat) -> &'static str {
    match threat {
        Threat::Vulnerability => "a weakness that is being used",
        Threat::Malware => "malicious software that spreads",
        Threat::Campaign => "an attack under way",
        Threat::Indicator => "something to look for",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_told_in_the_unit_that_fits() {
        let now = 1_800_000_000;
        let told = [
            (now, "just now"),
            (now + 60, "in a moment"),
            (now + 600, "in 10 minutes"),
            (now - 7_200, "2 hours ago"),
            (now + 172_800, "in 2 days"),
            (0, "20833 days ago"),
        ];
        for (then, expected) in told {
            assert_eq!(distance(now, then), expected);
        }
        assert_eq!(Moment::at(now).shown, "15 January 2027, 08:00 UTC");
        assert_eq!(Moment::at(u64::MAX).shown, "never");
        assert_eq!((points(-130).as_str(), points(4).as_str()), ("−130", "+4"));
    }
}
