//! ITU-T G.722: 16 kHz sound in 64 kbit/s (mode 1), encoder and decoder, bit for bit as the recommendation computes.
//!
//! Two quadrature mirror filters split the sound at 4 kHz. Each half is coded by itself, at 8 kHz: six bits for the lower one, two for the
//! upper, each the difference from a prediction. The predictor adapts to what was coded, in the same way on both sides, so a
//! decoder that starts in the middle of a stream or misses a payload soon agrees with the encoder again.
//!
//! Names in brackets are the recommendation's (sections 6.1 and 6.2). Its arithmetic is that of 16 bits, saturating.

/// The mirror filter's 24 coefficients (table 11), in units of 2^-13: those with an even index; the odd ones are the same, backwards.
const MIRROR: [i16; 12] = [3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11];

/// Decision levels of the lower band for a step of one (Q6), after the first, which is zero.
const LEVELS: [i32; 29] = [
    35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1023,
    1121, 1219, 1339, 1458, 1612, 1765, 1980, 2195, 2557, 2919,
];

/// The one decision level of the upper band (Q2).
const LEVEL_HIGH: i32 = 564;

/// The lower band's differences by all six bits (QM6).
const DIFFERENCES_6: [i16; 64] = [
    -136, -136, -136, -136, -24808, -21904, -19008, -16704, -14984, -13512, -12280, -11192, -10232,
    -9360, -8576, -7856, -7192, -6576, -6000, -5456, -4944, -4464, -4008, -3576, -3168, -2776,
    -2400, -2032, -1688, -1360, -1040, -728, 24808, 21904, 19008, 16704, 14984, 13512, 12280,
    11192, 10232, 9360, 8576, 7856, 7192, 6576, 6000, 5456, 4944, 4464, 4008, 3576, 3168, 2776,
    2400, 2032, 1688, 1360, 1040, 728, 432, 136, -432, -136,
];

/// The same by the upper four bits (QM4), which all modes have: what the predictor adapts to.
const DIFFERENCES_4: [i16; 16] = [
    0, -20456, -12896, -8968, -6288, -4240, -2584, -1200, 20456, 12896, 8968, 6288, 4240, 2584,
    1200, 0,
];

/// The upper band's differences by its two bits (QM2).
const DIFFERENCES_2: [i16; 4] = [-7408, -1616, 7408, 1616];

/// What a code adds to the logarithm of the step: the lower band by four bits (WL), the upper by two (WH).
const GROWTH_LOW: [i16; 16] = [
    -60, 3042, 1198, 538, 334, 172, 58, -30, 3042, 1198, 538, 334, 172, 58, -30, -60,
];
const GROWTH_HIGH: [i16; 4] = [798, -214, 798, -214];

/// 2048 times 2^(n/32) (ILB): the fraction of a step's logarithm.
const POWERS: [i32; 32] = [
    2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834,
    2896, 2960, 3025, 3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
];

/// The largest logarithms of a step.
const MAX_LOG_LOW: i32 = 18_432;
const MAX_LOG_HIGH: i32 = 22_528;

/// How a sum or difference of 16-bit values stays one.
fn saturate(value: i32) -> i32 {
    value.clamp(i32::from(i16::MIN), i32::from(i16::MAX))
}

/// A product of 16-bit fractions.
fn product(a: i32, b: i32) -> i32 {
    (a * b) >> 15
}

/// A sub-band signal has 15 bits (LIMIT).
fn limit(value: i32) -> i32 {
    value.clamp(-16_384, 16_383)
}

/// One sub-band: the step of its quantiser, and its predictor of two poles and six zeros.
#[derive(Clone, Debug)]
struct Band {
    /// Logarithm of the step (NB).
    log: i32,
    /// The step (DET).
    step: i32,
    /// What the next sample is thought to be (S), and the zeros' part of that (SZ).
    prediction: i32,
    from_zeros: i32,
    /// Coefficients (A, B).
    poles: [i32; 2],
    zeros: [i32; 6],
    /// What was quantised (D), the newest first.
    differences: [i32; 6],
    /// What came out (R), and what came out but for the poles' part (P), the newest first.
    outputs: [i32; 2],
    partial: [i32; 2],
}

impl Band {
    fn new(step: i32) -> Self {
        Band {
            log: 0,
            step,
            prediction: 0,
            from_zeros: 0,
            poles: [0; 2],
            zeros: [0; 6],
            differences: [0; 6],
            outputs: [0; 2],
            partial: [0; 2],
        }
    }

    /// The step for what follows (LOGSCL, SCALEL; LOGSCH, SCALEH). `zero` is the logarithm, in whole octaves, of a step of 2048 << 2.
    fn grow(&mut self, growth: i16, max: i32, zero: i32) {
        self.log = (product(self.log, 32_512) + i32::from(growth)).clamp(0, max);
        let power = POWERS[(self.log >> 6) as usize & 31];
        let down = zero - (self.log >> 11);
        self.step = if down < 0 {
            power << -down
        } else {
            power >> down
        } << 2;
    }

    /// Takes the difference that was coded, and predicts the next sample (block 4).
    fn adapt(&mut self, difference: i32) {
        let partial = saturate(difference + self.from_zeros);
        let output = saturate(difference + self.prediction);

        // UPZERO
        for (zero, past) in self.zeros.iter_mut().zip(self.differences) {
            let turn = match difference {
                0 => 0,
                _ if (difference ^ past) < 0 => -128,
                _ => 128,
            };
            *zero = saturate(product(*zero, 32_640) + turn);
        }
        self.differences.copy_within(..5, 1);
        self.differences[0] = difference;

        // UPPOL2, UPPOL1
        let alike = (partial ^ self.partial[0]) >= 0;
        let four = saturate(4 * self.poles[0]);
        let toward = if alike { saturate(-four) } else { four } >> 7;
        let turn = if (partial ^ self.partial[1]) >= 0 {
            128
        } else {
            -128
        };
        let second = toward + turn + product(self.poles[1], 32_512);
        self.poles[1] = second.clamp(-12_288, 12_288);
        let turn = if alike { 192 } else { -192 };
        let most = 15_360 - self.poles[1];
        self.poles[0] = (turn + product(self.poles[0], 32_640)).clamp(-most, most);
        self.partial = [partial, self.partial[0]];
        self.outputs = [output, self.outputs[0]];

        // FILTEZ, FILTEP, PREDIC
        let mut zeros = 0;
        for (&zero, &past) in self.zeros.iter().zip(&self.differences).rev() {
            zeros = saturate(zeros + product(zero, saturate(2 * past)).min(i32::from(i16::MAX)));
        }
        let poles = product(self.poles[0], saturate(2 * self.outputs[0]))
            + product(self.poles[1], saturate(2 * self.outputs[1]));
        self.from_zeros = zeros;
        self.prediction = saturate(saturate(poles) + zeros);
    }

    fn adapt_low(&mut self, code: usize) {
        let difference = product(self.step, i32::from(DIFFERENCES_4[code >> 2]));
        self.grow(GROWTH_LOW[code >> 2], MAX_LOG_LOW, 8);
        self.adapt(difference);
    }

    fn adapt_high(&mut self, code: usize) {
        let difference = product(self.step, i32::from(DIFFERENCES_2[code]));
        self.grow(GROWTH_HIGH[code], MAX_LOG_HIGH, 10);
        self.adapt(difference);
    }
}

fn low() -> Band {
    Band::new(32)
}

fn high() -> Band {
    Band::new(8)
}

/// Encodes one stream. It delays by 11 samples, the decoder by as many: 1.4 ms together.
#[derive(Clone, Debug)]
pub struct Encoder {
    low: Band,
    high: Band,
    /// The last samples with an even and with an odd number, the oldest first.
    even: [i16; 12],
    odd: [i16; 12],
}

impl Default for Encoder {
    fn default() -> Self {
        Encoder {
            low: low(),
            high: high(),
            even: [0; 12],
            odd: [0; 12],
        }
    }
}

impl Encoder {
    /// Encodes samples at 16 kHz, two in a byte, as far as there is room; an odd last one is left out. Returns how many bytes were written.
    pub fn encode(&mut self, pcm: &[i16], out: &mut [u8]) -> usize {
        for (pair, out) in pcm.chunks_exact(2).zip(out.iter_mut()) {
            *out = self.encode_pair(pair[0], pair[1]);
        }
        (pcm.len() / 2).min(out.len())
    }

    fn encode_pair(&mut self, first: i16, second: i16) -> u8 {
        push(&mut self.even, first);
        push(&mut self.odd, second);
        let a = dot(self.odd.iter().rev(), &MIRROR);
        let b = dot(self.even.iter(), &MIRROR);
        let low = quantise_low(
            saturate(limit((a + b) >> 14) - self.low.prediction),
            self.low.step,
        );
        let high = quantise_high(
            saturate(limit((a - b) >> 14) - self.high.prediction),
            self.high.step,
        );
        self.low.adapt_low(low);
        self.high.adapt_high(high);
        (high << 6 | low) as u8
    }
}

/// The size of a difference; those below zero are folded by one's complement.
fn magnitude(difference: i32) -> i32 {
    difference ^ (difference >> 31)
}

/// Six bits for a difference in the lower band (QUANTL).
fn quantise_low(difference: i32, step: i32) -> usize {
    let size = magnitude(difference);
    let interval = LEVELS.partition_point(|level| (level * step) >> 12 <= size);
    // The code runs down from the smallest interval; below zero the two smallest have a place of their own.
    match (difference < 0, interval) {
        (false, interval) => 61 - interval,
        (true, 0 | 1) => 63 - interval,
        (true, interval) => 33 - interval,
    }
}

/// Two bits for a difference in the upper band (QUANTH).
fn quantise_high(difference: i32, step: i32) -> usize {
    let large = magnitude(difference) >= (LEVEL_HIGH * step) >> 12;
    match (difference < 0, large) {
        (true, true) => 0,
        (true, false) => 1,
        (false, true) => 2,
        (false, false) => 3,
    }
}

/// Decodes one stream.
#[derive(Clone, Debug)]
pub struct Decoder {
    low: Band,
    high: Band,
    /// The last sums and differences of both bands, the oldest first.
    sums: [i16; 12],
    differences: [i16; 12],
}

impl Default for Decoder {
    fn default() -> Self {
        Decoder {
            low: low(),
            high: high(),
            sums: [0; 12],
            differences: [0; 12],
        }
    }
}

impl Decoder {
    /// Decodes a payload to 16 kHz, two samples a byte, as far as there is room for two. Returns how many samples were written.
    pub fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> usize {
        for (&byte, out) in payload.iter().zip(out.chunks_exact_mut(2)) {
            out.copy_from_slice(&self.decode_byte(byte));
        }
        2 * payload.len().min(out.len() / 2)
    }

    fn decode_byte(&mut self, byte: u8) -> [i16; 2] {
        let (low, high) = (usize::from(byte & 0x3f), usize::from(byte >> 6));
        let difference = product(self.low.step, i32::from(DIFFERENCES_6[low]));
        let lower = limit(self.low.prediction + difference);
        let difference = product(self.high.step, i32::from(DIFFERENCES_2[high]));
        let upper = limit(self.high.prediction + difference);
        self.low.adapt_low(low);
        self.high.adapt_high(high);
        push(&mut self.sums, (lower + upper) as i16);
        push(&mut self.differences, (lower - upper) as i16);
        let first = dot(self.differences.iter().rev(), &MIRROR) >> 11;
        let second = dot(self.sums.iter(), &MIRROR) >> 11;
        [saturate(first) as i16, saturate(second) as i16]
    }
}

fn push(line: &mut [i16; 12], sample: i16) {
    line.copy_within(1.., 0);
    line[11] = sample;
}

fn dot<'a>(samples: impl Iterator<Item = &'a i16>, coefficients: &[i16; 12]) -> i32 {
    samples
        .zip(coefficients)
        .map(|(&sample, &factor)| i32::from(sample) * i32::from(factor))
        .sum()
}
