//! Compiles components, within bounds: some small ones take the compiler more
//! time and memory than any task may have, long before a limit of the task counts.

use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use wasmparser::{Parser, Payload};
use wasmtime::Engine;
use wasmtime::component::Component as Compiled;

/// What compiling may take. The largest interpreters need a tenth of it.
pub(super) const MAX_COMPILE: Duration = Duration::from_secs(120);
/// Bytes of code in one function. The compiler's memory follows the largest
/// function; those of interpreters have a few hundred KiB.
const MAX_FUNCTION: usize = 1 << 20;

/// Compiles a component, or says why not. A compiler that takes too long cannot
/// be stopped: it goes on, unheard, until the process ends.
pub(super) fn compile(engine: &Engine, bytes: &[u8], longest: Duration) -> Result<Compiled, String> {
    check_functions(bytes)?;
    let (engine, bytes) = (engine.clone(), bytes.to_vec());
    let (done, waits) = sync_channel(1);
    let work = move || {
        // Nobody listens any more when it took too long.
        let _ = done.send(Compiled::new(&engine, bytes).map_err(|error| format!("{error:#}")));
    };
    let thread = std::thread::Builder::new().name("compile".to_owned()).stack_size(8 << 20).spawn(work);
    thread.map_err(|error| error.to_string())?;
    match waits.recv_timeout(longest) {
        Ok(compiled) => compiled,
        Err(RecvTimeoutError::Timeout) => {
            Err(format!("compiling it takes longer than {} seconds", longest.as_secs()))
        }
        Err(RecvTimeoutError::Disconnected) => Err("the compiler gave up on it".to_owned()),
    }
}

fn check_functions(bytes: &[u8]) -> Result<(), String> {
    for payload in Parser::new(0).parse_all(bytes) {
        if let Payload::CodeSectionEntry(body) = payload.map_err(|error| error.to_string())?
            && body.range().len() > MAX_FUNCTION
        {
            return Err(format!("a function in it has more than {} KiB of code", MAX_FUNCTION >> 10));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;

    fn compiled(body: &str, longest: Duration) -> Result<Compiled, String> {
        let text = format!("(component (core module (func (param i32) (result i32) {body} i32.const 0)))");
        compile(&Engine::default(), &wat::parse_str(text).unwrap(), longest)
    }

    #[test]
    fn a_compiler_that_takes_too_long_is_not_waited_for() {
        let branches = format!("(block {} )", "(block (br_table 0 1 0 1 0 (local.get 0)))".repeat(2000));
        let refused = compiled(&branches, Duration::ZERO).err().unwrap();
        assert_eq!(refused, "compiling it takes longer than 0 seconds");
        assert!(compiled(&branches, MAX_COMPILE).is_ok());
    }

    #[test]
    fn a_function_that_is_too_large_is_not_even_begun() {
        let refused = compiled(&"nop ".repeat(1 << 20), MAX_COMPILE).err().unwrap();
        assert_eq!(refused, "a function in it has more than 1024 KiB of code");
    }
}
