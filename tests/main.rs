//! The whole program from the outside: one test binary, one module for each
//! thing a user, or an attacker, could do.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should stop"
)]

mod architecture;
mod attestations;
mod authoring;
mod authoring_c;
mod authoring_new;
mod authoring_python;
mod bad_input;
mod build_flags;
mod cache;
mod completions;
mod concurrency;
mod crash;
mod dev;
mod docs;
mod fetch;
mod gc;
mod graph;
mod harness;
mod host_fault;
mod hostile;
mod hostile_files;
mod hostile_imports;
mod hostile_limits;
mod hostile_network;
mod hostile_network_limits;
mod hostile_network_requests;
mod hostile_network_secrets;
mod hostile_results;
mod hostile_sockets;
mod hostile_speech;
mod import;
mod interruption;
mod keys;
mod known_run;
mod language;
mod language_errors;
mod language_nested;
mod large_results;
mod limits;
mod lint;
mod log_formats;
mod logs;
mod many_faults;
mod network_evidence;
#[path = "fuzz/parsers.rs"]
mod parsers;
mod peers;
mod pipeline_bundles;
mod publishing;
mod reads;
mod real_peers;
mod rebuild;
mod registry_attacks;
mod registry_faults;
mod registry_http;
mod registry_mount;
mod registry_signatures;
mod registry_views;
mod resume;
mod robustness;
mod runs;
mod screens;
mod secrets;
mod sign_bundle;
mod slips;
mod source;
mod story;
mod tampering;
mod task_list;
mod trust_records;
mod trust_rules;
mod verify_bundle;
mod wit;
