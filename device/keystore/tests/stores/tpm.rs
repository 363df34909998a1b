//! What only a TPM can get wrong, against swtpm, with tpm2-tools as second opinion.

use crate::swtpm::{swtpms, tool};
use ringfort_cose::{Algorithm, AwsLc, Verify};
use ringfort_keystore::{Error, KeyStore, Label, TpmStore};

#[test]
fn a_secret_sealed_to_pcrs_does_not_open_after_another_measurement() {
    let (_alone, [tpm]) = swtpms();
    let store = TpmStore::open(&tpm.settings(&[7, 16])).unwrap();
    let sealed = store.seal(b"link", b"secret").unwrap();
    assert_eq!(*store.unseal(b"link", &sealed).unwrap(), b"secret");
    drop(store);
    tpm.tool("tpm2_pcrextend", &[&format!("16:sha256={}", "5a".repeat(32))]);
    let store = TpmStore::open(&tpm.settings(&[7, 16])).unwrap();
    assert!(matches!(store.unseal(b"link", &sealed), Err(Error::NotOpened { .. })));
    // Its twin: the measurement is taken back (PCR 16 is the one that may be), and it opens.
    drop(store);
    tpm.tool("tpm2_pcrreset", &["16"]);
    let store = TpmStore::open(&tpm.settings(&[7, 16])).unwrap();
    assert_eq!(*store.unseal(b"link", &sealed).unwrap(), b"secret");
}

#[test]
fn key_files_taken_to_another_tpm_do_not_sign() {
    let (_alone, [tpm, thief]) = swtpms();
    let key = Label::new("idevid").unwrap();
    let store = TpmStore::open(&tpm.settings(&[])).unwrap();
    let public = store.generate(&key, Algorithm::Esp256).unwrap();
    let mut stolen = thief.settings(&[]);
    stolen.directory = tpm.settings(&[]).directory;
    let elsewhere = TpmStore::open(&stolen).unwrap();
    assert!(matches!(elsewhere.sign(&key, b"m"), Err(Error::Module(_))));
    let signature = store.sign(&key, b"m").unwrap();
    AwsLc.verify(Algorithm::Esp256, &public, &[b"m"], &signature).unwrap();
}

#[test]
fn a_counter_removed_by_the_owner_begins_above_where_it_was() {
    let (_alone, [tpm]) = swtpms();
    let floor = Label::new("floor").unwrap();
    let store = TpmStore::open(&tpm.settings(&[])).unwrap();
    let before = (0..5).map(|_| store.advance_counter(&floor).unwrap()).max().unwrap();
    drop(store);
    let listed = tpm.tool("tpm2_getcap", &["handles-nv-index"]);
    let index = listed.split_whitespace().find(|word| word.starts_with("0x1")).unwrap();
    tpm.tool("tpm2_nvundefine", &[index]);
    let store = TpmStore::open(&tpm.settings(&[])).unwrap();
    assert!(store.counter(&floor).unwrap() > before);
}

#[test]
fn keys_are_fixed_to_the_tpm_as_another_tool_sees_them() {
    let (_alone, [tpm]) = swtpms();
    let store = TpmStore::open(&tpm.settings(&[])).unwrap();
    store.generate(&Label::new("idevid").unwrap(), Algorithm::Esp256).unwrap();
    let file = std::fs::read(tpm.settings(&[]).directory.join("idevid.tpm")).unwrap();
    // ["ringfort-tpm/1", public, private]: the public area follows the 16 bytes of the name.
    let length = usize::from(file[17]);
    let area = tempfile::NamedTempFile::new().unwrap();
    let public = &file[18..18 + length];
    let mut sized = (public.len() as u16).to_be_bytes().to_vec();
    sized.extend(public);
    std::fs::write(area.path(), sized).unwrap();
    let seen = tool("tpm2_print", &["-t", "TPM2B_PUBLIC", area.path().to_str().unwrap()]);
    assert!(seen.contains("fixedtpm|fixedparent|sensitivedataorigin"), "{seen}");
    assert!(!seen.contains("restricted"), "{seen}");
}

#[test]
fn a_tpm_that_is_not_there_is_an_error_and_a_wrong_pcr_too() {
    let (_alone, [tpm]) = swtpms();
    let mut settings = tpm.settings(&[24]);
    assert!(matches!(TpmStore::open(&settings).map(|_| ()), Err(Error::Module(_))));
    settings.pcrs = vec![7];
    assert!(TpmStore::open(&settings).is_ok());
    settings.tcti = "swtpm:host=127.0.0.1,port=1".into();
    assert!(matches!(TpmStore::open(&settings).map(|_| ()), Err(Error::Module(_))));
}
