use const_oid::ObjectIdentifier;
use const_oid::db::rfc5911::{ID_DATA, ID_SIGNED_DATA};
use der::asn1::{Any, ContextSpecific, SetOfVec};
use der::{Decode, Encode, Sequence, TagMode, TagNumber};

use crate::Error;

/// A certs-only CMS message (RFC 8551, section 3.8): what EST answers with.
///
/// SignedData of version 1 with no signer, no content and the certificates (RFC 5652,
/// section 5.1); a decoder that knows DER puts the SET OF in its order.
pub fn certs_only<'a>(certificates: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>, Error> {
    let unsuitable = Error::unsuitable("certificate");
    let mut set = SetOfVec::new();
    for certificate in certificates {
        set.insert(Any::from_der(certificate).map_err(&unsuitable)?).map_err(&unsuitable)?;
    }
    let content = SignedData {
        version: 1,
        digest_algorithms: SetOfVec::new(),
        content: EncapsulatedContent { content_type: ID_DATA },
        certificates: context_specific(TagMode::Implicit, set),
        signers: SetOfVec::new(),
    };
    ContentInfo {
        content_type: ID_SIGNED_DATA,
        content: context_specific(TagMode::Explicit, content),
    }
    .to_der()
    .map_err(unsuitable)
}

fn context_specific<T>(tag_mode: TagMode, value: T) -> ContextSpecific<T> {
    ContextSpecific { tag_number: TagNumber(0), tag_mode, value }
}

struct ContentInfo {
    content_type: ObjectIdentifier,
    content: ContextSpecific<SignedData>,
}

struct SignedData {
    version: u8,
    digest_algorithms: SetOfVec<Any>,
    content: EncapsulatedContent,
    certificates: ContextSpecific<SetOfVec<Any>>,
    signers: SetOfVec<Any>,
}

#[derive(Sequence)]
struct EncapsulatedContent {
    content_type: ObjectIdentifier,
}

macro_rules! encode_sequence {
    ($name:ident: $($field:ident),*) => {
        impl der::FixedTag for $name {
            const TAG: der::Tag = der::Tag::Sequence;
        }

        impl der::EncodeValue for $name {
            fn value_len(&self) -> der::Result<der::Length> {
                let mut length = der::Length::ZERO;
                $( length = (length + self.$field.encoded_len()?)?; )*
                Ok(length)
            }

            fn encode_value(&self, writer: &mut impl der::Writer) -> der::Result<()> {
                $( self.$field.encode(writer)?; )*
                Ok(())
            }
        }
    };
}

encode_sequence!(ContentInfo: content_type, content);
encode_sequence!(SignedData: version, digest_algorithms, content, certificates, signers);
