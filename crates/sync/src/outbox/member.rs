//! The member that speaks: its number, its key, and the rules by which it is heard.
//!
//! The rules are those of the feed that the gateway follows, as soon as there are any: who follows a world knows what its members adopt
//! when gateways do. Before that, and where no feed is followed, they are read from files.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use credence_credit::guard::NeverBlock;
use credence_feed::{Reject, Rulebook};
use credence_law::party::{Function, KeyId, MemberId, Party, World, unhex};
use credence_law::{AdoptError, Book, Law, Signed, Trust};
use ed25519_dalek::SigningKey;

use super::act::Footing;
use crate::feed::Disk;
use crate::hand::{Hand, Unsigned};

/// The largest file with a rule, in bytes.
const RULE_LEN_MAX: u64 = credence_law::BYTES_MAX as u64;

/// Where a member's words come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voice {
    /// The member's number.
    pub member: MemberId,
    /// The file with its secret key for alerts.
    pub key: PathBuf,
    /// The world, by its first root.
    pub world: World,
    /// Files with the signed rules, in the order in which they came into force; none where a feed brings them.
    pub rules: Vec<PathBuf>,
    /// How long alerts and reports last, in seconds.
    pub lasts_s: u64,
}

/// Why nobody can speak for the member here.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VoiceError {
    /// A file cannot be read.
    #[error("{path} cannot be read: {source}")]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others can read the key.
    #[error("others may read {path}: `chmod 600 {path}`, and make a new key if they have", path = .0.display())]
    Open(PathBuf),
    /// There is no key in the file.
    #[error("{} holds no key: 64 hexadecimal digits", .0.display())]
    NoKey(PathBuf),
    /// A rule does not come into force.
    #[error("the rule in {} does not come into force: {source}", .path.display())]
    Rule {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: AdoptError,
    },
    /// A rule is missing.
    #[error("the rules are not whole: {0}")]
    Rules(#[source] AdoptError),
    /// The rules of the feed lack one.
    #[error("the rules of the feed are not whole: {0}")]
    Followed(#[from] Reject),
    /// The key is not the member's.
    #[error("the registry does not have the key in {} as one of member {member}'s for alerts", .path.display())]
    Stranger {
        /// The file with the key.
        path: PathBuf,
        /// The member's number.
        member: u16,
    },
}

/// A member that can speak.
#[derive(Debug)]
pub struct Member {
    /// The rules in files.
    read: Option<Trust>,
    /// The rules of the feed that is followed, which count as soon as they are known.
    followed: Option<Arc<Rulebook>>,
    protected: NeverBlock,
    key: SigningKey,
    /// The file with the key.
    path: PathBuf,
    id: MemberId,
    lasts_s: u64,
}

impl Member {
    /// Reads the key, and the rules where there are files. `protected` is what the operator never blocks; `now` is in Unix seconds.
    ///
    /// # Errors
    /// When one of them is not there or not as it has to be, or the registry does not know the key as the member's.
    pub fn read(voice: &Voice, protected: &NeverBlock, now: u64) -> Result<Self, VoiceError> {
        let (key, read) = (read_key(&voice.key)?, read_rules(voice, now)?);
        let (path, protected) = (voice.key.clone(), protected.clone());
        let (id, lasts_s) = (voice.member, voice.lasts_s);
        let member = Self { read, followed: None, protected, key, path, id, lasts_s };
        if let Some(trust) = &member.read {
            member.is_known(trust.law().map_err(VoiceError::Rules)?)?;
        }
        Ok(member)
    }

    /// Goes by the rules of the feed from now on.
    ///
    /// # Errors
    /// When they are not whole, and those before stay; or when the registry does not have the key as the member's, and nothing is signed
    /// that its law refuses.
    pub fn follow(&mut self, rules: &Arc<Rulebook>) -> Result<(), VoiceError> {
        let law = rules.law()?;
        self.followed = Some(Arc::clone(rules));
        self.is_known(law)
    }

    /// Whether it goes by these very rules.
    pub fn goes_by(&self, rules: &Arc<Rulebook>) -> bool {
        self.followed.as_ref().is_some_and(|followed| Arc::ptr_eq(followed, rules))
    }

    /// That the registry has the key as the member's for alerts.
    fn is_known(&self, law: &Law) -> Result<(), VoiceError> {
        let speaker = law.register().speaker(KeyId::of(self.key.verifying_key().as_bytes()));
        let party = Party::Member(self.id);
        let speaks = speaker.is_some_and(|(_, it)| it.party == party && it.function == Function::Alerts);
        if speaks { Ok(()) } else { Err(VoiceError::Stranger { path: self.path.clone(), member: self.id.0 }) }
    }

    /// What drafts are judged and signed by at a moment in Unix milliseconds; none before there are rules.
    pub fn footing(&self, now_ms: u64) -> Option<Footing<'_>> {
        let followed = self.followed.as_ref().and_then(|rules| rules.law().ok());
        let law = followed.or_else(|| self.read.as_ref()?.law().ok())?;
        let Self { key, protected, id, lasts_s, .. } = self;
        Some(Footing { law, protected, key, member: *id, lasts_s: *lasts_s, now_ms })
    }

    /// What signs for it beside what is drafted, with a place where nothing else is kept.
    ///
    /// # Errors
    /// When it cannot be read there what was signed last.
    pub fn hand<D: Disk>(&self, disk: D) -> Result<Hand<D>, Unsigned> {
        Hand::of_member(self.id, self.key.clone(), disk)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, VoiceError> {
    let failed = |source| VoiceError::File { path: path.to_owned(), source };
    let len = fs::metadata(path).map_err(failed)?.len();
    if len > RULE_LEN_MAX {
        return Err(failed(io::ErrorKind::FileTooLarge.into()));
    }
    fs::read(path).map_err(failed)
}

/// The secret key in a file that nobody but its owner can read.
///
/// # Errors
/// When there is none, or others can read it.
pub(crate) fn read_key(path: &Path) -> Result<SigningKey, VoiceError> {
    let mode =
        fs::metadata(path).map_err(|source| VoiceError::File { path: path.to_owned(), source })?.mode();
    if mode & 0o077 != 0 {
        return Err(VoiceError::Open(path.to_owned()));
    }
    let text = String::from_utf8(read(path)?).ok();
    let seed = text.and_then(|text| unhex(text.trim()));
    let seed = seed.ok_or_else(|| VoiceError::NoKey(path.to_owned()))?;
    Ok(SigningKey::from_bytes(&seed))
}

fn read_rules(voice: &Voice, now: u64) -> Result<Option<Trust>, VoiceError> {
    let mut trust: Option<Trust> = None;
    for path in &voice.rules {
        let refused = |source| VoiceError::Rule { path: path.clone(), source };
        let signed = Signed::decode(&read(path)?);
        let signed = signed.map_err(|fault| refused(AdoptError::Refused(fault.into())))?;
        match &mut trust {
            Some(trust) => trust.adopt(&signed, &Book::default(), now).map_err(refused)?,
            // What the operator never blocks is no rule of the world's, and looked at beside it.
            None => {
                trust = Some(Trust::begin(&signed, voice.world, NeverBlock::default()).map_err(refused)?);
            }
        }
    }
    Ok(trust)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn put(directory: &Path, text: &[u8], mode: u32) -> PathBuf {
        let path = directory.join("member.key");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn a_key_that_others_can_read_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let digits = format!("{}\n", "5a".repeat(32));
        let key = read_key(&put(directory.path(), digits.as_bytes(), 0o600)).unwrap();
        assert_eq!(key.to_bytes(), [0x5a; 32]);
        for mode in [0o640, 0o604, 0o660, 0o644] {
            let told = read_key(&put(directory.path(), digits.as_bytes(), mode)).unwrap_err().to_string();
            assert!(told.contains("chmod 600") && !told.contains("5a5a"), "{told}");
        }
        for wrong in ["", "5a", &"zz".repeat(32), &"5a".repeat(33)] {
            let told = read_key(&put(directory.path(), wrong.as_bytes(), 0o600)).unwrap_err();
            assert!(matches!(told, VoiceError::NoKey(_)), "{told}");
        }
        let missing = read_key(&directory.path().join("none")).unwrap_err();
        assert!(matches!(missing, VoiceError::File { .. }), "{missing}");
    }

    #[test]
    fn without_rules_nobody_speaks() {
        let directory = tempfile::tempdir().unwrap();
        let key = put(directory.path(), "5a".repeat(32).as_bytes(), 0o600);
        let mut voice =
            Voice { member: MemberId(1), key, world: World([1; 32]), rules: Vec::new(), lasts_s: 1 };
        let member = Member::read(&voice, &NeverBlock::default(), 0).unwrap();
        assert!(member.footing(0).is_none(), "until a feed brings some");
        voice.rules.push(voice.key.clone());
        let told = Member::read(&voice, &NeverBlock::default(), 0).unwrap_err();
        assert!(matches!(told, VoiceError::Rule { .. }), "{told}");
    }
}
