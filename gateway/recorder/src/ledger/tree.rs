//! The Merkle tree of RFC 6962 §2.1, kept as its right edge: at most 255 hashes a level, whatever
//! the log's size. Never reads or writes a file.

use sha2::{Digest as _, Sha256};

/// The hash of a node.
pub type Hash = [u8; 32];

/// The height of a tile, in levels of the tree.
pub const HEIGHT: u32 = 8;

/// The hash of an entry: `SHA-256(0x00 ‖ entry)`.
pub fn leaf_hash(entry: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(entry).finalize().into()
}

/// The hash of an inner node: `SHA-256(0x01 ‖ left ‖ right)`.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// The hash of the tree without entries.
pub fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// The root of the hashes of perfect subtrees of one height; their number is a power of two.
pub fn fold(hashes: &[Hash]) -> Hash {
    let mut row = hashes.to_vec();
    while row.len() > 1 {
        row = row
            .chunks(2)
            .map(
                |pair| if let [left, right] = pair { node_hash(left, right) } else { empty_root() },
            )
            .collect();
    }
    row.first().copied().unwrap_or_else(empty_root)
}

/// A tile that became full: it never changes again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FullTile {
    /// The level: 0 has leaf hashes.
    pub level: u32,
    /// The index within its level.
    pub index: u64,
    /// The 256 hashes of the tile.
    pub hashes: Vec<Hash>,
    /// The root of the hashes.
    pub root: Hash,
}

/// A tree, stored as its right edge.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// For each level of tiles, the hashes of the tile that is not full yet.
    edges: Vec<Vec<Hash>>,
    /// The roots of the largest perfect subtrees, from the left: one for each bit of the size that
    /// is set.
    peaks: Vec<Hash>,
    size: u64,
}

impl Tree {
    /// Makes the tree of this size from the hashes of its partial tiles, lowest level first. `None`
    /// if their numbers do not fit.
    pub fn of_edges(size: u64, edges: Vec<Vec<Hash>>) -> Option<Self> {
        let mut peaks = Vec::new();
        for (level, edge) in (0u32..).zip(&edges).collect::<Vec<_>>().into_iter().rev() {
            let count = size.checked_shr(HEIGHT * level).unwrap_or(0) & ((1 << HEIGHT) - 1);
            if u64::try_from(edge.len()) != Ok(count) {
                return None;
            }
            let mut rest = edge.as_slice();
            for bit in (0..HEIGHT).rev() {
                let width = 1usize << bit;
                if edge.len() & width != 0 {
                    let (these, others) = rest.split_at_checked(width)?;
                    peaks.push(fold(these));
                    rest = others;
                }
            }
        }
        let levels = u32::try_from(edges.len()).ok()?;
        let all = size.checked_shr(HEIGHT * levels).unwrap_or(0) == 0;
        all.then_some(Self { edges, peaks, size })
    }

    /// The number of entries.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf hash; returns the tiles that became full, lowest level first.
    pub fn push(&mut self, leaf: Hash) -> Vec<FullTile> {
        let before = self.size;
        self.size += 1;
        self.add(0, leaf);
        let (mut node, mut height, mut full) = (leaf, 0u32, Vec::new());
        // The new node is joined with each perfect subtree of its own height.
        while before.checked_shr(height).unwrap_or(0) & 1 == 1 {
            let Some(left) = self.peaks.pop() else { break };
            node = node_hash(&left, &node);
            height += 1;
            if height % HEIGHT == 0 {
                let level = height / HEIGHT - 1;
                let hashes = self.take(level);
                full.push(FullTile { level, index: (self.size >> height) - 1, hashes, root: node });
                self.add(level + 1, node);
            }
        }
        self.peaks.push(node);
        full
    }

    /// Adds a hash to the tile of this level.
    fn add(&mut self, level: u32, hash: Hash) {
        let at = usize::try_from(level).unwrap_or_default();
        if self.edges.len() <= at {
            self.edges.resize(at.saturating_add(1), Vec::new());
        }
        if let Some(edge) = self.edges.get_mut(at) {
            edge.push(hash);
        }
    }

    /// Takes the hashes of the tile of this level.
    fn take(&mut self, level: u32) -> Vec<Hash> {
        let at = usize::try_from(level).unwrap_or_default();
        self.edges.get_mut(at).map(std::mem::take).unwrap_or_default()
    }

    /// The partial tiles of this size: level, index within the level, hashes.
    pub fn partial_tiles(&self) -> impl Iterator<Item = (u32, u64, &[Hash])> {
        self.edges.iter().zip(0u32..).filter(|(edge, _)| !edge.is_empty()).map(|(edge, level)| {
            let index = self.size.checked_shr(HEIGHT * (level + 1)).unwrap_or(0);
            (level, index, edge.as_slice())
        })
    }

    /// The root hash: the left subtree is the largest that fits (RFC 6962).
    pub fn root(&self) -> Hash {
        let peaks = self.peaks.iter().rev().copied();
        peaks.reduce(|right, left| node_hash(&left, &right)).unwrap_or_else(empty_root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_core::model::id::hex;

    /// MTH as RFC 6962 §2.1 defines it, without any cleverness.
    pub fn naive(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => empty_root(),
            [leaf] => *leaf,
            many => {
                let k = 1usize << (usize::BITS - 1 - (many.len() - 1).leading_zeros());
                node_hash(&naive(&many[..k]), &naive(&many[k..]))
            }
        }
    }

    #[test]
    fn roots_are_those_of_the_certificate_transparency_test_vectors() {
        // Inputs and roots from certificate-transparency's reference tests (merkle_tree_test),
        // sizes 0 to 8.
        let inputs: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let roots = [
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut tree = Tree::default();
        assert_eq!(hex(&tree.root()), roots[0]);
        for (input, root) in inputs.iter().zip(&roots[1..]) {
            tree.push(leaf_hash(input));
            assert_eq!(&hex(&tree.root()), root);
        }
    }

    #[test]
    fn the_edge_gives_the_root_of_the_definition_also_across_tile_borders() {
        let leaves: Vec<Hash> = (0u32..67_000).map(|n| leaf_hash(&n.to_be_bytes())).collect();
        let mut tree = Tree::default();
        let mut tiles = 0;
        for (n, leaf) in leaves.iter().enumerate() {
            for tile in tree.push(*leaf) {
                assert_eq!(tile.hashes.len(), 256);
                assert_eq!(tile.root, naive(&tile.hashes));
                tiles += 1;
            }
            if n < 600 || [65_534, 65_535, 65_536, 66_999].contains(&n) {
                assert_eq!(tree.root(), naive(&leaves[..=n]), "size {}", n + 1);
                let edges: Vec<_> = tree.edges.clone();
                assert_eq!(Tree::of_edges(tree.size(), edges.clone()), Some(tree.clone()));
                assert_eq!(Tree::of_edges(tree.size() + 1, edges), None);
            }
        }
        // 67,000 = 261 full level-0 tiles and 184 hashes; one full level-1 tile and 5 hashes; one
        // hash at level 2.
        assert_eq!(tiles, 262);
        let partial: Vec<_> = tree
            .partial_tiles()
            .map(|(level, index, hashes)| (level, index, hashes.len()))
            .collect();
        assert_eq!(partial, [(0, 261, 184), (1, 1, 5), (2, 0, 1)]);
    }
}
