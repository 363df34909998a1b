//! Where passphrases come from: a prompt on a terminal, or a file for its owner alone. Never an
//! argument, never the environment: other processes can read both.

use std::io::IsTerminal;
use std::path::Path;

use ringfort_keystore::{Passphrase, read_private, write_private_new};
use zeroize::Zeroizing;

use crate::failure::{Failure, Outcome};
use crate::keys::key_failure;
use crate::{ask, files};

/// The passphrase of something that exists, from its PIN file or a prompt.
pub fn existing(pin_file: Option<&Path>, of: &str) -> Outcome<Passphrase> {
    match pin_file {
        Some(path) => from_file(path),
        None => passphrase(prompt(&format!("Passphrase of {of}: "))?),
    }
}

/// The passphrase for something new; asked for twice on a terminal.
pub fn new(pin_file: Option<&Path>, of: &str) -> Outcome<Passphrase> {
    passphrase(new_text(pin_file, of)?)
}

/// The passphrases for two new things that one person must not open both; they have to differ.
pub fn new_pair(
    first: (Option<&Path>, &str),
    second: (Option<&Path>, &str),
) -> Outcome<(Passphrase, Passphrase)> {
    let one = new_text(first.0, first.1)?;
    let other = || match new_text(second.0, second.1)? {
        other if *other == *one => Err(Failure::failed(
            format!("{} and {} have the same passphrase", first.1, second.1),
            "Whoever learns one has both.",
            "Choose two passphrases.",
        )),
        other => Ok(other),
    };
    let other = match second.0 {
        Some(_) => other(),
        None => ask::again(other),
    }?;
    Ok((passphrase(one)?, passphrase(other)?))
}

/// Makes a PIN file with 128 random bits, for a machine, and gives the passphrase in it.
pub fn new_pin_file(path: &Path) -> Outcome<Passphrase> {
    let mut bytes = Zeroizing::new([0u8; 16]);
    aws_lc_rs::rand::fill(bytes.as_mut()).map_err(|_| {
        Failure::failed("no random numbers", "The system's generator failed.", "Restart it.")
    })?;
    let text = Zeroizing::new(hex::encode(bytes.as_ref()));
    write_private_new(path, format!("{}\n", *text).as_bytes()).map_err(key_failure)?;
    passphrase(text)
}

fn from_file(path: &Path) -> Outcome<Passphrase> {
    Passphrase::from_file(path).map_err(key_failure)
}

fn new_text(pin_file: Option<&Path>, of: &str) -> Outcome<Zeroizing<String>> {
    let unusable =
        |why: String, next: &str| Failure::failed(format!("no passphrase for {of}"), why, next);
    let too_short = |text: &str| text.chars().count() < MIN_CHARACTERS;
    let short = format!("It has fewer than {MIN_CHARACTERS} characters.");
    if let Some(path) = pin_file {
        let bytes = read_private(path, MAX_BYTES).map_err(key_failure)?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| unusable("The PIN file is not text.".into(), "Write text into it."))?;
        let text = Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned());
        return if too_short(&text) { Err(unusable(short, LONGER)) } else { Ok(text) };
    }
    ask::again(|| {
        let text = prompt(&format!("New passphrase for {of}: "))?;
        if too_short(&text) {
            return Err(unusable(short.clone(), LONGER));
        }
        if *text != *prompt("The same again: ")? {
            return Err(unusable("The two entries differ.".into(), "Enter it once more."));
        }
        Ok(text)
    })
}

fn passphrase(text: Zeroizing<String>) -> Outcome<Passphrase> {
    Passphrase::new(text).map_err(key_failure)
}

fn prompt(text: &str) -> Outcome<Zeroizing<String>> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::failed(
            "no passphrase",
            "There is no terminal to ask on.",
            "Run it on a terminal, or name a file of mode 0600 that holds the passphrase \
             (see --help for the option's name).",
        )
        .last());
    }
    rpassword::prompt_password(text).map(Zeroizing::new).map_err(|e| {
        Failure::failed("no passphrase", files::sentence(&e), "Give it in a file of mode 0600.")
            .last()
    })
}

/// Shortest passphrase that is taken for something new.
const MIN_CHARACTERS: usize = 8;
const LONGER: &str = "Take four or five random words.";
/// Largest PIN file.
const MAX_BYTES: usize = 1024;
