//! What is handed to the service: orders, manifests, images, good ones and bad ones.

use harness::release::{Fleet, Release, verifier};
use harness::sign::Signer;
use ringfort_cose::Sha256Digest;
use ringfort_trust::ids::{AnchorsVersion, DeviceId, FleetId, OrderNumber, UnixTime};
use ringfort_trust::{Content, Order, Task, TokenClaims};

/// What is handed to the service: manifest and image.
#[derive(Clone, Default)]
pub struct Package {
    pub(super) manifest: Vec<u8>,
    pub(super) image: Vec<u8>,
}

/// An order to install this manifest, as the hub issues it for an offline medium.
pub fn order(fleet: &Fleet, manifest: Sha256Digest, number: u64) -> Vec<u8> {
    order_with(fleet, manifest, number, 21, &|_| {})
}

pub(super) fn order_with(
    fleet: &Fleet,
    manifest: Sha256Digest,
    number: u64,
    signer: u8,
    change: &dyn Fn(&mut TokenClaims),
) -> Vec<u8> {
    let mut claims = TokenClaims {
        fleet: FleetId(fleet.id),
        device: DeviceId::new("d0d0d0d0-d0d0-d0d0-d0d0-d0d0d0d0d0d0").expect("a name"),
        issued: UnixTime(Fleet::sequence(0) + 10),
        expires: UnixTime(Fleet::sequence(0) + 10 + 24 * 3600),
        nonce: None,
        content: Content::Order(Order {
            number: OrderNumber(number),
            task: Task::Install { manifest },
            min_anchors: AnchorsVersion(1),
        }),
    };
    change(&mut claims);
    claims.sign(&verifier(), &Signer::new(signer)).expect("an order")
}

/// Order and envelope, and the components, each filled up to a multiple of 8.
pub fn pack(release: &Release, order: &[u8]) -> Package {
    let mut manifest = (order.len() as u32).to_le_bytes().to_vec();
    manifest.extend_from_slice(order);
    manifest.extend_from_slice(&release.envelope);
    let mut image = Vec::new();
    for component in &release.components {
        image.extend_from_slice(component);
        image.resize(image.len().next_multiple_of(8), 0);
    }
    Package { manifest, image }
}

/// The anchors of this version.
pub fn document(fleet: &Fleet, version: usize) -> Package {
    Package { manifest: fleet.anchors(version).to_vec(), image: Vec::new() }
}

pub(super) fn cut(release: &Release, fleet: &Fleet) -> Package {
    let mut package = pack(release, &order(fleet, release.digest(), 5));
    package.manifest.truncate(40);
    package
}

pub(super) fn endless() -> Package {
    let mut manifest = u32::MAX.to_le_bytes().to_vec();
    manifest.resize(2000, 0);
    Package { manifest, image: Vec::new() }
}

pub(super) fn long(release: &Release, fleet: &Fleet) -> Package {
    let mut package = pack(release, &order(fleet, release.digest(), 5));
    package.manifest.resize(0x3f00, 0);
    package
}
