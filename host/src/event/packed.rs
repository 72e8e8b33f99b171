//! How the journal keeps what is long. The TaskRuns of a run begin and are
//! attested in nearly the same words, so what each of them adds is kept beside
//! the first of its kind, its *base*, by LZ4 with a dictionary; what is large is
//! kept by LZ4 on its own, and so is the first.
//!
//! Nothing is trusted for having been packed: events are in a chain of hashes and
//! bundles are signed, over what comes out again.

use std::io::{self, Cursor, Read, Write};

use cofferdam_registry::Frame;
use lz4_flex::block::{compress_with_dict, decompress_into_with_dict};
use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

use super::signed_bundle::SignedBundle;

/// The first byte of what is kept beside a base. What is not packed is JSON, and
/// begins with `{`.
const BESIDE: u8 = 1;
/// The first byte of what is kept on its own.
const ALONE: u8 = 2;
/// So much of the first of a kind, in bytes, is the base of the others.
pub(super) const MAX_BASE: usize = 16 << 10;
/// What is larger, in bytes, is kept beside no base. LZ4 looks back this far.
const MAX_BESIDE: usize = 64 << 10;
/// No Statement is larger: what SQLite takes for a value.
const MAX_STATEMENT: u64 = 1_000_000_000;
/// Nothing that stands around a Statement is larger: keys and certificates.
const MAX_AROUND: u64 = 1 << 20;

/// Where the base is that is needed to read something: the number of an event for
/// a fact, the name of a task for a bundle. Nothing, where none is needed.
pub(super) fn base_name(kept: &[u8]) -> Option<&[u8]> {
    let mut rest = kept;
    let ([BESIDE], [size]) = (take::<1>(&mut rest).ok()?, take::<1>(&mut rest).ok()?) else { return None };
    rest.get(..usize::from(size))
}

/// Whether a fact may be kept beside a base.
pub(super) fn is_packed(fact: &str) -> bool {
    fact.len() <= MAX_BESIDE
}

/// What facts are kept beside: the first, which is not packed.
pub(super) fn base_of_facts(first: &str) -> Vec<u8> {
    first.bytes().take(MAX_BASE).collect()
}

/// A fact beside the one of this number.
pub(super) fn pack_fact(fact: &[u8], (number, base): (u64, &[u8])) -> Vec<u8> {
    beside(&number.to_le_bytes(), &[fact.len() as u64], fact, base)
}

/// The number that is the name of a fact's base.
pub(super) fn event_number(name: &[u8]) -> Option<u64> {
    // The database has no larger ones.
    name.try_into().ok().map(u64::from_le_bytes).filter(|number| i64::try_from(*number).is_ok())
}

/// The fact that was packed.
///
/// # Errors
/// It is none.
pub(super) fn unpack_fact(kept: &[u8], base: &[u8]) -> io::Result<String> {
    let mut rest = after_name(kept)?;
    let [size] = sizes::<1>(&mut rest)?;
    String::from_utf8(from_beside(rest, size, base)?).map_err(|_| damaged())
}

/// What bundles are kept beside: the begin of the first, which is kept on its own.
///
/// # Errors
/// It is none.
pub(super) fn base_of_bundles(first: &[u8]) -> io::Result<Vec<u8>> {
    let mut rest = first;
    let ([ALONE], [before, after, statement]) = (take::<1>(&mut rest)?, sizes::<3>(&mut rest)?) else {
        return Err(damaged());
    };
    let size = before.saturating_add(after).saturating_add(statement).min(MAX_BASE as u64);
    let mut base = Vec::new();
    FrameDecoder::new(rest).take(size).read_to_end(&mut base)?;
    Ok(base)
}

/// All of a bundle in one piece, as it is packed beside a base; nothing of a
/// large one.
///
/// # Errors
/// The Statement cannot be read.
pub(super) fn in_one_piece(bundle: &SignedBundle) -> io::Result<Option<Vec<u8>>> {
    let (before, after) = bundle.frame().parts();
    let size = before.len() as u64 + after.len() as u64 + bundle.statement().size();
    let Some(size) = usize::try_from(size).ok().filter(|size| *size <= MAX_BESIDE) else { return Ok(None) };
    let mut piece = Vec::with_capacity(size);
    piece.extend_from_slice(before.as_bytes());
    piece.extend_from_slice(after.as_bytes());
    bundle.statement().reader().read_to_end(&mut piece)?;
    Ok(Some(piece))
}

/// Whether a task can be named as the one whose bundle others are kept beside.
pub(super) fn can_be_named(task: &str) -> bool {
    task.len() <= usize::from(u8::MAX)
}

/// A bundle, from [`in_one_piece`], beside that about this task, which can be
/// named.
pub(super) fn pack_beside(bundle: &SignedBundle, piece: &[u8], (task, base): (&str, &[u8])) -> Vec<u8> {
    beside(task.as_bytes(), &sizes_of(bundle), piece, base)
}

/// A bundle on its own: whoever compares what is kept of it compares all of it.
///
/// # Errors
/// The Statement cannot be read, or is larger than what could be read again.
pub(super) fn pack_alone(bundle: &SignedBundle) -> io::Result<Vec<u8>> {
    let sizes @ [before, after, statement] = sizes_of(bundle);
    if before.max(after) > MAX_AROUND || statement > MAX_STATEMENT {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut kept = vec![ALONE];
    sizes.iter().for_each(|size| kept.extend_from_slice(&size.to_le_bytes()));
    let how = FrameInfo::new().block_mode(BlockMode::Linked).block_size(BlockSize::Max64KB);
    let mut packing = FrameEncoder::with_frame_info(how, kept);
    let (before, after) = bundle.frame().parts();
    packing.write_all(before.as_bytes())?;
    packing.write_all(after.as_bytes())?;
    io::copy(&mut bundle.statement().reader(), &mut packing)?;
    Ok(packing.finish()?)
}

/// Writes the JSON of a bundle, packed or not.
///
/// # Errors
/// It is none that was packed beside this base, or `out` cannot be written.
pub(super) fn write_bundle(kept: &[u8], base: &[u8], out: &mut dyn Write) -> io::Result<()> {
    match kept.first() {
        Some(&BESIDE) => {
            let mut rest = after_name(kept)?;
            let sizes = sizes::<3>(&mut rest)?;
            let size = sizes.iter().fold(0_u64, |all, size| all.saturating_add(*size));
            unframe(&mut Cursor::new(from_beside(rest, size, base)?), sizes, out)
        }
        Some(&ALONE) => {
            let mut rest = kept.get(1..).unwrap_or_default();
            let sizes = sizes::<3>(&mut rest)?;
            unframe(&mut FrameDecoder::new(rest), sizes, out)
        }
        // As older versions keep them.
        _ => out.write_all(kept),
    }
}

fn sizes_of(bundle: &SignedBundle) -> [u64; 3] {
    let (before, after) = bundle.frame().parts();
    [before.len() as u64, after.len() as u64, bundle.statement().size()]
}

fn beside(name: &[u8], sizes: &[u64], piece: &[u8], base: &[u8]) -> Vec<u8> {
    let mut kept = vec![BESIDE, u8::try_from(name.len()).unwrap_or_default()];
    kept.extend_from_slice(name);
    sizes.iter().for_each(|size| kept.extend_from_slice(&size.to_le_bytes()));
    kept.append(&mut compress_with_dict(piece, base));
    kept
}

/// What is behind the name of the base.
fn after_name(kept: &[u8]) -> io::Result<&[u8]> {
    let name = base_name(kept).ok_or_else(damaged)?;
    kept.get(2 + name.len()..).ok_or_else(damaged)
}

fn from_beside(packed: &[u8], size: u64, base: &[u8]) -> io::Result<Vec<u8>> {
    // Whoever changed the journal could ask for any size.
    let size = usize::try_from(size).ok().filter(|size| *size <= MAX_BESIDE).ok_or_else(damaged)?;
    let mut piece = vec![0; size];
    let found = decompress_into_with_dict(packed, &mut piece, base).map_err(|_| damaged())?;
    if found == size { Ok(piece) } else { Err(damaged()) }
}

/// Writes a bundle from its parts: what stands before the Statement, what stands
/// after it, and the Statement.
fn unframe(
    parts: &mut dyn Read,
    [before, after, statement]: [u64; 3],
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut text = |size: u64| {
        let mut text = String::new();
        let found = parts.take(size.min(MAX_AROUND)).read_to_string(&mut text)? as u64;
        if found == size { Ok(text) } else { Err(damaged()) }
    };
    let frame = Frame::new(text(before)?, text(after)?);
    let mut counted = Counted { parts: parts.take(statement.min(MAX_STATEMENT)), count: 0 };
    frame.write(&mut counted, out)?;
    let all = counted.count == statement;
    if all && parts.read(&mut [0])? == 0 { Ok(()) } else { Err(damaged()) }
}

/// Counts what is read.
struct Counted<R> {
    parts: R,
    count: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.parts.read(buffer)?;
        self.count += count as u64;
        Ok(count)
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> io::Result<[u8; N]> {
    let (first, after) = rest.split_first_chunk::<N>().ok_or_else(damaged)?;
    *rest = after;
    Ok(*first)
}

fn sizes<const N: usize>(rest: &mut &[u8]) -> io::Result<[u64; N]> {
    let mut sizes = [0; N];
    for size in &mut sizes {
        *size = u64::from_le_bytes(take(rest)?);
    }
    Ok(sizes)
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "what the journal keeps was damaged")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use proptest::prelude::*;

    use super::*;

    fn bundle(statement: &str) -> SignedBundle {
        let around = (r#"{"payload":""#.to_owned(), r#"","sig":"c2ln"}"#.to_owned());
        SignedBundle::of(Frame::new(around.0, around.1), statement.as_bytes().to_vec())
    }

    fn json(bundle: &SignedBundle) -> Vec<u8> {
        let mut json = Vec::new();
        bundle.write(&mut json).unwrap();
        json
    }

    fn unpacked(kept: &[u8], base: &[u8]) -> io::Result<Vec<u8>> {
        let mut json = Vec::new();
        write_bundle(kept, base, &mut json)?;
        Ok(json)
    }

    fn task(n: usize) -> String {
        let digest = cofferdam_registry::Digest::of(&n.to_be_bytes());
        format!(
            r#"{{"limits":{{"memory":"1Gi","timeout":"1h"}},"task":"t{n}","digest":"{digest}","hermetic":true}}"#
        )
    }

    /// What the bundles of a run are kept beside.
    fn first() -> Vec<u8> {
        let kept = pack_alone(&bundle(&task(0))).unwrap();
        assert_eq!(base_name(&kept), None);
        let base = base_of_bundles(&kept).unwrap();
        assert_eq!(base, in_one_piece(&bundle(&task(0))).unwrap().unwrap());
        base
    }

    fn packed(bundle: &SignedBundle) -> Vec<u8> {
        pack_beside(bundle, &in_one_piece(bundle).unwrap().unwrap(), ("t0", &first()))
    }

    #[test]
    fn what_is_like_the_first_takes_little_and_comes_out_as_it_was() {
        for n in 1..50 {
            let bundle = bundle(&task(n));
            let kept = packed(&bundle);
            assert!(kept.len() < 140, "{}", kept.len());
            assert_eq!(base_name(&kept), Some(&b"t0"[..]));
            assert_eq!(unpacked(&kept, &first()).unwrap(), json(&bundle));
            let kept = pack_fact(task(n).as_bytes(), (7, &base_of_facts(&task(0))));
            assert_eq!(base_name(&kept).and_then(event_number), Some(7));
            assert_eq!(unpack_fact(&kept, task(0).as_bytes()).unwrap(), task(n));
        }
        assert_eq!([255, 256].map(|length| can_be_named(&"x".repeat(length))), [true, false]);
        for (number, found) in [(i64::MAX as u64, Some(i64::MAX as u64)), (1 << 63, None)] {
            assert_eq!(event_number(&u64::to_le_bytes(number)), found);
        }
        assert_eq!(event_number(b"1"), None);
    }

    #[test]
    fn what_is_large_is_kept_on_its_own() {
        let tasks: String = (0..3000).map(task).collect();
        let bundle = bundle(&tasks);
        assert_eq!(in_one_piece(&bundle).unwrap(), None);
        let kept = pack_alone(&bundle).unwrap();
        assert!(kept.len() * 2 < tasks.len() && base_name(&kept).is_none(), "{} {}", kept.len(), tasks.len());
        assert_eq!(base_of_bundles(&kept).unwrap().len(), MAX_BASE);
        assert_eq!(unpacked(&kept, b"any").unwrap(), json(&bundle));
    }

    #[test]
    fn what_an_older_version_kept_is_given_as_it_is() {
        assert_eq!(unpacked(b"{\"a\":1}", &[]).unwrap(), b"{\"a\":1}");
        assert_eq!(unpacked(b"", &[]).unwrap(), b"");
    }

    #[test]
    fn damage_is_no_bundle_that_was_made() {
        let (first, some) = (first(), bundle(&task(7)));
        for (kept, base) in [(packed(&some), &*first), (pack_alone(&some).unwrap(), &[])] {
            let is_there = |kept: &[u8]| unpacked(kept, base).is_ok_and(|found| found == json(&some));
            assert!(is_there(&kept));
            // Whose base is needed is looked at by who finds it.
            let name = base_name(&kept).map_or(0, |name| 1 + name.len());
            for at in (0..1).chain(1 + name..1 + name + 3 * 8) {
                for bit in 0..8 {
                    let mut other = kept.clone();
                    *other.get_mut(at).unwrap() ^= 1 << bit;
                    assert!(!is_there(&other), "{at} {bit}");
                }
                assert!(!is_there(kept.get(..at).unwrap()), "{at}");
            }
            assert!(!is_there(kept.get(..kept.len() - 8).unwrap()));
            // Beside another base, it is another one.
            assert_eq!(unpacked(&kept, b"other").is_ok_and(|found| found == json(&some)), base.is_empty());
        }
    }

    #[test]
    fn no_more_room_is_made_than_anything_needs_that_was_packed() {
        for (size, is_read) in [(MAX_BESIDE, true), (MAX_BESIDE + 1, false)] {
            let zeros = vec![0; size];
            let kept = beside(b"t", &[0, 0, size as u64], &zeros, &[]);
            assert_eq!(unpacked(&kept, &[]).is_ok(), is_read);
            let kept = beside(&[0; 8], &[size as u64], &zeros, &[]);
            assert_eq!(unpack_fact(&kept, &[]).is_ok(), is_read);
        }
        assert_eq!(
            [is_packed(&"x".repeat(MAX_BESIDE)), is_packed(&"x".repeat(MAX_BESIDE + 1))],
            [true, false]
        );
        let large = SignedBundle::of(Frame::new("x".repeat((1 << 20) + 1), String::new()), Vec::new());
        assert_eq!(pack_alone(&large).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }

    proptest! {
        #[test]
        fn anything_may_be_there(kept: Vec<u8>, how in BESIDE..=ALONE, base: Vec<u8>) {
            let mut kept = kept;
            kept.insert(0, how);
            let _ = unpacked(&kept, &base);
            let _ = unpack_fact(&kept, &base);
            let _ = base_of_bundles(&kept);
            let _ = base_name(&kept).and_then(event_number);
        }
    }
}
