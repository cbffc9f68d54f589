//! Witnesses whom the operator has listed.

use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use credence_feed::Witness;

/// Witnesses of one log, at most.
const WITNESSES_MAX: usize = 64;

/// The witnesses that a file lists, one a line; lines that begin with # are passed over. None where there is no file.
///
/// # Errors
/// When a line is no witness, or there are more than 64.
pub fn list(path: &Path) -> anyhow::Result<Vec<Witness>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let lines = (1..).zip(text.lines().map(str::trim));
    let witnesses = lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(number, line)| Witness::read(line).with_context(|| format!("{}:{number}", path.display())));
    let witnesses: Vec<_> = witnesses.collect::<anyhow::Result<_>>()?;
    ensure!(witnesses.len() <= WITNESSES_MAX, "{}: more than {WITNESSES_MAX} witnesses", path.display());
    Ok(witnesses)
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;

    #[test]
    fn a_file_lists_witnesses_and_tells_the_line_that_is_wrong() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("witnesses");
        assert_eq!(list(&path).unwrap(), []);
        let [one, two] = [1, 2].map(|seed| {
            let key = SigningKey::from_bytes(&[seed; 32]);
            Witness::new(&format!("witness.example/{seed}"), key.verifying_key())
        });
        fs::write(&path, format!("# ours\n{}\n\n{}\n", one.verifier_key(), two.verifier_key())).unwrap();
        assert_eq!(list(&path).unwrap(), [one, two]);
        fs::write(&path, "# ours\nnobody\n").unwrap();
        assert!(list(&path).unwrap_err().to_string().ends_with("witnesses:2"));
    }
}
