//! G.711: code words to linear samples, as the mark reader and the tone need them.

/// Which of the two laws a code word follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// µ-law.
    Pcmu,
    /// A-law.
    Pcma,
}

impl Law {
    /// The code word of silence.
    pub fn silence(self) -> u8 {
        match self {
            Self::Pcmu => 0xff,
            Self::Pcma => 0xd5,
        }
    }

    /// One code word as a linear 16-bit sample.
    pub fn decode(self, code: u8) -> i16 {
        match self {
            Self::Pcmu => {
                let code = !code;
                let magnitude = ((i16::from(code & 0x0f) << 3) + 0x84) << ((code >> 4) & 7);
                if code & 0x80 != 0 {
                    0x84 - magnitude
                } else {
                    magnitude - 0x84
                }
            }
            Self::Pcma => {
                let code = code ^ 0x55;
                let exponent = (code >> 4) & 7;
                let mantissa = (i16::from(code & 0x0f) << 4) + 8;
                let magnitude = if exponent == 0 {
                    mantissa
                } else {
                    (mantissa + 0x100) << (exponent - 1)
                };
                if code & 0x80 != 0 {
                    magnitude
                } else {
                    -magnitude
                }
            }
        }
    }

    /// The code word nearest to a linear sample (a search: for tables, not for audio).
    pub fn encode(self, sample: i16) -> u8 {
        (0..=255u8)
            .min_by_key(|&code| (i32::from(self.decode(code)) - i32::from(sample)).abs())
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_both_laws() {
        assert_eq!(Law::Pcmu.decode(0xff), 0);
        assert_eq!(Law::Pcmu.decode(0x80), 32124);
        assert_eq!(Law::Pcmu.decode(0x00), -32124);
        assert_eq!(Law::Pcma.decode(0xd5), 8);
        assert_eq!(Law::Pcma.decode(0xaa), 32256);
        assert_eq!(Law::Pcma.decode(0x2a), -32256);
    }

    #[test]
    fn every_code_word_survives_decode_and_encode() {
        for law in [Law::Pcmu, Law::Pcma] {
            for code in 0..=255u8 {
                let again = law.encode(law.decode(code));
                assert_eq!(law.decode(again), law.decode(code));
            }
        }
    }
}
