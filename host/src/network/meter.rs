//! Counts and hashes bytes that go one way. A large transfer is hashed on a
//! thread of its own, beside the one that moves it.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use bytes::Bytes;
use cofferdam_registry::{Digest, Hasher};

use crate::event::Transfer;

/// A transfer of this size is worth a thread.
const LARGE: u64 = 1 << 20;
/// Pieces that wait to be hashed. Full, it slows the transfer down.
const WAITING: usize = 32;

/// Bytes that go one way.
#[derive(Debug, Default)]
pub(super) struct Meter {
    hashing: Hashing,
    pub(super) size: u64,
    pub(super) complete: bool,
}

#[derive(Debug)]
enum Hashing {
    Here(Hasher),
    Beside(SyncSender<Bytes>, JoinHandle<Digest>),
}

impl Default for Hashing {
    fn default() -> Self {
        Self::Here(Hasher::default())
    }
}

impl Meter {
    pub(super) fn add(&mut self, bytes: &Bytes) {
        self.size += bytes.len() as u64;
        match &mut self.hashing {
            Hashing::Here(hasher) => {
                hasher.update(bytes);
                if self.size > LARGE {
                    self.move_aside();
                }
            }
            // It ends only when this end of the channel is gone.
            Hashing::Beside(pieces, _) => drop(pieces.send(bytes.clone())),
        }
    }

    /// Goes on hashing on another thread, if there is one to be had.
    fn move_aside(&mut self) {
        let Hashing::Here(hasher) = &self.hashing else { return };
        let mut hasher = hasher.clone();
        let (pieces, waiting) = sync_channel::<Bytes>(WAITING);
        let hash = move || {
            waiting.into_iter().for_each(|piece| hasher.update(&piece));
            hasher.finish()
        };
        if let Ok(thread) = std::thread::Builder::new().name("hash".to_owned()).spawn(hash) {
            self.hashing = Hashing::Beside(pieces, thread);
        }
    }

    pub(super) fn transfer(self) -> Transfer {
        let (digest, hashed) = match self.hashing {
            Hashing::Here(hasher) => (hasher.finish(), true),
            Hashing::Beside(pieces, thread) => {
                drop(pieces);
                // A thread that is gone has hashed nothing that can be told.
                let digest = thread.join();
                (digest.as_ref().map_or_else(|_| Digest::of(b""), |digest| *digest), digest.is_ok())
            }
        };
        Transfer { size: self.size, digest, complete: self.complete && hashed }
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn a_large_transfer_has_the_digest_of_its_bytes() {
        let piece = Bytes::from(vec![7; 300_000]);
        for count in [0, 1, 3, 4, 5, 50] {
            let mut meter = Meter::default();
            (0..count).for_each(|_| meter.add(&piece));
            meter.complete = true;
            let whole = piece.repeat(count);
            let expected = Transfer { size: whole.len() as u64, digest: Digest::of(&whole), complete: true };
            assert_eq!(meter.transfer(), expected);
        }
    }
}
