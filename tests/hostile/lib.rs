//! Tasks that try to escape, lie or exhaust. Each directory is one: its
//! `task.yaml` and its code, which cargo builds as an example of this crate.
//! `tests/hostile.rs` says what must become of each.
