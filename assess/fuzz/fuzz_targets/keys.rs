#![no_main]
//! Every reader of keys and certificates.

use libfuzzer_sys::fuzz_target;
use ringfort_assess::keys::{
    crypt, der, extract,
    sealed::{self, Sealed},
    ssh,
};

fuzz_target!(|data: &[u8]| {
    let _ = der::read(data);
    let _ = der::raw_scalar(data);
    for inside in [Sealed::Pkcs8, Sealed::Pkcs12, Sealed::Java] {
        let mut budget = 20_000;
        let _ = sealed::open(&inside(data.to_vec()), &mut budget);
    }
    let _ = ssh::openssh(data);
    let _ = ssh::public(data);
    let _ = ssh::raw(data);
    let mut found = Vec::new();
    extract::binary(data, &mut found);
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = ssh::putty(text);
        if data.len() < 64 {
            let _ = crypt::default_password(text);
        }
    }
});
