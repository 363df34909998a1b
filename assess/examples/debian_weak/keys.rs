//! The keys that the programs of that time made of such a generator.

use std::{fmt, str::FromStr};

use dashu_int::{UBig, ops::Gcd};
use ringfort_assess::keys::der;
use sha1::{Digest, Sha1};

use super::{
    lanes::fermat,
    prime::{Sieve, below, rounds},
    random::{Generator, Machine},
};

/// What made the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// `openssl genrsa` or `req` that read a file of seeds, ~/.rnd.
    OpensslRnd,
    /// The same that could not read it; also where 0.9.8c found none.
    OpensslNoread,
    /// The same where 0.9.8g found none.
    OpensslNornd,
    /// `ssh-keygen`.
    SshKeygen,
}

/// What kind of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// RSA of so many bits.
    Rsa(usize),
    /// DSA of 1,024 bits with a group of its own.
    Dsa,
}

/// 32,768 keys, one for each process id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Set {
    /// Where it ran.
    pub machine: Machine,
    /// What ran.
    pub program: Program,
    /// What it made.
    pub kind: Kind,
}

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Public {
    /// The modulus; the exponent takes no part in how it is found.
    Rsa(UBig),
    /// p, q, g and y.
    Dsa([UBig; 4]),
}

impl Public {
    /// As the index has it.
    pub fn key(&self) -> Option<der::Key> {
        match self {
            Self::Rsa(n) => der::rsa(&n.to_be_bytes(), &[1, 0, 1]),
            Self::Dsa(all) => {
                let [p, q, g, y] = all.each_ref().map(UBig::to_be_bytes);
                der::dsa_public(&p, &q, &g, &y)
            }
        }
    }
}

impl Set {
    /// The key of one process; `WIDE` numbers are looked at at once.
    pub fn key<const WIDE: usize>(&self, sieve: &Sieve, process: u32) -> Public {
        let mut random = Generator::new(self.machine, process);
        match self.program {
            Program::OpensslRnd => {
                random.feed_file_status();
                random.feed(1024);
            }
            Program::OpensslNoread => {
                random.feed_file_status();
                random.poll();
            }
            Program::OpensslNornd => random.poll(),
            Program::SshKeygen => {
                // It seeds a generator of its own from this one first.
                random.draw(&mut [0; 20]);
            }
        }
        match self.kind {
            Kind::Rsa(bits) => {
                let exponent = if self.program == Program::SshKeygen { 35 } else { 65_537 };
                let exponent = UBig::from(exponent as u32);
                let mut prime = || loop {
                    let prime = sieve.prime::<WIDE>(&mut random, bits / 2);
                    if (&prime - UBig::ONE).gcd(&exponent) == UBig::ONE {
                        return prime;
                    }
                };
                let (p, q) = (prime(), prime());
                Public::Rsa(p * q)
            }
            Kind::Dsa => dsa::<WIDE>(sieve, &mut random),
        }
    }
}

/// A DSA group by appendix 2.2 of FIPS 186-1 with a seed drawn, and a key in it.
fn dsa<const WIDE: usize>(sieve: &Sieve, random: &mut Generator) -> Public {
    loop {
        let (q, seed) = subgroup::<WIDE>(sieve, random);
        let Some(p) = field::<WIDE>(sieve, random, &q, seed) else { continue };
        let ring = dashu_int::fast_div::ConstDivisor::new(p.clone());
        let cofactor = (&p - UBig::ONE) / &q;
        let power = |h: u32| ring.reduce(h).pow(&cofactor).residue();
        let mut h = 2;
        while power(h) == UBig::ONE {
            h += 1;
        }
        let g = power(h);
        let x = loop {
            let x = below(random, &q);
            if x != UBig::ZERO {
                break x;
            }
        };
        let y = ring.reduce(g.clone()).pow(&x).residue();
        return Public::Dsa([p, q, g, y]);
    }
}

/// The order of the subgroup, and the seed after it.
fn subgroup<const WIDE: usize>(sieve: &Sieve, random: &mut Generator) -> (UBig, [u8; 20]) {
    loop {
        let mut seed = [0; 20];
        random.draw(&mut seed);
        let first: [u8; 20] = Sha1::digest(seed).into();
        increment(&mut seed);
        let second: [u8; 20] = Sha1::digest(seed).into();
        let mut bytes: [u8; 20] = std::array::from_fn(|i| first[i] ^ second[i]);
        bytes[0] |= 0x80;
        bytes[19] |= 1;
        let q = UBig::from_be_bytes(&bytes);
        if sieve.divides(&q) {
            continue;
        }
        if fermat(std::array::from_ref(&q), 160)[0] {
            rounds(random, &q, DSA_ROUNDS);
            return (q, seed);
        }
        rounds(random, &q, 1);
    }
}

/// The prime of the field, if there is one in 4,096 steps from the seed.
fn field<const WIDE: usize>(
    sieve: &Sieve,
    random: &mut Generator,
    q: &UBig,
    mut seed: [u8; 20],
) -> Option<UBig> {
    let top = UBig::ONE << 1023;
    let double = q << 1;
    let mut numbers = (0..4096)
        .map(|_| {
            let mut sum = UBig::ZERO;
            for part in 0..7 {
                increment(&mut seed);
                sum += UBig::from_be_bytes(&Sha1::digest(seed)) << (160 * part);
            }
            let number = sum % &top + &top;
            &number - &number % &double + UBig::ONE
        })
        .filter(|p| *p >= top && !sieve.divides(p))
        .peekable();
    while numbers.peek().is_some() {
        let taken: Vec<UBig> = numbers.by_ref().take(WIDE).collect();
        // Where the sequence ends first, its last number fills the batch.
        let batch: [UBig; WIDE] = std::array::from_fn(|i| taken[i.min(taken.len() - 1)].clone());
        let found = fermat(&batch, 1024);
        for (p, holds) in taken.iter().zip(found) {
            if holds {
                rounds(random, p, DSA_ROUNDS);
                return Some(p.clone());
            }
            rounds(random, p, 1);
        }
    }
    None
}

fn increment(seed: &mut [u8; 20]) {
    for byte in seed.iter_mut().rev() {
        *byte = byte.wrapping_add(1);
        if *byte != 0 {
            break;
        }
    }
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let machine = match self.machine {
            Machine::Le32 => "le32",
            Machine::Le64 => "le64",
            Machine::Be32 => "be32",
        };
        let program = match self.program {
            Program::OpensslRnd => "openssl-rnd",
            Program::OpensslNoread => "openssl-noread",
            Program::OpensslNornd => "openssl-nornd",
            Program::SshKeygen => "ssh-keygen",
        };
        match self.kind {
            Kind::Rsa(bits) => write!(f, "{machine}/{program}/rsa{bits}"),
            Kind::Dsa => write!(f, "{machine}/{program}/dsa1024"),
        }
    }
}

impl FromStr for Set {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        all()
            .find(|set| set.to_string() == text)
            .ok_or_else(|| format!("no set {text}; sets are MACHINE/PROGRAM/KIND"))
    }
}

/// Every set that can be derived.
pub fn all() -> impl Iterator<Item = Set> {
    use Program::{OpensslNoread, OpensslNornd, OpensslRnd, SshKeygen};
    [Machine::Le32, Machine::Le64, Machine::Be32].into_iter().flat_map(|machine| {
        [OpensslRnd, OpensslNoread, OpensslNornd, SshKeygen]
            .into_iter()
            .flat_map(move |program| {
                [Kind::Rsa(1024), Kind::Rsa(2048)].map(|kind| Set { machine, program, kind })
            })
            .chain([Set { machine, program: SshKeygen, kind: Kind::Dsa }])
    })
}

const DSA_ROUNDS: usize = 50;
