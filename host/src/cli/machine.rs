//! What this machine has for TaskRuns: its processors, and the memory that it or
//! the control group around this process allows.

use std::fs;
use std::path::Path;

use crate::engine::Budget;

/// Of the memory so much is for TaskRuns; the rest is for this program, the
/// caches of the system, and whatever else runs.
const PART: (u64, u64) = (3, 4);

/// What is there, where the user sets nothing else.
pub(crate) fn budget(processors: Option<u32>, memory: Option<u64>) -> Budget {
    let processors = processors.unwrap_or_else(available).clamp(1, 1024);
    let memory =
        memory.unwrap_or_else(|| detect(Path::new("/")).map_or(u64::MAX, |all| all / PART.1 * PART.0));
    Budget { processors, memory }
}

/// The processors that this process may use.
fn available() -> u32 {
    std::thread::available_parallelism().ok().and_then(|n| u32::try_from(n.get()).ok()).unwrap_or(1)
}

/// Bytes of memory, by the files of Linux below `root`; nothing where there are
/// none.
fn detect(root: &Path) -> Option<u64> {
    let read = |path: &str| fs::read_to_string(root.join(path)).ok();
    let machine = read("proc/meminfo").and_then(|text| total(&text));
    let groups = read("proc/self/cgroup").unwrap_or_default();
    let limits = groups.lines().filter_map(|line| {
        // HIERARCHY:CONTROLLERS:PATH; version 2 has the hierarchy 0 and names no controllers.
        let mut parts = line.splitn(3, ':');
        let (hierarchy, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let (base, file) = if hierarchy == "0" && controllers.is_empty() {
            ("sys/fs/cgroup", "memory.max")
        } else if controllers.split(',').any(|name| name == "memory") {
            ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
        } else {
            return None;
        };
        smallest(&root.join(base), path, file)
    });
    limits.chain(machine).min()
}

/// The smallest limit of a control group and those around it. In a container the
/// group's own path is not there, and the one that is mounted is its own.
fn smallest(base: &Path, path: &str, file: &str) -> Option<u64> {
    let own = Path::new(path.trim_start_matches('/'));
    let limits = own.ancestors().filter_map(|group| {
        // `max` is no number: there is no limit.
        fs::read_to_string(base.join(group).join(file)).ok()?.trim().parse::<u64>().ok()
    });
    limits.min()
}

fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;

    #[test]
    fn the_smallest_limit_around_the_process_counts() {
        const GIB: u64 = 1 << 30;
        type Files = &'static [(&'static str, &'static str)];
        let unlimited: Files = &[
            ("proc/meminfo", "MemTotal: 8388608 kB\n"),
            ("proc/self/cgroup", "12:cpu,cpuacct:/a\n5:memory:/a\n"),
            ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "3221225472\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ];
        let cases: [(Files, Option<u64>); 6] = [
            (&[], None),
            (&[("proc/meminfo", "MemFree: 1 kB\nMemTotal:   8388608 kB\n")], Some(8 * GIB)),
            (
                &[
                    ("proc/meminfo", "MemTotal: 8388608 kB\n"),
                    ("proc/self/cgroup", "0::/user/run\n"),
                    ("sys/fs/cgroup/user/run/memory.max", "max\n"),
                    ("sys/fs/cgroup/user/memory.max", "2147483648\n"),
                ],
                Some(2 * GIB),
            ),
            (
                &[
                    ("proc/meminfo", "MemTotal: 8388608 kB\n"),
                    ("proc/self/cgroup", "0::/not/mounted/here\n"),
                    ("sys/fs/cgroup/memory.max", "1073741824\n"),
                ],
                Some(GIB),
            ),
            (unlimited, Some(3 * GIB)),
            (
                &[
                    ("proc/meminfo", "MemTotal: 1048576 kB\n"),
                    ("proc/self/cgroup", "0::/\n"),
                    ("sys/fs/cgroup/memory.max", "8589934592\n"),
                ],
                Some(GIB),
            ),
        ];
        for (files, expected) in cases {
            let root = tempfile::tempdir().unwrap();
            for (path, text) in files {
                let path = root.path().join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            assert_eq!(detect(root.path()), expected, "{files:?}");
        }
    }

    #[test]
    fn what_the_user_sets_goes_before_what_is_there() {
        assert_eq!(budget(Some(3), Some(7)), Budget { processors: 3, memory: 7 });
        let found = budget(None, None);
        assert!(found.processors >= 1 && found.memory > 0);
    }
}
