//! Audio on its way between two formats.

use crate::convert::{AudioFormat, Converter};

/// A converter that is made anew when either of its ends changes.
#[derive(Default)]
pub(super) struct Way(Option<Converter>);

impl Way {
    /// `audio` in the other format, in `out` if it had to be converted.
    pub fn convert<'a>(
        &mut self,
        from: AudioFormat,
        to: AudioFormat,
        audio: &'a [u8],
        out: &'a mut Vec<u8>,
    ) -> &'a [u8] {
        if from == to {
            return audio;
        }
        let converter = match &mut self.0 {
            Some(converter) if converter.from() == from && converter.to() == to => converter,
            other => other.insert(Converter::new(from, to)),
        };
        out.clear();
        converter.convert(audio, out);
        out
    }

    /// What comes next does not continue what came before.
    pub fn reset(&mut self) {
        if let Some(converter) = &mut self.0 {
            converter.reset();
        }
    }
}
