//! Keys and data objects in a token, in one session.

use aws_lc_rs::{digest, rand};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use ringfort_cose::cbor::{Deterministic, Writer};
use ringfort_cose::{Algorithm, PublicKey, Reason};
use zeroize::Zeroizing;

use super::module::from_pkcs11;
use crate::Error;

/// How a key is named: by label, by identifier, or by both.
#[derive(Clone, Debug)]
pub(super) struct KeyName {
    pub(super) label: Option<Vec<u8>>,
    pub(super) id: Option<Vec<u8>>,
}

impl KeyName {
    pub(super) fn label(text: String) -> KeyName {
        KeyName { label: Some(text.into_bytes()), id: None }
    }

    fn template(&self, class: ObjectClass) -> Vec<Attribute> {
        let mut template = vec![Attribute::Class(class), Attribute::Token(true)];
        template.extend(self.label.clone().map(Attribute::Label));
        template.extend(self.id.clone().map(Attribute::Id));
        template
    }

    fn text(&self) -> String {
        match (&self.label, &self.id) {
            (Some(label), _) => String::from_utf8_lossy(label).into_owned(),
            (None, Some(id)) => id.iter().map(|byte| format!("%{byte:02x}")).collect(),
            (None, None) => "(unnamed)".into(),
        }
    }
}

pub(super) fn generate_pair(
    session: &Session,
    label: &str,
    algorithm: Algorithm,
) -> Result<PublicKey, Error> {
    let (mechanism, curve) = match algorithm {
        Algorithm::Esp256 | Algorithm::Es256 => (Mechanism::EccKeyPairGen, &OID_P256[..]),
        Algorithm::Ed25519 => (Mechanism::EccEdwardsKeyPairGen, &NAME_ED25519[..]),
    };
    let common = |private| {
        vec![
            Attribute::Token(true),
            Attribute::Private(private),
            Attribute::Label(label.into()),
            Attribute::Id(label.into()),
        ]
    };
    let mut public = common(false);
    public.extend([Attribute::Verify(true), Attribute::EcParams(curve.to_vec())]);
    let mut private = common(true);
    private.extend([
        Attribute::Sign(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
    ]);
    session.generate_key_pair(&mechanism, &public, &private).map_err(from_pkcs11)?;
    public_key(session, &KeyName::label(label.into()), true)
}

/// The public half of a key whose private half is in the token and cannot leave it.
///
/// `made_here` asks besides that the key never could, and was made in this token.
pub(super) fn public_key(
    session: &Session,
    name: &KeyName,
    made_here: bool,
) -> Result<PublicKey, Error> {
    let private = find_one(session, name, ObjectClass::PRIVATE_KEY)?;
    let wanted =
        [AttributeType::Extractable, AttributeType::NeverExtractable, AttributeType::Local];
    let kept = session
        .get_attributes(private, &wanted)
        .map_err(from_pkcs11)?
        .iter()
        .filter(|attribute| match attribute {
            Attribute::Extractable(extractable) => !extractable,
            Attribute::NeverExtractable(never) => *never || !made_here,
            Attribute::Local(local) => *local || !made_here,
            _ => false,
        })
        .count();
    if kept != wanted.len() {
        return Err(Error::KeyExtractable(name.text()));
    }
    let public = find_one(session, name, ObjectClass::PUBLIC_KEY)?;
    let point = session.get_attributes(public, &[AttributeType::EcPoint]).map_err(from_pkcs11)?;
    let [Attribute::EcPoint(point)] = point.as_slice() else {
        return Err(Error::AlgorithmUnsupported(format!(
            "the kind of key that {} is",
            name.text()
        )));
    };
    // A DER octet string by the standard; some tokens leave the wrapping off.
    let bytes = match point.as_slice() {
        [0x04, 0x41, point @ ..] if point.len() == 65 => point,
        [0x04, 0x20, key @ ..] if key.len() == 32 => key,
        bare => bare,
    };
    PublicKey::from_bytes(bytes).map_err(|_| {
        Error::AlgorithmUnsupported(format!("the kind of key that {} is", name.text()))
    })
}

pub(super) fn sign(
    session: &Session,
    name: &KeyName,
    algorithm: Algorithm,
    message: &[u8],
) -> Result<Vec<u8>, Error> {
    let key = find_one(session, name, ObjectClass::PRIVATE_KEY)?;
    let signature = match algorithm {
        Algorithm::Esp256 | Algorithm::Es256 => {
            let hash = digest::digest(&digest::SHA256, message);
            session.sign(&Mechanism::Ecdsa, key, hash.as_ref())
        }
        Algorithm::Ed25519 => {
            let pure = EddsaParams::new(EddsaSignatureScheme::Pure);
            session.sign(&Mechanism::Eddsa(pure), key, message)
        }
    };
    let signature = signature.map_err(from_pkcs11)?;
    if signature.len() != 64 {
        return Err(Error::Module(format!("a signature of {} bytes", signature.len())));
    }
    Ok(signature)
}

pub(super) fn key_exists(session: &Session, name: &KeyName) -> Result<bool, Error> {
    Ok(!find(session, &name.template(ObjectClass::PRIVATE_KEY))?.is_empty())
}

pub(super) fn remove_pair(session: &Session, name: &KeyName) -> Result<(), Error> {
    for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
        for object in find(session, &name.template(class))? {
            session.destroy_object(object).map_err(from_pkcs11)?;
        }
    }
    Ok(())
}

/// Nonce, ciphertext and tag, by an AES key of the token that is made at first use.
pub(super) fn seal(session: &Session, context: &[u8], secret: &[u8]) -> Result<Vec<u8>, Error> {
    let key = match seal_key(session)? {
        Some(key) => key,
        None => session
            .generate_key(
                &Mechanism::AesKeyGen,
                &[
                    Attribute::Token(true),
                    Attribute::Private(true),
                    Attribute::Sensitive(true),
                    Attribute::Extractable(false),
                    Attribute::Encrypt(true),
                    Attribute::Decrypt(true),
                    Attribute::ValueLen(32.into()),
                    Attribute::Label(SEAL_LABEL.into()),
                ],
            )
            .map_err(from_pkcs11)?,
    };
    let mut nonce = [0; NONCE_LEN];
    rand::fill(&mut nonce)?;
    let mut sealed = nonce.to_vec();
    let gcm = GcmParams::new(&mut nonce, context, TAG_BITS.into()).map_err(from_pkcs11)?;
    sealed.extend(session.encrypt(&Mechanism::AesGcm(gcm), key, secret).map_err(from_pkcs11)?);
    Ok(sealed)
}

pub(super) fn unseal(
    session: &Session,
    context: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let not_opened = || Error::NotOpened { what: "the sealed secret".into() };
    let (nonce, body) = sealed.split_first_chunk::<NONCE_LEN>().ok_or_else(not_opened)?;
    if body.len() < TAG_BITS as usize / 8 {
        return Err(not_opened());
    }
    let key = seal_key(session)?.ok_or_else(not_opened)?;
    let mut nonce = *nonce;
    let gcm = GcmParams::new(&mut nonce, context, TAG_BITS.into()).map_err(from_pkcs11)?;
    session
        .decrypt(&Mechanism::AesGcm(gcm), key, body)
        .map(Zeroizing::new)
        .map_err(|_| not_opened())
}

/// A numbered data object. Of several with one name the highest number is the valid one, so a
/// replacement is one creation: what is cut before the old one is destroyed does no harm.
pub(super) fn read_record(session: &Session, name: &str) -> Result<Option<(u64, Vec<u8>)>, Error> {
    let mut newest: Option<(u64, Vec<u8>)> = None;
    for object in find(session, &record_template(name))? {
        let record = parse_record(session, name, object)?;
        if newest.as_ref().is_none_or(|(number, _)| *number < record.0) {
            newest = Some(record);
        }
    }
    Ok(newest)
}

/// Writes the next record of a name and returns its number.
pub(super) fn write_record(session: &Session, name: &str, value: &[u8]) -> Result<u64, Error> {
    let older = find(session, &record_template(name))?;
    let number = read_record(session, name)?.map_or(0, |(number, _)| number) + 1;
    let mut out = Writer::to_vec();
    let bytes = out
        .array(2)
        .and_then(|out| out.u64(number))
        .and_then(|out| out.bytes(value))
        .map(|_| ())
        .and_then(|()| out.finish())
        .map_err(|_| Error::Crypto)?;
    let mut template = record_template(name);
    template.extend([Attribute::Private(true), Attribute::Value(bytes)]);
    session.create_object(&template).map_err(from_pkcs11)?;
    for object in older {
        session.destroy_object(object).map_err(from_pkcs11)?;
    }
    Ok(number)
}

pub(super) fn remove_record(session: &Session, name: &str) -> Result<(), Error> {
    for object in find(session, &record_template(name))? {
        session.destroy_object(object).map_err(from_pkcs11)?;
    }
    Ok(())
}

fn parse_record(
    session: &Session,
    name: &str,
    object: ObjectHandle,
) -> Result<(u64, Vec<u8>), Error> {
    let attributes =
        session.get_attributes(object, &[AttributeType::Value]).map_err(from_pkcs11)?;
    let value = match attributes.as_slice() {
        [Attribute::Value(value)] => value.as_slice(),
        _ => &[],
    };
    let parse = || -> Result<(u64, Vec<u8>), Reason> {
        let mut reader = Deterministic::read(value)?;
        reader.array_of(2)?;
        let record = (reader.u64()?, reader.bytes()?.to_vec());
        reader.end()?;
        Ok(record)
    };
    parse().map_err(|_| Error::Malformed {
        what: format!("data object {name} of the token"),
        detail: "not a numbered record",
    })
}

fn record_template(name: &str) -> Vec<Attribute> {
    vec![
        Attribute::Class(ObjectClass::DATA),
        Attribute::Token(true),
        Attribute::Application(APPLICATION.into()),
        Attribute::Label(name.into()),
    ]
}

fn seal_key(session: &Session) -> Result<Option<ObjectHandle>, Error> {
    let name = KeyName::label(SEAL_LABEL.into());
    Ok(find(session, &name.template(ObjectClass::SECRET_KEY))?.into_iter().next())
}

fn find_one(session: &Session, name: &KeyName, class: ObjectClass) -> Result<ObjectHandle, Error> {
    match find(session, &name.template(class))?.as_slice() {
        [] => Err(Error::NoSuchKey(name.text())),
        [object] => Ok(*object),
        _ => Err(Error::Module(format!("several keys are named {}", name.text()))),
    }
}

fn find(session: &Session, template: &[Attribute]) -> Result<Vec<ObjectHandle>, Error> {
    session.find_objects(template).map_err(from_pkcs11)
}

/// DER of the object identifier prime256v1.
const OID_P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// DER of the printable string `edwards25519` (PKCS#11 3.0 section 2.3.5).
const NAME_ED25519: [u8; 14] = *b"\x13\x0cedwards25519";
const APPLICATION: &str = "ringfort";
const SEAL_LABEL: &str = "ringfort-seal";
const NONCE_LEN: usize = 12;
const TAG_BITS: u64 = 128;
