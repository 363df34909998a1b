use const_oid::ObjectIdentifier;
use const_oid::db::rfc5912::{ECDSA_WITH_SHA_256, ID_EC_PUBLIC_KEY, SECP_256_R_1};
use der::asn1::{Any, ContextSpecific, SetOfVec};
use der::{Encode, TagMode, TagNumber};
use spki::AlgorithmIdentifierOwned;
use x509_cert::attr::Attribute;
use x509_cert::ext::pkix::{KeyUsage, KeyUsages};
use x509_cert::ext::{Extension, ToExtension};

use crate::Error;

/// What EST's csrattrs answers (RFC 7030, section 4.5.2, as clarified by RFC 9908).
///
/// The template asks for a P-256 key, a keyUsage, and no name: the hub writes the names. The same
/// is said in the older form for clients that do not know the template.
pub fn csr_attributes() -> Result<Vec<u8>, Error> {
    let unsuitable = Error::unsuitable("csrattrs");
    let key_type = attribute(ID_EC_PUBLIC_KEY, Any::from(&SECP_256_R_1)).map_err(&unsuitable)?;
    let template = attribute(CERTIFICATION_REQUEST_INFO_TEMPLATE, template().map_err(&unsuitable)?)
        .map_err(&unsuitable)?;
    let items = vec![
        Any::encode_from(&key_type).map_err(&unsuitable)?,
        Any::from(&ECDSA_WITH_SHA_256),
        Any::encode_from(&template).map_err(&unsuitable)?,
    ];
    items.to_der().map_err(&unsuitable)
}

/// CertificationRequestInfoTemplate (RFC 9908, section 3.4): version v1, no subject,
/// subjectPKInfo \[0\] with the algorithm alone, attributes \[1\].
fn template() -> der::Result<Any> {
    let algorithm = AlgorithmIdentifierOwned {
        oid: ID_EC_PUBLIC_KEY,
        parameters: Some(Any::from(&SECP_256_R_1)),
    };
    let key_usage: Extension = (true, &KeyUsage(KeyUsages::DigitalSignature.into()))
        .to_extension(&Default::default(), &[])?;
    let mut attributes = SetOfVec::new();
    attributes.insert(attribute(EXTENSION_REQ_TEMPLATE, Any::encode_from(&vec![key_usage])?)?)?;

    let key_info = ContextSpecific {
        tag_number: TagNumber(0),
        tag_mode: TagMode::Implicit,
        value: vec![Any::encode_from(&algorithm)?],
    };
    let attributes = ContextSpecific {
        tag_number: TagNumber(1),
        tag_mode: TagMode::Implicit,
        value: attributes,
    };
    let mut content = 0u8.to_der()?;
    content.extend(key_info.to_der()?);
    content.extend(attributes.to_der()?);
    Any::new(der::Tag::Sequence, content)
}

fn attribute(oid: ObjectIdentifier, value: Any) -> der::Result<Attribute> {
    let mut values = SetOfVec::new();
    values.insert(value)?;
    Ok(Attribute { oid, values })
}

const CERTIFICATION_REQUEST_INFO_TEMPLATE: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.61");
const EXTENSION_REQ_TEMPLATE: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.62");
