//! From one audio format to another: codec, then rate, then codec; direct where it can be.
use crate::codec::{Codec, g711};
use crate::resample::{RATES, Resampler};
use std::time::Duration;

pub use crate::codec::Encoding;

/// What a stream of audio bytes is. One channel always.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct AudioFormat {
    /// How a sample is written.
    pub encoding: Encoding,
    /// Samples a second: 8000, 16000, 24000 or 48000.
    pub rate: u32,
}

impl AudioFormat {
    /// G.711 µ-law at 8 kHz.
    pub const PCMU: AudioFormat = AudioFormat {
        encoding: Encoding::Pcmu,
        rate: 8_000,
    };
    /// G.711 A-law at 8 kHz.
    pub const PCMA: AudioFormat = AudioFormat {
        encoding: Encoding::Pcma,
        rate: 8_000,
    };

    /// Linear 16 bit little endian at `rate`.
    pub const fn pcm16(rate: u32) -> Self {
        AudioFormat {
            encoding: Encoding::Pcm16Le,
            rate,
        }
    }

    /// How sound waits for a line of this codec: as it is sent where each sample has its own byte, else linear at the codec's rate.
    pub const fn of_line(codec: Codec) -> Self {
        AudioFormat {
            encoding: match codec.encoding() {
                Some(encoding) => encoding,
                None => Encoding::Pcm16Le,
            },
            rate: codec.sample_rate(),
        }
    }

    /// Bytes of `millis` milliseconds.
    pub const fn bytes_in_ms(self, millis: u32) -> usize {
        (self.rate as usize * millis as usize / 1_000) * self.encoding.sample_bytes()
    }

    /// Whether [`Converter`] knows this format.
    pub fn is_supported(self) -> bool {
        RATES.contains(&self.rate)
    }
}

#[derive(Debug)]
enum Way {
    Same,
    Table(&'static [u8; 256]),
    Linear,
    Resampled(Resampler),
}

/// Turns audio of one format into another. Stateful: a stream cut anywhere gives the same samples.
///
/// It allocates when it is made, not when it converts, as long as `out` has room. Resampling delays the sound by [`Converter::delay`].
#[derive(Debug)]
pub struct Converter {
    from: AudioFormat,
    to: AudioFormat,
    way: Way,
    /// First byte of a 16-bit sample whose second has not come yet.
    half: Option<u8>,
}

impl Converter {
    /// A converter from `from` to `to`. Rates other than those of [`AudioFormat::rate`] are a bug of the caller.
    pub fn new(from: AudioFormat, to: AudioFormat) -> Self {
        assert!(
            from.is_supported() && to.is_supported(),
            "rates are checked where a format is configured"
        );
        let way = match (from.encoding, to.encoding) {
            _ if from.rate != to.rate => Way::Resampled(Resampler::new(from.rate, to.rate)),
            (Encoding::Pcmu, Encoding::Pcma) => Way::Table(&g711::PCMU_TO_PCMA),
            (Encoding::Pcma, Encoding::Pcmu) => Way::Table(&g711::PCMA_TO_PCMU),
            (a, b) if a == b => Way::Same,
            _ => Way::Linear,
        };
        Converter {
            from,
            to,
            way,
            half: None,
        }
    }

    /// The format taken in.
    pub fn from(&self) -> AudioFormat {
        self.from
    }

    /// The format given out.
    pub fn to(&self) -> AudioFormat {
        self.to
    }

    /// How much later the sound comes out than it went in: that of the resampler, if there is one.
    pub fn delay(&self) -> Duration {
        match &self.way {
            Way::Resampled(resampler) => resampler.delay(),
            _ => Duration::ZERO,
        }
    }

    /// Appends `input`, converted, to `out`. Half a 16-bit sample at the end waits for the next call.
    pub fn convert(&mut self, input: &[u8], out: &mut Vec<u8>) {
        if self.from.encoding != Encoding::Pcm16Le {
            self.convert_whole(input, out);
            return;
        }
        let mut input = input;
        if let (Some(low), Some((&high, rest))) = (self.half, input.split_first()) {
            self.half = None;
            self.convert_whole(&[low, high], out);
            input = rest;
        }
        let (whole, half) = input.split_at(input.len() & !1);
        if let Some(&half) = half.first() {
            self.half = Some(half);
        }
        self.convert_whole(whole, out);
    }

    fn convert_whole(&mut self, input: &[u8], out: &mut Vec<u8>) {
        match &self.way {
            Way::Same => out.extend_from_slice(input),
            Way::Table(table) => out.extend(input.iter().map(|&code| table[code as usize])),
            Way::Linear | Way::Resampled(_) => {
                let mut samples = [0; Resampler::BLOCK];
                let encoding = self.from.encoding;
                for block in input.chunks(Resampler::BLOCK * encoding.sample_bytes()) {
                    let samples = &mut samples[..block.len() / encoding.sample_bytes()];
                    encoding.read(block, samples);
                    self.convert_block(samples, out);
                }
            }
        }
    }

    /// The same from samples, at the rate of [`Converter::from`], however that is written.
    pub fn convert_samples(&mut self, input: &[i16], out: &mut Vec<u8>) {
        for block in input.chunks(Resampler::BLOCK) {
            self.convert_block(block, out);
        }
    }

    fn convert_block(&mut self, block: &[i16], out: &mut Vec<u8>) {
        match &mut self.way {
            Way::Resampled(resampler) => {
                let mut resampled = [0; Resampler::ROOM];
                let count = resampler.process(block, &mut resampled);
                self.to.encoding.write(&resampled[..count], out);
            }
            _ => self.to.encoding.write(block, out),
        }
    }

    /// A talkspurt begins: nothing of the one before comes out with it. Unlike after [`Converter::reset`] half a sample goes on waiting.
    pub fn begin_talkspurt(&mut self) {
        if let Way::Resampled(resampler) = &mut self.way {
            resampler.reset();
        }
    }

    /// Forgets what came before, as after `clear`: no echo of the dropped sound in what follows, and no click.
    pub fn reset(&mut self) {
        self.half = None;
        self.begin_talkspurt();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FORMATS: [AudioFormat; 6] = [
        AudioFormat::PCMU,
        AudioFormat::PCMA,
        AudioFormat::pcm16(8_000),
        AudioFormat::pcm16(16_000),
        AudioFormat::pcm16(24_000),
        AudioFormat::pcm16(48_000),
    ];

    fn format() -> impl Strategy<Value = AudioFormat> {
        (0..FORMATS.len()).prop_map(|index| FORMATS[index])
    }

    #[test]
    fn equal_formats_pass_byte_for_byte() {
        let bytes: Vec<u8> = (0..=255).collect();
        for format in FORMATS {
            let mut out = Vec::new();
            Converter::new(format, format).convert(&bytes, &mut out);
            assert_eq!(out, bytes);
        }
    }

    #[test]
    fn one_law_to_the_other_uses_the_direct_table() {
        let bytes: Vec<u8> = (0..=255).collect();
        let mut out = Vec::new();
        Converter::new(AudioFormat::PCMU, AudioFormat::PCMA).convert(&bytes, &mut out);
        assert_eq!(out, g711::PCMU_TO_PCMA);
    }

    #[test]
    fn twenty_milliseconds_stay_twenty_milliseconds() {
        for from in FORMATS {
            for to in FORMATS {
                let mut converter = Converter::new(from, to);
                let mut out = Vec::new();
                let frame = vec![from.encoding.silence(); from.bytes_in_ms(20)];
                for _ in 0..50 {
                    converter.convert(&frame, &mut out);
                }
                assert_eq!(out.len(), to.bytes_in_ms(1_000), "{from:?} to {to:?}");
            }
        }
    }

    #[test]
    fn a_talkspurt_begins_without_the_end_of_the_one_before() {
        let (from, to) = (AudioFormat::pcm16(24_000), AudioFormat::PCMU);
        let mut converter = Converter::new(from, to);
        let loud = [0x00, 0x40].repeat(480);
        converter.convert(&loud, &mut Vec::new());
        // Half a sample was under way: it goes on.
        converter.convert(&[0], &mut Vec::new());
        converter.begin_talkspurt();
        let mut out = Vec::new();
        converter.convert(&[0; 959], &mut out);
        assert_eq!(out, [0xff; 160]);
    }

    proptest! {
        #[test]
        fn where_a_stream_is_cut_makes_no_difference(
            from in format(), to in format(), bytes in proptest::collection::vec(any::<u8>(), 0..5_000),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let mut whole = Vec::new();
            Converter::new(from, to).convert(&bytes, &mut whole);
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            at.push(0);
            at.push(bytes.len());
            at.sort_unstable();
            let mut converter = Converter::new(from, to);
            let mut parts = Vec::new();
            for pair in at.windows(2) {
                converter.convert(&bytes[pair[0]..pair[1]], &mut parts);
            }
            prop_assert_eq!(whole, parts);
        }
    }
}
