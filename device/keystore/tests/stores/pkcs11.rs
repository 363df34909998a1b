//! What only a PKCS#11 token can get wrong, against SoftHSM2, with OpenSC as second opinion.

use ringfort_cose::{Algorithm, AwsLc, Verify};
use ringfort_keystore::{
    Error, KeyStore, Label, Passphrase, Pkcs11Settings, Pkcs11Store, open_signer, write_private_new,
};

use crate::support::{PIN, module, with_tokens};

fn no_prompt(_: &str) -> Result<Passphrase, Error> {
    panic!("nothing to ask for")
}

fn refusal<T>(result: Result<T, Error>) -> Error {
    result.map(|_| ()).expect_err("refused")
}

#[test]
fn a_key_made_by_another_tool_signs_by_uri() {
    with_tokens("pkcs11::a_key_made_by_another_tool_signs_by_uri", |tokens| {
        tokens.create("release");
        tokens.pkcs11_tool(
            "release",
            &["--keypairgen", "--key-type", "EC:prime256v1", "--id", "01ff", "--label", "ci"],
        );
        let pin = tokens.dir().join("pin");
        write_private_new(&pin, format!("{PIN}\n").as_bytes()).unwrap();
        let query = format!("module-path={}", module().display());
        for name in ["object=ci", "id=%01%FF", "object=ci;id=%01%ff;type=private"] {
            let uri =
                format!("pkcs11:token=release;{name}?{query}&pin-source=file:{}", pin.display());
            let key = open_signer(&uri, no_prompt).unwrap();
            let signature = key.sign(&[b"mess", b"age"]).unwrap();
            AwsLc.verify(Algorithm::Esp256, &key.public_key(), &[b"message"], &signature).unwrap();
        }
        let asked = open_signer(&format!("pkcs11:token=release;object=ci?{query}"), |prompt| {
            assert!(prompt.contains("release"));
            Passphrase::new(PIN.to_owned())
        });
        assert!(asked.is_ok());
        let missing = open_signer(&format!("pkcs11:token=release;object=no?{query}"), |_| {
            Passphrase::new(PIN.to_owned())
        });
        assert!(matches!(refusal(missing), Error::NoSuchKey(name) if name == "no"));
    });
}

#[test]
fn a_key_that_could_leave_its_token_is_refused() {
    with_tokens("pkcs11::a_key_that_could_leave_its_token_is_refused", |tokens| {
        let settings = tokens.create("lax");
        tokens.pkcs11_tool(
            "lax",
            &[
                "--keypairgen",
                "--key-type",
                "EC:prime256v1",
                "--id",
                "01",
                "--label",
                "ringfort-lax",
                "--extractable",
            ],
        );
        let store = Pkcs11Store::open(&settings).unwrap();
        let lax = Label::new("lax").unwrap();
        assert!(matches!(refusal(store.public_key(&lax)), Error::KeyExtractable(_)));
        assert!(matches!(refusal(store.sign(&lax, b"m")), Error::KeyExtractable(_)));
        let uri =
            format!("pkcs11:token=lax;object=ringfort-lax?module-path={}", module().display());
        let refused = open_signer(&uri, |_| Passphrase::new(PIN.to_owned()));
        assert!(matches!(refusal(refused), Error::KeyExtractable(_)));
        // Its positive twin: a key that the store made itself.
        store.generate(&Label::new("firm").unwrap(), Algorithm::Esp256).unwrap();
        assert!(store.sign(&Label::new("firm").unwrap(), b"m").is_ok());
    });
}

#[test]
fn a_made_key_is_seen_as_sensitive_and_never_extractable_by_another_tool() {
    with_tokens(
        "pkcs11::a_made_key_is_seen_as_sensitive_and_never_extractable_by_another_tool",
        |tokens| {
            let store = Pkcs11Store::open(&tokens.create("device")).unwrap();
            store.generate(&Label::new("idevid").unwrap(), Algorithm::Esp256).unwrap();
            let listing = tokens.pkcs11_tool("device", &["--list-objects", "--type", "privkey"]);
            assert!(listing.contains("ringfort-idevid"), "{listing}");
            assert!(listing.contains("always sensitive, never extractable, local"), "{listing}");
        },
    );
}

#[test]
fn a_wrong_pin_is_refused_also_after_the_right_one_opened_the_token() {
    with_tokens(
        "pkcs11::a_wrong_pin_is_refused_also_after_the_right_one_opened_the_token",
        |tokens| {
            let right = tokens.create("device");
            let wrong = Pkcs11Settings {
                pin: Passphrase::new("4321".to_owned()).unwrap(),
                ..right.clone()
            };
            assert!(matches!(refusal(Pkcs11Store::open(&wrong)), Error::WrongPin));
            let store = Pkcs11Store::open(&right).unwrap();
            assert!(matches!(refusal(Pkcs11Store::open(&wrong)), Error::WrongPin));
            store.generate(&Label::new("k").unwrap(), Algorithm::Esp256).unwrap();
        },
    );
}

#[test]
fn a_token_that_is_missing_or_ambiguous_is_refused() {
    with_tokens("pkcs11::a_token_that_is_missing_or_ambiguous_is_refused", |tokens| {
        tokens.create("twin");
        tokens.create("twin");
        tokens.create("single");
        let open = |label| Pkcs11Store::open(&tokens.settings(label));
        assert!(matches!(refusal(open("none")), Error::TokenNotFound { found: 0, .. }));
        assert!(matches!(refusal(open("twin")), Error::TokenNotFound { found: 2, .. }));
        assert!(open("single").is_ok());
        let mut settings = tokens.settings("single");
        settings.serial = Some("0000".into());
        assert!(matches!(refusal(Pkcs11Store::open(&settings)), Error::TokenNotFound { .. }));
    });
}

#[test]
fn a_module_that_is_not_one_is_refused() {
    let settings = |module: &str| Pkcs11Settings {
        module: module.into(),
        token: "t".into(),
        serial: None,
        pin: Passphrase::new("1".to_owned()).unwrap(),
    };
    for module in ["/nonexistent/module.so", "/etc/hostname"] {
        assert!(matches!(refusal(Pkcs11Store::open(&settings(module))), Error::Module(_)));
    }
}
