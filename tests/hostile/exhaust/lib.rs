//! Takes more than it may of one thing, and goes on until it is stopped.

use std::fmt::Debug;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::{Seek, SeekFrom, Write};

use cofferdam_hostile::opened;
use cofferdam_sdk::{Context, Failure, task};
use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{Descriptor, DescriptorFlags, ErrorCode, OpenFlags, PathFlags};
use wasip2::io::streams::StreamError;
use wasip2::random::random::get_random_bytes;

task!("exhaust/task.yaml", run);

/// Enough of anything to pass every limit of the manifest many times.
const MANY: usize = 100_000;
const LARGE: &str = "/outputs/out/large";

fn run(_: &Context, params: Params, _: Inputs, _: Outputs) -> Result<Results, Failure> {
    match params.what {
        What::Memory => memory(),
        What::Allocation => drop(black_box(vec![1_u8; 1 << 30])),
        What::Recursion => drop(black_box(nested(1))),
        What::Random => drop(black_box(get_random_bytes(u64::MAX))),
        What::Handles => keep(|| open("/inputs/source", "file.txt", OpenFlags::empty())),
        What::Listings => keep(|| opened("/inputs/source").ok()?.read_directory().ok()),
        What::FullListings => full_listings()?,
        What::Streams => {
            let file = open("/inputs/source", "file.txt", OpenFlags::empty());
            keep(|| file.as_ref()?.read_via_stream(0).ok());
        }
        What::Timers => keep(|| Some(subscribe_duration(u64::MAX))),
        What::DirectoryHandles => keep(|| Some(get_directories())),
        What::Bytes => {
            let mut file = File::create(LARGE)?;
            again(|_| file.write_all(&[7; 4096]))?;
        }
        What::Appends => {
            fs::write(LARGE, "")?;
            again(|_| File::options().append(true).open(LARGE)?.write_all(&[7; 100]))?;
        }
        What::Sparse => File::create(LARGE)?.set_len(1 << 40)?,
        What::SparseOffset => {
            let mut file = File::create(LARGE)?;
            file.seek(SeekFrom::Start(1 << 40))?;
            file.write_all(b"x")?;
        }
        // Over and over at the same place, so that the file stays small.
        What::Scratch => {
            let mut file = File::create("/scratch/large")?;
            again(|_| file.rewind().and_then(|()| file.write_all(&[7; 4096])))?;
        }
        What::Zeroes => {
            let file = open("/outputs/out", "large", OpenFlags::CREATE);
            let stream = file.and_then(|file| file.write_via_stream(0).ok());
            again(|_| stream.as_ref().ok_or(()).map(|stream| stream.blocking_write_zeroes_and_flush(4096)))?;
        }
        What::Splice => {
            fs::write(LARGE, "")?;
            again(|_| splice())?;
        }
        What::Files => again(|number| fs::write(format!("/outputs/out/{number}"), ""))?,
        What::Directories => again(|number| fs::create_dir(format!("/outputs/out/{number}")))?,
        What::Links => {
            let out = opened("/outputs/out")?;
            again(|number| out.symlink_at("x", &number.to_string()))?;
        }
        // Made and removed again: each costs the machine as much.
        What::Reopened => {
            again(|_| fs::write("/scratch/file", "").and_then(|()| fs::remove_file("/scratch/file")))?
        }
        // None is larger than all may be; only the host that seals can tell.
        What::ManySparse => {
            for number in 0..50 {
                File::create(format!("/outputs/out/{number}"))?.set_len(1 << 20)?;
            }
        }
        What::SmallBytes => fs::write("/outputs/small/file", [7; 1025])?,
        What::SmallFiles => {
            for number in 0..3 {
                fs::write(format!("/outputs/small/{number}"), "")?;
            }
        }
        What::Little => {
            fs::write("/outputs/small/file", [7; 1024])?;
            fs::write("/outputs/out/file.txt", "well within every limit")?;
            drop(black_box(vec![1_u8; 1 << 20]));
        }
    }
    Ok(Results {})
}

/// Does the same many times.
fn again<T, E: Debug>(mut attempt: impl FnMut(usize) -> Result<T, E>) -> Result<(), Failure> {
    let refused = |error: E| Failure::new("Refused", format!("{error:?}"));
    (0..MANY).try_for_each(|number| attempt(number).map(|_| ()).map_err(refused))
}

/// Keeps whatever is made, until nothing more is.
fn keep<T>(make: impl Fn() -> Option<T>) {
    let mut kept = Vec::new();
    for _ in 0..MANY {
        kept.push(make());
    }
    std::mem::forget(kept);
}

/// Lists a large directory again and again, until the host refuses one more.
fn full_listings() -> Result<(), Failure> {
    let directory = opened("/inputs/source")?;
    let mut kept = Vec::new();
    while kept.len() < 1000 {
        match directory.read_directory() {
            Ok(listing) => kept.push(listing),
            Err(ErrorCode::InsufficientMemory) => return Ok(()),
            Err(code) => return Err(Failure::new("Refused", code.name())),
        }
    }
    Err(Failure::new("NeverRefused", "the host kept every listing"))
}

fn open(root: &str, path: &str, how: OpenFlags) -> Option<Descriptor> {
    let flags = if how.is_empty() { DescriptorFlags::READ } else { DescriptorFlags::WRITE };
    opened(root).ok()?.open_at(PathFlags::empty(), path, how, flags).ok()
}

fn memory() {
    let mut kept = Vec::new();
    loop {
        kept.push(black_box(vec![1_u8; 1 << 16]));
    }
}

#[expect(unconditional_recursion, reason = "this is what the task is for")]
fn nested(depth: u64) -> Box<[u64; 16]> {
    let frame = black_box([depth; 16]);
    let below = nested(frame.iter().sum());
    black_box(below)
}

/// Lets the host copy from one file to another, past the task's own memory.
fn splice() -> Result<(), StreamError> {
    let from = open("/inputs/source", "file.txt", OpenFlags::empty());
    let to = open("/outputs/out", "large", OpenFlags::TRUNCATE);
    if let (Some(from), Some(to)) = (from, to)
        && let (Ok(from), Ok(to)) = (from.read_via_stream(0), to.append_via_stream())
    {
        to.blocking_splice(&from, 1 << 20)?;
    }
    Ok(())
}
