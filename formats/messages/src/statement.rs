//! What an operator says about a device, signed with the operator's own key.
//!
//! The hub keeps statements in its audit log, and whoever exports the log keeps them outside the
//! hub: a hub that replaces a stolen one is told again who is retired and who is suspended, by
//! what people signed, not by what the stolen hub may have written.

use ringfort_cose::cbor::{Deterministic, Reader};
use ringfort_cose::{ObjectType, PublicKey, Reason, Sign1, Verify};
use ringfort_trust::ids::{DeviceId, FleetId, UnixTime};

/// The type of a statement.
pub const STATEMENT: ObjectType = ObjectType::new("lifecycle-statement");

/// A statement whose signature was verified with the key that it names. Whose key that is, the
/// caller has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statement<'b> {
    /// The fleet.
    pub fleet: FleetId,
    /// The device.
    pub device: DeviceId,
    /// The lifecycle state that the operator moves it to, by name.
    pub to: &'b str,
    /// When, by the operator's clock.
    pub at: UnixTime,
    /// Why; at most [`Statement::MAX_NOTE`] bytes.
    pub note: &'b str,
    /// The operator's key.
    pub key: PublicKey,
}

impl<'b> Statement<'b> {
    /// Bytes of the longest statement.
    pub const MAX_LEN: usize = 1024;
    /// Bytes of the longest note.
    pub const MAX_NOTE: usize = 256;

    /// Reads a statement and verifies it with the key that stands in it.
    ///
    /// # Errors
    /// `malformed`, `too-large`, `wrong-type`, `unknown-field`; `bad-signature`,
    /// `algorithm-not-allowed`, `untrusted-signer` when it is signed by another key.
    pub fn verify(
        bytes: &'b [u8],
        verifier: &(impl Verify + ?Sized),
    ) -> Result<Statement<'b>, Reason> {
        if bytes.len() > Statement::MAX_LEN {
            return Err(Reason::TooLarge);
        }
        let object = Sign1::parse_object(bytes, STATEMENT)?;
        let payload = object.payload_unverified().ok_or(Reason::Malformed)?;
        let statement = Statement::read(payload)?;
        if object.header().signer()? != statement.key.thumbprint(verifier) {
            return Err(Reason::UntrustedSigner);
        }
        object.verify_object(verifier, STATEMENT, &statement.key)?;
        Ok(statement)
    }

    fn read(payload: &'b [u8]) -> Result<Statement<'b>, Reason> {
        let mut reader = Deterministic::read(payload)?;
        if reader.map()? != 6 {
            return Err(Reason::Malformed);
        }
        let statement = Statement {
            fleet: FleetId(key(&mut reader, 1)?.bytes_of()?),
            device: DeviceId::new(key(&mut reader, 2)?.text()?)?,
            to: key(&mut reader, 3)?.text()?,
            at: UnixTime(key(&mut reader, 4)?.u64()?),
            note: key(&mut reader, 5)?.text()?,
            key: PublicKey::read(key(&mut reader, 6)?)?,
        };
        reader.end()?;
        if statement.note.len() > Statement::MAX_NOTE || statement.to.len() > MAX_STATE {
            return Err(Reason::TooLarge);
        }
        Ok(statement)
    }
}

fn key<'r, 'b>(reader: &'r mut Reader<'b>, expected: u64) -> Result<&'r mut Reader<'b>, Reason> {
    match reader.u64()? == expected {
        true => Ok(reader),
        false => Err(Reason::UnknownField),
    }
}

/// Bytes of the longest name of a lifecycle state.
const MAX_STATE: usize = 32;

#[cfg(feature = "alloc")]
mod build {
    use alloc::vec::Vec;

    use ringfort_cose::cbor::Writer;
    use ringfort_cose::{Reason, Sign, SignError, Verify};

    use super::{STATEMENT, Statement};

    impl Statement<'_> {
        /// Signs the statement; `signer` holds the key that stands in it.
        ///
        /// # Errors
        /// [`SignError`] from the signer; `too-large` inside it, and `untrusted-signer` when the
        /// signer has another key.
        pub fn sign(
            &self,
            verifier: &(impl Verify + ?Sized),
            signer: &dyn Sign,
        ) -> Result<Vec<u8>, SignError> {
            if signer.public_key() != self.key {
                return Err(Reason::UntrustedSigner.into());
            }
            let payload = self.payload()?;
            Statement::read(&payload)?;
            ringfort_cose::sign1(verifier, signer, STATEMENT, &payload)
        }

        fn payload(&self) -> Result<Vec<u8>, Reason> {
            let mut out = Writer::to_vec();
            out.map(6)?;
            out.u64(1)?.bytes(&self.fleet.0)?;
            out.u64(2)?.text(self.device.as_str())?;
            out.u64(3)?.text(self.to)?;
            out.u64(4)?.u64(self.at.0)?;
            out.u64(5)?.text(self.note)?;
            self.key.write(out.u64(6)?)?;
            out.finish()
        }
    }
}
