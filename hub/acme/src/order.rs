//! One order, from asking for it to the certificate (RFC 8555, section 7.4).

use std::sync::Arc;
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Identifier, NewOrder, Order, OrderStatus,
    RetryPolicy,
};

use crate::certificate::Wanted;
use crate::{AcmeError, Challenges, Obtained};

/// Orders a certificate for one name, shows the authority what it asks to see, and fetches it.
pub(crate) async fn order(
    account: &Account,
    name: &str,
    challenges: &Arc<Challenges>,
    now: impl Fn() -> u64,
) -> Result<Obtained, AcmeError> {
    let identifiers = [Identifier::Dns(name.to_owned())];
    let mut order =
        account.new_order(&NewOrder::new(&identifiers)).await.map_err(AcmeError::from_exchange)?;
    prove(&mut order, name, challenges).await?;
    let wanted = Wanted::new(name)?;
    order.finalize_csr(&wanted.request).await.map_err(AcmeError::from_exchange)?;
    let chain = order.poll_certificate(&POLLING).await.map_err(AcmeError::from_exchange)?;
    wanted.with(&chain, name, now())
}

/// Proves that the name leads here, and returns when the authority believes it. What is shown is
/// gone afterwards, however it ends.
async fn prove(
    order: &mut Order,
    name: &str,
    challenges: &Arc<Challenges>,
) -> Result<(), AcmeError> {
    let mut shown = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.map_err(AcmeError::from_exchange)?;
        match authorization.status {
            // It was proven a while ago.
            AuthorizationStatus::Valid => continue,
            AuthorizationStatus::Pending => {}
            other => {
                return Err(AcmeError::ChallengeRefused(format!("its authorization is {other:?}")));
            }
        }
        let mut challenge =
            authorization.challenge(ChallengeType::TlsAlpn01).ok_or(AcmeError::NoChallenge)?;
        let digest = challenge.key_authorization().digest();
        shown.push(challenges.present(name, digest.as_ref())?);
        challenge.set_ready().await.map_err(of_challenge)?;
    }
    match order.poll_ready(&POLLING).await {
        Ok(OrderStatus::Ready) => Ok(()),
        Ok(_) | Err(instant_acme::Error::Api(_)) => Err(why_refused(order).await),
        Err(error) => Err(AcmeError::from_exchange(error)),
    }
}

/// What the authority found when it looked.
async fn why_refused(order: &mut Order) -> AcmeError {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let Ok(mut authorization) = authorization else { break };
        let Ok(state) = authorization.refresh().await else { break };
        let found = state.challenges.iter().find_map(|challenge| challenge.error.as_ref());
        if let Some(problem) = found {
            return AcmeError::ChallengeRefused(problem.to_string());
        }
    }
    let said = order.state().error.as_ref().map(ToString::to_string);
    AcmeError::ChallengeRefused(said.unwrap_or_else(|| "it does not say why".to_owned()))
}

fn of_challenge(error: instant_acme::Error) -> AcmeError {
    match error {
        instant_acme::Error::Api(problem) => AcmeError::ChallengeRefused(problem.to_string()),
        other => AcmeError::from_exchange(other),
    }
}

/// Authorities answer within seconds; some look from several places.
const POLLING: RetryPolicy = RetryPolicy::new().timeout(Duration::from_secs(120));
