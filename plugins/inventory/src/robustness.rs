//! No text makes a reader panic, and whatever one reads can be written.

use proptest::prelude::*;

use crate::cyclonedx::{Described, Origin};
use crate::inventory::Inventory;
use crate::lock::Lock;
use crate::{cargo_lock, cyclonedx, npm_lock, requirements};

const CARGO: &str = include_str!("../../sbom/tests/fixtures/cargo.txt");
const NPM: &str = include_str!("../../sbom/tests/fixtures/npm.json");
const PIP: &str = include_str!("../../sbom/tests/fixtures/pip.txt");

/// A text that is nearly right: a piece is cut out, and another put in.
fn nearly(text: &'static str) -> impl Strategy<Value = String> {
    let length = text.chars().count();
    let piece = prop_oneof![Just(String::new()), ".{0,4}", "[\\[\\]{}\"\\\\,:=#@/ \\n-]{1,3}"];
    (0..length, 0..20_usize, piece).prop_map(move |(at, cut, piece)| {
        let before: String = text.chars().take(at).collect();
        let after: String = text.chars().skip(at + cut).collect();
        before + &piece + &after
    })
}

fn origin() -> Origin<'static> {
    let subject = Described { name: "t", version: "1", sha256: "00" };
    Origin { tool: ("t", "1"), phase: "build", subject: Some(subject) }
}

fn write(lock: Lock) {
    let mut inventory = Inventory::default();
    inventory.add("a/b", lock);
    assert!(cyclonedx::render(&inventory, &origin()).len() > 100);
}

proptest! {
    #[test]
    fn no_text_makes_the_readers_panic(text in any::<String>()) {
        cargo_lock::parse(&text).into_iter().for_each(write);
        npm_lock::parse(&text).into_iter().for_each(write);
        requirements::parse(&text, "a/b").into_iter().for_each(write);
    }

    #[test]
    fn a_cargo_lock_that_is_nearly_right_does_no_harm(text in nearly(CARGO)) {
        cargo_lock::parse(&text).into_iter().for_each(write);
    }

    #[test]
    fn a_package_lock_that_is_nearly_right_does_no_harm(text in nearly(NPM)) {
        npm_lock::parse(&text).into_iter().for_each(write);
    }

    #[test]
    fn requirements_that_are_nearly_right_do_no_harm(text in nearly(PIP)) {
        requirements::parse(&text, "a/b").into_iter().for_each(write);
    }
}
