//! Group K: keys and what the index of all keys says about them. The definitions are
//! here; the search is in `keys`.

use super::{BASE, Rule};
use crate::model::Severity::{Critical, High, Low, Medium};

const MAKE: &str =
    "Make keys on the device, in its key store; take this one out and revoke its certificates";
const SHARED: &[&str] = &["5.4-3", "5.4-4", "5.1-1", "I2.4.1", "I2.1.6", "I4.2.2"];
const KEY: &[&str] = &["5.4-1", "5.4-3", "5.4-4", "I2.4.1", "I2.4.4"];
const WEAK: &[&str] = &["5.4-4", "5.5-1", "I2.4.2"];

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "K-001",
        severity: Critical,
        title: "one private key in two images of the same product",
        about: "Each device that runs either image has the same identity; one opened device opens all.",
        fix: MAKE,
        requirements: SHARED,
        ..BASE
    },
    Rule {
        id: "K-002",
        severity: High,
        title: "private key in the clear",
        about: "Whoever has the source or the image has the key; a device that ships with it is not the only one that knows it.",
        fix: MAKE,
        requirements: KEY,
        ..BASE
    },
    Rule {
        id: "K-003",
        severity: Critical,
        title: "private key that is publicly known",
        about: "It ships with a library, a distribution or a product: everyone has it.",
        fix: MAKE,
        requirements: SHARED,
        ..BASE
    },
    Rule {
        id: "K-004",
        severity: High,
        title: "certificate or public key whose private key is publicly known",
        about: "Everyone can pose as its owner.",
        fix: "Replace the key pair; revoke the certificate",
        requirements: SHARED,
        ..BASE
    },
    Rule {
        id: "K-005",
        severity: Critical,
        title: "private key here matches a certificate or public key found elsewhere",
        about: "The identity that another file, image or device shows is in this download.",
        fix: MAKE,
        requirements: SHARED,
        ..BASE
    },
    Rule {
        id: "K-006",
        severity: High,
        title: "two certificates with one key",
        about: "A re-issued certificate on an old key keeps an old compromise; two devices with one key are one identity.",
        fix: "Make a new key for every certificate and device",
        requirements: SHARED,
        ..BASE
    },
    Rule {
        id: "K-007",
        severity: Critical,
        title: "one password hash with its salt in several images",
        about: "The same password on every device: one cracked hash opens all.",
        fix: "Let each device make its own; ship accounts locked",
        requirements: &["5.1-1", "5.4-3", "I2.1.6"],
        ..BASE
    },
    Rule {
        id: "K-008",
        severity: High,
        title: "one credential in several images",
        about: "It is not per device.",
        fix: "Provision one per device",
        requirements: &["5.1-1", "5.4-3", "5.4-4", "I2.1.6", "I2.4.1"],
        ..BASE
    },
    Rule {
        id: "K-009",
        severity: Critical,
        title: "RSA moduli that share a prime",
        about: "Two keys with a common prime fall to one division.",
        fix: "Replace both; seed the generator before keys are made",
        requirements: WEAK,
        ..BASE
    },
    Rule {
        id: "K-010",
        severity: Critical,
        title: "RSA key of the ROCA kind",
        about: "The library that made it leaves a mark; such keys can be factored (CVE-2017-15361).",
        fix: "Replace it with a key from another generator",
        requirements: WEAK,
        ..BASE
    },
    Rule {
        id: "K-011",
        severity: Critical,
        title: "RSA key with primes close together",
        about: "Fermat's method factors it at once.",
        fix: "Replace it",
        requirements: WEAK,
        ..BASE
    },
    Rule {
        id: "K-012",
        severity: Critical,
        title: "RSA modulus with a small factor",
        about: "It was damaged or made wrongly; it can be factored.",
        fix: "Replace it",
        requirements: WEAK,
        ..BASE
    },
    Rule {
        id: "K-013",
        severity: High,
        title: "RSA key with a wrong exponent",
        about: "An exponent of 1, an even one or one of half the modulus's size protects nothing, or breaks the key.",
        fix: "Use 65537",
        requirements: WEAK,
        ..BASE
    },
    Rule {
        id: "K-014",
        severity: High,
        title: "key too short",
        about: "RSA and DSA below 2048 bits, curves below 224 bits are within reach.",
        fix: "Use P-256, Ed25519 or RSA of 3072 bits",
        requirements: WEAK,
        ..BASE
    },
    Rule {
        id: "K-015",
        severity: Medium,
        title: "certificate signed with MD5 or SHA-1",
        about: "Collisions let an attacker get a second certificate from the first one's signature.",
        fix: "Sign with SHA-256 or better",
        requirements: &["5.5-1", "I2.4.2"],
        ..BASE
    },
    Rule {
        id: "K-016",
        severity: Low,
        title: "certificate valid for more than ten years, or ended",
        about: "A long-lived operational certificate cannot be withdrawn in practice; an ended one makes clients skip the check.",
        fix: "Renew automatically: 90 days for operational certificates",
        requirements: &["5.5-8", "5.5-1", "I2.4.2"],
        ..BASE
    },
    Rule {
        id: "K-017",
        severity: High,
        title: "private key of a certification authority",
        about: "It signs any identity.",
        fix: "Keep it offline; replace the authority",
        requirements: KEY,
        ..BASE
    },
    Rule {
        id: "K-018",
        severity: Medium,
        title: "encrypted private key shipped with the product",
        about: "The passphrase must be on the device too; often it is next to the key.",
        fix: MAKE,
        requirements: KEY,
        ..BASE
    },
    Rule {
        id: "K-019",
        severity: High,
        title: "SSH host key in an image",
        about: "Every device shows the same host key: anyone can pose as any of them.",
        fix: "Make the host key at first start",
        requirements: SHARED,
        ..BASE
    },
    Rule {
        id: "K-020",
        severity: High,
        title: "SSH key that may log in",
        about: "An authorized_keys file in the image is a way in for whoever has the private key.",
        fix: "Remove it from product images",
        requirements: &["5.4-3", "5.6-1", "I2.1.7", "I2.1.6"],
        ..BASE
    },
    Rule {
        id: "K-021",
        severity: Medium,
        title: "key store shipped with the product",
        about: "A PKCS#12, JKS or BKS store in an image is opened by a password that is there as well.",
        fix: MAKE,
        requirements: KEY,
        ..BASE
    },
    Rule {
        id: "K-022",
        severity: High,
        title: "password hash of a common default password",
        about: "The password is in every list that bots try first.",
        fix: "Ship the account locked",
        requirements: &["5.1-1", "5.1-2", "I2.1.6"],
        ..BASE
    },
    Rule {
        id: "K-023",
        severity: High,
        title: "credential of low entropy, the same pattern in several images",
        about: "Passwords that differ in a few digits can be guessed from one another.",
        fix: "Draw them from a random generator, 80 bits or more",
        requirements: &["5.1-2", "I2.1.6"],
        ..BASE
    },
    Rule {
        id: "K-024",
        severity: High,
        title: "raw private key in a constant",
        about: "The bytes of a private key stand in the program.",
        fix: MAKE,
        requirements: KEY,
        ..BASE
    },
    Rule {
        id: "K-025",
        severity: High,
        title: "OpenPGP private key",
        about: "Whoever has it signs as its owner.",
        fix: "Keep it on a token or offline",
        requirements: KEY,
        ..BASE
    },
    Rule {
        id: "K-026",
        severity: Medium,
        title: "private key that everyone on the device may read",
        about: "The file's mode lets every process read it.",
        fix: "chmod 600, or better a key store",
        requirements: &["5.4-1", "5.6-7", "I2.4.4"],
        ..BASE
    },
    Rule {
        id: "K-027",
        severity: High,
        title: "key with a degenerate value",
        about: "A private scalar of 0, 1 or a few bits, or a public key that is a well-known point, protects nothing.",
        fix: "Replace it",
        requirements: WEAK,
        ..BASE
    },
    Rule {
        id: "K-028",
        severity: High,
        title: "key differs from its certificate nowhere but in name: RSA modulus shared",
        about: "Two different certificates or keys use one modulus with other exponents; that reveals both.",
        fix: "Make one key pair per identity",
        requirements: SHARED,
        ..BASE
    },
    Rule {
        id: "K-029",
        severity: Low,
        title: "publicly known test key built into a program",
        about: "Libraries carry keys for their own tests. It does harm only if something uses it as its identity.",
        fix: "Nothing, unless a service of yours answers with it",
        requirements: &["5.6-6", "I1.3.12"],
        ..BASE
    },
    Rule {
        id: "K-030",
        severity: Critical,
        title: "one public key on two devices",
        about: "Two devices that show one key are one identity: whoever opens one can pose as the other. No certificate is needed to see it.",
        fix: MAKE,
        requirements: SHARED,
        ..BASE
    },
    Rule {
        id: "K-031",
        severity: Medium,
        title: "one public key in two images, without a certificate",
        about: "That is right for a key that checks updates or logins, and wrong for a device's own: then both devices have its private half.",
        fix: "Say which key it is; if it is a device's own, make one on each device",
        requirements: SHARED,
        ..BASE
    },
    Rule {
        id: "K-032",
        severity: High,
        title: "two images share what should differ",
        about: "The file holds an identity, a seed or a key that each device must have for itself, and it is the same in both images.",
        fix: "Leave it out of the image; make it on the device at first start",
        requirements: &["5.4-4", "5.1-2", "5.4-2", "I2.4.1", "I2.4.3"],
        ..BASE
    },
    Rule {
        id: "K-033",
        severity: High,
        title: "key store that a well-known password opens",
        about: "The password is in every manual: what is in the store is in the clear.",
        fix: MAKE,
        requirements: KEY,
        ..BASE
    },
    Rule {
        id: "K-034",
        severity: High,
        title: "private key under a well-known passphrase",
        about: "The passphrase is among the first that anyone tries: the key is in the clear.",
        fix: MAKE,
        requirements: KEY,
        ..BASE
    },
    Rule {
        id: "K-035",
        severity: Low,
        title: "RSA key with a small exponent",
        about: "Exponents below 65537 are sound with right padding and fall with wrong padding; old roots have them.",
        fix: "Use 65537 for new keys",
        requirements: &["5.5-1", "I2.4.2"],
        ..BASE
    },
    Rule {
        id: "K-036",
        severity: Critical,
        title: "key that a process id decides (Debian, 2006 to 2008)",
        about: "OpenSSL on Debian and its descendants drew such keys from 32,768 possible ones (CVE-2008-0166): anybody can make the private half.",
        fix: "Replace it, and every key that was made on the same system; revoke its certificates",
        requirements: SHARED,
        ..BASE
    },
];
