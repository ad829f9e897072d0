//! Masking keys, and what they do to a payload (section 5.3).

/// Mask a payload, or unmask it again.
pub(super) fn apply_mask(bytes: &mut [u8], mask: [u8; 4]) {
    let wide = u64::from_ne_bytes([
        mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3],
    ]);
    let mut chunks = bytes.chunks_exact_mut(8);
    for chunk in &mut chunks {
        let masked = u64::from_ne_bytes((&*chunk).try_into().expect("chunks of eight")) ^ wide;
        chunk.copy_from_slice(&masked.to_ne_bytes());
    }
    for (byte, key) in chunks.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

/// Makes masking keys that nobody can guess who doesn't know the seed (section 5.3 and 10.3): SipHash-2-4 of a counter.
#[derive(Debug)]
pub struct MaskSource {
    key: [u64; 2],
    counter: u64,
    spare: Option<[u8; 4]>,
}

impl MaskSource {
    /// A source from 16 bytes of the system's randomness, different for each connection.
    pub fn new(seed: [u8; 16]) -> Self {
        let (low, high) = seed.split_at(8);
        let word =
            |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("half of sixteen bytes"));
        Self {
            key: [word(low), word(high)],
            counter: 0,
            spare: None,
        }
    }

    /// The next masking key.
    pub fn next_mask(&mut self) -> [u8; 4] {
        if let Some(mask) = self.spare.take() {
            return mask;
        }
        self.counter += 1;
        let bytes = siphash_2_4_of_word(self.key, self.counter).to_le_bytes();
        self.spare = Some([bytes[4], bytes[5], bytes[6], bytes[7]]);
        [bytes[0], bytes[1], bytes[2], bytes[3]]
    }
}

/// SipHash-2-4 (Aumasson, Bernstein 2012) of one little-endian 64-bit word.
pub(super) fn siphash_2_4_of_word(key: [u64; 2], word: u64) -> u64 {
    let mut v = [
        key[0] ^ 0x736f_6d65_7073_6575,
        key[1] ^ 0x646f_7261_6e64_6f6d,
        key[0] ^ 0x6c79_6765_6e65_7261,
        key[1] ^ 0x7465_6462_7974_6573,
    ];
    let round = |v: &mut [u64; 4]| {
        v[0] = v[0].wrapping_add(v[1]);
        v[1] = v[1].rotate_left(13) ^ v[0];
        v[0] = v[0].rotate_left(32);
        v[2] = v[2].wrapping_add(v[3]);
        v[3] = v[3].rotate_left(16) ^ v[2];
        v[0] = v[0].wrapping_add(v[3]);
        v[3] = v[3].rotate_left(21) ^ v[0];
        v[2] = v[2].wrapping_add(v[1]);
        v[1] = v[1].rotate_left(17) ^ v[2];
        v[2] = v[2].rotate_left(32);
    };
    // The last block carries the length of the input, eight bytes, in its top byte.
    for block in [word, 8 << 56] {
        v[3] ^= block;
        round(&mut v);
        round(&mut v);
        v[0] ^= block;
    }
    v[2] ^= 0xFF;
    for _ in 0..4 {
        round(&mut v);
    }
    v[0] ^ v[1] ^ v[2] ^ v[3]
}
