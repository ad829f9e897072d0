//! ITU-T G.711: 8-bit logarithmic PCM, µ-law and A-law, to and from 16-bit linear samples.
//!
//! Linear values are left-justified: µ-law's 14 and A-law's 13 bits stand in the upper bits of 16.

/// The 256 µ-law codes as linear samples.
pub static PCMU_TO_LINEAR: [i16; 256] = pcmu_table();
/// The 256 A-law codes as linear samples.
pub static PCMA_TO_LINEAR: [i16; 256] = pcma_table();
/// Each µ-law code's nearest A-law code.
pub static PCMU_TO_PCMA: [u8; 256] = pcmu_to_pcma_table();
/// Each A-law code's nearest µ-law code.
pub static PCMA_TO_PCMU: [u8; 256] = pcma_to_pcmu_table();

/// µ-law adds 33 (of 14 bits) so that every segment starts at a power of two.
const PCMU_BIAS: u32 = 33;
const PCMU_TOP: u32 = 0x1fff;

/// Codes of positive samples by their magnitude: 4 + 2 KiB that stay in the nearest cache, and a look is
/// several times cheaper than counting leading zeros on the oldest machines that we run on.
static MAGNITUDE_TO_PCMU: [u8; 4_096] = pcmu_codes();
static MAGNITUDE_TO_PCMA: [u8; 2_048] = pcma_codes();

/// A linear sample as µ-law.
#[inline]
pub fn linear_to_pcmu(sample: i16) -> u8 {
    let sign = sample >> 15;
    let magnitude = (((sample ^ sign) as u32 >> 2) + PCMU_BIAS).min(PCMU_TOP);
    MAGNITUDE_TO_PCMU[(magnitude >> 1) as usize] ^ (sign as u8 & 0x80)
}

/// A linear sample as A-law.
#[inline]
pub fn linear_to_pcma(sample: i16) -> u8 {
    let sign = sample >> 15;
    MAGNITUDE_TO_PCMA[((sample ^ sign) >> 4) as usize] ^ (sign as u8 & 0x80)
}

const fn pcmu_codes() -> [u8; 4_096] {
    let mut table = [0; 4_096];
    let mut index = 0usize;
    while index < 4_096 {
        // The biased magnitude less its lowest bit, which no code depends on.
        let sample = (index << 1).saturating_sub(PCMU_BIAS as usize) << 2;
        table[index] = pcmu_code(sample as i16);
        index += 1;
    }
    table
}

const fn pcma_codes() -> [u8; 2_048] {
    let mut table = [0; 2_048];
    let mut index = 0usize;
    while index < 2_048 {
        table[index] = pcma_code((index << 4) as i16);
        index += 1;
    }
    table
}

const fn pcmu_code(sample: i16) -> u8 {
    // Negative values are folded by one's complement, so that -1 and 0 lie equally near to zero.
    let sign = sample >> 15;
    let mut magnitude = ((sample ^ sign) as u32 >> 2) + PCMU_BIAS;
    if magnitude > PCMU_TOP {
        magnitude = PCMU_TOP;
    }
    let segment = 26 - magnitude.leading_zeros();
    let code = (segment << 4) | ((magnitude >> (segment + 1)) & 0xf);
    // All bits travel inverted; the sign bit is set for positive values.
    !(code as u8) & 0x7f | (!sign as u8 & 0x80)
}

/// A µ-law code as linear sample.
#[inline]
pub const fn pcmu_to_linear(code: u8) -> i16 {
    PCMU_TO_LINEAR[code as usize]
}

const fn pcma_code(sample: i16) -> u8 {
    let sign = sample >> 15;
    let magnitude = (sample ^ sign) as u32 >> 4;
    let code = if magnitude < 32 {
        magnitude
    } else {
        let segment = 28 - magnitude.leading_zeros();
        (segment << 4) | ((magnitude >> (segment - 1)) & 0xf)
    };
    // Even bits travel inverted; the sign bit is set for positive values.
    (code as u8 | (!sign as u8 & 0x80)) ^ 0x55
}

/// An A-law code as linear sample.
#[inline]
pub const fn pcma_to_linear(code: u8) -> i16 {
    PCMA_TO_LINEAR[code as usize]
}

const fn pcmu_table() -> [i16; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        let bits = !code;
        let segment = (bits >> 4) & 7;
        let step = bits & 0xf;
        let magnitude = (((2 * step as i32 + 33) << segment) - 33) << 2;
        table[code] = if bits & 0x80 == 0 {
            magnitude
        } else {
            -magnitude
        } as i16;
        code += 1;
    }
    table
}

const fn pcma_table() -> [i16; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        let bits = code ^ 0x55;
        let segment = (bits >> 4) & 7;
        let step = (bits & 0xf) as i32;
        let magnitude = if segment == 0 {
            (2 * step + 1) << 3
        } else {
            (2 * step + 33) << (segment + 2)
        };
        table[code] = if bits & 0x80 != 0 {
            magnitude
        } else {
            -magnitude
        } as i16;
        code += 1;
    }
    table
}

const fn pcmu_to_pcma_table() -> [u8; 256] {
    let table = pcmu_table();
    let mut out = [0; 256];
    let mut code = 0;
    while code < 256 {
        out[code] = pcma_code(table[code]);
        code += 1;
    }
    // The two zeros of µ-law keep their signs: silence stays silence, not a step of A-law.
    out[0x7f] = 0x55;
    out
}

const fn pcma_to_pcmu_table() -> [u8; 256] {
    let table = pcma_table();
    let mut out = [0; 256];
    let mut code = 0;
    while code < 256 {
        out[code] = pcmu_code(table[code]);
        code += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Table 2a of G.711 read as a formula: chord `s` of µ-law begins at 32 * 2^s - 33 + 1 (14-bit
    /// units), each chord has 16 steps of 2^(s+1), and the value stands in the middle of its step.
    fn pcmu_code_by_decision_values(sample: i16) -> u8 {
        let positive = sample >= 0;
        let folded = if positive {
            i32::from(sample)
        } else {
            -i32::from(sample) - 1
        } / 4;
        let mut code = 127;
        'search: for chord in 0..8 {
            for step in 0..16 {
                let upper = (1 << (chord + 1)) * (step + 1) + (33 << chord) - 33 - (1 << chord);
                if folded < upper {
                    code = chord * 16 + step;
                    break 'search;
                }
            }
        }
        (127 - code) as u8 + if positive { 128 } else { 0 }
    }

    /// Table 1a of G.711: 13-bit magnitudes, two equal first chords of step 1 (of 12 bits), then doubling.
    fn pcma_code_by_decision_values(sample: i16) -> u8 {
        let positive = sample >= 0;
        let folded = if positive {
            i32::from(sample)
        } else {
            -i32::from(sample) - 1
        } / 16;
        let mut lower = 0;
        let mut code = 127;
        'search: for chord in 0..8 {
            let width = if chord == 0 { 1 } else { 1 << (chord - 1) };
            for step in 0..16 {
                if folded < lower + width {
                    code = chord * 16 + step;
                    break 'search;
                }
                lower += width;
            }
        }
        (code as u8 + if positive { 128 } else { 0 }) ^ 0b0101_0101
    }

    #[test]
    fn every_sample_meets_the_decision_values_of_the_itu() {
        for sample in i16::MIN..=i16::MAX {
            assert_eq!(
                linear_to_pcmu(sample),
                pcmu_code_by_decision_values(sample),
                "µ-law of {sample}"
            );
            assert_eq!(
                linear_to_pcma(sample),
                pcma_code_by_decision_values(sample),
                "A-law of {sample}"
            );
        }
    }

    #[test]
    fn every_code_comes_back_from_its_own_value() {
        for code in 0..=255u8 {
            // µ-law's negative zero is the one code that shares its value.
            if code != 0x7f {
                assert_eq!(linear_to_pcmu(pcmu_to_linear(code)), code);
            }
            assert_eq!(linear_to_pcma(pcma_to_linear(code)), code);
        }
    }

    #[test]
    fn landmarks_of_the_recommendation() {
        assert_eq!(pcmu_to_linear(0xff), 0);
        assert_eq!(pcmu_to_linear(0x80), 8031 * 4);
        assert_eq!(pcmu_to_linear(0x00), -8031 * 4);
        assert_eq!(pcma_to_linear(0xd5), 8);
        assert_eq!(pcma_to_linear(0xaa), 4032 * 8);
        assert_eq!(pcma_to_linear(0x2a), -4032 * 8);
    }

    #[test]
    fn one_law_to_the_other_keeps_sign_and_level() {
        for code in 0..=255u8 {
            let linear = i32::from(pcmu_to_linear(code));
            let there = i32::from(pcma_to_linear(PCMU_TO_PCMA[code as usize]));
            assert!(
                (there - linear).abs() <= linear.abs() / 16 + 16,
                "{linear} became {there}"
            );
            assert_eq!(PCMU_TO_PCMA[code as usize] & 0x80, code & 0x80);
            let linear = i32::from(pcma_to_linear(code));
            let there = i32::from(pcmu_to_linear(PCMA_TO_PCMU[code as usize]));
            assert!(
                (there - linear).abs() <= linear.abs() / 16 + 16,
                "{linear} became {there}"
            );
        }
    }
}
