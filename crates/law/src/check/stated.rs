//! What an issuer's manifest can state.

use credence_credit::{Authority, EvidenceClass, Learned, Record};

use super::{Law, RECORD_LASTS};
use crate::acts::Block;
use crate::party::Party;
use crate::refusal::Refusal;

impl Law {
    /// Whether a record can stand on the word of an issuer whose manifest states it at `at`, in Unix seconds. The act itself is not
    /// at hand: what is checked is what holds for every act from which there could be such a record.
    ///
    /// # Errors
    /// The first reason against it.
    pub fn stated(&self, issuer: Party, record: &Record, at: u64) -> Result<(), Refusal> {
        // The length was judged with the act; here only who holds the whole of it counts.
        let subject = Block { prefix: record.prefix, learned: Learned::Observed };
        match (record.authority, issuer) {
            (Authority::OwnAlert, Party::Member(_)) => self.holds(issuer.member(), &subject)?,
            (Authority::Decision | Authority::Restriction, Party::Body) => {
                self.subject(&subject)?;
            }
            _ => return Err(Refusal::WrongSigner),
        }
        if record.measure > record.authority.most(record.evidence) {
            return Err(Refusal::MeasureTooHard);
        }
        if record.evidence == EvidenceClass::Unconfirmed && record.measure.constrains() {
            return Err(Refusal::Forgeable);
        }
        // One that has ended since the manifest was made does nothing.
        if record.expires <= at.saturating_add(RECORD_LASTS) { Ok(()) } else { Err(Refusal::Lifetime) }
    }
}

#[cfg(test)]
mod tests {
    use credence_credit::{ActRef, IssuerId, Measure, Rating, Reasons};

    use super::*;
    use crate::check::DAY;
    use crate::world::{NOW, law_with, member, registry};

    fn record(authority: Authority, prefix: &str) -> Record {
        Record {
            prefix: prefix.parse().unwrap(),
            rating: Rating::Unrated,
            measure: Measure::RateLimit,
            reasons: Reasons::NONE,
            issuer: IssuerId(0),
            evidence: EvidenceClass::Confirmed,
            authority,
            signatures: 1,
            expires: NOW + DAY,
            act: Some(ActRef([1; 8])),
        }
    }

    #[test]
    fn an_issuer_states_what_it_could_have_said() {
        let law = law_with(registry());
        let alert = record(Authority::OwnAlert, "2a00:1:1:100::/56");
        let decision = Record { measure: Measure::Drop, ..record(Authority::Decision, "2a00:1:1:100::/56") };
        let stated = |issuer, record: &Record| law.stated(issuer, record, NOW);
        assert_eq!(stated(member(1), &alert), Ok(()));
        assert_eq!(stated(Party::Body, &decision), Ok(()));
        assert_eq!(stated(member(2), &alert), Err(Refusal::OutsideHoldings), "another's addresses");
        assert_eq!(stated(Party::Body, &alert), Err(Refusal::WrongSigner));
        assert_eq!(stated(member(1), &decision), Err(Refusal::WrongSigner));
        assert_eq!(stated(Party::Executive, &decision), Err(Refusal::WrongSigner));
        let with = |change: &dyn Fn(&mut Record)| {
            let mut record = alert.clone();
            change(&mut record);
            stated(member(1), &record)
        };
        assert_eq!(with(&|it| it.measure = Measure::Drop), Err(Refusal::MeasureTooHard));
        assert_eq!(with(&|it| it.evidence = EvidenceClass::Unconfirmed), Err(Refusal::Forgeable));
        assert_eq!(with(&|it| it.expires = NOW + 91 * DAY), Err(Refusal::Lifetime));
        assert_eq!(with(&|it| it.prefix = "::/0".parse().unwrap()), Err(Refusal::TooWide));
    }
}
