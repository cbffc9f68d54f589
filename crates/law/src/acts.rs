//! What parties say, act by act.

mod cites;
mod words;

use credence_credit::{ActId, EvidenceClass, Learned, Measure, Rating};
use credence_prefix::Prefix;

pub use words::{Ballot, Control, Erased, Finding, Ground, Purpose, Ruling, Stage, Threat};

use crate::layout::{DecodeError, Fault, Input, Layout, Text, fields, in_order};
use crate::object::Body;
use crate::party::{MemberId, Party};

fields! {
    /// What all acts begin with.
    pub struct Preamble {
        /// Whose act it is.
        pub issuer: Party,
        /// The issuer's acts are counted; none has the number of one before.
        pub number: u64,
        /// When it was made, in Unix seconds.
        pub issued: u64,
        /// When it ends, in Unix seconds. At that second it is over.
        pub expires: u64,
        /// The version of the registry in force for the issuer.
        pub registry: u32,
        /// What it is kept for.
        pub purpose: Purpose,
    }

    /// Whom an act speaks of.
    pub struct Block {
        /// The addresses that one holder has.
        pub prefix: Prefix,
        /// How the length was learned.
        pub learned: Learned,
    }

    /// What is said of a subject, on what ground.
    pub struct Claim {
        /// Whom it is about.
        pub subject: Block,
        /// The item of the catalogue.
        pub item: u16,
        /// The version of the catalogue.
        pub catalogue: u32,
        /// The version of the standard by which it counts.
        pub standard: u32,
        /// How far the evidence can be forged.
        pub evidence: EvidenceClass,
        /// When it was first seen, in Unix seconds.
        pub seen_from: u64,
        /// When it was last seen, in Unix seconds.
        pub seen_until: u64,
        /// A commitment to the evidence: the SHA-256 of 32 secret bytes and of the evidence. It stays when the evidence is erased.
        pub commitment: [u8; 32],
        /// The act that this claim only repeats, if it does. Such a claim carries no weight.
        pub repeats: Option<ActId>,
    }

    /// A member's alert about addresses that it holds.
    pub struct OwnAlert {
        /// What all acts begin with.
        pub preamble: Preamble,
        /// What is said.
        pub claim: Claim,
        /// How good the subject's credit is by it.
        pub rating: Rating,
        /// What is asked for.
        pub measure: Measure,
    }

    /// A member's report about addresses that another holds. Nothing follows from it by itself.
    pub struct Report {
        /// What all acts begin with.
        pub preamble: Preamble,
        /// What is said.
        pub claim: Claim,
    }

    /// What advisers say of reports.
    pub struct Opinion {
        /// What all acts begin with.
        pub preamble: Preamble,
        /// The reports, in the order of their identities.
        pub reports: Vec<ActId>,
        /// What was found.
        pub finding: Finding,
        /// The SHA-256 of the reasons.
        pub reasons: [u8; 32],
    }

    /// A report that a decision rests on.
    pub struct Source {
        /// The report.
        pub report: ActId,
        /// A commitment to its author: the SHA-256 of the decision's 32 secret bytes and of the member's number. It tells two
        /// authors apart and names neither.
        pub author: [u8; 32],
    }

    /// The coordinating body's decision on reports.
    pub struct Decision {
        /// What all acts begin with.
        pub preamble: Preamble,
        /// What is found to be so.
        pub claim: Claim,
        /// How good the subject's credit is by it.
        pub rating: Rating,
        /// What is to be done.
        pub measure: Measure,
        /// What it rests on, in the order of the reports' identities.
        pub sources: Vec<Source>,
        /// The opinion that it cites.
        pub opinion: ActId,
    }

    /// A restriction that a member proposes to all.
    pub struct Proposal {
        /// What all acts begin with.
        pub preamble: Preamble,
        /// The decision by which the subject has the worst status.
        pub decision: ActId,
        /// Whom it is about.
        pub subject: Block,
        /// How good the subject's credit is.
        pub rating: Rating,
        /// What is to be done.
        pub measure: Measure,
        /// Until when members may vote, in Unix seconds. Who has not by then has abstained.
        pub closes: u64,
    }

    /// A member's vote.
    pub struct Vote {
        /// What all acts begin with.
        pub preamble: Preamble,
        /// The proposal.
        pub proposal: ActId,
        /// The member's word.
        pub ballot: Ballot,
    }

    /// What a network has done about a subject: a measure, or an incentive.
    pub struct Applied {
        /// What all acts begin with.
        pub preamble: Preamble,
        /// About whom.
        pub subject: Block,
        /// What was done.
        pub measure: Measure,
        /// The act on whose word.
        pub because: ActId,
        /// From when, in Unix seconds.
        pub from: u64,
        /// Until when, in Unix seconds.
        pub until: u64,
        /// Packets that met it.
        pub packets: u64,
        /// Bytes of those on the wire.
        pub bytes: u64,
    }

    /// An act takes another's place, because that one was wrong.
    pub struct Correction {
        /// What all acts begin with.
        pub preamble: Preamble,
        /// The act that is corrected.
        pub corrects: ActId,
        /// Why.
        pub ground: Ground,
        /// The act in its place, if there is one.
        pub replacement: Option<ActId>,
    }

    /// An act ends before its time.
    pub struct Lifting {
        /// What all acts begin with.
        pub preamble: Preamble,
        /// The act that ends.
        pub lifts: ActId,
        /// Why.
        pub ground: Ground,
    }

    /// Somebody who has a say over addresses objects to an act about them.
    pub struct Complaint {
        /// What all acts begin with.
        pub preamble: Preamble,
        /// The act.
        pub against: ActId,
        /// For whom it is made.
        pub subject: Block,
        /// Why the act should not stand.
        pub ground: Ground,
        /// How the say over the addresses was shown.
        pub control: Control,
        /// A commitment to what was written.
        pub commitment: [u8; 32],
    }

    /// While a complaint is heard, its subject is not cut off.
    pub struct Relief {
        /// What all acts begin with.
        pub preamble: Preamble,
        /// The complaint.
        pub complaint: ActId,
        /// The act that is milder until then.
        pub act: ActId,
    }

    /// How a complaint ended, or went on.
    pub struct Outcome {
        /// What all acts begin with.
        pub preamble: Preamble,
        /// The complaint.
        pub complaint: ActId,
        /// The act that it is about, for those who cannot read the complaint.
        pub act: ActId,
        /// How far it has gone.
        pub stage: Stage,
        /// The result, if this is the end.
        pub ruling: Option<Ruling>,
        /// The SHA-256 of the reasons.
        pub reasons: [u8; 32],
    }

    /// What a holder does to earn credit back.
    pub struct Repair {
        /// What all acts begin with.
        pub preamble: Preamble,
        /// For whom.
        pub subject: Block,
        /// The act that led to it.
        pub act: ActId,
        /// What has been done, for everybody to read.
        pub remedy: Text,
        /// When probation ends, in Unix seconds; until then the subject is watched.
        pub probation_until: u64,
    }

    /// Somebody else has seen that what a repair tells was done.
    pub struct Confirmation {
        /// What all acts begin with.
        pub preamble: Preamble,
        /// The repair.
        pub repair: ActId,
        /// A commitment to what was seen.
        pub commitment: [u8; 32],
    }

    /// A rule that a member lays open for comment before anybody adopts it.
    pub struct Draft {
        /// What all acts begin with.
        pub preamble: Preamble,
        /// Why it is wanted, for everybody to read.
        pub reasons: Text,
        /// The rule's object, byte for byte as it is to be signed; a catalogue, a standard or a procedure of at most 65,535 bytes.
        pub rules: Vec<u8>,
        /// Until when members comment, in Unix seconds. It is adopted after that.
        pub closes: u64,
    }

    /// What a member says of a draft.
    pub struct Comment {
        /// What all acts begin with.
        pub preamble: Preamble,
        /// The draft.
        pub draft: ActId,
        /// For everybody to read.
        pub text: Text,
    }

    /// A member in an emergency asks the others for help.
    pub struct Call {
        /// What all acts begin with.
        pub preamble: Preamble,
        /// What it is about.
        pub threat: Threat,
        /// What is asked for, for everybody to read.
        pub need: Text,
    }

    /// What a member does about another's call.
    pub struct Answer {
        /// What all acts begin with.
        pub preamble: Preamble,
        /// The call.
        pub call: ActId,
        /// What is offered, for everybody to read.
        pub text: Text,
    }

    /// The payload of acts goes, and with it whatever followed from them. The log keeps their hashes.
    pub struct Erasure {
        /// What all acts begin with.
        pub preamble: Preamble,
        /// The acts, in the order of their identities: with each all that name it.
        pub acts: Vec<ActId>,
        /// Why.
        pub ground: Erased,
    }

    /// A warning about an incident. It is no statement about anybody's credit.
    pub struct SecurityAlert {
        /// What all acts begin with.
        pub preamble: Preamble,
        /// What it is about.
        pub threat: Threat,
        /// For everybody to read.
        pub title: Text,
        /// The SHA-256 of what is told besides.
        pub details: [u8; 32],
    }

    /// What an issuer's acts come to at a moment: the records that gateways are told on its word. What it states is all there
    /// is.
    pub struct Manifest {
        /// What all acts begin with.
        pub preamble: Preamble,
        /// How many records.
        pub count: u32,
        /// Their digest, as the feed's format defines it.
        pub digest: [u8; 32],
    }
}

/// What an object says.
macro_rules! bodies {
    ($($(#[$about:meta])* $name:ident = $number:literal,)+) => {
        /// Something that a party does by saying it.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Act { $($(#[$about])* $name($name),)+ }

        impl Act {
            /// What it begins with.
            pub const fn preamble(&self) -> &Preamble {
                match self { $(Self::$name(act) => &act.preamble,)+ }
            }

            /// What it begins with, for whoever is still writing the act.
            pub const fn preamble_mut(&mut self) -> &mut Preamble {
                match self { $(Self::$name(act) => &mut act.preamble,)+ }
            }
        }

        impl Body for Act {
            fn kind(&self) -> u8 {
                match self { $(Self::$name(_) => $number,)+ }
            }

            fn write(&self, out: &mut Vec<u8>) {
                match self { $(Self::$name(act) => act.put(out),)+ }
            }

            fn read(kind: u8, input: &mut Input<'_>) -> Option<Result<Self, DecodeError>> {
                let at = input.at();
                let act = match kind {
                    $($number => $name::take(input).map(Self::$name),)+
                    _ => return None,
                };
                Some(act.and_then(|act| {
                    act.well_formed().map_err(|fault| DecodeError { at, fault })?;
                    Ok(act)
                }))
            }
        }

        $(impl From<$name> for Act {
            fn from(act: $name) -> Self {
                Self::$name(act)
            }
        })+
    };
}

bodies! {
    /// A member's alert about addresses that it holds.
    OwnAlert = 16,
    /// A member's report about addresses that another holds.
    Report = 17,
    /// What advisers say of reports.
    Opinion = 18,
    /// The coordinating body's decision.
    Decision = 19,
    /// A restriction that is proposed.
    Proposal = 20,
    /// A vote on it.
    Vote = 21,
    /// What a network has done.
    Applied = 22,
    /// An act takes another's place.
    Correction = 23,
    /// An act ends.
    Lifting = 24,
    /// An objection.
    Complaint = 25,
    /// Milder while an objection is heard.
    Relief = 26,
    /// What became of an objection.
    Outcome = 27,
    /// What a holder does to earn credit back.
    Repair = 28,
    /// A warning about an incident.
    SecurityAlert = 29,
    /// What an issuer's acts of a moment are.
    Manifest = 30,
    /// Somebody else has seen a repair.
    Confirmation = 31,
    /// A rule that is laid open for comment.
    Draft = 32,
    /// What is said of it.
    Comment = 33,
    /// A call for help.
    Call = 34,
    /// What is done about it.
    Answer = 35,
    /// The payload of acts goes.
    Erasure = 36,
}

impl Act {
    /// Whose act it is.
    pub const fn issuer(&self) -> Party {
        self.preamble().issuer
    }

    /// The member whose act it is, if it is a member's.
    pub const fn member(&self) -> Option<MemberId> {
        self.issuer().member()
    }

    /// What it says of a subject's conduct, if it does.
    pub const fn claim(&self) -> Option<&Claim> {
        match self {
            Self::OwnAlert(act) => Some(&act.claim),
            Self::Report(act) => Some(&act.claim),
            Self::Decision(act) => Some(&act.claim),
            _ => None,
        }
    }

    /// Whom it is about, if it names somebody.
    pub const fn subject(&self) -> Option<&Block> {
        match self {
            Self::Proposal(act) => Some(&act.subject),
            Self::Applied(act) => Some(&act.subject),
            Self::Complaint(act) => Some(&act.subject),
            Self::Repair(act) => Some(&act.subject),
            _ => match self.claim() {
                Some(claim) => Some(&claim.subject),
                None => None,
            },
        }
    }

    /// What it would have done to traffic, if anything.
    pub const fn measure(&self) -> Option<Measure> {
        match self {
            Self::OwnAlert(act) => Some(act.measure),
            Self::Decision(act) => Some(act.measure),
            Self::Proposal(act) => Some(act.measure),
            _ => None,
        }
    }

    /// That its lists are in their order, so that an act has one form.
    fn well_formed(&self) -> Result<(), Fault> {
        match self {
            Self::Opinion(act) => in_order(&act.reports, |report| *report),
            Self::Decision(act) => in_order(&act.sources, |source| source.report),
            Self::Erasure(act) => in_order(&act.acts, |act| *act),
            _ => Ok(()),
        }
    }
}
