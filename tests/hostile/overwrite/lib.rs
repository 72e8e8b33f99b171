//! Tries every way to change its input, and does the same to its output, where
//! each of them must work.

use std::fs::{self, File};
use std::io::Write;

use cofferdam_hostile::{Breaches, opened};
use cofferdam_sdk::{Context, Failure, task};
use wasip2::filesystem::types::{Descriptor, DescriptorFlags, ErrorCode, NewTimestamp, OpenFlags, PathFlags};

task!("overwrite/task.yaml", run);

fn run(_: &Context, _: Params, _: Inputs, _: Outputs) -> Result<Results, Failure> {
    fs::create_dir("/outputs/out/sub")?;
    let mut breaches = Breaches::default();
    let mut allowed = Breaches::default();
    attack("/inputs/source", &mut breaches)?;
    for name in ["file.txt", "sub/other.txt"] {
        fs::write(format!("/outputs/out/{name}"), "text")?;
    }
    attack("/outputs/out", &mut allowed)?;
    let (input, output) = (opened("/inputs/source")?, opened("/outputs/out")?);
    breaches.tried("move out of the input", input.rename_at("file.txt", &output, "breach"));
    breaches.tried("move into the input", output.rename_at("appended", &input, "breach"));
    Ok(Results { breaches: breaches.found(), allowed: allowed.found() })
}

fn attack(root: &str, worked: &mut Breaches) -> Result<(), Failure> {
    let path = |name: &str| format!("{root}/{name}");
    let directory = opened(root)?;
    through_handles(&directory, worked);
    let options = |change: fn(&mut fs::OpenOptions) -> &mut fs::OpenOptions| {
        change(&mut File::options()).open(path("file.txt"))
    };
    worked.tried("write", fs::write(path("file.txt"), "x"));
    worked.tried("create", fs::write(path("new"), "x"));
    worked.tried("append", options(|o| o.append(true)).and_then(|mut file| file.write_all(b"x")));
    worked.tried("open for both", options(|o| o.read(true).write(true)));
    worked.tried("set_len", File::open(path("file.txt")).and_then(|file| file.set_len(0)));
    worked.tried("mkdir", fs::create_dir(path("directory")));
    worked.tried("copy", fs::copy(path("file.txt"), path("copy")).map(|_| ()));
    worked.tried("rename", fs::rename(path("file.txt"), path("renamed")));
    let _ = fs::rename(path("renamed"), path("file.txt"));
    worked.tried("rmdir", fs::remove_dir(path("directory")));
    worked.tried("unlink", fs::remove_file(path("sub/other.txt")));
    worked.tried("remove_dir_all", fs::remove_dir_all(path("sub")));
    Ok(())
}

/// With handles whose flags claim what the directory does not give.
fn through_handles(directory: &Descriptor, worked: &mut Breaches) {
    let all = DescriptorFlags::READ | DescriptorFlags::WRITE | DescriptorFlags::MUTATE_DIRECTORY;
    let here = PathFlags::SYMLINK_FOLLOW;
    let open = |path: &str, how, flags| directory.open_at(here, path, how, flags);
    worked.tried(
        "open with every flag",
        open("file.txt", OpenFlags::empty(), all & !DescriptorFlags::MUTATE_DIRECTORY),
    );
    worked.tried("open and truncate", open("file.txt", OpenFlags::TRUNCATE, DescriptorFlags::READ));
    worked.tried("open and create", open("appended", OpenFlags::CREATE, DescriptorFlags::READ));
    let exclusive = OpenFlags::CREATE | OpenFlags::EXCLUSIVE;
    worked.tried("create anew", open("exclusive", exclusive, DescriptorFlags::WRITE));
    worked.tried(
        "touch by name",
        directory.set_times_at(here, "file.txt", NewTimestamp::Now, NewTimestamp::Now),
    );
    worked.tried("touch the directory", directory.set_times(NewTimestamp::Now, NewTimestamp::Now));
    worked.tried("symlink", directory.symlink_at("file.txt", "link"));
    worked.tried("unlink the link", directory.unlink_file_at("link"));
    let sub = open("sub", OpenFlags::DIRECTORY, DescriptorFlags::READ | DescriptorFlags::MUTATE_DIRECTORY);
    worked.tried("mkdir below a handle", sub.and_then(|sub| sub.create_directory_at("deeper")));
    // A file that was opened for reading, and one opened for as much as there is.
    let read_only = open("file.txt", OpenFlags::empty(), DescriptorFlags::READ);
    let most = open("file.txt", OpenFlags::empty(), DescriptorFlags::READ | DescriptorFlags::WRITE);
    for file in [most, read_only].into_iter().flatten().take(1) {
        worked.tried("write at", file.write(b"breach", 0));
        worked.tried("resize", file.set_size(1));
        worked.tried("touch", file.set_times(NewTimestamp::Now, NewTimestamp::Now));
        let stream = file.write_via_stream(0).map_err(|_| ());
        let written = stream.and_then(|stream| stream.blocking_write_and_flush(b"breach").map_err(|_| ()));
        worked.tried("write through a stream", written);
        let stream = file.append_via_stream().map_err(|_: ErrorCode| ());
        let written = stream.and_then(|stream| stream.blocking_write_and_flush(b"breach").map_err(|_| ()));
        worked.tried("append through a stream", written);
    }
}
