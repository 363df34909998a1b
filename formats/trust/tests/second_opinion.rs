//! `coset` reads what we make, and we accept what it makes.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Fleet, device, first_of};
use coset::{
    CborSerializable, CoseSign, CoseSign1, CoseSign1Builder, HeaderBuilder, Label,
    TaggedCborSerializable, cbor::value::Value, iana,
};
use ringfort_cose::{Algorithm, AwsLc, PublicKey, Reason, Sign, Verify};
use ringfort_trust::Token;

fn judge(key: PublicKey, signature: &[u8], message: &[u8]) -> Result<(), Reason> {
    AwsLc.verify(key.algorithm(), &key, &[message], signature)
}

#[test]
fn coset_reads_and_verifies_our_anchors() {
    let fleet = Fleet::new();
    let object = CoseSign::from_tagged_slice(&fleet.first()).unwrap();
    let typ = Value::Text("application/vnd.ringfort.anchors+cose".into());
    assert_eq!(object.protected.header.rest, [(Label::Int(16), typ)]);
    assert_eq!(object.signatures.len(), 2);
    for (index, signer) in fleet.anchor.iter().take(2).enumerate() {
        let kid = &object.signatures[index].protected.header.key_id;
        assert_eq!(kid, &signer.public_key().thumbprint(&AwsLc).0);
        let check = |aad: &[u8]| {
            object.verify_signature(index, aad, |signature, message| {
                judge(signer.public_key(), signature, message)
            })
        };
        assert_eq!(check(b"ringfort/anchors/1"), Ok(()));
        assert_eq!(check(b"ringfort/order/1"), Err(Reason::BadSignature));
    }
}

#[test]
fn coset_reads_and_verifies_our_order() {
    let fleet = Fleet::new();
    let bytes = fleet.install(5).sign(&AwsLc, &fleet.order).unwrap();
    let object = CoseSign1::from_tagged_slice(&bytes).unwrap();
    let check = |aad: &[u8]| {
        object.verify_signature(aad, |signature, message| {
            judge(fleet.order.public_key(), signature, message)
        })
    };
    assert_eq!(check(b"ringfort/order/1"), Ok(()));
    assert_eq!(check(b"ringfort/command/1"), Err(Reason::BadSignature));
    let claims = coset::cwt::ClaimsSet::from_slice(object.payload.as_deref().unwrap()).unwrap();
    assert_eq!(claims.audience.as_deref(), Some(device().as_str()));
    assert_eq!(claims.issuer.unwrap(), format!("urn:uuid:{}", common::FLEET));
    assert_eq!(claims.expiration_time, Some(coset::cwt::Timestamp::WholeSeconds(1_800_086_500)));
}

/// The same claims in an object that `coset` builds; `change` damages one thing.
fn built_by_coset(fleet: &Fleet, typ: &str, aad: &[u8]) -> Vec<u8> {
    let ours = fleet.install(5).sign(&AwsLc, &fleet.order).unwrap();
    let payload = CoseSign1::from_tagged_slice(&ours).unwrap().payload.unwrap();
    let signer = &fleet.order;
    let mut protected = HeaderBuilder::new()
        .key_id(signer.public_key().thumbprint(&AwsLc).0.to_vec())
        .value(TYP, Value::Text(typ.into()))
        .build();
    assert_eq!(signer.algorithm(), Algorithm::Ed25519);
    protected.alg = Some(coset::Algorithm::Assigned(iana::Algorithm::Ed25519));
    CoseSign1Builder::new()
        .protected(protected)
        .payload(payload)
        .create_signature(aad, |message| signer.sign(&[message]).unwrap())
        .build()
        .to_tagged_vec()
        .unwrap()
}

#[test]
fn we_accept_an_order_that_coset_built_and_refuse_one_of_another_type() {
    let fleet = Fleet::new();
    let anchors = fleet.first();
    let verify = |bytes: &[u8]| Token::verify(bytes, &first_of(&anchors), &AwsLc).map(drop);
    let typ = "application/vnd.ringfort.order+cose";
    assert_eq!(verify(&built_by_coset(&fleet, typ, b"ringfort/order/1")), Ok(()));
    let other = built_by_coset(&fleet, typ, b"ringfort/command/1");
    assert_eq!(verify(&other), Err(Reason::BadSignature));
    let typ = "application/vnd.ringfort.command+cose";
    let other = built_by_coset(&fleet, typ, b"ringfort/order/1");
    assert_eq!(verify(&other), Err(Reason::WrongType));
}

/// RFC 9596.
const TYP: i64 = 16;
