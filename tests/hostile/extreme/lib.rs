//! Calls the host with the largest numbers and the oddest texts there are, in
//! the hope that it computes with them.

use cofferdam_hostile::opened;
use cofferdam_sdk::{Context, Failure, task};
use wasip2::clocks::monotonic_clock::{subscribe_duration, subscribe_instant};
use wasip2::clocks::wall_clock::Datetime;
use wasip2::filesystem::types::{Advice, Descriptor, DescriptorFlags, NewTimestamp, OpenFlags, PathFlags};

task!("extreme/task.yaml", run);

const NUMBERS: &[u64] = &[
    0,
    1,
    1 << 20,
    1 << 31,
    (1 << 32) - 1,
    1 << 32,
    i64::MAX as u64 - 1,
    i64::MAX as u64,
    1 << 63,
    u64::MAX - 1,
    u64::MAX,
];
const NANOS: &[u32] = &[0, 999_999_999, 1_000_000_000, u32::MAX];

fn run(_: &Context, params: Params, _: Inputs, _: Outputs) -> Result<Results, Failure> {
    let (input, output) =
        (file("/inputs/source", "file.txt", false)?, file("/outputs/out", "made.txt", true)?);
    let mut calls = 0_usize;
    // Whatever comes back: what counts is that it does.
    let mut came_back = |count: usize| calls += count;
    for one in NUMBERS.iter().copied() {
        for other in NUMBERS.iter().copied() {
            came_back(match params.what {
                What::Times => times(&output, one),
                What::Reads => reads(&input, one, other),
                What::Writes => usize::from(output.write(b"x", one).is_ok()),
                What::Streams => streams(&output, one),
                What::Resize => usize::from(output.set_size(one).is_ok()),
                What::Seek => usize::from(input.read_via_stream(one).map(|s| s.blocking_skip(other)).is_ok()),
                What::Timers => {
                    drop((subscribe_duration(one), subscribe_instant(other)));
                    1
                }
                What::Texts => texts(usize::try_from(one % 100_000).unwrap_or(0))?,
                What::StreamedZeroes => zeroes(&output, one),
            });
        }
    }
    Ok(Results { calls: calls.to_string() })
}

fn file(root: &str, name: &str, write: bool) -> Result<Descriptor, Failure> {
    let how = if write { OpenFlags::CREATE } else { OpenFlags::empty() };
    let flags = if write { DescriptorFlags::READ | DescriptorFlags::WRITE } else { DescriptorFlags::READ };
    let file = opened(root)?.open_at(PathFlags::empty(), name, how, flags);
    file.map_err(|code| Failure::new("Refused", code.name()))
}

fn times(file: &Descriptor, seconds: u64) -> usize {
    let set = |nanoseconds: &u32| {
        let time = NewTimestamp::Timestamp(Datetime { seconds, nanoseconds: *nanoseconds });
        usize::from(file.set_times(time, time).is_ok()) + usize::from(file.stat().is_ok())
    };
    NANOS.iter().map(set).sum()
}

fn reads(file: &Descriptor, length: u64, offset: u64) -> usize {
    let advised = file.advise(offset, length, Advice::WillNeed).is_ok();
    let read = file.read(length, offset).is_ok();
    let streamed = file.read_via_stream(offset).is_ok_and(|stream| stream.read(length).is_ok());
    usize::from(advised) + usize::from(read) + usize::from(streamed)
}

fn streams(file: &Descriptor, offset: u64) -> usize {
    let Ok(stream) = file.write_via_stream(offset) else { return 0 };
    usize::from(stream.blocking_write_and_flush(b"xy").is_ok())
}

fn zeroes(file: &Descriptor, length: u64) -> usize {
    let Ok(stream) = file.append_via_stream() else { return 0 };
    usize::from(stream.write_zeroes(length).is_ok())
}

/// Paths of any length, and of what no path may hold.
fn texts(length: usize) -> Result<usize, Failure> {
    let out = opened("/outputs/out")?;
    let mut ok = 0;
    for part in ["x", "x/", "../", "./", "/", "\0", "é", "\u{10ffff}/"] {
        let path = part.repeat(length);
        ok += usize::from(out.stat_at(PathFlags::SYMLINK_FOLLOW, &path).is_ok());
        ok += usize::from(out.readlink_at(&path).is_ok());
        ok += usize::from(out.unlink_file_at(&path).is_ok());
        ok += usize::from(out.rename_at(&path, &out, &path).is_ok());
        if out.symlink_at(&path, "link").is_ok() {
            ok += usize::from(out.stat_at(PathFlags::SYMLINK_FOLLOW, "link").is_ok());
            ok += usize::from(out.unlink_file_at("link").is_ok());
        }
    }
    Ok(ok)
}
