//! Whom the listeners trust, and who they are: loaded from the fleet, swapped when it changes.

use std::sync::Arc;

use arc_swap::ArcSwap;
use ringfort_api::OperatorPeer;
use ringfort_cose::Reason;
use ringfort_fleet::{CertificateKind, Fleet, Operator};
use ringfort_gateway::{DeviceCertificate, Peer};
use ringfort_pki::fingerprint;
use rustls::ServerConfig;
use tokio::sync::{Mutex, watch};

use crate::client_auth::{ClientAuthorities, Vouches};
use crate::listener::Meet;
use crate::tls::{Identity, OperatorConfigs, TlsMaker, unix_now};
use crate::{PublicIdentity, StartError, gauges};

/// What both sides run on.
pub(crate) struct Trust {
    fleet: Fleet,
    device: TlsMaker,
    operator: TlsMaker,
    /// The one that issues certificates, and those before it.
    device_cas: Vec<Vec<u8>>,
    operator_cas: Vec<Vec<u8>>,
    device_tls: ArcSwap<ServerConfig>,
    operator_tls: ArcSwap<OperatorConfigs>,
    /// A certificate that others issue for the operator listener, and each later one.
    public: Option<watch::Receiver<Option<PublicIdentity>>>,
    authorities: ArcSwap<ClientAuthorities>,
    current: Mutex<Current>,
}

/// What the configurations in force were made of.
struct Current {
    device: Identity,
    operator: Identity,
    factory_cas: Vec<Vec<u8>>,
}

impl Trust {
    pub(crate) async fn load(
        fleet: Fleet,
        device: TlsMaker,
        operator: TlsMaker,
        device_cas: Vec<Vec<u8>>,
        operator_cas: Vec<Vec<u8>>,
        mut public: Option<watch::Receiver<Option<PublicIdentity>>>,
    ) -> Result<Trust, StartError> {
        let factory_cas = self::factory_cas(&fleet).await?;
        let authorities = self::authorities(&device_cas, &factory_cas)?;
        let given = public.as_mut().and_then(|public| public.borrow_and_update().clone());
        let operator_identity = match given {
            Some(given) => Identity::of_others(&given),
            None => operator.identity()?,
        };
        let current =
            Current { device: device.identity()?, operator: operator_identity, factory_cas };
        let device_tls = device.device_config(&current.device, &authorities)?;
        let operator_tls = operator.operator_configs(&current.operator, &operator_cas)?;
        Ok(Trust {
            fleet,
            device,
            operator,
            device_cas,
            operator_cas,
            device_tls: ArcSwap::new(device_tls),
            operator_tls: ArcSwap::from_pointee(operator_tls),
            public,
            authorities: ArcSwap::from_pointee(authorities),
            current: Mutex::new(current),
        })
    }

    /// Takes in sites that came or went, and renews the listeners' certificates in time. What is
    /// in force stays so if anything fails. Says whether someone lost trust.
    pub(crate) async fn refresh(&self) -> Result<bool, StartError> {
        let mut current = self.current.lock().await;
        let now = unix_now();
        let factory_cas = self::factory_cas(&self.fleet).await?;
        let sites_changed = factory_cas != current.factory_cas;
        let narrowed = current.factory_cas.iter().any(|known| !factory_cas.contains(known));
        if sites_changed || now >= current.device.renew_at {
            let authorities = self::authorities(&self.device_cas, &factory_cas)?;
            let identity = renewed(&self.device, &current.device, now)?;
            self.device_tls.store(self.device.device_config(&identity, &authorities)?);
            self.authorities.store(Arc::new(authorities));
            current.device = identity;
            current.factory_cas = factory_cas;
            tracing::info!("the device listener's trust or certificate was renewed");
        }
        let given = self.public.as_ref().and_then(|public| public.borrow().clone());
        if let Some(given) = &given {
            gauges::public_certificate(given.not_after());
        }
        let identity = match given.as_ref().map(Identity::of_others) {
            Some(given) if given.is(&current.operator) => None,
            Some(given) => Some(given),
            None if now >= current.operator.renew_at => Some(self.operator.identity()?),
            None => None,
        };
        if let Some(identity) = identity {
            let configs = self.operator.operator_configs(&identity, &self.operator_cas)?;
            self.operator_tls.store(Arc::new(configs));
            current.operator = identity;
            tracing::info!("the operator listener's certificate was renewed");
        }
        Ok(narrowed)
    }

    /// What devices are met with.
    pub(crate) fn device_tls(&self) -> Arc<ServerConfig> {
        self.device_tls.load_full()
    }

    /// What operators are met with. Somebody without a certificate is let in only while somebody is
    /// invited.
    pub(crate) fn operator_tls(&self) -> Arc<ServerConfig> {
        let configs = self.operator_tls.load();
        match self.fleet.login_is_open() {
            true => configs.inviting.clone(),
            false => configs.strict.clone(),
        }
    }
}

/// Judges a device's certificate, once per connection.
pub(crate) fn meet_device(trust: Arc<Trust>) -> Meet {
    Box::new(move |address, tls, connection| {
        let certificate = match tls.peer_certificates().and_then(<[_]>::first) {
            None => Err(Reason::NoClientCertificate),
            Some(der) => trust.authorities.load().judge(der, unix_now()).map(|vouches| {
                Arc::new(DeviceCertificate {
                    der: der.to_vec(),
                    fingerprint: fingerprint(der),
                    kind: match vouches {
                        Vouches::Idevid => CertificateKind::IDevId,
                        Vouches::Ldevid => CertificateKind::LDevId,
                    },
                })
            }),
        };
        let peer = Peer { address, certificate, connection: connection.clone() };
        Box::new(move |extensions| {
            extensions.insert(peer.clone());
        })
    })
}

/// An operator's certificate was verified in the handshake, or there is no connection; while
/// somebody is invited there may be none.
pub(crate) fn meet_operator() -> Meet {
    Box::new(|address, tls, connection| {
        let leaf = tls.peer_certificates().and_then(<[_]>::first);
        let peer = OperatorPeer { address, fingerprint: leaf.map(|der| fingerprint(der)) };
        // One without a certificate is nobody's, and not a device's either.
        connection.is_with_operator(peer.fingerprint.unwrap_or_default());
        Box::new(move |extensions| {
            extensions.insert(peer.clone());
        })
    })
}

/// The Factory CAs of the sites that are not revoked.
async fn factory_cas(fleet: &Fleet) -> Result<Vec<Vec<u8>>, StartError> {
    let sites = fleet.sites(&Operator::at_the_host("server")).await?;
    let taken = sites.into_iter().filter(|site| site.revoked_ms.is_none());
    Ok(taken.map(|site| site.factory_ca).collect())
}

fn authorities(
    device_cas: &[Vec<u8>],
    factory_cas: &[Vec<u8>],
) -> Result<ClientAuthorities, ringfort_pki::Error> {
    let mut authorities = ClientAuthorities::default();
    for certificate in device_cas {
        authorities.add(certificate, Vouches::Ldevid)?;
    }
    for certificate in factory_cas {
        authorities.add(certificate, Vouches::Idevid)?;
    }
    Ok(authorities)
}

fn renewed(maker: &TlsMaker, current: &Identity, now: u64) -> Result<Identity, StartError> {
    if now >= current.renew_at { maker.identity() } else { Ok(current.clone()) }
}
