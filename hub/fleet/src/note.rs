//! Signed notes in the form of C2SP signed-note: a text of whole lines, an empty line, and a line
//! for each signature over the text.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ringfort_cose::{AwsLc, PublicKey, Sign, SignError, Verify};

/// A note that was read and not verified.
#[derive(Clone, Copy)]
pub(crate) struct Note<'a> {
    /// Its lines, without the last line's end.
    pub(crate) text: &'a str,
    signatures: &'a str,
}

impl<'a> Note<'a> {
    /// Takes a note apart; none where there is nothing that could be a signature.
    pub(crate) fn read(note: &'a str) -> Option<Note<'a>> {
        let (text, signatures) = note.split_once("\n\n")?;
        Some(Note { text, signatures })
    }

    /// Is one of the signatures under this name by this key?
    pub(crate) fn is_signed_by(&self, name: &str, key: &PublicKey) -> bool {
        let expected = key_id(name, key);
        let message = [self.text.as_bytes(), b"\n"];
        let signed = self.signatures.lines().filter_map(|line| {
            let (by, signature) = line.strip_prefix(DASH)?.strip_prefix(' ')?.split_once(' ')?;
            let signature = STANDARD.decode(signature).ok()?;
            let (id, signature) = signature.split_first_chunk::<4>()?;
            (by == name && *id == expected).then(|| signature.to_vec())
        });
        signed
            .take(MAX_SIGNATURES)
            .any(|signature| AwsLc.verify(key.algorithm(), key, &message, &signature).is_ok())
    }
}

/// Signs a text of whole lines with each of the keys.
///
/// # Errors
/// What a signer says.
pub(crate) fn sign(name: &str, text: &str, keys: &[&dyn Sign]) -> Result<String, SignError> {
    let mut note = format!("{text}\n");
    for key in keys {
        let mut signature = key_id(name, &key.public_key()).to_vec();
        signature.extend(key.sign(&[text.as_bytes()])?);
        note.push_str(&format!("{DASH} {name} {}\n", STANDARD.encode(signature)));
    }
    Ok(note)
}

/// The first four bytes of SHA-256 over name, newline, signature type and key.
fn key_id(name: &str, key: &PublicKey) -> [u8; 4] {
    let kind: &[u8] = match key {
        PublicKey::Ed25519(_) => &[0x01],
        // ECDSA has no type of its own there: 0xff and a name that nobody else uses.
        PublicKey::P256(_) => b"\xffringfort/ESP256\n",
    };
    let digest = AwsLc.sha256(&[name.as_bytes(), b"\n", kind, key.as_bytes()]);
    let mut id = [0; 4];
    id.copy_from_slice(&digest.0[..4]);
    id
}

/// An em dash begins a line with a signature.
const DASH: &str = "\u{2014}";
/// Of one name and one key; more than one is not made.
const MAX_SIGNATURES: usize = 4;
