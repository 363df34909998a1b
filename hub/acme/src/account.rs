//! The account at the authority: a key that is made from the hub's sealed secret, and terms that
//! somebody agreed to by name.

use std::sync::Arc;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use bytes::Bytes;
use http::Request;
use instant_acme::{Account, BodyWrapper, HttpClient, Key};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::AcmeError;

/// What an authority asks of those who want an account, out of its directory (RFC 8555,
/// section 7.1.1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Terms {
    /// Where its terms of service are.
    #[serde(default)]
    pub terms_of_service: Option<String>,
    /// Whether it takes only those whom it knows from elsewhere (section 7.3.4).
    #[serde(default)]
    pub external_account_required: bool,
}

impl Terms {
    /// Asks an authority's directory.
    ///
    /// # Errors
    /// [`AcmeError::Unreachable`].
    pub async fn ask(http: &dyn HttpClient, directory: &str) -> Result<Terms, AcmeError> {
        #[derive(Deserialize)]
        struct Directory {
            #[serde(default)]
            meta: Terms,
        }
        let unreachable = |why: String| AcmeError::Unreachable(format!("{directory}: {why}"));
        let request = Request::get(directory)
            .body(BodyWrapper::<Bytes>::default())
            .map_err(|error| unreachable(error.to_string()))?;
        let mut answer =
            http.request(request).await.map_err(|error| unreachable(error.to_string()))?;
        if !answer.parts.status.is_success() {
            return Err(unreachable(format!("it answers {}", answer.parts.status)));
        }
        let body =
            answer.body.into_bytes().await.map_err(|error| unreachable(error.to_string()))?;
        let read: Directory =
            serde_json::from_slice(&body).map_err(|error| unreachable(error.to_string()))?;
        Ok(read.meta)
    }

    /// Whether these are the terms that somebody agreed to.
    fn check(&self, agreed: Option<&str>) -> Result<(), AcmeError> {
        if self.external_account_required {
            return Err(AcmeError::AccountRefused(
                "it takes only accounts that are bound to one elsewhere (RFC 8555, section \
                 7.3.4), which is not supported"
                    .to_owned(),
            ));
        }
        match (&self.terms_of_service, agreed) {
            (None, _) => Ok(()),
            (Some(terms), Some(agreed)) if terms == agreed => Ok(()),
            (Some(terms), Some(agreed)) => {
                Err(AcmeError::TermsNotAgreed(format!("they are at {terms} now, not at {agreed}")))
            }
            (Some(terms), None) => Err(AcmeError::TermsNotAgreed(format!("they are at {terms}"))),
        }
    }
}

/// The account that belongs to the key, made if there is none.
pub(crate) async fn sign_in(
    http: Arc<dyn HttpClient>,
    directory: &str,
    agreed: Option<&str>,
    contacts: &[String],
    secret: &[u8; 32],
) -> Result<Account, AcmeError> {
    Terms::ask(http.as_ref(), directory).await?.check(agreed)?;
    let builder = Account::builder_with_http(Box::new(Shared(http)));
    let made = builder.create_from_key(key(secret)?, directory.to_owned()).await;
    let (account, _) = made.map_err(AcmeError::from_exchange)?;
    if !contacts.is_empty() {
        let contacts: Vec<&str> = contacts.iter().map(String::as_str).collect();
        account.update_contacts(&contacts).await.map_err(AcmeError::from_exchange)?;
    }
    Ok(account)
}

/// A client that others hold too.
struct Shared(Arc<dyn HttpClient>);

impl HttpClient for Shared {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> std::pin::Pin<
        Box<dyn Future<Output = Result<instant_acme::BytesResponse, instant_acme::Error>> + Send>,
    > {
        self.0.request(request)
    }
}

/// The account's key: always the same one for the same secret.
fn key(secret: &[u8; 32]) -> Result<(Key, PrivateKeyDer<'static>), AcmeError> {
    let broken = |what: &str| AcmeError::Key(what.to_owned());
    let secret = hmac::Key::new(hmac::HMAC_SHA256, secret);
    for attempt in 0..ATTEMPTS {
        let mut context = hmac::Context::with_key(&secret);
        context.update(b"ringfort acme account");
        context.update(&[attempt]);
        // PKCS #8 (RFC 5208) around ECPrivateKey (RFC 5915), of fixed lengths for this curve.
        let mut pkcs8 = Zeroizing::new(PKCS8_P256.to_vec());
        pkcs8.extend_from_slice(context.sign().as_ref());
        // One number in four billion is none of the curve's.
        if EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8).is_err() {
            continue;
        }
        let der = PrivatePkcs8KeyDer::from(pkcs8.to_vec());
        let key = Key::from_pkcs8_der(der.clone_key()).map_err(AcmeError::from_exchange)?;
        return Ok((key, PrivateKeyDer::Pkcs8(der)));
    }
    Err(broken("no account key comes from the sealed secret"))
}

const ATTEMPTS: u8 = 4;
/// Everything before the 32 bytes of the private number.
const PKCS8_P256: [u8; 35] = [
    0x30, 0x41, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
    0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04, 0x27, 0x30, 0x25, 0x02, 0x01,
    0x01, 0x04, 0x20,
];

#[cfg(test)]
#[path = "../../../tests/pebble/mod.rs"]
mod pebble;

#[cfg(test)]
mod tests {
    use super::pebble::{Habits, Pebble};
    use super::*;
    use crate::Https;
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject;

    const HABITS: Habits = Habits { tls_port: 1, lifetime_s: 3600, blocked: &[] };

    fn client(pebble: &Pebble) -> Arc<dyn HttpClient> {
        let root = CertificateDer::from_pem_file(pebble.trust()).unwrap();
        Arc::new(Https::new(&[root.to_vec()]).unwrap())
    }

    #[tokio::test]
    async fn an_account_that_was_closed_is_refused_and_another_secret_opens_another() {
        let folder = tempfile::tempdir().unwrap();
        let pebble = Pebble::start(folder.path(), &HABITS);
        let (http, terms) = (client(&pebble), pebble.terms());
        let mail = ["mailto:people@example.com".to_owned()];
        let sign_in = async |secret: u8| {
            let (directory, terms) = (pebble.directory.as_str(), Some(terms.as_str()));
            self::sign_in(http.clone(), directory, terms, &mail, &[secret; 32]).await
        };
        let first = sign_in(1).await.unwrap();
        // The same secret leads to the same account, as often as one likes.
        assert_eq!(sign_in(1).await.unwrap().id(), first.id());
        first.deactivate().await.unwrap();
        let refused = sign_in(1).await.err().unwrap();
        assert_eq!(refused.code(), "account-refused", "{refused}");
        sign_in(2).await.unwrap();
    }

    #[tokio::test]
    async fn nobody_gets_an_account_without_agreeing_to_the_terms_that_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let pebble = Pebble::start(folder.path(), &HABITS);
        let http = client(&pebble);
        for agreed in [None, Some("https://ca.example/older-terms")] {
            let refused = sign_in(http.clone(), &pebble.directory, agreed, &[], &[3; 32]).await;
            let refused = refused.err().unwrap();
            assert_eq!(refused.code(), "terms-not-agreed");
            assert!(refused.to_string().contains(&pebble.terms()), "{refused}");
        }
        assert!(!pebble.said().contains("/sign-me-up"), "{}", pebble.said());
        let agreed = pebble.terms();
        sign_in(http, &pebble.directory, Some(&agreed), &[], &[3; 32]).await.unwrap();
    }

    #[tokio::test]
    async fn an_authority_that_shows_another_certificate_is_not_talked_to() {
        let folder = tempfile::tempdir().unwrap();
        let pebble = Pebble::start(&folder.path().join("one"), &HABITS);
        let other = Pebble::start(&folder.path().join("other"), &HABITS);
        let refused = Terms::ask(client(&other).as_ref(), &pebble.directory).await.err().unwrap();
        assert_eq!(refused.code(), "unreachable", "{refused}");
        Terms::ask(client(&pebble).as_ref(), &pebble.directory).await.unwrap();
    }

    #[test]
    fn one_secret_makes_one_key_and_another_secret_another() {
        let der = |secret: u8| match key(&[secret; 32]).unwrap().1 {
            PrivateKeyDer::Pkcs8(der) => der.secret_pkcs8_der().to_vec(),
            other => panic!("{other:?}"),
        };
        assert_eq!(der(1), der(1));
        assert_ne!(der(1), der(2));
    }

    #[test]
    fn terms_are_agreed_to_by_name() {
        let terms = |at: Option<&str>| Terms {
            terms_of_service: at.map(str::to_owned),
            external_account_required: false,
        };
        let (one, two) = ("https://ca.example/1.pdf", "https://ca.example/2.pdf");
        assert_eq!(terms(None).check(None), Ok(()));
        assert_eq!(terms(Some(one)).check(Some(one)), Ok(()));
        for (is, agreed) in [(one, None), (two, Some(one))] {
            let refused = terms(Some(is)).check(agreed).unwrap_err();
            assert_eq!(refused.code(), "terms-not-agreed");
            assert!(refused.to_string().contains(is), "{refused}");
        }
        let bound = Terms { external_account_required: true, ..terms(None) };
        assert_eq!(bound.check(None).unwrap_err().code(), "account-refused");
    }
}
