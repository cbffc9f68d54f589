//! Why an act is refused: the closed list.

use core::fmt;

use crate::layout::DecodeError;
use crate::layout::Fault;

macro_rules! refusals {
    ($($(#[$about:meta])* $name:ident: $word:literal, $text:literal;)+) => {
        /// Why an act is refused. Whoever is refused is told the word and the sentence, and nothing else.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Refusal { $($(#[$about])* $name,)+ }

        impl Refusal {
            /// All of them, in the order in which they are looked for, roughly: what costs little comes first.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The word in metrics and machine-readable output, a contract.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }
        }

        /// A sentence with the cure.
        impl fmt::Display for Refusal {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$name => $text,)+ })
            }
        }
    };
}

refusals! {
    /// Not of this layout.
    Malformed: "malformed", "the bytes are no object of layout version 1; send what a program of this version has written";
    /// A field that must be understood.
    Critical: "critical", "the object holds a field that must be understood and is not; a newer program is needed";
    /// Of another world.
    World: "world", "the object belongs to another world; make it with this world's trust root";
    /// A drill.
    Exercise: "exercise", "this is an exercise, and nothing follows from those; they have a feed of their own";
    /// Nobody signed.
    Unsigned: "unsigned", "nobody has signed it";
    /// A key that the registry has not.
    UnknownKey: "unknown_key", "it is signed with a key that the registry does not have; register the key, or sign with one that is";
    /// A key that somebody else may have.
    RevokedKey: "revoked_key", "it is signed with a key that was revoked; sign it with another";
    /// A key that was not valid then.
    KeyTime: "key_time", "it is signed with a key that was not valid when the act was made";
    /// Somebody else's signature, or a key for something else.
    WrongSigner: "wrong_signer", "it is signed by somebody who cannot make this act, or with a key for another function";
    /// A signature that does not match.
    BadSignature: "bad_signature", "a signature does not match; the bytes are not those that were signed";
    /// Fewer signatures than it takes.
    TooFewSignatures: "too_few_signatures", "fewer have signed it than this act takes";
    /// No such party.
    UnknownIssuer: "unknown_issuer", "the registry does not know the issuer";
    /// The issuer's mandate is over.
    Mandate: "mandate", "the issuer's mandate has ended; it must be designated anew";
    /// It rests on a registry that is not known.
    Registry: "registry", "it cites a version of the registry that is not known here; fetch it, or cite the one in force";
    /// Made in the future.
    Future: "future", "it was made in the future; set the issuer's clock";
    /// Handed in too late.
    Stale: "stale", "it was made more than five minutes ago, or a day where several sign together, or before something else was accepted about what it names; make it anew";
    /// Over.
    Expired: "expired", "it has ended";
    /// Without an end, or with one too far away.
    Lifetime: "lifetime", "its end lies before its beginning, or further away than this kind of act may last";
    /// An act with this number, or a later one, is known.
    Replayed: "replayed", "the issuer has made an act of this number or a later one already";
    /// Kept for something else.
    Purpose: "purpose", "it is kept for a purpose that this kind of act does not serve";
    /// Wider than /32.
    TooWide: "too_wide", "the prefix is shorter than what this kind of act may reach";
    /// Narrower than one holder's block.
    TooNarrow: "too_narrow", "the prefix is longer than what the holder hands out, or than /64 where it does not say; name the whole block";
    /// Claims a delegation that the holder has not declared.
    Delegation: "delegation", "the holder has not declared that it hands out blocks of this length";
    /// Not global unicast, or for examples.
    Reserved: "reserved", "the prefix is not in use on the Internet";
    /// Never blocked.
    Protected: "protected", "the prefix overlaps one that is never blocked";
    /// Nobody answers for it.
    Unheld: "unheld", "no member holds all of the prefix";
    /// Another member's.
    OutsideHoldings: "outside_holdings", "the issuer does not hold the prefix; report it, and the coordinating body decides";
    /// The reporter's own.
    OwnSubject: "own_subject", "the reporter holds the prefix itself; an own alert is the way";
    /// Part of it is another's.
    SharedSpace: "shared_space", "another member holds a part of the prefix; name the parts";
    /// No such catalogue or standard.
    Rules: "rules", "it cites a catalogue or a standard that is not known here, or that do not go together";
    /// Not in the catalogue.
    OutsideCatalogue: "outside_catalogue", "the item is not in the catalogue that it cites; nothing else may be recorded";
    /// Nothing that a holder warns of by itself.
    NotAbuse: "not_abuse", "the item is no technical abuse, which alone an own alert may tell";
    /// The item does not rest on such evidence.
    EvidenceClass: "evidence_class", "the catalogue does not let the item rest on such evidence";
    /// Forged evidence could have this effect.
    Forgeable: "forgeable", "the evidence can be forged; what rests on it stays at the network that saw it";
    /// Seen too long ago, or in the future.
    EvidenceAge: "evidence_age", "the evidence is older than 60 days, or of the future, or ends before it begins";
    /// A score as evidence for a score.
    Circular: "circular", "it repeats what another act says, which is no evidence";
    /// The score has another status by the standard.
    Rating: "rating", "the status is not the one that the cited standard gives the score";
    /// Harder than this kind of act may be.
    MeasureTooHard: "measure_too_hard", "the measure is harder than this kind of act may ask for";
    /// One author.
    OnlySource: "only_source", "all of it comes from one author, who cannot be the only source";
    /// No opinion, or on something else.
    NoOpinion: "no_opinion", "it cites no opinion on the reports that it rests on";
    /// The opinion says otherwise.
    OpinionAgainst: "opinion_against", "the opinion that it cites does not support it";
    /// What it is about is not known.
    UnknownAct: "unknown_act", "the act that it is about is not known here, or is of another kind";
    /// The acts are about different subjects.
    OtherSubject: "other_subject", "the act that it is about has another subject";
    /// Not the worst status.
    NotWorst: "not_worst", "a restriction takes the worst status, by the decision that it cites";
    /// Members can still vote, or had no time to.
    Voting: "voting", "members have had less time to vote than they must, or it has not passed";
    /// Somebody voted twice, late, or not about this.
    StrayVote: "stray_vote", "a vote is about something else, came late, or is a member's second";
    /// A no.
    VoteAgainst: "vote_against", "a member is against it";
    /// Too few yes.
    TooFewYes: "too_few_yes", "fewer than two thirds of the members are for it";
    /// These addresses are heard about the act, or as many as can be.
    Heard: "heard", "a complaint of these addresses about the act is heard already, or as many as are heard at a time";
    /// Not the next step.
    Stage: "stage", "the complaint is past this stage, or not there yet, or has ended";
    /// Watched for less than it takes.
    Probation: "probation", "probation ends before the procedure in force lets it";
    /// One says that its own word is true.
    OwnMatter: "own_matter", "it is the issuer's own matter; somebody else must say so";
    /// Too little time to comment, or too late.
    CommentTime: "comment_time", "members have had less time to comment than they must, or it has passed";
    /// It must be kept.
    Kept: "kept", "the acts are to be kept longer, or others rest on them, or somebody else erases them";
    /// Somebody else's act.
    NotTheirs: "not_theirs", "only the act's issuer and the coordinating body may change it";
    /// There is nothing to relieve.
    NoRelief: "no_relief", "the act cuts nobody off, or was relieved before";
}

impl core::error::Error for Refusal {}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        match error.fault {
            Fault::Critical(_) => Self::Critical,
            _ => Self::Malformed,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_refusal_has_a_word_and_a_sentence_of_its_own() {
        let words: BTreeSet<_> = Refusal::ALL.iter().map(|refusal| refusal.name()).collect();
        let sentences: BTreeSet<_> = Refusal::ALL.iter().map(ToString::to_string).collect();
        assert_eq!((words.len(), sentences.len()), (Refusal::ALL.len(), Refusal::ALL.len()));
        assert!(words.iter().all(|word| word.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase())));
    }
}
