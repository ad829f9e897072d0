//! FLAC (RFC 9639), two channels of 16 bits: fixed predictors and Rice codes, of which telephone sound needs no more.
//!
//! Frames follow each other as they are made and the header tells neither their number nor a checksum of all, which section 8.2 allows: a file that breaks
//! off is whole up to its last frame.

/// Samples of each side in a frame; the last may have fewer.
pub const BLOCK: usize = 4_096;
/// Residuals that share the parameter of their Rice code.
const PARTITION_ORDER: u32 = 4;
/// The highest order of a fixed predictor (section 9.2.5).
const MAX_ORDER: usize = 4;
/// The largest parameter with four bits; the one above means something else (section 9.2.7).
const MAX_PARAMETER: u32 = 14;
const BITS: u32 = 16;

/// Makes frames of the samples of two sides.
#[derive(Debug)]
pub struct Flac {
    rate: u32,
    frames: u64,
    left: Vec<i16>,
    right: Vec<i16>,
    residual: Vec<i32>,
}

impl Flac {
    /// A stream of 8000 or 16000 samples a second.
    pub fn new(rate: u32) -> Self {
        Flac {
            rate,
            frames: 0,
            left: Vec::with_capacity(BLOCK),
            right: Vec::with_capacity(BLOCK),
            residual: Vec::with_capacity(BLOCK),
        }
    }

    /// What the stream begins with: its marker and the metadata block STREAMINFO (section 8.2).
    pub fn header(&self, out: &mut Vec<u8>) {
        out.extend(b"fLaC");
        // The last metadata block, of 34 bytes.
        out.extend([0x80, 0, 0, 34]);
        out.extend((BLOCK as u16).to_be_bytes());
        out.extend((BLOCK as u16).to_be_bytes());
        // Least and most bytes of a frame: unknown.
        out.extend([0; 6]);
        // Rate, channels less one, bits less one, samples (unknown).
        let facts = u64::from(self.rate) << 44 | 1 << 41 | u64::from(BITS - 1) << 36;
        out.extend(facts.to_be_bytes());
        // MD5 of the samples: unknown.
        out.extend([0; 16]);
    }

    /// Takes as many samples of both sides, and appends the frames that are full.
    pub fn write(&mut self, left: &[i16], right: &[i16], out: &mut Vec<u8>) {
        let (mut left, mut right) = (left, &right[..left.len()]);
        while !left.is_empty() {
            let count = left.len().min(BLOCK - self.left.len());
            self.left.extend_from_slice(&left[..count]);
            self.right.extend_from_slice(&right[..count]);
            (left, right) = (&left[count..], &right[count..]);
            if self.left.len() == BLOCK {
                self.frame(out);
            }
        }
    }

    /// Appends what has not filled a frame.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if !self.left.is_empty() {
            self.frame(out);
        }
    }

    fn frame(&mut self, out: &mut Vec<u8>) {
        let begin = out.len();
        let count = self.left.len();
        let full = count == BLOCK;
        // Section 9.1: sync code, blocks of one size; their size and rate; two independent channels of 16 bits.
        let size = if full { 0b1100 } else { 0b0111 };
        let rate = if self.rate == 8_000 { 0b0100 } else { 0b0101 };
        out.extend([0xff, 0xf8, size << 4 | rate, 0b0001_1000]);
        coded_number(self.frames, out);
        if !full {
            out.extend((count as u16 - 1).to_be_bytes());
        }
        out.push(crc8(&out[begin..]));
        let mut bits = Bits::new(out);
        subframe(&self.left, &mut self.residual, &mut bits);
        subframe(&self.right, &mut self.residual, &mut bits);
        bits.flush();
        out.extend(crc16(&out[begin..]).to_be_bytes());
        self.frames += 1;
        self.left.clear();
        self.right.clear();
    }
}

/// Section 9.2: one side of a frame, as it takes the fewest bits.
fn subframe(samples: &[i16], residual: &mut Vec<i32>, bits: &mut Bits<'_>) {
    let first = samples[0];
    if samples.iter().all(|&sample| sample == first) {
        bits.put(0b0000_0000, 8);
        bits.put_signed(first.into(), BITS);
        return;
    }
    let order = best_order(samples);
    predict(samples, order, residual);
    let partition_order = if samples.len().is_multiple_of(1 << PARTITION_ORDER) {
        PARTITION_ORDER
    } else {
        0
    };
    let partition = samples.len() >> partition_order;
    // The first partition is shorter by the samples that are written as they are.
    let partitions = || {
        let (head, rest) = residual.split_at(partition - order);
        std::iter::once(head).chain(rest.chunks(partition))
    };
    let coded: u64 = partitions().map(|part| 4 + rice(part).1).sum();
    let plain = samples.len() as u64 * u64::from(BITS);
    if partition <= order || coded + (order as u64) * u64::from(BITS) + 6 >= plain {
        bits.put(0b0000_0010, 8);
        samples
            .iter()
            .for_each(|&sample| bits.put_signed(sample.into(), BITS));
        return;
    }
    bits.put((0b0000_1000 | order as u32) << 1, 8);
    samples[..order]
        .iter()
        .for_each(|&sample| bits.put_signed(sample.into(), BITS));
    bits.put(0b00, 2);
    bits.put(partition_order, 4);
    for part in partitions() {
        let (parameter, _) = rice(part);
        bits.put(parameter, 4);
        for &value in part {
            let folded = fold(value);
            bits.put_unary(folded >> parameter);
            bits.put(folded & ((1 << parameter) - 1), parameter);
        }
    }
}

/// The predictor that leaves the least.
fn best_order(samples: &[i16]) -> usize {
    let mut sums = [0u64; MAX_ORDER + 1];
    let mut last = [0i32; MAX_ORDER];
    for (index, &sample) in samples.iter().enumerate() {
        let mut difference = i32::from(sample);
        for (order, sum) in sums.iter_mut().enumerate() {
            if index >= MAX_ORDER {
                *sum += u64::from(difference.unsigned_abs());
            }
            if order < MAX_ORDER {
                let before = std::mem::replace(&mut last[order], difference);
                difference -= before;
            }
        }
    }
    let most = samples.len().saturating_sub(1).min(MAX_ORDER);
    (0..=most).min_by_key(|&order| sums[order]).unwrap_or(0)
}

/// What the predictor of an order misses (section 9.2.5).
fn predict(samples: &[i16], order: usize, residual: &mut Vec<i32>) {
    let at = |index: usize| i32::from(samples[index]);
    residual.clear();
    residual.extend((order..samples.len()).map(|n| match order {
        0 => at(n),
        1 => at(n) - at(n - 1),
        2 => at(n) - 2 * at(n - 1) + at(n - 2),
        3 => at(n) - 3 * at(n - 1) + 3 * at(n - 2) - at(n - 3),
        _ => at(n) - 4 * at(n - 1) + 6 * at(n - 2) - 4 * at(n - 3) + at(n - 4),
    }));
}

/// Signed numbers in order of their size: 0, −1, 1, −2 …
fn fold(value: i32) -> u32 {
    (value << 1 ^ value >> 31) as u32
}

/// The parameter that codes these in the fewest bits, and how many.
fn rice(part: &[i32]) -> (u32, u64) {
    let sum: u64 = part.iter().map(|&value| u64::from(fold(value))).sum();
    let mean = sum / part.len().max(1) as u64;
    let near = 63 - (mean + 1).leading_zeros();
    let cost = |parameter: u32| -> u64 {
        let unary: u64 = part
            .iter()
            .map(|&value| u64::from(fold(value) >> parameter))
            .sum();
        unary + part.len() as u64 * u64::from(1 + parameter)
    };
    (near.saturating_sub(1)..=near + 1)
        .map(|parameter| parameter.min(MAX_PARAMETER))
        .map(|parameter| (parameter, cost(parameter)))
        .min_by_key(|&(_, cost)| cost)
        .expect("there is a parameter near to any mean")
}

/// A number as UTF-8 writes one, to 36 bits (section 9.1.5).
fn coded_number(number: u64, out: &mut Vec<u8>) {
    if number < 0x80 {
        out.push(number as u8);
        return;
    }
    let mut more = 1;
    while number >> (5 * more + 6) > 0 {
        more += 1;
    }
    let lead = !(0xffu16 >> (more + 1)) as u8;
    out.push(lead | (number >> (6 * more)) as u8);
    for index in (0..more).rev() {
        out.push(0x80 | (number >> (6 * index) & 0x3f) as u8);
    }
}

fn crc8(bytes: &[u8]) -> u8 {
    bytes
        .iter()
        .fold(0, |crc, byte| CRC8[usize::from(crc ^ byte)])
}

fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        crc << 8 ^ CRC16[usize::from((crc >> 8) as u8 ^ byte)]
    })
}

const CRC8: [u8; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = index as u8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x80 == 0 {
                crc << 1
            } else {
                crc << 1 ^ 0x07
            };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
};

const CRC16: [u16; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = (index as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 {
                crc << 1
            } else {
                crc << 1 ^ 0x8005
            };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
};

/// Bits into bytes, the highest first.
struct Bits<'a> {
    out: &'a mut Vec<u8>,
    held: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    fn new(out: &'a mut Vec<u8>) -> Self {
        Bits {
            out,
            held: 0,
            count: 0,
        }
    }

    /// The low `count` bits of `value`, 32 at most.
    fn put(&mut self, value: u32, count: u32) {
        self.held = self.held << count | u64::from(value);
        self.count += count;
        while self.count >= 8 {
            self.count -= 8;
            self.out.push((self.held >> self.count) as u8);
        }
    }

    fn put_signed(&mut self, value: i32, count: u32) {
        self.put(value as u32 & (u32::MAX >> (32 - count)), count);
    }

    /// So many zeros and a one.
    fn put_unary(&mut self, zeros: u32) {
        let mut left = zeros;
        while left >= 31 {
            self.put(0, 31);
            left -= 31;
        }
        self.put(1, left + 1);
    }

    fn flush(&mut self) {
        if self.count > 0 {
            self.put(0, 8 - self.count);
        }
    }
}
