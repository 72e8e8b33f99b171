//! Says too much, or says what a terminal would obey.

use std::io::{Write, stderr, stdout};

use cofferdam_sdk::{Context, Failure, task};

task!("chatter/task.yaml", run);

const MANY: usize = 100_000;
/// Clears the screen, sets its title, turns text around, hides text.
const EVIL: &str = "\u{1b}[2J\u{1b}]0;title\u{7}\u{9b}31m\u{202e}\u{2066}\u{200b}\r\n\u{8}evil";

fn run(ctx: &Context, params: Params, _: Inputs, _: Outputs) -> Result<Results, Failure> {
    let long = "x".repeat(1 << 20);
    let again = |say: &dyn Fn()| (0..MANY).for_each(|_| say());
    match params.how {
        How::Lines => again(&|| ctx.info("a line of some length", &[])),
        How::EmptyLines => again(&|| ctx.debug("", &[])),
        How::GiantLine => ctx.info(&long, &[]),
        How::Fields => ctx.info("", &vec![("name", "value"); MANY]),
        How::EmptyFields => again(&|| ctx.info("", &vec![("", ""); 1000])),
        How::FieldNames => ctx.info("", &[(&long, "")]),
        How::Stdout => again(&|| drop(writeln!(stdout(), "a line of some length"))),
        How::Stderr => again(&|| drop(writeln!(stderr(), "a line of some length"))),
        How::Newlines => drop(stdout().write_all(&vec![b'\n'; 1 << 20])),
        How::Unended => drop(stdout().write_all(long.as_bytes())),
        How::Both => again(&|| {
            ctx.info("a line", &[]);
            let _ = stderr().write_all(b"part of one");
        }),
        How::HugeCall => ctx.info(&"x".repeat(100 << 20), &[]),
        How::Progress => (0..MANY as u64).for_each(|n| ctx.progress(n, Some(MANY as u64), EVIL)),
        How::HugeProgress => (0..20).for_each(|n| ctx.progress(n, None, &"x".repeat(8 << 20))),
        How::Few => ctx.info("said", &[("once", "only")]),
        How::Escapes => {
            ctx.warn(EVIL, &[(EVIL, EVIL)]);
            let _ = writeln!(stdout(), "{EVIL}");
            let _ = stderr().write_all(b"\x1b[31m not \xff UTF-8 \x9b");
            return Err(Failure::new(EVIL, EVIL).remedy(EVIL));
        }
        How::Failure => {
            return Err(Failure::new(long.clone(), "é".repeat(4 << 20)).remedy(long));
        }
    }
    Ok(Results {})
}
