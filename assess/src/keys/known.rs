//! Keys whose private half is public: test keys of TLS and SSH libraries and of boot
//! loaders, keys that ship with distributions and tools. By fingerprint only.

use std::sync::OnceLock;

/// Where a publicly known key comes from.
#[must_use]
pub fn source(spki_sha256: &[u8; 32]) -> Option<&'static str> {
    let list = list();
    list.binary_search_by(|(print, _)| print.cmp(spki_sha256)).ok().map(|at| list[at].1)
}

/// How many are known.
#[must_use]
pub fn count() -> usize {
    list().len()
}

/// The day on which the list was made, `YYYY-MM-DD`.
#[must_use]
pub fn made_on() -> &'static str {
    DATA.lines().find_map(|l| l.strip_prefix("# made on ")).unwrap_or("unknown")
}

fn list() -> &'static [([u8; 32], &'static str)] {
    static LIST: OnceLock<Vec<([u8; 32], &'static str)>> = OnceLock::new();
    LIST.get_or_init(|| {
        let mut list: Vec<_> = DATA
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| {
                let (print, source) = line.split_once('\t')?;
                Some((<[u8; 32]>::try_from(hex::decode(print).ok()?).ok()?, source))
            })
            .collect();
        list.sort_unstable();
        list
    })
}

const DATA: &str = include_str!("../../data/known-keys.tsv");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_least_200_keys_each_with_its_source() {
        assert!(count() >= 200, "{}", count());
        assert_eq!(DATA.lines().filter(|l| !l.starts_with('#')).count(), count());
        assert!(list().iter().all(|(_, source)| source.len() > 5));
        assert!(list().windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert_eq!(made_on().len(), 10);
    }
}
