//! Chance that can be had again.

/// Numbers of chance from a seed (xorshift64). Not for secrets.
#[derive(Debug)]
pub(crate) struct Seeded(u64);

impl Seeded {
    /// Other seeds give other numbers.
    pub fn new(seed: u64) -> Self {
        let mut seeded = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x2545_f491_4f6c_dd1d | 1);
        // Seeds that are alike begin alike.
        (0..16).for_each(|_| {
            seeded.next();
        });
        seeded
    }

    /// The next, above its lowest bits as good as any.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 8
    }

    /// The next as a number from 0 up to 1.
    pub fn unit(&mut self) -> f64 {
        (self.next() & ((1 << 53) - 1)) as f64 / (1u64 << 53) as f64
    }
}
