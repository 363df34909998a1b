//! PKCS#11 URIs (RFC 7512) that name one signing key.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cryptoki::slot::Slot;
use ringfort_cose::{PublicKey, Sign, SignError};

use super::module::Module;
use super::objects::{self, KeyName};
use crate::{Error, Passphrase};

/// `pkcs11:token=T;object=O?module-path=/path/module.so&pin-source=file:/path/pin`
///
/// Path attributes: `token`, `serial`, `object`, `id`, `type=private`. Query attributes:
/// `module-path`, `pin-source`. Any other is refused, `pin-value` among them: a PIN does not
/// belong in a place that logs and process lists show.
#[derive(Clone, Debug)]
pub struct Pkcs11Uri {
    token: String,
    serial: Option<String>,
    key: KeyName,
    module: PathBuf,
    pin_file: Option<PathBuf>,
}

impl Pkcs11Uri {
    /// Parses a URI.
    ///
    /// # Errors
    /// [`Error::BadUri`] names the attribute that is missing, unknown or written wrongly.
    pub fn parse(text: &str) -> Result<Pkcs11Uri, Error> {
        let bad = |detail: &str| Error::BadUri(detail.to_owned());
        let rest =
            text.strip_prefix("pkcs11:").ok_or_else(|| bad("it does not begin with pkcs11:"))?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (mut token, mut serial, mut object, mut id) = (None, None, None, None);
        let (mut module, mut pin_source, mut kind) = (None, None, None);
        for (part, in_path) in split(path, ';', true).chain(split(query, '&', false)) {
            let (name, value) =
                part.split_once('=').ok_or_else(|| bad(&format!("{part:?} has no =")))?;
            let place = match (in_path, name) {
                (true, "token") => &mut token,
                (true, "serial") => &mut serial,
                (true, "object") => &mut object,
                (true, "id") => &mut id,
                (true, "type") => &mut kind,
                (false, "module-path") => &mut module,
                (false, "pin-source") => &mut pin_source,
                (_, "pin-value") => {
                    return Err(bad("pin-value would show the PIN to others; use pin-source"));
                }
                _ => return Err(bad(&format!("attribute {name:?} is not supported here"))),
            };
            if place.replace(decode(name, value)?).is_some() {
                return Err(bad(&format!("attribute {name:?} is there twice")));
            }
        }
        if kind.is_some_and(|kind| kind != b"private") {
            return Err(bad("type is not private"));
        }
        if object.is_none() && id.is_none() {
            return Err(bad("it names no key: object or id is missing"));
        }
        let module = text_of("module-path", module.ok_or_else(|| bad("module-path is missing"))?)?;
        let pin_file = match pin_source.map(|source| text_of("pin-source", source)).transpose()? {
            None => None,
            Some(source) => match source.strip_prefix("file:").unwrap_or(&source) {
                path if path.starts_with('/') => {
                    let path = path.strip_prefix("//").map_or(path, |rest| rest);
                    Some(PathBuf::from(path))
                }
                _ => return Err(bad("pin-source is not the absolute path of a file")),
            },
        };
        Ok(Pkcs11Uri {
            token: text_of("token", token.ok_or_else(|| bad("token is missing"))?)?,
            serial: serial.map(|serial| text_of("serial", serial)).transpose()?,
            key: KeyName { label: object, id },
            module: PathBuf::from(module),
            pin_file,
        })
    }

    /// The module's path.
    pub fn module(&self) -> &Path {
        &self.module
    }

    /// Logs in and opens the key. Asks `pin` for the PIN unless the URI has `pin-source`.
    ///
    /// # Errors
    /// [`Error::KeyExtractable`] for a key that could leave its token; [`Error::NoSuchKey`],
    /// [`Error::TokenNotFound`], [`Error::WrongPin`], [`Error::Module`],
    /// [`Error::AlgorithmUnsupported`] for another key than P-256 or Ed25519.
    pub fn open(
        &self,
        pin: impl FnOnce(&str) -> Result<Passphrase, Error>,
    ) -> Result<Arc<dyn Sign>, Error> {
        let pin = match &self.pin_file {
            Some(path) => Passphrase::from_file(path)?,
            None => pin(&format!("PIN of token {}", self.token))?,
        };
        let module = Module::load(&self.module)?;
        let (token, serial, key) = (self.token.clone(), self.serial.clone(), self.key.clone());
        let (slot, public) = module.run(move |driver| {
            let slot = driver.find_token(&token, serial.as_deref())?;
            driver.log_in(slot, &pin)?;
            let public =
                driver.in_session(slot, |session| objects::public_key(session, &key, false))?;
            Ok((slot, public))
        })?;
        Ok(Arc::new(TokenKey { module, slot, key: self.key.clone(), public }))
    }
}

struct TokenKey {
    module: Arc<Module>,
    slot: Slot,
    key: KeyName,
    public: PublicKey,
}

impl Sign for TokenKey {
    fn public_key(&self) -> PublicKey {
        self.public
    }

    fn sign(&self, message: &[&[u8]]) -> Result<Vec<u8>, SignError> {
        let (slot, key, message) = (self.slot, self.key.clone(), message.concat());
        let algorithm = self.public.algorithm();
        let signature = self.module.run(move |driver| {
            driver.in_session(slot, |session| objects::sign(session, &key, algorithm, &message))
        })?;
        Ok(signature)
    }
}

fn split(text: &str, at: char, in_path: bool) -> impl Iterator<Item = (&str, bool)> {
    text.split(at).filter(|part| !part.is_empty()).map(move |part| (part, in_path))
}

fn decode(name: &str, value: &str) -> Result<Vec<u8>, Error> {
    let bad = || Error::BadUri(format!("the value of {name} is not percent-encoded rightly"));
    let mut bytes = value.bytes();
    let mut out = Vec::with_capacity(value.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || {
            let digit = bytes.next().ok_or_else(bad)?;
            char::from(digit).to_digit(16).ok_or_else(bad)
        };
        out.push((digit()? << 4 | digit()?) as u8);
    }
    Ok(out)
}

fn text_of(name: &str, bytes: Vec<u8>) -> Result<String, Error> {
    String::from_utf8(bytes).map_err(|_| Error::BadUri(format!("the value of {name} is not UTF-8")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_uri_parses() {
        let uri = Pkcs11Uri::parse(
            "pkcs11:token=Release%20token;serial=1f;object=ci;id=%01%ff;type=private?module-path=/usr/lib/m.so&pin-source=file:/run/pin",
        )
        .unwrap();
        assert_eq!(uri.token, "Release token");
        assert_eq!(uri.serial.as_deref(), Some("1f"));
        assert_eq!(uri.key.label.as_deref(), Some(&b"ci"[..]));
        assert_eq!(uri.key.id.as_deref(), Some(&[0x01, 0xff][..]));
        assert_eq!(uri.module(), Path::new("/usr/lib/m.so"));
        assert_eq!(uri.pin_file.as_deref(), Some(Path::new("/run/pin")));
        let uri = Pkcs11Uri::parse("pkcs11:token=t;object=o?module-path=/m&pin-source=file:///p");
        assert_eq!(uri.unwrap().pin_file.as_deref(), Some(Path::new("/p")));
    }

    #[test]
    fn uris_that_cannot_be_used_are_refused_with_the_attribute_named() {
        for (uri, named) in [
            ("pkcs12:token=t", "pkcs11:"),
            ("pkcs11:object=o?module-path=/m", "token"),
            ("pkcs11:token=t?module-path=/m", "object"),
            ("pkcs11:token=t;object=o", "module-path"),
            ("pkcs11:token=t;object=o;slot-id=1?module-path=/m", "slot-id"),
            ("pkcs11:token=t;token=u;object=o?module-path=/m", "token"),
            ("pkcs11:token=t;object=o;type=cert?module-path=/m", "type"),
            ("pkcs11:token=t;object=%4?module-path=/m", "object"),
            ("pkcs11:token=t;object=%zz?module-path=/m", "object"),
            ("pkcs11:token=%ff;object=o?module-path=/m", "token"),
            ("pkcs11:token=t;object=o?module-path=/m&pin-value=1234", "pin-source"),
            ("pkcs11:token=t;object=o?module-path=/m&pin-source=|cmd", "pin-source"),
            ("pkcs11:token=t;object=o;module-path=/m", "module-path"),
        ] {
            let refused = Pkcs11Uri::parse(uri).unwrap_err();
            assert!(matches!(&refused, Error::BadUri(text) if text.contains(named)), "{refused}");
        }
    }
}
