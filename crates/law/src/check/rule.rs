//! How rules are proposed, and when payloads go.

use std::collections::BTreeSet;

use credence_credit::ActId;

use super::{Acts, DAY, Law, expect};
use crate::acts::{Act, Comment, Draft, Erased, Erasure};
use crate::object::Object;
use crate::party::Party;
use crate::procedure::days;
use crate::refusal::Refusal;
use crate::rules::Rules;

impl Law {
    /// A draft is a rule of this world that members adopt, and they have time to say what they think of it.
    pub(super) fn draft(&self, draft: &Draft) -> Result<(), Refusal> {
        let object = Object::<Rules>::decode(&draft.rules)?;
        if object.world != self.world {
            return Err(Refusal::World);
        }
        if !matches!(object.body, Rules::Catalogue(_) | Rules::Standard(_) | Rules::Procedure(_)) {
            return Err(Refusal::Rules);
        }
        let issued = draft.preamble.issued;
        let earliest = issued.saturating_add(days(self.procedure(issued).comment));
        let in_time = earliest <= draft.closes && draft.closes < draft.preamble.expires;
        if in_time { Ok(()) } else { Err(Refusal::CommentTime) }
    }

    /// An erasure takes with each act all that name it, so that nothing is left that rests on what nobody can read. What is
    /// kept long enough goes on the operator's word; what goes before its time on the coordinating body's.
    pub(super) fn erasure(&self, erasure: &Erasure, acts: &impl Acts) -> Result<(), Refusal> {
        let all: BTreeSet<_> = erasure.acts.iter().copied().collect();
        if all.is_empty() || (erasure.ground == Erased::Claim) != (erasure.preamble.issuer == Party::Body) {
            return Err(Refusal::Kept);
        }
        all.iter().filter(|id| !acts.is_erased(id)).try_for_each(|id| {
            let act = expect(acts, id, |_| true)?;
            let is_whole = acts.citing(id).iter().all(|citing| all.contains(citing));
            let is_due = erasure.ground == Erased::Claim || self.kept_until(act) <= erasure.preamble.issued;
            if is_whole && is_due && is_erasable(act) { Ok(()) } else { Err(Refusal::Kept) }
        })
    }

    /// Until when an act's payload is kept, in Unix seconds: its purpose's time after its end, and as long as what it says counts
    /// for anybody's credit.
    pub fn kept_until(&self, act: &Act) -> u64 {
        let preamble = act.preamble();
        let ended = preamble.expires.saturating_add(self.procedure(preamble.issued).kept(preamble.purpose));
        let counts = act.claim().and_then(|claim| {
            let item = self.catalogues.get(&claim.catalogue)?.item(claim.item)?;
            Some(claim.seen_until.saturating_add(u64::from(item.kept_days) * DAY))
        });
        ended.max(counts.unwrap_or(0))
    }
}

/// Whether an act's payload can go at all: those that show how rules came about, what was erased, and what an issuer's acts
/// were, stay.
pub(crate) const fn is_erasable(act: &Act) -> bool {
    !matches!(act, Act::Draft(_) | Act::Comment(_) | Act::Erasure(_) | Act::Manifest(_))
}

/// That a comment is on a draft, while comment is open.
pub(super) fn commented_in_time(comment: &Comment, acts: &impl Acts) -> Result<(), Refusal> {
    match expect(acts, &comment.draft, |act| matches!(act, Act::Draft(_)))? {
        Act::Draft(draft) if comment.preamble.issued < draft.closes => Ok(()),
        _ => Err(Refusal::CommentTime),
    }
}

/// The acts among `due` that can be erased together: those that no other act names, or only such as go as well.
pub(crate) fn closed(due: BTreeSet<ActId>, acts: &impl Acts) -> BTreeSet<ActId> {
    let mut left = due;
    let mut doubtful: Vec<_> = left.iter().copied().collect();
    while let Some(id) = doubtful.pop() {
        let stays = left.contains(&id) && acts.citing(&id).iter().any(|citing| !left.contains(citing));
        if stays {
            left.remove(&id);
            // Whatever it names is named by something that stays.
            doubtful.extend(acts.act(&id).map(Act::cites).unwrap_or_default());
        }
    }
    left
}
