//! `wasi:filesystem` as a task sees it: the runtime's own implementation, which
//! keeps every path inside its preopened directory, and in front of it
//! - the count of what is written, so that a limit ends the task at once;
//! - no trace of the machine: times are all the same, object numbers are given in
//!   the order they are asked for, directories list in order of name;
//! - note of every file of an input that is opened;
//! - an end to the TaskRun where the host's own disk fails, which is not the
//!   task's doing;
//! - no hard links, which could give two outputs one changing file.

mod streams;

use std::sync::Arc;

use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemCtxView};
use wasmtime_wasi::p2::bindings::clocks::wall_clock::Datetime;
use wasmtime_wasi::p2::bindings::filesystem::{preopens, types};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, FsError, FsResult, ReaddirIterator};

use super::state::TaskState;
use crate::capability::{FileMeter, InputFiles, Trip};
use streams::{MeteredStream, ReadStream};
use types::{ErrorCode, HostDescriptor, HostDirectoryEntryStream};

/// The view of one TaskRun's files.
pub(crate) struct Files<'a> {
    inner: WasiFilesystemCtxView<'a>,
    meter: &'a Arc<FileMeter>,
    inputs: &'a mut InputFiles,
    seen: &'a mut std::collections::HashMap<(u64, u64), u64>,
    listed: &'a mut usize,
    fixed_times: bool,
    trip: &'a Trip,
}

/// Names the view to the linker.
struct FilesData;

impl HasData for FilesData {
    type Data<'a> = Files<'a>;
}

/// Bytes of all directory listings that a TaskRun has open at once.
const MAX_LISTED: usize = 256 << 20;

/// The time of every file, in seconds since 1970: the same in every run, so that
/// what a task makes of it is, too. 1980-01-01, because ZIP archives know no
/// earlier time.
const FILE_TIME: u64 = 315_532_800;

/// A directory's entries in order of name, the next one last.
struct SortedEntries {
    entries: Vec<types::DirectoryEntry>,
    bytes: usize,
}

pub(crate) fn link(linker: &mut Linker<TaskState>) -> wasmtime::Result<()> {
    types::add_to_linker::<TaskState, FilesData>(linker, view)?;
    preopens::add_to_linker::<TaskState, FilesData>(linker, view)
}

fn view(state: &mut TaskState) -> Files<'_> {
    let inner = WasiFilesystemCtxView { ctx: state.wasi.filesystem(), table: &mut state.table };
    Files {
        inner,
        meter: &state.files,
        inputs: &mut state.inputs,
        seen: &mut state.seen_objects,
        listed: &mut state.listed,
        fixed_times: state.clock.is_some(),
        trip: &state.trip,
    }
}

impl Files<'_> {
    fn count_write(&self, bytes: u64, end: u64) -> FsResult<()> {
        let counted = self.meter.write(bytes).and_then(|()| self.meter.extend(end));
        counted.map_err(|overrun| FsError::trap(self.trip.end_files(overrun)))
    }

    /// What the host did for a task; it ends where the host could not.
    fn done<T>(&self, done: FsResult<T>) -> FsResult<T> {
        done.map_err(|error| match error.downcast_ref() {
            Some(code) if is_fault(*code) => FsError::trap(self.trip.end_host(words(*code))),
            Some(_) | None => error,
        })
    }

    fn count_entry(&self) -> FsResult<()> {
        self.meter.create().map_err(|overrun| FsError::trap(self.trip.end_files(overrun)))
    }

    fn meter_stream(
        &mut self,
        stream: Resource<DynOutputStream>,
        offset: u64,
    ) -> FsResult<Resource<DynOutputStream>> {
        let inner = self.inner.table.delete(stream)?;
        let (meter, trip) = (Arc::clone(self.meter), self.trip.clone());
        let metered: DynOutputStream = Box::new(MeteredStream { inner, meter, trip, end: offset });
        Ok(self.inner.table.push(metered)?)
    }

    fn conceal(&self, mut stat: types::DescriptorStat) -> types::DescriptorStat {
        stat.link_count = 1;
        if stat.type_ == types::DescriptorType::Directory {
            // Every file system has its own idea of it.
            stat.size = 0;
        }
        if self.fixed_times {
            let time = Some(Datetime { seconds: FILE_TIME, nanoseconds: 0 });
            stat.data_access_timestamp = time;
            stat.data_modification_timestamp = time;
            stat.status_change_timestamp = time;
        }
        stat
    }

    fn number(&mut self, real: &types::MetadataHashValue) -> types::MetadataHashValue {
        let next = self.seen.len() as u64 + 1;
        let number = *self.seen.entry((real.lower, real.upper)).or_insert(next);
        types::MetadataHashValue { lower: number, upper: 0 }
    }
}

/// Whether an error tells of the host's disk and not of what a task asked: its
/// own limits come first. Everything that has no code of its own is `Io`.
fn is_fault(code: ErrorCode) -> bool {
    match code {
        ErrorCode::Io
        | ErrorCode::InsufficientSpace
        | ErrorCode::Quota
        | ErrorCode::InsufficientMemory
        | ErrorCode::FileTooLarge
        | ErrorCode::ReadOnly => true,
        ErrorCode::Access
        | ErrorCode::WouldBlock
        | ErrorCode::Already
        | ErrorCode::BadDescriptor
        | ErrorCode::Busy
        | ErrorCode::Deadlock
        | ErrorCode::Exist
        | ErrorCode::IllegalByteSequence
        | ErrorCode::InProgress
        | ErrorCode::Interrupted
        | ErrorCode::Invalid
        | ErrorCode::IsDirectory
        | ErrorCode::Loop
        | ErrorCode::TooManyLinks
        | ErrorCode::MessageSize
        | ErrorCode::NameTooLong
        | ErrorCode::NoDevice
        | ErrorCode::NoEntry
        | ErrorCode::NoLock
        | ErrorCode::NotDirectory
        | ErrorCode::NotEmpty
        | ErrorCode::NotRecoverable
        | ErrorCode::Unsupported
        | ErrorCode::NoTty
        | ErrorCode::NoSuchDevice
        | ErrorCode::Overflow
        | ErrorCode::NotPermitted
        | ErrorCode::Pipe
        | ErrorCode::InvalidSeek
        | ErrorCode::TextFileBusy
        | ErrorCode::CrossDevice => false,
    }
}

/// A code of the contract in words.
fn words(code: ErrorCode) -> String {
    code.name().replace('-', " ")
}

impl preopens::Host for Files<'_> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        let found = preopens::Host::get_directories(&mut self.inner)?;
        found.iter().for_each(|(fd, guest)| self.inputs.preopened(fd.rep(), guest));
        Ok(found)
    }
}

impl types::Host for Files<'_> {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<types::ErrorCode> {
        self.inner.convert_error_code(error)
    }

    fn filesystem_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<types::ErrorCode>> {
        self.inner.filesystem_error_code(error)
    }
}

type Fd = Resource<Descriptor>;

impl HostDescriptor for Files<'_> {
    async fn write(&mut self, fd: Fd, buffer: Vec<u8>, offset: u64) -> FsResult<u64> {
        let length = buffer.len() as u64;
        self.count_write(length, offset.saturating_add(length))?;
        let done = self.inner.write(fd, buffer, offset).await;
        self.done(done)
    }

    fn write_via_stream(&mut self, fd: Fd, offset: u64) -> FsResult<Resource<DynOutputStream>> {
        let stream = self.inner.write_via_stream(fd, offset)?;
        self.meter_stream(stream, offset)
    }

    fn append_via_stream(&mut self, fd: Fd) -> FsResult<Resource<DynOutputStream>> {
        let stream = self.inner.append_via_stream(fd)?;
        self.meter_stream(stream, 0)
    }

    async fn set_size(&mut self, fd: Fd, size: u64) -> FsResult<()> {
        self.count_write(0, size)?;
        let done = self.inner.set_size(fd, size).await;
        self.done(done)
    }

    async fn create_directory_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        self.count_entry()?;
        let done = self.inner.create_directory_at(fd, path).await;
        self.done(done)
    }

    async fn symlink_at(&mut self, fd: Fd, old: String, new: String) -> FsResult<()> {
        self.count_entry()?;
        let done = self.inner.symlink_at(fd, old, new).await;
        self.done(done)
    }

    async fn link_at(&mut self, _: Fd, _: types::PathFlags, _: String, _: Fd, _: String) -> FsResult<()> {
        Err(types::ErrorCode::Unsupported.into())
    }

    async fn open_at(
        &mut self,
        fd: Fd,
        path_flags: types::PathFlags,
        path: String,
        open_flags: types::OpenFlags,
        flags: types::DescriptorFlags,
    ) -> FsResult<Fd> {
        if open_flags.contains(types::OpenFlags::CREATE) {
            let there = self.inner.stat_at(Resource::new_borrow(fd.rep()), path_flags, path.clone()).await;
            if there.is_err() {
                self.count_entry()?;
            }
        }
        let place = self.inputs.find(fd.rep(), &path);
        let opened = self.inner.open_at(fd, path_flags, path, open_flags, flags).await;
        let opened = self.done(opened)?;
        if let Some(place) = place {
            match self.inner.table.get(&opened)? {
                Descriptor::Dir(_) => self.inputs.opened_directory(opened.rep(), place),
                Descriptor::File(_) => self.inputs.opened_file(place),
            }
        }
        Ok(opened)
    }

    async fn stat(&mut self, fd: Fd) -> FsResult<types::DescriptorStat> {
        let stat = self.inner.stat(fd).await;
        let stat = self.done(stat)?;
        Ok(self.conceal(stat))
    }

    async fn stat_at(
        &mut self,
        fd: Fd,
        flags: types::PathFlags,
        path: String,
    ) -> FsResult<types::DescriptorStat> {
        let stat = self.inner.stat_at(fd, flags, path).await;
        let stat = self.done(stat)?;
        Ok(self.conceal(stat))
    }

    async fn metadata_hash(&mut self, fd: Fd) -> FsResult<types::MetadataHashValue> {
        let real = self.inner.metadata_hash(fd).await;
        let real = self.done(real)?;
        Ok(self.number(&real))
    }

    async fn metadata_hash_at(
        &mut self,
        fd: Fd,
        flags: types::PathFlags,
        path: String,
    ) -> FsResult<types::MetadataHashValue> {
        let real = self.inner.metadata_hash_at(fd, flags, path).await;
        let real = self.done(real)?;
        Ok(self.number(&real))
    }

    async fn read_directory(&mut self, fd: Fd) -> FsResult<Resource<ReaddirIterator>> {
        let entries = self.inner.read_directory(fd).await;
        let entries = self.done(entries)?;
        let entries = self.inner.table.delete(entries)?;
        let mut entries = self.done(entries.into_iter().collect::<FsResult<Vec<_>>>())?;
        let bytes = entries.iter().map(|entry| size_of_val(entry) + entry.name.len()).sum();
        let listed = self.listed.saturating_add(bytes);
        if listed > MAX_LISTED {
            return Err(types::ErrorCode::InsufficientMemory.into());
        }
        entries.sort_unstable_by(|a, b| b.name.cmp(&a.name));
        let sorted = self.inner.table.push(SortedEntries { entries, bytes })?;
        *self.listed = listed;
        // The guest only ever hands the number back to the methods below.
        Ok(Resource::new_own(sorted.rep()))
    }

    // What follows is passed on, as it is but for the host's own faults.

    fn read_via_stream(&mut self, fd: Fd, offset: u64) -> FsResult<Resource<DynInputStream>> {
        let stream = self.inner.read_via_stream(fd, offset)?;
        let inner = self.inner.table.delete(stream)?;
        let watched: DynInputStream = Box::new(ReadStream { inner, trip: self.trip.clone() });
        Ok(self.inner.table.push(watched)?)
    }

    async fn advise(&mut self, fd: Fd, offset: u64, length: u64, advice: types::Advice) -> FsResult<()> {
        self.inner.advise(fd, offset, length, advice).await
    }

    async fn sync_data(&mut self, _: Fd) -> FsResult<()> {
        // Nothing of a task needs to outlive a power cut.
        Ok(())
    }

    async fn get_flags(&mut self, fd: Fd) -> FsResult<types::DescriptorFlags> {
        self.inner.get_flags(fd).await
    }

    async fn get_type(&mut self, fd: Fd) -> FsResult<types::DescriptorType> {
        self.inner.get_type(fd).await
    }

    async fn set_times(
        &mut self,
        fd: Fd,
        access: types::NewTimestamp,
        modify: types::NewTimestamp,
    ) -> FsResult<()> {
        let done = self.inner.set_times(fd, access, modify).await;
        self.done(done)
    }

    async fn read(&mut self, fd: Fd, length: u64, offset: u64) -> FsResult<(Vec<u8>, bool)> {
        let done = self.inner.read(fd, length, offset).await;
        self.done(done)
    }

    async fn sync(&mut self, _: Fd) -> FsResult<()> {
        Ok(())
    }

    async fn set_times_at(
        &mut self,
        fd: Fd,
        flags: types::PathFlags,
        path: String,
        access: types::NewTimestamp,
        modify: types::NewTimestamp,
    ) -> FsResult<()> {
        let done = self.inner.set_times_at(fd, flags, path, access, modify).await;
        self.done(done)
    }

    async fn readlink_at(&mut self, fd: Fd, path: String) -> FsResult<String> {
        let done = self.inner.readlink_at(fd, path).await;
        self.done(done)
    }

    async fn remove_directory_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        let done = self.inner.remove_directory_at(fd, path).await;
        self.done(done)
    }

    async fn rename_at(&mut self, fd: Fd, old: String, new_fd: Fd, new: String) -> FsResult<()> {
        let done = self.inner.rename_at(fd, old, new_fd, new).await;
        self.done(done)
    }

    async fn unlink_file_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        let done = self.inner.unlink_file_at(fd, path).await;
        self.done(done)
    }

    async fn is_same_object(&mut self, a: Fd, b: Fd) -> wasmtime::Result<bool> {
        self.inner.is_same_object(a, b).await
    }

    fn drop(&mut self, fd: Fd) -> wasmtime::Result<()> {
        self.inputs.closed(fd.rep());
        HostDescriptor::drop(&mut self.inner, fd)
    }
}

impl HostDirectoryEntryStream for Files<'_> {
    async fn read_directory_entry(
        &mut self,
        stream: Resource<ReaddirIterator>,
    ) -> FsResult<Option<types::DirectoryEntry>> {
        let sorted = Resource::<SortedEntries>::new_borrow(stream.rep());
        Ok(self.inner.table.get_mut(&sorted)?.entries.pop())
    }

    fn drop(&mut self, stream: Resource<ReaddirIterator>) -> wasmtime::Result<()> {
        let gone = self.inner.table.delete(Resource::<SortedEntries>::new_own(stream.rep()))?;
        *self.listed = self.listed.saturating_sub(gone.bytes);
        Ok(())
    }
}
