//! G.711: code words to linear samples, as the mark reader and the tone need them.

/// Which of the two laws a payload follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "UPPER")]
pub enum Codec {
    /// µ-law, payload type 0.
    Pcmu,
    /// A-law, payload type 8.
    Pcma,
}

impl Codec {
    /// The static payload type of RFC 3551.
    pub fn payload_type(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
        }
    }

    /// The encoding name of RFC 3551.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
        }
    }

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
        assert_eq!(Codec::Pcmu.decode(0xff), 0);
        assert_eq!(Codec::Pcmu.decode(0x80), 32124);
        assert_eq!(Codec::Pcmu.decode(0x00), -32124);
        assert_eq!(Codec::Pcma.decode(0xd5), 8);
        assert_eq!(Codec::Pcma.decode(0xaa), 32256);
        assert_eq!(Codec::Pcma.decode(0x2a), -32256);
    }

    #[test]
    fn every_code_word_survives_decode_and_encode() {
        for codec in [Codec::Pcmu, Codec::Pcma] {
            for code in 0..=255u8 {
                let again = codec.encode(codec.decode(code));
                assert_eq!(codec.decode(again), codec.decode(code));
            }
        }
    }
}
