//! What calls are spoken in: one of the laws of G.711 as it stands, or G.722 around it.

use crate::g711::Law;
use crate::rtp::FRAME;
use audio_codec::g722::{Bitrate, G722Decoder, G722Encoder};
use audio_codec::{Decoder, Encoder};
use std::sync::LazyLock;

/// Codec of a call. All have 160 bytes in 20 ms and count 8000 a second in RTP; for G.722 that clock is by RFC 3551
/// section 4.5.2, though its samples are twice as many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "UPPER")]
pub enum Codec {
    /// µ-law, payload type 0.
    Pcmu,
    /// A-law, payload type 8.
    Pcma,
    /// G.722 at 64 kbit/s, payload type 9.
    G722,
}

impl Codec {
    const ALL: [Self; 3] = [Self::Pcmu, Self::Pcma, Self::G722];

    /// The static payload type of RFC 3551.
    pub fn payload_type(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
            Self::G722 => 9,
        }
    }

    /// The codec of a static payload type.
    pub fn of_payload_type(payload_type: u8) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|codec| codec.payload_type() == payload_type)
    }

    /// The encoding name of RFC 3551.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::G722 => "G722",
        }
    }

    /// The law in which its calls' marks are written and read.
    pub fn law(self) -> Law {
        match self {
            Self::Pcmu | Self::G722 => Law::Pcmu,
            Self::Pcma => Law::Pcma,
        }
    }
}

/// µ-law code words by the upper twelve bits of a sample.
static PCMU: LazyLock<Vec<u8>> = LazyLock::new(|| {
    (0..4_096)
        .map(|index| Law::Pcmu.encode((index << 4) as u16 as i16))
        .collect()
});

/// One call's G.722: what it sends and hears is µ-law to the rest of the tool.
pub struct Wideband {
    encoder: G722Encoder,
    decoder: G722Decoder,
    samples: [i16; 2 * FRAME],
    heard: Vec<u8>,
}

impl Default for Wideband {
    fn default() -> Self {
        let (packed, at_8_khz) = (false, true);
        Self {
            encoder: G722Encoder::new(),
            // The lower band is all that marks have, and is half the work.
            decoder: G722Decoder::with_options(Bitrate::Mode1_64000, packed, at_8_khz),
            samples: [0; 2 * FRAME],
            heard: Vec::with_capacity(2 * FRAME),
        }
    }
}

impl Wideband {
    /// Turns a frame of µ-law into one of G.722.
    pub fn encode(&mut self, frame: &mut [u8]) {
        for (pair, &code) in self.samples.chunks_exact_mut(2).zip(frame.iter()) {
            pair.fill(Law::Pcmu.decode(code));
        }
        self.encoder
            .encode_into(&self.samples, frame)
            .expect("a byte for each two samples has room");
    }

    /// Turns a payload of G.722 into as many bytes of µ-law, of which it takes those that a long frame has.
    pub fn decode(&mut self, payload: &[u8]) -> &[u8] {
        let payload = &payload[..payload.len().min(self.samples.len())];
        self.decoder
            .decode_into(payload, &mut self.samples)
            .expect("a sample for each byte has room");
        self.heard.clear();
        let code = |sample: &i16| PCMU[usize::from(*sample as u16 >> 4)];
        self.heard
            .extend(self.samples[..payload.len()].iter().map(code));
        &self.heard
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mark::{Alphabet, Mark, MarkReader};

    #[test]
    fn a_payload_type_names_its_codec() {
        for codec in Codec::ALL {
            assert_eq!(Codec::of_payload_type(codec.payload_type()), Some(codec));
        }
        assert_eq!(Codec::of_payload_type(18), None);
    }

    #[test]
    fn marks_survive_g722_there_and_back() {
        let (mut near, mut far) = (Wideband::default(), Wideband::default());
        let alphabet = Alphabet::new(Codec::G722.law());
        let mut reader = MarkReader::default();
        let mut heard = Vec::new();
        for frame in 0..500u16 {
            let mut bytes = [0; FRAME];
            let mark = Mark {
                call: frame % 7 * 500,
                frame,
            };
            alphabet.write(mark, &mut bytes);
            near.encode(&mut bytes);
            // What a gateway does between G.722 and µ-law, with both codecs of ours.
            let mut bytes = far.decode(&bytes).to_vec();
            far.encode(&mut bytes);
            let back = near.decode(&bytes);
            reader.receive(
                &alphabet,
                back,
                0,
                u32::from(frame) * FRAME as u32,
                |mark| heard.push(mark.mark),
            );
        }
        // The last one's end is still in the filters.
        assert_eq!(heard.len(), 499);
        assert!((0..).zip(&heard).all(|(frame, mark)| mark.frame == frame));
    }

    #[test]
    fn silence_stays_silence() {
        let (mut near, mut far) = (Wideband::default(), Wideband::default());
        for _ in 0..50 {
            let mut bytes = [Law::Pcmu.silence(); FRAME];
            near.encode(&mut bytes);
            let heard = far.decode(&bytes);
            assert!(heard.iter().all(|&code| Law::Pcmu.decode(code).abs() <= 64));
        }
    }
}
