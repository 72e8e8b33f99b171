//! Well-behaved tasks. Each directory is one: its `task.yaml` and its code,
//! which cargo builds as an example of this crate.
