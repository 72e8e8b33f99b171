//! Any tree that can be an artifact goes in and comes out the same.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;

/// A tree as plain data: paths to what stands there.
type Shape = BTreeMap<PathBuf, Leaf>;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Leaf {
    File(Vec<u8>, bool),
    Link(String),
    Empty,
}

fn name() -> impl Strategy<Value = String> {
    let odd = prop_oneof![
        Just("e\u{301}".to_owned()),
        Just("\u{e9}".to_owned()),
        Just("日本語 🦀".to_owned()),
        Just("A".to_owned()),
        Just("a".to_owned()),
        Just("-rf *".to_owned()),
        Just("new\nline".to_owned()),
        Just("\u{202e}txt.exe".to_owned()),
        Just("x".repeat(255)),
        "[^/\u{0}]{1,40}".prop_filter("a name that stays", |n| n != "." && n != ".." && n.len() <= 255),
    ];
    odd.boxed()
}

fn leaf() -> impl Strategy<Value = Leaf> {
    prop_oneof![
        4 => (proptest::collection::vec(any::<u8>(), 0..200), any::<bool>()).prop_map(|(b, x)| Leaf::File(b, x)),
        1 => name().prop_map(Leaf::Link),
        1 => Just(Leaf::Empty),
    ]
}

/// Trees of up to forty entries, four levels deep, in which no path is both a
/// file and a directory.
fn shape() -> impl Strategy<Value = Shape> {
    let path = proptest::collection::vec(name(), 1..5).prop_map(|parts| parts.iter().collect::<PathBuf>());
    proptest::collection::vec((path, leaf()), 0..40).prop_map(|entries| {
        let mut shape = Shape::new();
        for (path, leaf) in entries {
            let above = path.ancestors().skip(1).any(|above| shape.contains_key(above));
            let below = shape.keys().any(|other| other.starts_with(&path));
            if !above && !below {
                shape.insert(path, leaf);
            }
        }
        shape
    })
}

fn lay(shape: &Shape, root: &Path) {
    fs::create_dir_all(root).unwrap();
    for (path, leaf) in shape {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match leaf {
            Leaf::File(bytes, executable) => {
                fs::write(&path, bytes).unwrap();
                let mode = if *executable { 0o755 } else { 0o644 };
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            }
            Leaf::Link(target) => symlink(target, &path).unwrap(),
            Leaf::Empty => fs::create_dir(&path).unwrap(),
        }
    }
}

fn read(root: &Path, with_modes: bool) -> Shape {
    let mut shape = Shape::new();
    let mut pending = vec![root.to_owned()];
    while let Some(directory) = pending.pop() {
        let mut count = 0;
        for entry in fs::read_dir(&directory).unwrap() {
            count += 1;
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            let leaf = if metadata.is_dir() {
                pending.push(path);
                continue;
            } else if metadata.is_symlink() {
                Leaf::Link(fs::read_link(&path).unwrap().into_os_string().into_string().unwrap())
            } else {
                let executable = with_modes && metadata.permissions().mode() & 0o100 != 0;
                Leaf::File(fs::read(&path).unwrap(), executable)
            };
            shape.insert(path.strip_prefix(root).unwrap().to_owned(), leaf);
        }
        if count == 0 && directory != root {
            shape.insert(directory.strip_prefix(root).unwrap().to_owned(), Leaf::Empty);
        }
    }
    shape
}

fn without_modes(shape: &Shape) -> Shape {
    let plain = |leaf: &Leaf| match leaf {
        Leaf::File(bytes, _) => Leaf::File(bytes.clone(), false),
        Leaf::Link(_) | Leaf::Empty => leaf.clone(),
    };
    shape.iter().map(|(path, leaf)| (path.clone(), plain(leaf))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_comes_out_as_it_went_in(shape in shape()) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("store")).unwrap();
        let (original, copied, linked) =
            (directory.path().join("in"), directory.path().join("out"), directory.path().join("linked"));
        lay(&shape, &original);
        let tree = store.ingest(&original).unwrap();
        prop_assert_eq!(store.ingest(&original).unwrap(), tree, "the same tree has one digest");

        store.copy_out(tree.digest, &copied).unwrap();
        prop_assert_eq!(&read(&copied, true), &shape);
        store.link_out(tree.digest, &linked).unwrap();
        prop_assert_eq!(read(&linked, false), without_modes(&shape));
        prop_assert_eq!(store.check_tree(tree.digest).unwrap().files, tree.files);

        // Sealing takes the copy away and gives the same digest.
        let limits = SealLimits { bytes: u64::MAX, files: u64::MAX };
        prop_assert_eq!(store.seal(&copied, limits).unwrap(), tree);
        let fresh = Store::open(&directory.path().join("fresh")).unwrap();
        prop_assert_eq!(fresh.seal(&original, limits).unwrap(), tree);
        prop_assert_eq!(fresh.check_tree(tree.digest).unwrap().bytes, tree.bytes);
    }

    #[test]
    fn one_flipped_bit_is_another_tree(shape in shape(), pick in any::<prop::sample::Index>()) {
        let files: Vec<&PathBuf> =
            shape.iter().filter(|(_, l)| matches!(l, Leaf::File(b, _) if !b.is_empty())).map(|(p, _)| p).collect();
        prop_assume!(!files.is_empty());
        let path = *pick.get(&files);
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("store")).unwrap();
        let root = directory.path().join("in");
        lay(&shape, &root);
        let before = store.ingest(&root).unwrap();
        let mut bytes = fs::read(root.join(path)).unwrap();
        *bytes.first_mut().unwrap() ^= 1;
        fs::write(root.join(path), bytes).unwrap();
        prop_assert_ne!(store.ingest(&root).unwrap().digest, before.digest);
    }
}

#[test]
fn a_file_of_100_mb_is_streamed() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("store")).unwrap();
    let root = directory.path().join("in");
    fs::create_dir(&root).unwrap();
    let bytes: Vec<u8> =
        (0..100_000_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    fs::write(root.join("large"), &bytes).unwrap();
    let tree = store.ingest(&root).unwrap();
    assert_eq!((tree.files, tree.bytes), (1, 100_000_000));
    let out = directory.path().join("out");
    store.copy_out(tree.digest, &out).unwrap();
    assert!(fs::read(out.join("large")).unwrap() == bytes);
}

#[test]
fn what_no_artifact_may_hold_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("store")).unwrap();
    let refused = |make: &dyn Fn(&Path)| {
        let root = tempfile::tempdir().unwrap();
        make(root.path());
        matches!(store.ingest(root.path()), Err(StoreError::Unsuitable { .. }))
    };
    assert!(refused(&|root| symlink("/etc/passwd", root.join("link")).unwrap()));
    assert!(refused(&|root| symlink("../up", root.join("link")).unwrap()));
    assert!(refused(&|root| {
        fs::create_dir(root.join("a")).unwrap();
        symlink("../../up", root.join("a/link")).unwrap();
    }));
    assert!(refused(&|root| {
        let _ = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    }));
    assert!(refused(&|root| {
        use std::os::unix::ffi::OsStrExt;
        fs::write(root.join(std::ffi::OsStr::from_bytes(b"\xff")), "").unwrap();
    }));
    assert!(!refused(&|root| symlink("a/b", root.join("link")).unwrap()));
}

#[test]
fn a_damaged_object_is_never_read_and_is_healed_by_storing_it_again() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("store");
    let digest = Store::open(&root).unwrap().put(b"sound").unwrap();
    let store = Store::open(&root).unwrap();
    let path = store.path(digest);
    fs::remove_file(&path).unwrap();
    fs::write(&path, b"other").unwrap();
    assert!(matches!(store.read(digest), Err(StoreError::Corrupt { .. })));
    assert!(matches!(store.check(digest), Err(StoreError::Corrupt { .. })));
    assert_eq!(store.put(b"sound").unwrap(), digest);
    assert_eq!(store.read(digest).unwrap(), b"sound");
}

#[test]
fn readers_never_see_part_of_an_object() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let bytes = vec![7_u8; 4 << 20];
    let digest = Digest::of(&bytes);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| store.put(&bytes).unwrap());
        let other = Store::open(directory.path()).unwrap();
        while !writer.is_finished() {
            match other.read(digest) {
                Ok(read) => assert_eq!(read.len(), bytes.len()),
                Err(StoreError::Missing { .. }) => {}
                Err(error) => unreachable!("{error}"),
            }
        }
    });
}

#[test]
fn a_tree_too_deep_or_with_too_long_paths_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("store")).unwrap();
    let seal = |path: &str| {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join(path)).unwrap();
        store.seal(root.path(), SealLimits { bytes: 1000, files: 1000 })
    };
    assert!(seal(&["a"; 256].join("/")).is_ok());
    for path in ["a/".repeat(257), ("a".repeat(250) + "/").repeat(13)] {
        assert!(matches!(seal(&path), Err(StoreError::TooLarge { .. })), "{path}");
    }
}
