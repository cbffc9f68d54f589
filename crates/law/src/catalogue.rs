//! What may be recorded of a subject at all.

use credence_credit::{ActId, EvidenceClass, Reason};

use crate::layout::{Text, fields, in_order, listed};
use crate::party::MemberId;

/// From this number on items belong to members' own catalogues, and below to the one of all.
pub const SUPPLEMENT_FROM: u16 = 1 << 15;

/// Which way an item tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Against the subject.
    Against,
    /// For it.
    For,
}

listed! { Direction: [Direction::Against, Direction::For] }

fields! {
    /// One kind of credit information.
    pub struct Item {
        /// Its number.
        pub number: u16,
        /// Its word.
        pub name: Text,
        /// What it means.
        pub meaning: Text,
        /// Which way it tells.
        pub direction: Direction,
        /// Whether it is technical abuse of the network, which a holder may warn of by itself.
        pub is_technical: bool,
        /// The evidence that it may rest on, in the order of that list.
        pub evidence: Vec<EvidenceClass>,
        /// How long it may be kept, in days.
        pub kept_days: u16,
    }

    /// The list of everything that may be recorded, for all members.
    pub struct Catalogue {
        /// Its number; each version's is one more than that of the version before.
        pub version: u32,
        /// The version before; none for the first.
        pub previous: Option<ActId>,
        /// The items in the order of their numbers, all below [`SUPPLEMENT_FROM`].
        pub items: Vec<Item>,
    }

    /// What one member records besides, of its own subjects and for itself.
    pub struct Supplement {
        /// Whose it is.
        pub member: MemberId,
        /// Its number; each version's is one more than that of the version before.
        pub version: u32,
        /// The items in the order of their numbers, all from [`SUPPLEMENT_FROM`] on.
        pub items: Vec<Item>,
    }
}

impl Catalogue {
    /// The catalogue that the project ships, as version 1.
    pub fn first() -> Self {
        let items = Reason::ALL.into_iter().filter_map(item).collect();
        Self { version: 1, previous: None, items }
    }

    /// The item of that number.
    pub fn item(&self, number: u16) -> Option<&Item> {
        find(&self.items, number)
    }

    /// Whether its items are in order and below [`SUPPLEMENT_FROM`].
    pub fn is_valid(&self) -> bool {
        in_order(&self.items, |item| item.number).is_ok()
            && self.items.last().is_none_or(|item| item.number < SUPPLEMENT_FROM)
    }
}

impl Supplement {
    /// The item of that number.
    pub fn item(&self, number: u16) -> Option<&Item> {
        find(&self.items, number)
    }

    /// Whether its items are in order and none below [`SUPPLEMENT_FROM`].
    pub fn is_valid(&self) -> bool {
        in_order(&self.items, |item| item.number).is_ok()
            && self.items.first().is_none_or(|item| item.number >= SUPPLEMENT_FROM)
    }
}

fn find(items: &[Item], number: u16) -> Option<&Item> {
    items.binary_search_by_key(&number, |item| item.number).ok().map(|place| &items[place])
}

/// An item that a source address could be forged for: what counts are packets that came one way.
const ANY_EVIDENCE: &[EvidenceClass] = &[EvidenceClass::Confirmed, EvidenceClass::Unconfirmed];
/// An item that takes an exchange of packets in both directions.
const CONFIRMED: &[EvidenceClass] = &[EvidenceClass::Confirmed];
/// An item that somebody answers for, and no packet shows.
const DECLARED: &[EvidenceClass] = &[EvidenceClass::Confirmed, EvidenceClass::Declared];

/// The first catalogue's item for a reason; none for what only an operator's own list says.
fn item(reason: Reason) -> Option<Item> {
    let (direction, evidence, kept_days, meaning) = match reason {
        Reason::Scanning => (Direction::Against, CONFIRMED, 180, "Looks for open ports or live addresses."),
        Reason::Flooding => (Direction::Against, ANY_EVIDENCE, 180, "Sends to overwhelm."),
        Reason::CredentialAttack => (Direction::Against, CONFIRMED, 365, "Guesses passwords or keys."),
        Reason::BotnetControl => {
            (Direction::Against, CONFIRMED, 365, "Gives orders to machines that were taken over.")
        }
        Reason::SpamSource => (Direction::Against, CONFIRMED, 180, "Sends unwanted mail in bulk."),
        Reason::Amplification => {
            (Direction::Against, CONFIRMED, 180, "Answers forged requests with larger replies.")
        }
        Reason::SpoofedOrigin => (
            Direction::Against,
            DECLARED,
            180,
            "Lets packets out whose source address lies elsewhere; only its own network can know.",
        ),
        Reason::RemediationConfirmed => {
            (Direction::For, DECLARED, 365, "What was wrong was mended, and somebody else has checked that.")
        }
        Reason::CleanRecord => (Direction::For, DECLARED, 365, "Three months with nothing to report."),
        Reason::Listed => return None,
    };
    let text = |text: &str| Text::new(text).expect("it is plain");
    Some(Item {
        number: reason as u16,
        name: text(reason.name()),
        meaning: text(meaning),
        direction,
        is_technical: true,
        evidence: evidence.to_vec(),
        kept_days,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Layout;

    #[test]
    fn the_first_catalogue_has_an_item_for_each_reason_but_being_on_a_list() {
        let catalogue = Catalogue::first();
        assert!(catalogue.is_valid());
        for reason in Reason::ALL {
            let item = catalogue.item(reason as u16);
            assert_eq!(
                item.map(|item| item.name.as_str()),
                (reason != Reason::Listed).then(|| reason.name())
            );
        }
        assert_eq!(Catalogue::from_bytes(&catalogue.to_bytes()), Ok(catalogue));
    }

    #[test]
    fn members_items_and_those_of_all_never_share_a_number() {
        let mut catalogue = Catalogue::first();
        let mut supplement = Supplement { member: MemberId(1), version: 1, items: catalogue.items.clone() };
        assert!(!supplement.is_valid());
        supplement.items.iter_mut().for_each(|item| item.number += SUPPLEMENT_FROM);
        assert!(supplement.is_valid());
        catalogue.items.push(supplement.items[0].clone());
        assert!(!catalogue.is_valid());
        supplement.items.swap(0, 1);
        assert!(!supplement.is_valid());
    }
}
