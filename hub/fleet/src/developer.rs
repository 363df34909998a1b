//! Products for developers: a desk full of boards, and nothing that could be taken for a product.
//!
//! Such a product is one of its own, with at most [`DEVELOPER_DEVICES`] devices, whose operational
//! certificates live at most [`DEVELOPER_DAYS`] days. It never becomes another: what was made on a
//! desk is not shipped.

use ringfort_cose::Reason;
use ringfort_lifecycle::State;
use ringfort_trust::ids::ClassId;

use crate::fleet::Change;
use crate::{DeviceSession, Fleet, Operator, Permission, Refusal};

/// Devices of a product for developers at most, retired ones not counted.
pub const DEVELOPER_DEVICES: u32 = 25;
/// Days that the operational certificate of such a device is valid at most.
pub const DEVELOPER_DAYS: u32 = 30;

/// A product for developers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeveloperProduct {
    /// Its class.
    pub class: ClassId,
    /// How many devices it has, retired ones not counted.
    pub devices: u64,
}

impl Fleet {
    /// Every product for developers.
    ///
    /// # Errors
    /// `role-forbids`.
    pub async fn developer_products(
        &self,
        who: &Operator,
    ) -> Result<Vec<DeveloperProduct>, Refusal> {
        who.require(Permission::View)?;
        let mut read = self.read().await?;
        let mut products = Vec::new();
        for class in read.developer_products().await? {
            let devices = read.devices_of_class(&class, State::Retired.name()).await?;
            let devices = devices.unsigned_abs();
            products.push(DeveloperProduct { class: ClassId(class), devices });
        }
        Ok(products)
    }

    /// Makes a product one for developers, for ever.
    ///
    /// # Errors
    /// `role-forbids`; `not-found` for a class that the anchors do not name; `already-exists` when
    /// it is one, or has devices: a product for developers is one of its own.
    pub async fn mark_developer_product(
        &self,
        who: &Operator,
        class: &ClassId,
    ) -> Result<DeveloperProduct, Refusal> {
        who.require(Permission::Administer)?;
        let class = *class;
        let anchors = self.newest_anchors()?;
        if anchors.open()?.product(&class).is_none() {
            let detail = format!("the anchors name no class {class}");
            return Err(Refusal::new(Reason::NotFound, detail));
        }
        self.change_by(who, move |change| {
            Box::pin(async move {
                if change.is_developer_product(&class.0).await? {
                    let detail = "it is a product for developers already";
                    return Err(Refusal::new(Reason::AlreadyExists, detail));
                }
                let devices = change.devices_of_class(&class.0, "").await?;
                if devices > 0 {
                    return Err(Refusal::new(
                        Reason::AlreadyExists,
                        format!("{devices} devices are of it; make a product of its own"),
                    ));
                }
                let (now_ms, name) = (change.now_ms, change.who().to_owned());
                change.insert_developer_product(&class.0, now_ms, &name).await?;
                change.log("developer-product", &format!("product/{class}"), &[]).await?;
                Ok(DeveloperProduct { class, devices: 0 })
            })
        })
        .await
    }
}

/// How long the operational certificate of a device may live.
pub(crate) fn ldevid_days(session: &DeviceSession, policy_days: u32) -> u32 {
    match session.developer {
        true => policy_days.min(DEVELOPER_DAYS),
        false => policy_days,
    }
}

/// Refuses a batch after which a product for developers has too many devices.
pub(crate) async fn check_developer_quota(
    change: &mut Change<'_>,
    class: &ClassId,
) -> Result<(), Refusal> {
    if !change.is_developer_product(&class.0).await? {
        return Ok(());
    }
    let devices = change.devices_of_class(&class.0, State::Retired.name()).await?;
    match devices <= i64::from(DEVELOPER_DEVICES) {
        true => Ok(()),
        false => Err(Refusal::new(
            Reason::OverQuota,
            format!("a product for developers has at most {DEVELOPER_DEVICES} devices"),
        )),
    }
}
