//! One suite for every key store. A new back end adds one test that calls [`suite`].

use std::sync::Arc;

use ringfort_cose::{Algorithm, AwsLc, Verify};
#[cfg(feature = "tpm")]
use ringfort_keystore::TpmStore;
use ringfort_keystore::{
    CounterKind, Error, KeyStore, Label, Pkcs11Store, Protection, SealedFile, StoreKey, StoreSecret,
};

use crate::support::with_tokens;

#[test]
fn sealed_file() {
    let dir = tempfile::tempdir().unwrap();
    suite(&Backend {
        open: &|| {
            let path = dir.path().join("one");
            Arc::new(SealedFile::open(&path, &StoreSecret::InDirectory).unwrap())
        },
        open_other: &|| {
            let path = dir.path().join("other");
            Arc::new(SealedFile::open(&path, &StoreSecret::InDirectory).unwrap())
        },
        protection: Protection::SoftwareFile,
        counter_kind: CounterKind::SoftwareFile,
    });
}

#[test]
fn pkcs11() {
    with_tokens("conformance::pkcs11", |tokens| {
        let (one, other) = (tokens.create("one"), tokens.create("other"));
        suite(&Backend {
            open: &|| Arc::new(Pkcs11Store::open(&one).unwrap()),
            open_other: &|| Arc::new(Pkcs11Store::open(&other).unwrap()),
            protection: Protection::Pkcs11Token,
            counter_kind: CounterKind::TokenObject,
        });
    });
}

#[cfg(feature = "tpm")]
#[test]
fn tpm() {
    use crate::swtpm::{Swtpm, swtpms};
    let (_alone, [one, other]) = swtpms();
    let open = |tpm: &Swtpm| Arc::new(TpmStore::open(&tpm.settings(&[0, 7])).unwrap());
    suite(&Backend {
        open: &|| open(&one),
        open_other: &|| open(&other),
        protection: Protection::Tpm,
        counter_kind: CounterKind::Hardware,
    });
}

/// How to open a back end: twice the same store, and another one of its kind.
struct Backend<'a> {
    open: &'a dyn Fn() -> Arc<dyn KeyStore>,
    open_other: &'a dyn Fn() -> Arc<dyn KeyStore>,
    protection: Protection,
    counter_kind: CounterKind,
}

fn suite(backend: &Backend<'_>) {
    says_what_protects_it(backend);
    signs_with_a_key_that_survives_reopening(backend);
    signs_ed25519_or_says_that_it_cannot(backend);
    refuses_to_replace_a_key(backend);
    refuses_a_key_that_is_not_there(backend);
    keeps_certificates(backend);
    refuses_an_oversize_chain(backend);
    forgets_a_removed_key(backend);
    unseals_only_its_own_secrets_in_their_context(backend);
    refuses_an_oversize_secret(backend);
    counts_upwards_and_remembers(backend);
    serves_many_threads(backend);
}

fn says_what_protects_it(backend: &Backend<'_>) {
    let store = (backend.open)();
    assert_eq!(store.protection(), backend.protection);
    assert_eq!(store.counter_kind(), backend.counter_kind);
}

fn signs_with_a_key_that_survives_reopening(backend: &Backend<'_>) {
    let store = (backend.open)();
    let public = store.generate(&label("sign"), Algorithm::Esp256).unwrap();
    assert_eq!(store.public_key(&label("sign")).unwrap(), public);
    let check = |signature: &[u8], message: &[u8]| {
        AwsLc.verify(Algorithm::Esp256, &public, &[message], signature)
    };
    let signature = store.sign(&label("sign"), b"message").unwrap();
    check(&signature, b"message").unwrap();
    assert!(check(&signature, b"other message").is_err());

    let reopened = (backend.open)();
    assert_eq!(reopened.public_key(&label("sign")).unwrap(), public);
    check(&reopened.sign(&label("sign"), b"again").unwrap(), b"again").unwrap();
    let key = StoreKey::new(reopened, label("sign")).unwrap();
    let signature = ringfort_cose::Sign::sign(&key, &[b"in ", b"parts"]).unwrap();
    check(&signature, b"in parts").unwrap();
}

fn signs_ed25519_or_says_that_it_cannot(backend: &Backend<'_>) {
    let store = (backend.open)();
    match store.generate(&label("edwards"), Algorithm::Ed25519) {
        Ok(public) => {
            let signature = store.sign(&label("edwards"), b"message").unwrap();
            AwsLc.verify(Algorithm::Ed25519, &public, &[b"message"], &signature).unwrap();
        }
        Err(Error::AlgorithmUnsupported(_)) => {}
        Err(other) => panic!("{other}"),
    }
}

fn refuses_to_replace_a_key(backend: &Backend<'_>) {
    let store = (backend.open)();
    let public = store.generate(&label("once"), Algorithm::Esp256).unwrap();
    let refused = store.generate(&label("once"), Algorithm::Esp256);
    assert!(matches!(refused, Err(Error::KeyExists(_))), "{refused:?}");
    assert_eq!(store.public_key(&label("once")).unwrap(), public);
}

fn refuses_a_key_that_is_not_there(backend: &Backend<'_>) {
    let (store, nobody) = ((backend.open)(), label("nobody"));
    assert!(matches!(store.public_key(&nobody), Err(Error::NoSuchKey(_))));
    assert!(matches!(store.sign(&nobody, b"m"), Err(Error::NoSuchKey(_))));
    assert!(matches!(store.certificates(&nobody), Err(Error::NoSuchKey(_))));
    assert!(matches!(store.put_certificates(&nobody, &[]), Err(Error::NoSuchKey(_))));
    store.remove(&nobody).unwrap();
}

fn keeps_certificates(backend: &Backend<'_>) {
    let store = (backend.open)();
    store.generate(&label("chain"), Algorithm::Esp256).unwrap();
    assert!(store.certificates(&label("chain")).unwrap().is_empty());
    let (first, second) = (vec![vec![1; 900], vec![2; 700]], vec![vec![3; 901]]);
    store.put_certificates(&label("chain"), &first).unwrap();
    assert_eq!((backend.open)().certificates(&label("chain")).unwrap(), first);
    store.put_certificates(&label("chain"), &second).unwrap();
    assert_eq!((backend.open)().certificates(&label("chain")).unwrap(), second);
}

fn refuses_an_oversize_chain(backend: &Backend<'_>) {
    let store = (backend.open)();
    store.generate(&label("bounds"), Algorithm::Esp256).unwrap();
    for chain in [vec![vec![0; 10]; 9], vec![vec![0; 32 * 1024 + 1]]] {
        let refused = store.put_certificates(&label("bounds"), &chain);
        assert!(matches!(refused, Err(Error::TooLarge { .. })), "{refused:?}");
    }
    store.put_certificates(&label("bounds"), &vec![vec![0; 10]; 8]).unwrap();
}

fn forgets_a_removed_key(backend: &Backend<'_>) {
    let store = (backend.open)();
    let first = store.generate(&label("brief"), Algorithm::Esp256).unwrap();
    store.put_certificates(&label("brief"), &[vec![1; 10]]).unwrap();
    store.remove(&label("brief")).unwrap();
    assert!(matches!(store.sign(&label("brief"), b"m"), Err(Error::NoSuchKey(_))));
    let second = store.generate(&label("brief"), Algorithm::Esp256).unwrap();
    assert_ne!(first, second);
    assert!(store.certificates(&label("brief")).unwrap().is_empty());
}

fn unseals_only_its_own_secrets_in_their_context(backend: &Backend<'_>) {
    let store = (backend.open)();
    let sealed = store.seal(b"slot-record", b"secret").unwrap();
    assert!(!sealed.windows(6).any(|window| window == b"secret"));
    let reopened = (backend.open)();
    assert_eq!(*reopened.unseal(b"slot-record", &sealed).unwrap(), b"secret");
    let not_opened = |result: Result<_, Error>| {
        assert!(matches!(result.map(|_| ()), Err(Error::NotOpened { .. })));
    };
    not_opened(store.unseal(b"other context", &sealed));
    not_opened((backend.open_other)().unseal(b"slot-record", &sealed));
    for index in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[index] ^= 0x80;
        not_opened(store.unseal(b"slot-record", &changed));
        not_opened(store.unseal(b"slot-record", &sealed[..index]));
    }
    let empty = store.seal(b"", b"").unwrap();
    assert!(store.unseal(b"", &empty).unwrap().is_empty());
}

fn refuses_an_oversize_secret(backend: &Backend<'_>) {
    let store = (backend.open)();
    assert!(matches!(store.seal(b"c", &[0; 4097]), Err(Error::TooLarge { .. })));
    let sealed = store.seal(b"c", &[7; 4096]).unwrap();
    assert_eq!(*store.unseal(b"c", &sealed).unwrap(), [7; 4096]);
}

fn counts_upwards_and_remembers(backend: &Backend<'_>) {
    let store = (backend.open)();
    let (floor, anchors) =
        (store.counter(&label("floor")).unwrap(), store.counter(&label("anchors")).unwrap());
    for steps in 1..=3 {
        assert_eq!(store.advance_counter(&label("floor")).unwrap(), floor + steps);
        assert_eq!((backend.open)().counter(&label("floor")).unwrap(), floor + steps);
    }
    assert_eq!(store.counter(&label("anchors")).unwrap(), anchors, "a step of one moved another");
}

fn serves_many_threads(backend: &Backend<'_>) {
    let store = (backend.open)();
    let public = store.generate(&label("busy"), Algorithm::Esp256).unwrap();
    let start = store.counter(&label("busy")).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8_u8 {
            let store = &store;
            scope.spawn(move || {
                for round in 0..4 {
                    let message = [thread, round];
                    let signature = store.sign(&label("busy"), &message).unwrap();
                    AwsLc.verify(Algorithm::Esp256, &public, &[&message], &signature).unwrap();
                    store.advance_counter(&label("busy")).unwrap();
                }
            });
        }
    });
    assert_eq!(store.counter(&label("busy")).unwrap(), start + 32);
}

fn label(text: &str) -> Label {
    Label::new(text).unwrap()
}
