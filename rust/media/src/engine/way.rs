//! Audio on its way between two formats.

use crate::convert::{AudioFormat, Converter};

/// A converter that is made anew when either of its ends changes.
#[derive(Default)]
pub(super) struct Way {
    converter: Option<Converter>,
    linear: Vec<u8>,
}

impl Way {
    /// `audio` in the other format, in `out` if it had to be converted.
    pub fn convert<'a>(
        &mut self,
        from: AudioFormat,
        to: AudioFormat,
        audio: &'a [u8],
        out: &'a mut Vec<u8>,
    ) -> &'a [u8] {
        // A message of an agent may end within a 16-bit sample: then even equal formats need a converter, which keeps the half.
        if from == to && from.encoding.sample_bytes() == 1 {
            return audio;
        }
        out.clear();
        self.converter(from, to).convert(audio, out);
        out
    }

    /// Samples at `rate` Hz in the other format, in `out`.
    pub fn convert_pcm<'a>(
        &mut self,
        pcm: &[i16],
        rate: u32,
        to: AudioFormat,
        out: &'a mut Vec<u8>,
    ) -> &'a [u8] {
        let mut linear = std::mem::take(&mut self.linear);
        linear.clear();
        linear.extend(pcm.iter().flat_map(|sample| sample.to_le_bytes()));
        out.clear();
        self.converter(AudioFormat::pcm16(rate), to)
            .convert(&linear, out);
        self.linear = linear;
        out
    }

    fn converter(&mut self, from: AudioFormat, to: AudioFormat) -> &mut Converter {
        let fits = |known: &Converter| known.from() == from && known.to() == to;
        if !self.converter.as_ref().is_some_and(fits) {
            self.converter = None;
        }
        self.converter
            .get_or_insert_with(|| Converter::new(from, to))
    }

    /// What comes next does not continue what came before.
    pub fn reset(&mut self) {
        if let Some(converter) = &mut self.converter {
            converter.reset();
        }
    }
}
