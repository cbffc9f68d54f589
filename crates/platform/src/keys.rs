//! Secret keys in files: 64 hexadecimal digits, readable by their owner alone.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{Context, bail, ensure};
pub use credence_law::party::unhex;
use ed25519_dalek::SigningKey;

/// Makes a new key in a file that must not be there yet.
///
/// # Errors
/// When the file is there, or cannot be written.
pub fn make(path: &Path) -> anyhow::Result<SigningKey> {
    let key = SigningKey::from_bytes(&rand::random());
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).with_context(|| format!("{} cannot be made", directory.display()))?;
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.with_context(|| format!("{} cannot be made", path.display()))?;
    writeln!(file, "{}", hex(&key.to_bytes()))?;
    file.sync_all()?;
    Ok(key)
}

/// Reads a key.
///
/// # Errors
/// When there is none, or others can read it.
pub fn read(path: &Path) -> anyhow::Result<SigningKey> {
    let mode = fs::metadata(path).with_context(|| format!("no key at {}", path.display()))?.mode();
    ensure!(
        mode & 0o077 == 0,
        "others may read {}: `chmod 600 {}`, and make a new key if they have",
        path.display(),
        path.display()
    );
    let text = fs::read_to_string(path)?;
    let Some(seed) = unhex(text.trim()) else {
        bail!("{} holds no key: 64 hexadecimal digits", path.display())
    };
    Ok(SigningKey::from_bytes(&seed))
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    hex::encode(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_read_by_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b.key");
        let key = make(&path).unwrap();
        assert_eq!(read(&path).unwrap().to_bytes(), key.to_bytes());
        assert!(make(&path).is_err(), "no key is written over");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let told = read(&path).unwrap_err().to_string();
        assert!(told.contains("chmod 600"), "{told}");
        assert!(!told.contains(&hex(&key.to_bytes())));
    }

    #[test]
    fn digits_are_read_back_and_nothing_else_is() {
        let bytes: [u8; 32] = core::array::from_fn(|at| (at * 9) as u8);
        assert_eq!(unhex(&hex(&bytes)), Some(bytes));
        for wrong in ["", "00", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(unhex::<32>(wrong), None, "{wrong}");
        }
    }
}
