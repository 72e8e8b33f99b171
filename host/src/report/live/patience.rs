//! Says what is being waited for, once that takes a while.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use super::screen::Screen;

/// What takes less is not mentioned: it would only flicker.
const UNNOTICED: Duration = Duration::from_millis(150);

/// Does something, and says at the lower end of a terminal that it is being
/// done.
pub fn busy<T>(mut screen: Screen, what: &str, work: impl FnOnce() -> T) -> T {
    let (done, wait) = channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            if wait.recv_timeout(UNNOTICED) == Err(RecvTimeoutError::Timeout) {
                let size = screen.size();
                let _ = screen.draw("", vec![what.to_owned()], size);
                let _ = wait.recv();
                let size = screen.size();
                let _ = screen.draw("", Vec::new(), size);
            }
        });
        let worked = work();
        drop(done);
        worked
    })
}
