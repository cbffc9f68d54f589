//! The public log, as whoever follows looks at it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use credence_law::party::World;
use ed25519_dalek::VerifyingKey;
use signed_note::{Note, StandardVerifier, VerifierList};
use tlog_tiles::{Checkpoint, Hash, TreeProof, check_tree};

/// The first byte of an Ed25519 key in a signed note.
pub const ED25519: u8 = 1;

/// The name of a world's log in an epoch, from 1 on: one that has lost entries goes on under another.
pub fn origin(world: World, epoch: u32) -> String {
    if epoch == 1 { format!("credence/{world}") } else { format!("credence/{world}/{epoch}") }
}

/// Whether a tree with this root and size begins with one of `before`, a size and its root, by such a proof.
pub fn is_consistent(proof: &[[u8; 32]], size: u64, root: &[u8; 32], before: (u64, &[u8; 32])) -> bool {
    let proof: TreeProof = proof.iter().map(|hash| Hash(*hash)).collect();
    check_tree(&proof, size, Hash(*root), before.0, Hash(*before.1)).is_ok()
}

/// The size and root that a checkpoint states, if this key signed it for the log of this name.
pub fn read_checkpoint(text: &[u8], origin: &str, public: &VerifyingKey) -> Option<(u64, [u8; 32])> {
    let key = [&[ED25519][..], public.as_bytes()].concat();
    let text_key = format!("{origin}+{:08x}+{}", signed_note::key_id(origin, &key), STANDARD.encode(&key));
    let verifier = StandardVerifier::new(&text_key).ok()?;
    let note = Note::from_bytes(text).ok()?;
    note.verify(&VerifierList::new(vec![Box::new(verifier)])).ok()?;
    let checkpoint =
        Checkpoint::from_bytes(note.text()).ok().filter(|checkpoint| checkpoint.origin() == origin)?;
    Some((checkpoint.size(), checkpoint.hash().0))
}
