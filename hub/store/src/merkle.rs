//! Merkle tree hashing, RFC 9162 section 2.1, with SHA-256.

use aws_lc_rs::digest::{Context, SHA256};

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// The hash of a leaf: SHA-256(0x00 || entry).
pub fn leaf_hash(entry: &[u8]) -> Hash {
    sha256(&[&[0x00], entry])
}

/// The root over leaf hashes in order (RFC 9162 section 2.1.1); the hash of nothing when empty.
pub fn root(leaves: impl IntoIterator<Item = Hash>) -> Hash {
    let mut frontier = Frontier::default();
    leaves.into_iter().for_each(|leaf| frontier.push(leaf));
    frontier.root()
}

/// A tree that only grows: its size, its last leaf and the roots of its complete subtrees, largest
/// first. Appending costs at most one hash per level.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    last_leaf: Hash,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// How many leaves the tree has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The hash of the last leaf; zeros while there is none.
    pub fn last_leaf(&self) -> Hash {
        self.last_leaf
    }

    /// Appends the hash of a leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut node = leaf;
        for _ in 0..self.size.trailing_ones() {
            // One complete subtree stands on the stack for each bit set in the size.
            let Some(left) = self.peaks.pop() else { break };
            node = node_hash(&left, &node);
        }
        self.peaks.push(node);
        self.last_leaf = leaf;
        self.size += 1;
    }

    /// The root of the tree as it is.
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        match peaks.next() {
            None => sha256(&[]),
            Some(last) => peaks.fold(*last, |right, left| node_hash(left, &right)),
        }
    }

    /// As bytes: the size, big-endian, the last leaf, then the roots.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(40 + 32 * self.peaks.len());
        bytes.extend_from_slice(&self.size.to_be_bytes());
        bytes.extend_from_slice(&self.last_leaf);
        self.peaks.iter().for_each(|peak| bytes.extend_from_slice(peak));
        bytes
    }

    /// From [`Frontier::to_bytes`]; nothing when the bytes do not make a frontier.
    pub fn from_bytes(bytes: &[u8]) -> Option<Frontier> {
        let (size, rest) = bytes.split_first_chunk::<8>()?;
        let (last_leaf, peaks) = rest.split_first_chunk::<32>()?;
        let size = u64::from_be_bytes(*size);
        let (peaks, rest) = peaks.as_chunks::<32>();
        let fits = rest.is_empty() && peaks.len() == size.count_ones() as usize;
        fits.then(|| Frontier { size, last_leaf: *last_leaf, peaks: peaks.to_vec() })
    }
}

/// The hash of an inner node: SHA-256(0x01 || left || right).
fn node_hash(left: &Hash, right: &Hash) -> Hash {
    sha256(&[&[0x01], left, right])
}

fn sha256(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    parts.iter().for_each(|part| context.update(part));
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9162 section 2.1.1 written down as it stands there, to compare with.
    fn by_definition(entries: &[&[u8]]) -> Hash {
        match entries {
            [] => sha256(&[]),
            [entry] => leaf_hash(entry),
            _ => {
                let split = entries.len().next_power_of_two() / 2;
                let (left, right) = entries.split_at(split);
                node_hash(&by_definition(left), &by_definition(right))
            }
        }
    }

    #[test]
    fn the_frontier_agrees_with_the_definition_at_every_size() {
        let texts: Vec<Vec<u8>> = (0..130u32).map(|n| n.to_be_bytes().to_vec()).collect();
        let entries: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
        let mut frontier = Frontier::default();
        for size in 0..entries.len() {
            assert_eq!(frontier.root(), by_definition(&entries[..size]), "size {size}");
            assert_eq!(Frontier::from_bytes(&frontier.to_bytes()).as_ref(), Some(&frontier));
            frontier.push(leaf_hash(entries[size]));
        }
    }

    #[test]
    fn a_leaf_is_never_an_inner_node() {
        let (a, b) = (leaf_hash(b"a"), leaf_hash(b"b"));
        let forged: Vec<u8> = a.iter().chain(&b).copied().collect();
        assert_ne!(leaf_hash(&forged), root([a, b]));
        assert_eq!(root([a]), a);
    }

    #[test]
    fn bytes_that_do_not_make_a_frontier_are_refused() {
        let mut frontier = Frontier::default();
        (0..5u8).for_each(|n| frontier.push(leaf_hash(&[n])));
        let bytes = frontier.to_bytes();
        assert!(Frontier::from_bytes(&bytes).is_some());
        assert!(Frontier::from_bytes(&bytes[..bytes.len() - 1]).is_none());
        assert!(Frontier::from_bytes(&bytes[..bytes.len() - 32]).is_none());
        assert!(Frontier::from_bytes(&[]).is_none());
    }
}
