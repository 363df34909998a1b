//! The reason codes. One table; everything else is made from it.

use core::fmt;

macro_rules! reasons {
    ($( $variant:ident = $number:literal $code:literal $meaning:literal $next:literal; )*) => {
        /// Why something was refused or failed.
        ///
        /// The code ([`Reason::code`]) is the same on the wire, in the log, on the command line
        /// and in the documents. Code and number are stable: neither is ever reused for another
        /// meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum Reason {
            $( #[doc = $meaning] $variant = $number, )*
        }

        impl Reason {
            /// Every reason, in the order of the table.
            pub const ALL: &'static [Reason] = &[ $( Reason::$variant, )* ];

            /// What stands for the code where text has no room: in records of slots, in the log
            /// of boots, on the console of the boot loader. Above 0, which stands for no reason.
            pub const fn number(self) -> u32 {
                self as u32
            }

            /// The reason with this number; none for 0 and for a number that is not in the table.
            pub const fn from_number(number: u32) -> Option<Reason> {
                match number { $( $number => Some(Reason::$variant), )* _ => None }
            }

            /// The kebab-case code.
            pub const fn code(self) -> &'static str {
                match self { $( Reason::$variant => $code, )* }
            }

            /// The reason with this code; none for a code that is not in the table.
            pub fn from_code(code: &str) -> Option<Reason> {
                match code { $( $code => Some(Reason::$variant), )* _ => None }
            }

            /// What happened, in one sentence.
            pub const fn meaning(self) -> &'static str {
                match self { $( Reason::$variant => $meaning, )* }
            }

            /// What to do about it, in one sentence.
            pub const fn next_step(self) -> &'static str {
                match self { $( Reason::$variant => $next, )* }
            }
        }
    };
}

// A new line takes the number after the largest, wherever it stands: devices have stored them.

reasons! {
    // What the bytes are.
    Malformed = 1 "malformed"
        "The bytes are not a valid encoding of what was expected."
        "Make the object again with its own tool; a transfer may have damaged it.";
    TooLarge = 2 "too-large"
        "The object is longer, deeper or has more parts than its bound allows."
        "Split or shorten it; the bounds are listed in the documentation of its format.";
    Unsupported = 3 "unsupported"
        "The object is valid but asks for something that this version does not do."
        "Leave the unsupported part out, or update the software that has to read it.";
    UnknownField = 4 "unknown-field"
        "The object has a field that its format does not define."
        "Remove the field, or update the software that has to read it.";
    WrongType = 5 "wrong-type"
        "The object is of another type than the one expected here."
        "Check that the right file or message was handed over.";
    WrongContentType = 6 "wrong-content-type"
        "The request's content type is not the one this address takes."
        "Send the content type that the interface description names.";
    WrongMethod = 7 "wrong-method"
        "The address does not answer this HTTP method."
        "Use the method that the interface description names.";

    // Who signed it.
    AlgorithmNotAllowed = 8 "algorithm-not-allowed"
        "The algorithm is not one that is accepted, or does not fit the key."
        "Sign with ESP256 or Ed25519, with a key of that kind.";
    BadSignature = 9 "bad-signature"
        "A signature does not verify."
        "Fetch the object again; if it persists, sign it again and find out who changed it.";
    UntrustedSigner = 10 "untrusted-signer"
        "The object is signed by a key that is not trusted for this purpose."
        "Sign with a key that the current anchors name for this role.";
    ThresholdNotMet = 11 "threshold-not-met"
        "Fewer different trusted keys signed than the threshold asks for."
        "Add the missing signatures, each with a different key.";
    WrongIssuer = 12 "wrong-issuer"
        "The object was issued by another party than the one expected."
        "Check that device and hub belong to the same fleet.";
    WrongFleet = 13 "wrong-fleet"
        "The object belongs to another fleet."
        "Use the object of the device's own fleet.";
    WrongRecipient = 14 "wrong-recipient"
        "The object is addressed to another device."
        "Send it to the device it names, or issue one for this device.";
    WrongDevice = 15 "wrong-device"
        "The release is for another vendor, class or component than this device has."
        "Deploy a release that was built for this device's product and class.";

    // What it says.
    ManifestDigest = 16 "manifest-digest"
        "The manifest, or a part severed from it, does not have the digest that was signed."
        "Fetch the envelope again; if it persists, publish the release again.";
    ImageDigest = 17 "image-digest"
        "The payload does not have the digest that the manifest states."
        "Fetch the payload again; if it persists, publish the release again.";
    ImageSize = 18 "image-size"
        "The payload does not have the size that the manifest states."
        "Fetch the payload again; if it persists, publish the release again.";
    SequenceTooLow = 19 "sequence-too-low"
        "The release's sequence number is below the floor of the device."
        "Sign the wanted software again as a new release with a higher sequence number.";
    SequenceReused = 20 "sequence-reused"
        "Another release with the same sequence number was confirmed before."
        "Sign the release again with a higher sequence number.";
    SequenceJump = 21 "sequence-jump"
        "The sequence number is too far above the floor to be plausible."
        "Choose a sequence number near the current time in seconds.";
    ReleaseRevoked = 22 "release-revoked"
        "The anchors list this release as revoked."
        "Deploy another release.";
    Expired = 23 "expired"
        "The object's time of validity has ended."
        "Issue it again, and check the clock of the side that issued it.";
    NonceMismatch = 24 "nonce-mismatch"
        "The answer does not carry the nonce of the request."
        "Ask again with a fresh nonce.";
    OrderReplayed = 25 "order-replayed"
        "The order's number is not above the last one that was finished."
        "Issue a new order.";
    OrderMissing = 26 "order-missing"
        "An update came without the hub's order to install it."
        "Deploy the release; the order comes with the offer.";
    ClockRegressed = 27 "clock-regressed"
        "The time given is before a time that is already proven to have passed."
        "Set the clock of the side that gave the time.";
    AnchorsNotSequential = 28 "anchors-not-sequential"
        "The anchors are not the version that follows the device's own."
        "Serve every anchors version, one by one.";
    AnchorsTooOld = 29 "anchors-too-old"
        "The device's anchors are older than the order asks for."
        "Let the device fetch the newer anchors first.";
    AnchorsDigest = 30 "anchors-digest"
        "The anchors document does not have the digest that was noted for it."
        "Use the document that the factory wrote, or the one that was verified before.";
    KeyInTwoRoles = 31 "key-in-two-roles"
        "One key stands in two places of the anchors; a key has one role."
        "Make a key of its own for each role.";
    ThresholdInvalid = 32 "threshold-invalid"
        "A threshold is nought, larger than the number of keys, or leaves no key to spare."
        "Choose a threshold of at least 1 and, for releases with several keys, below their number.";
    CommandDigest = 33 "command-digest"
        "The command is not the one that the order names."
        "Hand over the command with the order that was issued for it.";
    CommandFailed = 34 "command-failed"
        "The device took the command and could not carry it out."
        "Look at the device's log, then sign the command again with a higher number.";
    UriNotAllowed = 35 "uri-not-allowed"
        "The address in the manifest is not one that a device may fetch from."
        "Use the object's name by digest, or a scheme that the device allows.";
    PayloadUnsafe = 36 "payload-unsafe"
        "The payload would write outside its slot or holds entries that are not allowed."
        "Build the payload from plain files and directories with relative names.";

    // How the update went.
    SlowTransfer = 37 "slow-transfer"
        "The payload came more slowly than the minimum rate."
        "Check the device's connection; the transfer resumes by itself.";
    TransferFailed = 38 "transfer-failed"
        "The payload could not be fetched."
        "Check the device's connection and that the hub holds the payload.";
    StorageFailed = 39 "storage-failed"
        "Durable storage could not be written or read."
        "Check free space and health of the storage.";
    RolledBack = 40 "rolled-back"
        "The stored state is older than what the key store has counted: an older copy was put back, or it is another device's."
        "Put the newest copy back; where there is none, give the device a new identity.";
    RestartFailed = 41 "restart-failed"
        "The restart into the new release did not succeed."
        "Look at the log of the device's restart hook.";
    HealthCheckFailed = 42 "health-check-failed"
        "A declared health check failed during the trial."
        "Look at the log of the new release; the device went back to the old one.";
    TrialBudgetSpent = 43 "trial-budget-spent"
        "The new release used up its boot attempts without being confirmed."
        "Look for a crash or a hang at start; the device went back to the old release.";
    TrialNotConfirmed = 44 "trial-not-confirmed"
        "The release is written or on trial, but the device has not confirmed it."
        "Wait for the device's confirmation; only that is success.";
    DeadlinePassed = 45 "deadline-passed"
        "The phase did not end before its deadline."
        "Check that the device is on line, then deploy again.";
    Superseded = 46 "superseded"
        "A newer deployment took the place of this one."
        "Follow the newer deployment.";
    Halted = 47 "halted"
        "The deployment was halted."
        "Resume it, or create a new one.";

    // Whether the hub is reached at all.
    ProxyRefused = 48 "proxy-refused"
        "The HTTP proxy does not open the way to the hub."
        "Let the proxy allow CONNECT to the hub's host and port, or name the host in NO_PROXY.";
    ProxyAuthRequired = 49 "proxy-auth-required"
        "The HTTP proxy asks for credentials, or does not take those that it was given."
        "Put user:password into the file that proxy.credentials_file of agent.toml names.";

    // Who is calling.
    NoClientCertificate = 50 "no-client-certificate"
        "The connection came without a client certificate."
        "Enrol the device, or log in, and connect with the certificate.";
    UnknownCertificate = 51 "unknown-certificate"
        "The certificate is not in the registry or no trusted authority issued it."
        "Enrol again with the factory certificate.";
    CertificateRevoked = 52 "certificate-revoked"
        "The certificate is revoked."
        "Find out why it was revoked; enrol again if the device is still yours.";
    CertificateExpired = 53 "certificate-expired"
        "The certificate's time of validity has ended."
        "Enrol again with the factory certificate.";
    WrongCertificateKind = 54 "wrong-certificate-kind"
        "The certificate is of a kind that may not be used here."
        "Use the operational certificate here, and the factory certificate for enrolment only.";
    KeyAlreadyKnown = 55 "key-already-known"
        "The public key was seen before, at another device or in another role."
        "Make a new key inside the device; find out how two parties came to hold one key.";
    CsrNamesAnother = 56 "csr-names-another"
        "The certificate request names another device than the one that sent it."
        "Leave the names out of the request; the hub writes them.";
    BadProofOfPossession = 57 "bad-proof-of-possession"
        "The request does not prove that its sender holds the private key."
        "Sign the request with the key that it asks a certificate for.";
    ServerkeygenRefused = 58 "serverkeygen-refused"
        "Keys are never generated at the hub."
        "Make the key inside the device and use simpleenroll.";
    InvitationInvalid = 59 "invitation-invalid"
        "The invitation is not known here, or was used before."
        "Ask an administrator for a new one; if you did not use this one, say so: somebody else did.";
    MisdirectedRequest = 60 "misdirected-request"
        "The host named in the request is not the one that answered."
        "Use the address of the right listener.";
    TooManyRequests = 61 "too-many-requests"
        "More requests came than the sender's share."
        "Wait as long as the answer says, then try again.";

    // What the rules say.
    LifecycleForbids = 62 "lifecycle-forbids"
        "The device's lifecycle state does not allow this."
        "Move the device to a state that allows it.";
    IllegalMove = 63 "illegal-move"
        "No rule leads from the device's lifecycle state to the wanted one."
        "Look up the moves that the present state allows.";
    ProofMissing = 64 "proof-missing"
        "The move of lifecycle state asks for a proof that was not shown."
        "Show the proof, or take another way to the wanted state.";
    CloneSuspected = 65 "clone-suspected"
        "Two holders of one device identity were seen."
        "Find both devices; approve the true one, retire the other.";
    ApprovalRequired = 66 "approval-required"
        "Another person has to approve this first."
        "Ask a second operator to approve.";
    RoleForbids = 67 "role-forbids"
        "The caller's role does not allow this."
        "Ask someone whose role allows it.";
    NotFound = 68 "not-found"
        "What was asked for does not exist, or is not the caller's to see."
        "Check the name.";
    AlreadyExists = 69 "already-exists"
        "Something with this name exists already."
        "Choose another name, or use what exists.";
    OverQuota = 70 "over-quota"
        "More was asked for than the agreed number."
        "Raise the quota, or find out who used it up.";
    BatchGap = 71 "batch-gap"
        "A factory batch is missing between the last one taken and this one."
        "Hand in the missing batch first.";
    BatchReplayed = 72 "batch-replayed"
        "This factory batch, or another with its number, was taken before."
        "Hand in the next batch.";
    Decommissioned = 73 "decommissioned"
        "The device was put out of use for ever by a command."
        "Make a new device; this one has no keys any more.";
    HubRestored = 74 "hub-restored"
        "The hub was restored from a backup and waits for an administrator."
        "An administrator acknowledges the restore at the hub.";
    Internal = 75 "internal"
        "Something failed that should not have."
        "Look at the log; if it persists, report it with the log lines.";
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl core::error::Error for Reason {}

#[cfg(test)]
mod tests {
    use super::Reason;

    #[test]
    fn every_code_is_kebab_case_unique_and_finds_its_reason() {
        for (index, reason) in Reason::ALL.iter().enumerate() {
            let code = reason.code();
            assert!(code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{code}");
            assert!(!code.starts_with('-') && !code.ends_with('-'), "{code}");
            assert_eq!(Reason::from_code(code), Some(*reason));
            assert_eq!(reason.to_string(), code);
            assert!(Reason::ALL[index + 1..].iter().all(|other| other.code() != code), "{code}");
        }
        assert_eq!(Reason::from_code("Malformed"), None);
        assert_eq!(Reason::from_code(""), None);
    }

    #[test]
    fn every_number_up_to_the_last_stands_for_one_reason() {
        let last = Reason::ALL.len() as u32;
        assert_eq!(Reason::from_number(0), None);
        for number in 1..=last {
            let reason = Reason::from_number(number).expect("a reason");
            assert_eq!(reason.number(), number);
        }
        assert_eq!(Reason::from_number(last + 1), None);
    }

    #[test]
    fn numbers_that_devices_have_stored_keep_their_meaning() {
        let known = [
            (1, "malformed"),
            (9, "bad-signature"),
            (17, "image-digest"),
            (30, "anchors-digest"),
            (43, "trial-budget-spent"),
            (44, "trial-not-confirmed"),
            (75, "internal"),
        ];
        for (number, code) in known {
            assert_eq!(Reason::from_number(number).map(Reason::code), Some(code), "{number}");
        }
    }

    #[test]
    fn every_reason_says_what_happened_and_what_to_do() {
        for reason in Reason::ALL {
            for sentence in [reason.meaning(), reason.next_step()] {
                assert!(sentence.ends_with('.') && sentence.len() > 10, "{reason}: {sentence}");
            }
        }
    }
}
