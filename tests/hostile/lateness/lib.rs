//! Schedules writes to its output, waits for none of them, and returns with the
//! streams left open: what lands after the host has hashed would go unseen.

use cofferdam_sdk::{Context, Failure, task};
use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{DescriptorFlags, OpenFlags, PathFlags};

task!("lateness/task.yaml", run);

fn run(_: &Context, _: Params, _: Inputs, _: Outputs) -> Result<Results, Failure> {
    let refused = |what: &str| Failure::new("Refused", what);
    let mut directories = get_directories().into_iter();
    let (directory, _) =
        directories.find(|(_, name)| name == "/outputs/out").ok_or_else(|| refused("the output"))?;
    let flags = DescriptorFlags::READ | DescriptorFlags::WRITE;
    let file = directory.open_at(PathFlags::empty(), "tool", OpenFlags::CREATE, flags);
    let file = file.map_err(|_| refused("open"))?;
    // One long write keeps the file busy while the short ones queue behind it.
    let long = vec![b'x'; 15 << 20];
    let streams: Vec<_> = (0..41).filter_map(|_| file.write_via_stream(0).ok()).collect();
    for (index, stream) in streams.iter().enumerate() {
        let _ = stream.check_write();
        let _ = stream.write(if index == 0 { &long } else { b"evil" });
    }
    std::mem::forget((streams, file));
    Ok(Results {})
}
