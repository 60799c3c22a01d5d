//! Each oracle over its corpus, over changed copies of it, and over any bytes. Starts no process, and
//! writes no file.

use cofferdam_fuzz::{ORACLES, Oracle};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};
use std::fs;
use std::path::Path;

/// Inputs that an oracle is given beside those of its corpus.
const CASES: u32 = 2_000;

/// Bytes of an input without a corpus: enough for every part of a short input.
const LONGEST: usize = 64;

/// Bytes of a file in a corpus. The corpora are part of the tree.
const LARGEST_FILE: usize = 4096;

/// Bytes that readers treat in their own way.
const SPECIAL: [&[u8]; 14] = [
    b"\n",
    b"\r\n",
    b"\n\n",
    b"---\n",
    b"\"",
    b"\\u0000",
    b"[",
    b"]",
    b"{",
    b"}",
    b": ",
    b"*",
    b"\xef\xbb\xbf",
    b"9007199254740993",
];

/// One change of an input.
#[derive(Debug, Clone)]
enum Edit {
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Cut(Index, Index),
    Repeat(Index, Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    let special = select(&SPECIAL[..]).prop_map(<[u8]>::to_vec);
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Edit::Set(at, byte)),
        (any::<Index>(), prop_oneof![special, vec(any::<u8>(), 1..4)])
            .prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Edit::Cut(from, to)),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Edit::Repeat(from, to)),
    ]
}

fn edited(mut bytes: Vec<u8>, edits: &[Edit]) -> Vec<u8> {
    for edit in edits {
        let place = |index: &Index| index.index(bytes.len() + 1);
        let range =
            |from: &Index, to: &Index| place(from).min(place(to))..place(from).max(place(to));
        match edit {
            Edit::Set(at, byte) => {
                if let Some(there) = place(at).checked_sub(1).and_then(|at| bytes.get_mut(at)) {
                    *there = *byte;
                }
            }
            Edit::Insert(at, more) => {
                let at = place(at);
                bytes.splice(at..at, more.iter().copied());
            }
            Edit::Cut(from, to) => {
                bytes.drain(range(from, to));
            }
            Edit::Repeat(from, to) => {
                let range = range(from, to);
                let (end, copy) = (range.end, bytes[range].to_vec());
                bytes.splice(end..end, copy);
            }
        }
    }
    bytes
}

/// Files of a corpus with their names, in order.
fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let entries =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "the corpus {name} is empty");
    files
}

/// What the corpora hold of good signatures, made by the same key.
#[test]
fn the_corpora_hold_what_counts() {
    let good = [
        ("signature", cofferdam_fuzz::signature::good().unwrap()),
        ("ledger", cofferdam_fuzz::ledger::good()),
        ("token", cofferdam_fuzz::token::good()),
        ("request_state", cofferdam_fuzz::request_state::good()),
    ];
    for (name, text) in good {
        let files = corpus(name);
        let (_, bytes) = files
            .iter()
            .find(|(file, _)| file == "good")
            .unwrap_or_else(|| panic!("write {name}/good:\n{text}"));
        assert_eq!(String::from_utf8_lossy(bytes), text, "{name}/good");
    }
}

fn search(name: &str, oracle: Oracle) {
    let files = corpus(name);
    for (file, bytes) in &files {
        assert!(
            bytes.len() <= LARGEST_FILE,
            "{name}/{file} has more than {LARGEST_FILE} bytes; make it smaller: cargo fuzz tmin"
        );
        assert_eq!(oracle(bytes), Ok(()), "{name}/{file}");
    }
    let known: Vec<Vec<u8>> = files.into_iter().map(|(_, bytes)| bytes).collect();
    let changed =
        (select(known), vec(edit(), 1..6)).prop_map(|(bytes, edits)| edited(bytes, &edits));
    let inputs = prop_oneof![4 => changed, 1 => vec(any::<u8>(), 0..LONGEST)];
    // PROPTEST_CASES asks for more.
    let given = Config::default();
    let mut runner = TestRunner::new(Config {
        cases: CASES.max(given.cases),
        failure_persistence: None,
        ..given
    });
    let done = runner.run(&inputs, |bytes| {
        prop_assert_eq!(
            oracle(&bytes),
            Ok(()),
            "add it to fuzz/corpus/{}: {:?}",
            name,
            String::from_utf8_lossy(&bytes)
        );
        Ok(())
    });
    done.unwrap_or_else(|error| panic!("{name}: {error}"));
}

/// A test for each oracle, so that each is reported and runs beside the others.
macro_rules! searched {
    ($($name:ident),+) => {$(
        #[test]
        fn $name() {
            let (name, oracle) = *ORACLES.iter().find(|(name,
            _)| *name == stringify!($name)).unwrap();
            search(name, oracle);
        }
    )+

        #[test]
        fn every_oracle_is_searched_and_has_its_target() {
            assert_eq!(ORACLES.map(|(name, _)| name), [$(stringify!($name)),+]);
            for (name, _) in ORACLES {
                let target = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fuzz_targets/{name}.rs"));
                assert!(target.is_file(), "{}", target.display());
            }
        }
    };
}

searched!(json, path, directory, policy, frame, signature, ledger, token, head, request_state);
