//! What a move may have to prove.

/// One thing that has to be shown before a move is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Proof {
    /// The device's public keys and their proofs of possession are recorded.
    KeysRecorded = 0,
    /// No other device has this UEID.
    UeidUnique = 1,
    /// None of the keys was seen before, at any device or in any role.
    KeysNeverSeen = 2,
    /// The UEID is on the owner's list.
    OnOwnersList = 3,
    /// The device showed that it holds its identity key (mutual TLS, and a signed request).
    Possession = 4,
    /// A fresh attestation token was appraised and passed.
    Attested = 5,
    /// The device has new operational keys; the earlier certificates are revoked.
    NewOperationalKeys = 6,
    /// The operational keys of the old owner are wiped and their certificates revoked.
    OperationalKeysWiped = 7,
}

impl Proof {
    /// Every proof.
    pub const ALL: [Proof; 8] = [
        Proof::KeysRecorded,
        Proof::UeidUnique,
        Proof::KeysNeverSeen,
        Proof::OnOwnersList,
        Proof::Possession,
        Proof::Attested,
        Proof::NewOperationalKeys,
        Proof::OperationalKeysWiped,
    ];

    /// The name in logs and documents.
    pub const fn name(self) -> &'static str {
        match self {
            Proof::KeysRecorded => "keys-recorded",
            Proof::UeidUnique => "ueid-unique",
            Proof::KeysNeverSeen => "keys-never-seen",
            Proof::OnOwnersList => "on-owners-list",
            Proof::Possession => "possession",
            Proof::Attested => "attested",
            Proof::NewOperationalKeys => "new-operational-keys",
            Proof::OperationalKeysWiped => "operational-keys-wiped",
        }
    }
}

/// A set of proofs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Proofs(u8);

impl Proofs {
    /// No proof.
    pub const NONE: Proofs = Proofs(0);
    /// Every proof.
    pub const ALL: Proofs = Proofs(0xff);

    /// The set of these proofs.
    pub const fn of(proofs: &[Proof]) -> Proofs {
        let mut set = 0;
        let mut index = 0;
        while index < proofs.len() {
            set |= 1 << proofs[index] as u8;
            index += 1;
        }
        Proofs(set)
    }

    /// The set with one more.
    #[must_use]
    pub const fn with(self, proof: Proof) -> Proofs {
        Proofs(self.0 | 1 << proof as u8)
    }

    /// Is it in the set?
    pub const fn has(self, proof: Proof) -> bool {
        self.0 & 1 << proof as u8 != 0
    }

    /// The first of `needed` that is not in this set.
    pub fn missing(self, needed: Proofs) -> Option<Proof> {
        Proof::ALL.into_iter().find(|proof| needed.has(*proof) && !self.has(*proof))
    }
}
