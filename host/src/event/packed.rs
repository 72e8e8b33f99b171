//! How the journal keeps what is long. The TaskRuns of a run begin and are
//! attested in nearly the same words, so what each of them adds is kept beside
//! the first of its kind, its run's *base*, by LZ4 with a dictionary; what is
//! large is kept by LZ4 on its own.
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
/// Larger bundles, in bytes, are kept on their own. LZ4 looks back this far.
const MAX_BESIDE: usize = 64 << 10;
/// No Statement is larger: what SQLite takes for a value.
const MAX_STATEMENT: u64 = 1_000_000_000;
/// Nothing that stands around a Statement is larger: keys and certificates.
const MAX_AROUND: u64 = 1 << 20;

/// Whether something is packed so that its run's base is needed to read it.
pub(super) fn needs_base(kept: &[u8]) -> bool {
    kept.first() == Some(&BESIDE)
}

/// A fact beside the base of its run.
pub(super) fn pack_fact(fact: &[u8], base: &[u8]) -> Vec<u8> {
    beside(&[fact.len() as u64], fact, base)
}

/// The fact that was packed.
///
/// # Errors
/// It is none.
pub(super) fn unpack_fact(kept: &[u8], base: &[u8]) -> io::Result<String> {
    let mut rest = kept;
    let ([BESIDE], [size]) = (take::<1>(&mut rest)?, sizes::<1>(&mut rest)?) else { return Err(damaged()) };
    String::from_utf8(from_beside(rest, size, base)?).map_err(|_| damaged())
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

/// A bundle beside a base, from [`in_one_piece`].
pub(super) fn pack_beside(bundle: &SignedBundle, piece: &[u8], base: &[u8]) -> Vec<u8> {
    beside(&sizes_of(bundle), piece, base)
}

/// A bundle on its own: whoever compares what is kept of it compares all of it.
///
/// # Errors
/// The Statement cannot be read.
pub(super) fn pack_alone(bundle: &SignedBundle) -> io::Result<Vec<u8>> {
    let mut kept = vec![ALONE];
    sizes_of(bundle).iter().for_each(|size| kept.extend_from_slice(&size.to_le_bytes()));
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
    let mut rest = kept;
    let how = match rest.first() {
        Some(&how @ (BESIDE | ALONE)) => how,
        // As older versions keep them.
        _ => return out.write_all(kept),
    };
    take::<1>(&mut rest)?;
    let [before, after, statement] = sizes::<3>(&mut rest)?;
    let size = before.saturating_add(after).saturating_add(statement);
    if how == BESIDE {
        let piece = from_beside(rest, size, base)?;
        unframe(&mut Cursor::new(piece), [before, after, statement], out)
    } else {
        unframe(&mut FrameDecoder::new(rest), [before, after, statement], out)
    }
}

fn sizes_of(bundle: &SignedBundle) -> [u64; 3] {
    let (before, after) = bundle.frame().parts();
    [before.len() as u64, after.len() as u64, bundle.statement().size()]
}

fn beside(sizes: &[u64], piece: &[u8], base: &[u8]) -> Vec<u8> {
    let mut kept = vec![BESIDE];
    sizes.iter().for_each(|size| kept.extend_from_slice(&size.to_le_bytes()));
    kept.append(&mut compress_with_dict(piece, base));
    kept
}

fn from_beside(packed: &[u8], size: u64, base: &[u8]) -> io::Result<Vec<u8>> {
    // LZ4 makes at most 255 bytes of one: no more is asked for than there can be.
    let most = (packed.len() as u64).saturating_mul(255).min(MAX_STATEMENT);
    let size = usize::try_from(size).ok().filter(|size| *size as u64 <= most).ok_or_else(damaged)?;
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

    #[test]
    fn what_is_like_the_base_takes_little_and_comes_out_as_it_was() {
        let first = in_one_piece(&bundle(&task(0))).unwrap().unwrap();
        for n in 0..50 {
            let bundle = bundle(&task(n));
            let kept = pack_beside(&bundle, &in_one_piece(&bundle).unwrap().unwrap(), &first);
            assert!(kept.len() < 140, "{}", kept.len());
            assert!(needs_base(&kept));
            assert_eq!(unpacked(&kept, &first).unwrap(), json(&bundle));
            let kept = pack_fact(task(n).as_bytes(), task(0).as_bytes());
            assert_eq!(unpack_fact(&kept, task(0).as_bytes()).unwrap(), task(n));
        }
    }

    #[test]
    fn what_is_large_is_kept_on_its_own() {
        let tasks: String = (0..3000).map(task).collect();
        let bundle = bundle(&tasks);
        assert_eq!(in_one_piece(&bundle).unwrap(), None);
        let kept = pack_alone(&bundle).unwrap();
        assert!(kept.len() * 2 < tasks.len() && !needs_base(&kept), "{} {}", kept.len(), tasks.len());
        assert_eq!(unpacked(&kept, b"any").unwrap(), json(&bundle));
    }

    #[test]
    fn what_an_older_version_kept_is_given_as_it_is() {
        assert_eq!(unpacked(b"{\"a\":1}", &[]).unwrap(), b"{\"a\":1}");
        assert_eq!(unpacked(b"", &[]).unwrap(), b"");
    }

    #[test]
    fn damage_is_no_bundle_that_was_made() {
        let (first, some) = (in_one_piece(&bundle(&task(0))).unwrap().unwrap(), bundle(&task(7)));
        let piece = in_one_piece(&some).unwrap().unwrap();
        for (kept, base) in [(pack_beside(&some, &piece, &first), &*first), (pack_alone(&some).unwrap(), &[])]
        {
            let is_there = |kept: &[u8]| unpacked(kept, base).is_ok_and(|found| found == json(&some));
            assert!(is_there(&kept));
            let header = 1 + 3 * 8;
            for at in 0..header {
                for bit in 0..8 {
                    let mut other = kept.clone();
                    other[at] ^= 1 << bit;
                    assert!(!is_there(&other), "{at} {bit}");
                }
                assert!(!is_there(&kept[..at]), "{at}");
            }
            assert!(!is_there(&kept[..kept.len() - 8]));
            // Beside another base, it is another one.
            assert_eq!(unpacked(&kept, b"other").is_ok_and(|found| found == json(&some)), base.is_empty());
        }
    }

    #[test]
    fn no_more_room_is_made_than_there_can_be_bytes() {
        let mut kept = vec![BESIDE];
        for size in [0, 0, MAX_STATEMENT] {
            kept.extend_from_slice(&u64::to_le_bytes(size));
        }
        kept.extend_from_slice(&[0; 8]);
        assert!(unpacked(&kept, &[]).is_err());
    }

    proptest! {
        #[test]
        fn anything_may_be_there(kept: Vec<u8>, how in BESIDE..=ALONE, base: Vec<u8>) {
            let mut kept = kept;
            kept.insert(0, how);
            let _ = unpacked(&kept, &base);
            let _ = unpack_fact(&kept, &base);
        }
    }
}
