//! The types of our own objects, so that none can pass for another.

use crate::header::ContentType;

/// The type of one of our own signed objects.
///
/// It stands twice in what is signed: as `typ` (RFC 9596) in the protected header, in the form
/// `application/vnd.ringfort.<name>+cose`, and as external_aad `ringfort/<name>/1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ObjectType {
    name: &'static str,
}

impl ObjectType {
    /// A type by its name: lower-case letters and hyphens, at most 32.
    ///
    /// # Panics
    /// At compile time, in a constant, for another name.
    pub const fn new(name: &'static str) -> ObjectType {
        let bytes = name.as_bytes();
        assert!(!bytes.is_empty() && bytes.len() <= MAX_NAME);
        let mut index = 0;
        while index < bytes.len() {
            assert!(bytes[index].is_ascii_lowercase() || bytes[index] == b'-');
            index += 1;
        }
        ObjectType { name }
    }

    /// The name.
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// Is this header value the type's media type?
    pub(crate) fn matches(self, typ: Option<ContentType<'_>>) -> bool {
        let Some(ContentType::Text(text)) = typ else { return false };
        let inner = text.strip_prefix(TYP_PREFIX).and_then(|rest| rest.strip_suffix(TYP_SUFFIX));
        inner == Some(self.name)
    }

    /// Runs `with` on the external_aad.
    pub(crate) fn with_external_aad<T>(self, with: impl FnOnce(&[u8]) -> T) -> T {
        let mut buffer = [0u8; AAD_PREFIX.len() + MAX_NAME + AAD_SUFFIX.len()];
        let mut len = 0;
        for part in [AAD_PREFIX, self.name, AAD_SUFFIX] {
            buffer[len..len + part.len()].copy_from_slice(part.as_bytes());
            len += part.len();
        }
        with(&buffer[..len])
    }

    /// The value of `typ`.
    #[cfg(feature = "alloc")]
    pub(crate) fn typ(self) -> alloc::string::String {
        alloc::format!("{TYP_PREFIX}{}{TYP_SUFFIX}", self.name)
    }
}

const MAX_NAME: usize = 32;
const TYP_PREFIX: &str = "application/vnd.ringfort.";
const TYP_SUFFIX: &str = "+cose";
const AAD_PREFIX: &str = "ringfort/";
const AAD_SUFFIX: &str = "/1";
