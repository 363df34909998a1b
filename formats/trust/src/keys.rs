//! Keys and their roles.

use core::ops::Deref;

use ringfort_cose::cbor::{Reader, Writer};
use ringfort_cose::{PublicKey, Reason, Thumbprint, TrustedKey, Verify};

use crate::ids::{SiteId, Text};

/// What a key may sign. One key has one role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Anchors documents.
    Anchor,
    /// SUIT manifests, of the products that list the key.
    Release,
    /// Commands: the consent of people to wipe, unlock or decommission.
    Command,
    /// Orders and signed time: the hub's online key.
    Order,
    /// Factory batches of one site.
    Station,
}

impl Role {
    /// Every role, by its number.
    pub const ALL: [Role; 5] =
        [Role::Anchor, Role::Release, Role::Command, Role::Order, Role::Station];

    /// The number in an anchors document: 1 to 5.
    pub const fn number(self) -> u64 {
        match self {
            Role::Anchor => 1,
            Role::Release => 2,
            Role::Command => 3,
            Role::Order => 4,
            Role::Station => 5,
        }
    }

    /// The name for people.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Anchor => "anchor",
            Role::Release => "release",
            Role::Command => "command",
            Role::Order => "order",
            Role::Station => "station",
        }
    }

    fn from_number(number: u64) -> Result<Role, Reason> {
        Role::ALL.into_iter().find(|role| role.number() == number).ok_or(Reason::Unsupported)
    }
}

/// One key of an anchors document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyEntry {
    /// What it may sign.
    pub role: Role,
    /// The key.
    pub key: PublicKey,
    /// Its name for people; may be empty. Nothing is decided by it.
    pub name: Text<{ KeyEntry::MAX_NAME }>,
    /// The site; present for station keys and for no others.
    pub site: Option<SiteId>,
}

impl KeyEntry {
    /// Bytes of a name at most.
    pub const MAX_NAME: usize = 32;

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<KeyEntry, Reason> {
        let (mut role, mut key, mut name, mut site) = (None, None, Text::EMPTY, None);
        for _ in 0..reader.map()? {
            match reader.u64().map_err(|_| Reason::UnknownField)? {
                ROLE => role = Some(Role::from_number(reader.u64()?)?),
                KEY => key = Some(read_key(reader)?),
                NAME => {
                    name = Text::new(reader.text()?)?;
                    if name.is_empty() {
                        return Err(Reason::Malformed);
                    }
                }
                SITE => site = Some(SiteId::new(reader.text()?)?),
                _ => return Err(Reason::UnknownField),
            }
        }
        let entry = KeyEntry {
            role: role.ok_or(Reason::Malformed)?,
            key: key.ok_or(Reason::Malformed)?,
            name,
            site,
        };
        if (entry.role == Role::Station) != entry.site.is_some() {
            return Err(Reason::Malformed);
        }
        Ok(entry)
    }

    #[cfg(feature = "alloc")]
    pub(crate) fn write<W: minicbor::encode::Write>(
        &self,
        out: &mut Writer<W>,
    ) -> Result<(), Reason> {
        let named = u64::from(!self.name.is_empty());
        out.map(2 + named + u64::from(self.site.is_some()))?;
        out.u64(ROLE)?.u64(self.role.number())?.u64(KEY)?;
        self.key.write(out)?;
        if named == 1 {
            out.u64(NAME)?.text(self.name.as_str())?;
        }
        if let Some(site) = &self.site {
            out.u64(SITE)?.text(site.as_str())?;
        }
        Ok(())
    }
}

/// Reads a COSE_Key in the one form in which we write it, so that a document has one encoding.
fn read_key(reader: &mut Reader<'_>) -> Result<PublicKey, Reason> {
    let given = reader.clone().raw()?;
    let key = PublicKey::read(reader)?;
    let mut buffer = [0; MAX_KEY_LEN];
    let mut out = Writer::into_slice(&mut buffer);
    key.write(&mut out)?;
    if out.finish()? == given { Ok(key) } else { Err(Reason::Malformed) }
}

/// Up to eight trusted keys, as the `verify` functions of the other formats take them: it is a
/// slice of [`TrustedKey`].
#[derive(Clone, Copy, Debug)]
pub struct TrustedKeys {
    keys: [TrustedKey; TrustedKeys::MAX],
    len: usize,
}

impl TrustedKeys {
    /// Keys of one role, or of one product, at most.
    pub const MAX: usize = 8;

    pub(crate) fn collect(
        keys: impl Iterator<Item = PublicKey>,
        verifier: &(impl Verify + ?Sized),
    ) -> TrustedKeys {
        let empty =
            TrustedKey { thumbprint: Thumbprint([0; 32]), key: PublicKey::Ed25519([0; 32]) };
        let mut list = TrustedKeys { keys: [empty; TrustedKeys::MAX], len: 0 };
        for (slot, key) in list.keys.iter_mut().zip(keys) {
            *slot = TrustedKey::new(key, verifier);
            list.len += 1;
        }
        list
    }

    /// The key with this thumbprint.
    ///
    /// # Errors
    /// `untrusted-signer`.
    pub fn find(&self, thumbprint: &Thumbprint) -> Result<&TrustedKey, Reason> {
        self.iter().find(|key| key.thumbprint == *thumbprint).ok_or(Reason::UntrustedSigner)
    }
}

impl Deref for TrustedKeys {
    type Target = [TrustedKey];

    fn deref(&self) -> &[TrustedKey] {
        self.keys.get(..self.len).unwrap_or_default()
    }
}

/// Who may sign releases of one product, and how many of them have to.
#[derive(Clone, Copy, Debug)]
pub struct ReleaseKeys {
    /// Different keys that have to sign.
    pub threshold: usize,
    /// The keys.
    pub keys: TrustedKeys,
}

const ROLE: u64 = 1;
const KEY: u64 = 2;
const NAME: u64 = 3;
const SITE: u64 = 4;
/// Bytes of a COSE_Key at most: that of a P-256 key with its five parameters.
const MAX_KEY_LEN: usize = 80;
