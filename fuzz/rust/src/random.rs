//! Random numbers from one 64-bit seed, the same on every machine.

/// SplitMix64 (Steele, Lea, Flood 2014): small, and good enough to choose mutations.
pub struct Random(u64);

impl Random {
    /// The numbers of this seed.
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// The seed of one case: of the run's seed, the target's name and the case's number.
    pub fn seed_of(run: u64, name: &str, case: u64) -> u64 {
        let named = name.bytes().fold(run, |seed, byte| {
            Random(seed ^ u64::from(byte)).next().rotate_left(7)
        });
        Random(named ^ case.wrapping_mul(0x9E37_79B9_7F4A_7C15)).next()
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        value ^ (value >> 31)
    }

    /// A number below `end`; 0 if that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % (end.max(1) as u64)) as usize
    }

    /// Once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// So many random bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}
