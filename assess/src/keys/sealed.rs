//! Tries the passwords that everyone knows on what is under a password: PKCS#8 (RFC 5958),
//! PEM with a `DEK-Info` line (RFC 1421), PKCS#12 (RFC 7292) and Java's JKS and JCEKS.
//!
//! A store that such a word opens is as good as in the clear. Work is bounded by a budget
//! of hash rounds for a whole run; what the budget left out is said.

mod java;
mod pkcs12;
mod scheme;

pub(super) use java::length as java_length;

use super::der::{self, Object};

/// Something under a password, as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sealed {
    /// A PKCS#8 `EncryptedPrivateKeyInfo`.
    Pkcs8(Vec<u8>),
    /// A PEM body with the cipher and vector of its `DEK-Info` line.
    Pem {
        /// Name of the cipher, for example `AES-256-CBC`.
        cipher: String,
        /// Initialisation vector; its first eight bytes are the salt.
        vector: Vec<u8>,
        /// Ciphertext.
        body: Vec<u8>,
    },
    /// A PKCS#12 store.
    Pkcs12(Vec<u8>),
    /// A JKS or JCEKS store.
    Java(Vec<u8>),
}

/// What came of trying.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A word of the list opens it.
    Opened {
        /// The word.
        password: &'static str,
        /// What was inside.
        objects: Vec<Object>,
    },
    /// No word of the list opens it.
    Locked,
    /// It was not tried: an algorithm that is not known here, or the budget was spent.
    NotTried(&'static str),
}

/// Tries every word of the list. `budget` counts hash rounds and goes down.
#[must_use]
pub fn open(sealed: &Sealed, budget: &mut u64) -> Outcome {
    match sealed {
        Sealed::Pkcs8(der) => pkcs8(der, budget),
        Sealed::Pem { cipher, vector, body } => pem(cipher, vector, body, budget),
        Sealed::Pkcs12(der) => pkcs12::open(der, budget),
        Sealed::Java(raw) => java::open(raw, budget),
    }
}

fn pkcs8(der: &[u8], budget: &mut u64) -> Outcome {
    first(|password| {
        let (_, body, _) = der::tlv(der).ok_or(DAMAGED)?;
        decrypt_info(body, password, budget)
    })
}

/// Decrypts the content of an `EncryptedPrivateKeyInfo`.
fn decrypt_info(
    body: &[u8],
    password: &str,
    budget: &mut u64,
) -> Result<Option<Vec<Object>>, &'static str> {
    let mut items = der::Items(body);
    let (_, algorithm, _) = items.next().ok_or(DAMAGED)?;
    let (_, sealed, _) = items.next().ok_or(DAMAGED)?;
    let plain = scheme::decrypt(algorithm, sealed, password, budget)?;
    Ok(plain.and_then(|plain| der::read(&plain)).map(|(object, _)| vec![object]))
}

fn pem(cipher: &str, vector: &[u8], body: &[u8], budget: &mut u64) -> Outcome {
    first(|password| {
        let plain = scheme::decrypt_dek(cipher, vector, body, password, budget)?;
        Ok(plain.and_then(|plain| der::read(&plain)).map(|(object, _)| vec![object]))
    })
}

/// The first word for which `attempt` yields something.
fn first(
    mut attempt: impl FnMut(&'static str) -> Result<Option<Vec<Object>>, &'static str>,
) -> Outcome {
    for password in WORDS.iter().copied() {
        match attempt(password) {
            Ok(Some(objects)) => return Outcome::Opened { password, objects },
            Ok(None) => {}
            Err(why) => return Outcome::NotTried(why),
        }
    }
    Outcome::Locked
}

/// Takes `rounds` from the budget.
fn spend(budget: &mut u64, rounds: u64) -> Result<(), &'static str> {
    match budget.checked_sub(rounds) {
        Some(left) => {
            *budget = left;
            Ok(())
        }
        None => Err(SPENT),
    }
}

/// Passwords that tools, manuals and examples give to key files and stores.
pub const WORDS: &[&str] = &[
    "",
    "changeit",
    "changeme",
    "password",
    "secret",
    "123456",
    "test",
    "1234",
    "12345",
    "12345678",
    "123456789",
    "admin",
    "root",
    "default",
    "pass",
    "passwd",
    "passphrase",
    "Password1",
    "P@ssw0rd",
    "password123",
    "keystore",
    "storepass",
    "keypass",
    "truststore",
    "server",
    "client",
    "device",
    "android",
    "notasecret",
    "mypassword",
    "mypass",
    "test123",
    "test1234",
    "testing",
    "demo",
    "example",
    "qwerty",
    "letmein",
    "abc123",
    "000000",
    "111111",
    "tomcat",
    "jboss",
    "wso2carbon",
    "WebAS",
    "iot",
    "mqtt",
    "esp32",
];

const DAMAGED: &str = "its inside is damaged";
const SPENT: &str = "the budget for trying passwords was spent";

#[cfg(test)]
mod tests {
    use std::process::Command;

    use base64::{Engine, engine::general_purpose::STANDARD};

    use super::*;

    #[test]
    fn pkcs8_of_every_usual_cipher_opens_with_a_known_word_and_not_with_another() {
        let made = Made::new();
        for cipher in [
            "-v2 aes-256-cbc",
            "-v2 aes-128-cbc -v2prf hmacWithSHA1",
            "-v2 aes-192-cbc -v2prf hmacWithSHA512",
            "-v2 des3",
            "-v1 PBE-SHA1-3DES",
        ] {
            for (word, opens) in [("changeit", true), (OTHER, false)] {
                let der = made.out(&format!(
                    "openssl pkcs8 -topk8 {cipher} -in key.pem -passout pass:{word} -outform DER"
                ));
                made.check(&Sealed::Pkcs8(der), opens, &format!("{cipher} {word}"));
            }
        }
    }

    #[test]
    fn pem_with_a_dek_line_opens_with_a_known_word() {
        let made = Made::new();
        for cipher in ["aes128", "aes256", "des3", "des -provider legacy -provider default"] {
            for (word, opens) in [("test", true), (OTHER, false)] {
                let text = made.out(&format!(
                    "openssl rsa -traditional -{cipher} -in rsa.pem -passout pass:{word}"
                ));
                let mut found = Vec::new();
                super::super::extract::at_word(
                    super::super::extract::Word::Pem,
                    &text,
                    0,
                    &mut found,
                );
                let sealed = found[0].sealed.clone().expect("a sealed key");
                assert!(matches!(sealed, Sealed::Pem { .. }));
                made.check(&sealed, opens, &format!("{cipher} {word}"));
            }
        }
    }

    #[test]
    fn pkcs12_opens_with_a_known_word_whatever_its_algorithms() {
        let made = Made::new();
        // -nomac: OpenSSL then leaves the certificate in the clear, and the key decides.
        made.out("openssl req -x509 -key key.pem -subj /CN=gw-17 -days 30 -out cert.pem");
        for form in [
            "",
            "-legacy",
            "-keypbe PBE-SHA1-3DES -certpbe PBE-SHA1-3DES -macalg sha1",
            "-keypbe NONE -certpbe NONE",
            "-nomac",
        ] {
            for (word, opens) in [("changeit", true), ("", true), (OTHER, false)] {
                let der = made.out(&format!(
                    "openssl pkcs12 -export {form} -inkey key.pem -in cert.pem -passout pass:{word}"
                ));
                let opens = opens || form.contains("NONE") && form.contains("nomac");
                made.check(&Sealed::Pkcs12(der), opens, &format!("pkcs12 {form} '{word}'"));
            }
        }
    }

    /// Stores of `keytool` (JDK 17): one RSA key each, password `changeit`, and the same under
    /// a password that is on no list.
    #[test]
    fn java_stores_open_with_a_known_word() {
        for (name, store, opens) in [
            ("jks", include_str!("../../tests/data/jks.txt"), true),
            ("jceks", include_str!("../../tests/data/jceks.txt"), true),
            ("locked jks", include_str!("../../tests/data/jks-locked.txt"), false),
        ] {
            let text: String =
                store.lines().filter(|l| !l.starts_with('#')).collect::<String>().replace('·', "");
            let raw = STANDARD.decode(text).unwrap();
            assert_eq!(java_length(&raw), Some(raw.len()), "{name}");
            let mut budget = 10_000_000;
            match open(&Sealed::Java(raw), &mut budget) {
                Outcome::Opened { password, objects } => {
                    assert!(opens && password == WORDS[1], "{name}");
                    assert!(objects.iter().any(|o| matches!(o, Object::Private(_))), "{name}");
                }
                other => assert!(!opens && other == Outcome::Locked, "{name}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_spent_budget_is_said() {
        let made = Made::new();
        let der = made.out(&format!(
            "openssl pkcs8 -topk8 -iter 1000000 -in key.pem -passout pass:{OTHER} -outform DER"
        ));
        let mut budget = 100_000;
        assert_eq!(open(&Sealed::Pkcs8(der), &mut budget), Outcome::NotTried(SPENT));
    }

    /// A password of no list.
    const OTHER: &str = "k9Xq2LmN7p";

    struct Made {
        directory: tempfile::TempDir,
        print: [u8; 32],
    }

    impl Made {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let mut made = Self { directory, print: [0; 32] };
            made.out("openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem");
            made.out("openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out rsa.pem");
            made.print = made.of("key.pem");
            made
        }

        fn of(&self, key: &str) -> [u8; 32] {
            let der = self.out(&format!("openssl pkey -in {key} -pubout -outform DER"));
            match der::read(&der) {
                Some((Object::Public(key), _)) => key.spki_sha256,
                other => panic!("{other:?}"),
            }
        }

        fn out(&self, line: &str) -> Vec<u8> {
            let mut command = Command::new("sh");
            let out =
                command.args(["-ec", line]).current_dir(self.directory.path()).output().unwrap();
            assert!(out.status.success(), "{line}: {}", String::from_utf8_lossy(&out.stderr));
            out.stdout
        }

        fn check(&self, sealed: &Sealed, opens: bool, what: &str) {
            let mut budget = 50_000_000;
            match open(sealed, &mut budget) {
                Outcome::Opened { objects, .. } => {
                    assert!(opens, "{what} was opened");
                    let known = [self.print, self.of("rsa.pem")];
                    assert!(
                        objects.iter().any(
                            |o| matches!(o, Object::Private(k) if known.contains(&k.spki_sha256))
                        ),
                        "{what}: {objects:?}"
                    );
                }
                other => assert!(!opens && other == Outcome::Locked, "{what}: {other:?}"),
            }
        }
    }
}
