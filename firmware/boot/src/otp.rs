//! The per-device blob: what fuses would hold, and what is derived from it.

use ringfort_cose::Reason;
use slots::hmac;

use crate::image::Identity;

/// Bytes of the blob.
pub const OTP_BYTES: usize = 192;
/// Its first word.
pub const OTP_MAGIC: u32 = 0x4f50_4652;

/// The PSA security lifecycle (RFC 9783 section 4.3.1), upper byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifecycle(pub u32);

impl Lifecycle {
    /// Whether a device in this state boots anything. Before provisioning and after
    /// decommissioning it does not.
    ///
    /// # Errors
    /// `lifecycle-forbids`.
    pub fn permits_boot(self) -> Result<(), Reason> {
        match self.0 {
            0x2000 | 0x3000 | 0x4000 | 0x5000 => Ok(()),
            _ => Err(Reason::LifecycleForbids),
        }
    }
}

/// The blob, read.
pub struct Otp {
    /// The unique device secret.
    pub secret: [u8; 32],
    /// SHA-256 of anchors version 1.
    pub anchors_digest: [u8; 32],
    /// Length of anchors version 1 in bytes.
    pub anchors_len: u32,
    /// The fleet.
    pub fleet: [u8; 16],
    /// What the device is.
    pub identity: Identity,
    /// Its lifecycle.
    pub lifecycle: Lifecycle,
}

/// Secrets derived from the device's own, each for one use.
pub struct Keys {
    /// Authenticates the records; depends on the secret alone.
    pub record: [u8; 32],
    /// Seeds the attestation key: secret, boot digest, class.
    #[cfg(feature = "dice")]
    pub cdi_id: [u8; 32],
    /// Seeds sealing: secret, fleet, class, lifecycle.
    #[cfg(feature = "dice")]
    pub cdi_seal: [u8; 32],
}

impl Otp {
    /// Reads the blob.
    ///
    /// # Errors
    /// `lifecycle-forbids` for a blank one: the device was never provisioned.
    #[inline(never)]
    pub fn parse(bytes: &[u8; OTP_BYTES]) -> Result<Otp, Reason> {
        let mut input = Input { bytes };
        if input.u32() != OTP_MAGIC {
            return Err(Reason::LifecycleForbids);
        }
        let lifecycle = Lifecycle(input.u32());
        Ok(Otp {
            lifecycle,
            anchors_len: input.u32(),
            secret: input.take(),
            anchors_digest: input.take(),
            fleet: input.take(),
            identity: Identity { vendor: input.take(), class: input.take(), device: input.take() },
        })
    }

    /// Derives what the device needs of its secret.
    #[inline(never)]
    pub fn derive(&self, boot_digest: &[u8; 32]) -> Keys {
        #[cfg(not(feature = "dice"))]
        let _ = boot_digest;
        Keys {
            record: hmac(&self.secret, &[b"ringfort/record/1"]),
            #[cfg(feature = "dice")]
            cdi_id: hmac(&self.secret, &[b"ringfort/cdi-id/1", boot_digest, &self.identity.class]),
            #[cfg(feature = "dice")]
            cdi_seal: hmac(
                &self.secret,
                &[
                    b"ringfort/cdi-seal/1",
                    &self.fleet,
                    &self.identity.class,
                    &self.lifecycle.0.to_le_bytes(),
                ],
            ),
        }
    }
}

struct Input<'b> {
    bytes: &'b [u8],
}

impl Input<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        match self.bytes.split_first_chunk::<N>() {
            Some((first, rest)) => {
                self.bytes = rest;
                *first
            }
            None => [0; N],
        }
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }
}
