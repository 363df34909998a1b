use const_oid::ObjectIdentifier;
use const_oid::db::rfc4519::{COMMON_NAME, ORGANIZATION_NAME, SERIAL_NUMBER};
use der::asn1::{Any, SetOfVec};
use der::{Decode, Encode, Tag};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::name::{Name, RelativeDistinguishedName};

use crate::Error;

/// A distinguished name, one attribute per RDN, built from values and never from text that would
/// have to be escaped.
#[derive(Default)]
pub(crate) struct NameBuilder(Vec<RelativeDistinguishedName>);

impl NameBuilder {
    pub(crate) fn organisation(self, value: &str) -> Result<NameBuilder, Error> {
        self.push(ORGANIZATION_NAME, Tag::Utf8String, value, "organisation")
    }

    pub(crate) fn common_name(self, value: &str) -> Result<NameBuilder, Error> {
        self.push(COMMON_NAME, Tag::Utf8String, value, "common name")
    }

    pub(crate) fn serial_number(self, value: &str) -> Result<NameBuilder, Error> {
        if !value.bytes().all(|b| b.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&b)) {
            // PrintableString (RFC 5280, appendix A.1) has no underscore, for instance.
            return Err(Error::unsuitable("serial number")("not a PrintableString"));
        }
        self.push(SERIAL_NUMBER, Tag::PrintableString, value, "serial number")
    }

    pub(crate) fn build(self) -> Result<Name, Error> {
        let unsuitable = Error::unsuitable("name");
        Name::from_der(&self.0.to_der().map_err(&unsuitable)?).map_err(&unsuitable)
    }

    fn push(
        mut self,
        oid: ObjectIdentifier,
        tag: Tag,
        value: &str,
        what: &'static str,
    ) -> Result<NameBuilder, Error> {
        // The upper bounds of RFC 5280, appendix A.1 are in characters and 64 for all three.
        let length = value.chars().count();
        if length == 0 || length > MAX_CHARS || value.chars().any(char::is_control) {
            return Err(Error::unsuitable(what)("1 to 64 characters, no control characters"));
        }
        let value = Any::new(tag, value.as_bytes()).map_err(Error::unsuitable(what))?;
        let mut set = SetOfVec::new();
        set.insert(AttributeTypeAndValue { oid, value }).map_err(Error::unsuitable(what))?;
        self.0.push(RelativeDistinguishedName::from(set));
        Ok(self)
    }
}

const MAX_CHARS: usize = 64;
