//! Inclusion and consistency proofs (RFC 6962 §2.1.1–2.1.2; checking as RFC 9162 §2.1.3.2 and
//! §2.1.4.2). Never reads a file: the caller passes the hashes in. A proof is valid only after it
//! was checked against a root.

use super::tree::{Hash, node_hash};

/// A source of the hashes of perfect subtrees.
pub trait Nodes {
    /// The error of a missing hash.
    type Error;
    /// The hash of the perfect subtree of 2^`height` entries with this index at its height.
    fn node(&mut self, height: u32, index: u64) -> Result<Hash, Self::Error>;
}

/// The error of a proof that does not lead to its root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadProof {
    /// The index or the sizes are impossible.
    #[error("the proof is for an index or size that the tree does not have")]
    Range,
    /// The number of hashes is wrong.
    #[error("the proof has another number of hashes than its tree needs")]
    Length,
    /// The proof leads to another root.
    #[error("the proof does not lead to the root of the signed checkpoint")]
    Root,
}

/// The largest power of two smaller than `count` (which is at least 2).
fn split(count: u64) -> u64 {
    1 << (u64::BITS - 1 - (count - 1).leading_zeros())
}

/// The root of the entries `from..to`; `from` must be a multiple of the largest power of two in the
/// span, as all spans of RFC 6962 are.
pub fn span<N: Nodes>(nodes: &mut N, from: u64, to: u64) -> Result<Hash, N::Error> {
    let count = to - from;
    if count.is_power_of_two() {
        let height = count.trailing_zeros();
        return nodes.node(height, from >> height);
    }
    let middle = from + split(count);
    let left = span(nodes, from, middle)?;
    Ok(node_hash(&left, &span(nodes, middle, to)?))
}

/// Makes the inclusion proof of entry `index` in a tree of `size` entries, from the leaf's sibling
/// to the root's child.
pub fn inclusion<N: Nodes>(nodes: &mut N, index: u64, size: u64) -> Result<Vec<Hash>, N::Error> {
    let (mut from, mut to, mut path) = (0, size, Vec::new());
    while to - from > 1 {
        let middle = from + split(to - from);
        if index < middle {
            path.push(span(nodes, middle, to)?);
            to = middle;
        } else {
            path.push(span(nodes, from, middle)?);
            from = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// Checks an inclusion proof against a root.
pub fn check_inclusion(
    leaf: Hash,
    index: u64,
    size: u64,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), BadProof> {
    if index >= size {
        return Err(BadProof::Range);
    }
    let (mut node, mut last, mut hash) = (index, size - 1, leaf);
    for sibling in proof {
        if last == 0 {
            return Err(BadProof::Length);
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(BadProof::Length);
    }
    if hash == *root { Ok(()) } else { Err(BadProof::Root) }
}

/// Makes the consistency proof from a tree of `old` entries to one of `new` entries.
pub fn consistency<N: Nodes>(nodes: &mut N, old: u64, new: u64) -> Result<Vec<Hash>, N::Error> {
    let mut path = Vec::new();
    if old == 0 || old >= new {
        return Ok(path);
    }
    // RFC 6962 SUBPROOF as a loop: `whole` means that the proof leaves out the root of the old
    // tree.
    let (mut from, mut to, mut whole) = (0, new, true);
    while old != to {
        let middle = from + split(to - from);
        if old <= middle {
            path.push(span(nodes, middle, to)?);
            to = middle;
        } else {
            path.push(span(nodes, from, middle)?);
            from = middle;
            whole = false;
        }
    }
    if !whole {
        path.push(span(nodes, from, to)?);
    }
    path.reverse();
    Ok(path)
}

/// Checks a consistency proof against two roots.
pub fn check_consistency(
    old: u64,
    old_root: &Hash,
    new: u64,
    new_root: &Hash,
    proof: &[Hash],
) -> Result<(), BadProof> {
    if old > new {
        return Err(BadProof::Range);
    }
    if old == new || old == 0 {
        let same = old == 0 || old_root == new_root;
        return if !proof.is_empty() {
            Err(BadProof::Length)
        } else if same {
            Ok(())
        } else {
            Err(BadProof::Root)
        };
    }
    // A complete old tree is a node of the new one: its root is the first hash, left out of the
    // proof.
    let (first, rest) = if old.is_power_of_two() {
        (*old_root, proof)
    } else {
        let (first, rest) = proof.split_first().ok_or(BadProof::Length)?;
        (*first, rest)
    };
    let (mut node, mut last) = (old - 1, new - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let (mut old_hash, mut new_hash) = (first, first);
    for sibling in rest {
        if last == 0 {
            return Err(BadProof::Length);
        }
        if node & 1 == 1 || node == last {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(BadProof::Length);
    }
    if old_hash == *old_root && new_hash == *new_root { Ok(()) } else { Err(BadProof::Root) }
}

#[cfg(test)]
mod tests {
    use super::super::tree::{Tree, fold, leaf_hash};
    use super::*;
    use proptest::prelude::*;

    struct Leaves(Vec<Hash>);

    impl Nodes for Leaves {
        type Error = std::convert::Infallible;
        fn node(&mut self, height: u32, index: u64) -> Result<Hash, Self::Error> {
            let width = 1usize << height;
            let from = usize::try_from(index).unwrap() * width;
            Ok(fold(&self.0[from..from + width]))
        }
    }

    fn tree(size: u64) -> (Leaves, Hash) {
        let leaves: Vec<Hash> = (0..size).map(|n| leaf_hash(&n.to_be_bytes())).collect();
        let mut tree = Tree::default();
        for leaf in &leaves {
            tree.push(*leaf);
        }
        (Leaves(leaves), tree.root())
    }

    #[test]
    fn every_proof_of_small_trees_leads_to_its_root_and_to_no_other() {
        for size in 1..70 {
            let (mut leaves, root) = tree(size);
            for index in 0..size {
                let leaf = leaves.0[usize::try_from(index).unwrap()];
                let proof = inclusion(&mut leaves, index, size).unwrap();
                assert_eq!(
                    check_inclusion(leaf, index, size, &proof, &root),
                    Ok(()),
                    "{index} of {size}"
                );
                assert!(check_inclusion(leaf_hash(b"x"), index, size, &proof, &root).is_err());
                if size > 1 {
                    assert!(
                        check_inclusion(leaf, (index + 1) % size, size, &proof, &root).is_err(),
                        "{index} of {size}"
                    );
                    assert!(check_inclusion(leaf, index, size, &proof[1..], &root).is_err());
                }
            }
            for old in 0..=size {
                let (_, old_root) = tree(old);
                let proof = consistency(&mut leaves, old, size).unwrap();
                assert_eq!(
                    check_consistency(old, &old_root, size, &root, &proof),
                    Ok(()),
                    "{old} to {size}"
                );
                if old > 0 {
                    assert!(
                        check_consistency(old, &leaf_hash(b"x"), size, &root, &proof).is_err(),
                        "{old} to {size}"
                    );
                    assert!(
                        check_consistency(old, &old_root, size, &leaf_hash(b"x"), &proof).is_err(),
                        "{old} to {size}"
                    );
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn larger_trees_too(size in 1u64..3000, a in any::<prop::sample::Index>(),
        b in any::<prop::sample::Index>()) {
            let (mut leaves, root) = tree(size);
            let index = u64::try_from(a.index(usize::try_from(size).unwrap())).unwrap();
            let proof = inclusion(&mut leaves, index, size).unwrap();
            prop_assert_eq!(check_inclusion(leaves.0[usize::try_from(index).unwrap()], index, size,
            &proof, &root), Ok(()));
            let old = u64::try_from(b.index(usize::try_from(size).unwrap())).unwrap() + 1;
            let proof = consistency(&mut leaves, old, size).unwrap();
            prop_assert_eq!(check_consistency(old, &tree(old).1, size, &root, &proof), Ok(()));
        }
    }
}
