//! Products as people name them: `vendor/class`.

use std::fmt;
use std::str::FromStr;

use ringfort_trust::ids::{ClassId, VendorId};
use uuid::Uuid;

/// A vendor's name and a class's name; the ids in manifests are made from them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductName {
    /// The vendor.
    pub vendor: String,
    /// The class: what runs the same software.
    pub class: String,
}

impl ProductName {
    /// UUIDv5 of the vendor's name in the DNS name space.
    pub fn vendor_id(&self) -> VendorId {
        VendorId(self.vendor_uuid().into_bytes())
    }

    /// UUIDv5 of the class's name in the name space of the vendor id.
    pub fn class_id(&self) -> ClassId {
        ClassId(Uuid::new_v5(&self.vendor_uuid(), self.class.as_bytes()).into_bytes())
    }

    fn vendor_uuid(&self) -> Uuid {
        Uuid::new_v5(&Uuid::NAMESPACE_DNS, self.vendor.as_bytes())
    }
}

impl FromStr for ProductName {
    type Err = String;

    fn from_str(text: &str) -> Result<ProductName, String> {
        let fits = |name: &str| {
            (1..=64).contains(&name.len())
                && name.trim() == name
                && !name.contains('/')
                && !name.chars().any(char::is_control)
        };
        match text.split_once('/') {
            Some((vendor, class)) if fits(vendor) && fits(class) => {
                Ok(ProductName { vendor: vendor.to_owned(), class: class.to_owned() })
            }
            _ => {
                Err("write it as VENDOR/CLASS, each 1 to 64 bytes, like example.com/gateway".into())
            }
        }
    }
}

impl fmt::Display for ProductName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.vendor, self.class)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ids_are_uuids_made_from_the_names() {
        // The expected values were computed with Python's uuid module.
        let name: ProductName = "example.com/gateway".parse().unwrap();
        assert_eq!(name.vendor_id().to_string(), "cfbff0d1-9375-5685-968c-48ce8b15ae17");
        assert_eq!(name.class_id().to_string(), "60f6c6d3-9b37-5835-8d32-c65568458f59");
    }

    #[test]
    fn a_name_without_vendor_or_class_is_refused() {
        for bad in ["gateway", "/gateway", "vendor/", "a/b/c", " a/b", "a/b\n", "/"] {
            assert!(bad.parse::<ProductName>().is_err(), "{bad:?}");
        }
        assert!("Example GmbH/gateway 2".parse::<ProductName>().is_ok());
    }
}
