//! Text for people. Signed like the rest, but never decided upon.

use ringfort_cose::Reason;
use ringfort_cose::cbor::{Kind, Reader, WellFormed};

use crate::manifest::ComponentId;

/// The text of a manifest: by language, then general or by component. Of several languages the
/// first is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text<'b>(pub(crate) &'b [u8]);

impl<'b> Text<'b> {
    /// The language of the text, a tag of RFC 5646.
    pub fn language(&self) -> Option<&'b str> {
        self.open().ok().map(|(language, _)| language)
    }

    /// What the manifest is for.
    pub fn manifest_description(&self) -> Option<&'b str> {
        self.general(MANIFEST_DESCRIPTION)
    }

    /// What the update brings.
    pub fn update_description(&self) -> Option<&'b str> {
        self.general(UPDATE_DESCRIPTION)
    }

    /// The component's version, as people read it.
    pub fn component_version(&self, component: &ComponentId<'_>) -> Option<&'b str> {
        self.of_component(component, COMPONENT_VERSION)
    }

    /// The component's description.
    pub fn component_description(&self, component: &ComponentId<'_>) -> Option<&'b str> {
        self.of_component(component, COMPONENT_DESCRIPTION)
    }

    /// The name of the component's vendor.
    pub fn vendor_name(&self, component: &ComponentId<'_>) -> Option<&'b str> {
        self.of_component(component, VENDOR_NAME)
    }

    /// The name of the component's model.
    pub fn model_name(&self, component: &ComponentId<'_>) -> Option<&'b str> {
        self.of_component(component, MODEL_NAME)
    }

    /// Reads everything once.
    pub(crate) fn check(&self) -> Result<(), Reason> {
        let mut reader = WellFormed::read(self.0)?;
        for _ in 0..reader.map()? {
            reader.text()?;
            for _ in 0..reader.map()? {
                match reader.kind()? {
                    Kind::Array => {
                        ComponentId::read(&mut reader)?;
                        for _ in 0..reader.map()? {
                            reader.i64()?;
                            reader.text()?;
                        }
                    }
                    _ => {
                        reader.i64()?;
                        reader.text()?;
                    }
                }
            }
        }
        reader.end()
    }

    fn general(&self, wanted: i64) -> Option<&'b str> {
        self.find(|reader| Ok(reader.kind()? != Kind::Array && reader.i64()? == wanted))
            .and_then(|mut reader| reader.text().ok())
    }

    fn of_component(&self, component: &ComponentId<'_>, wanted: i64) -> Option<&'b str> {
        let mut reader = self.find(|reader| {
            let found = reader.kind()? == Kind::Array && ComponentId::read(reader)? == *component;
            Ok(found)
        })?;
        for _ in 0..reader.map().ok()? {
            let key = reader.i64().ok()?;
            let text = reader.text().ok()?;
            if key == wanted {
                return Some(text);
            }
        }
        None
    }

    /// A reader that stands at the value of the first entry whose key `is_it` accepts.
    fn find(&self, is_it: impl Fn(&mut Reader<'b>) -> Result<bool, Reason>) -> Option<Reader<'b>> {
        let (_, mut reader) = self.open().ok()?;
        for _ in 0..reader.map().ok()? {
            let mut probe = reader.clone();
            if is_it(&mut probe).ok()? {
                return Some(probe);
            }
            reader.raw().ok()?;
            reader.raw().ok()?;
        }
        None
    }

    fn open(&self) -> Result<(&'b str, Reader<'b>), Reason> {
        let mut reader = WellFormed::read(self.0)?;
        if reader.map()? == 0 {
            return Err(Reason::Malformed);
        }
        let language = reader.text()?;
        Ok((language, reader))
    }
}

// Keys.
pub(crate) const MANIFEST_DESCRIPTION: i64 = 1;
pub(crate) const UPDATE_DESCRIPTION: i64 = 2;
pub(crate) const VENDOR_NAME: i64 = 1;
pub(crate) const MODEL_NAME: i64 = 2;
pub(crate) const COMPONENT_DESCRIPTION: i64 = 5;
pub(crate) const COMPONENT_VERSION: i64 = 6;
