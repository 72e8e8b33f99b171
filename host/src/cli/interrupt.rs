//! Ctrl-C, `kill` and a lost terminal: the first cancels the tasks of a run and
//! lets its `finally` run, the second cancels that, too, the third ends the
//! process.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{SignalKind, signal};

use super::exit;
use crate::report::Remarks;
use crate::sandbox::CancelToken;

/// Whether something is brought to an end when the process is told to stop.
static AWAITED: AtomicBool = AtomicBool::new(false);

/// Whether somebody brings something to an end when the process is told to stop,
/// and the process has to wait for that.
pub(crate) fn is_awaited() -> bool {
    AWAITED.load(Ordering::Relaxed)
}

/// Does something each time the process is told to stop, but for the third,
/// which ends it; for as long as it lives.
pub(crate) fn on_signal(each: impl FnMut(u32) + Send + 'static) -> std::io::Result<()> {
    listen(each).inspect(|()| AWAITED.store(true, Ordering::Relaxed))
}

/// The same for what nobody has to wait for.
pub(crate) fn listen(mut each: impl FnMut(u32) + Send + 'static) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate, mut hangup) = {
        // Registered here, so that no signal after this call is missed.
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?)
    };
    let wait = move || {
        runtime.block_on(async {
            for time in 1..=3 {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    _ = hangup.recv() => {}
                }
                each(time);
            }
            std::process::exit(i32::from(exit::INTERRUPTED));
        });
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(wait).map(|_| ())
}

/// Cancels when the process is told to stop, for as long as it lives.
pub(crate) fn cancel_on_signal(cancel: &CancelToken, remarks: Remarks) -> std::io::Result<()> {
    let cancel = cancel.clone();
    on_signal(move |time| match time {
        1 => {
            remarks.say("\nstopping: running tasks are cancelled, `finally` runs; once more to stop at once");
            cancel.cancel();
        }
        2 => {
            remarks.say("\nstopping at once");
            cancel.cancel();
        }
        _ => remarks.leave(),
    })
}
