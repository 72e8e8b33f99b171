//! Random numbers of a task that was not granted real ones: SHA-256 over a
//! seed and a counter. The seed is the digest of everything the TaskRun was
//! given, so the same TaskRun draws the same numbers, and no other does.

use cofferdam_registry::Hasher;

/// A reproducible stream of bytes.
#[derive(Clone, Debug)]
pub(crate) struct SeededRandom {
    seed: [u8; 32],
    counter: u64,
    block: [u8; 32],
    used: usize,
}

impl SeededRandom {
    /// The stream of a seed; `purpose` keeps the streams of one seed apart.
    pub(crate) fn new(seed: &[u8; 32], purpose: &str) -> Self {
        let mut hasher = Hasher::default();
        hasher.update(seed);
        hasher.update(purpose.as_bytes());
        Self { seed: *hasher.finish().as_bytes(), counter: 0, block: [0; 32], used: 32 }
    }

    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            if self.used == self.block.len() {
                let mut hasher = Hasher::default();
                hasher.update(&self.seed);
                hasher.update(&self.counter.to_be_bytes());
                self.block = *hasher.finish().as_bytes();
                self.counter += 1;
                self.used = 0;
            }
            *byte = self.block.get(self.used).copied().unwrap_or_default();
            self.used += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_stream_however_it_is_drawn() {
        let draw = |seed: [u8; 32], purpose, pieces: &[usize]| {
            let mut random = SeededRandom::new(&seed, purpose);
            let mut all = Vec::new();
            for piece in pieces {
                let mut bytes = vec![0; *piece];
                random.fill(&mut bytes);
                all.extend(bytes);
            }
            all
        };
        let whole = draw([1; 32], "secure", &[100]);
        assert_eq!(whole, draw([1; 32], "secure", &[1, 31, 33, 35]));
        assert_ne!(whole, draw([2; 32], "secure", &[100]));
        assert_ne!(whole, draw([1; 32], "insecure", &[100]));
    }
}
