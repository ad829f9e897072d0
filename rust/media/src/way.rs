//! Audio on its way between two formats, either of which may change.
use crate::convert::{AudioFormat, Converter};

/// Converters that are kept: a peer may change between the codecs that it named.
const KEPT: usize = 4;

/// Makes a converter when a pair of formats is met for the first time. The last one used is last.
#[derive(Debug, Default)]
pub(crate) struct Way(Vec<Converter>);

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
        out.clear();
        self.converter(AudioFormat::pcm16(rate), to)
            .convert_samples(pcm, out);
        out
    }

    fn converter(&mut self, from: AudioFormat, to: AudioFormat) -> &mut Converter {
        let fits = |known: &Converter| known.from() == from && known.to() == to;
        if !self.0.last().is_some_and(fits) {
            let converter = match self.0.iter().position(fits) {
                Some(index) => {
                    let mut known = self.0.remove(index);
                    known.reset();
                    known
                }
                None => {
                    if self.0.len() == KEPT {
                        self.0.remove(0);
                    }
                    Converter::new(from, to)
                }
            };
            self.0.push(converter);
        }
        self.0.last_mut().expect("one has just been put there")
    }

    /// What comes next is a talkspurt of its own.
    pub fn begin_talkspurt(&mut self) {
        self.0.iter_mut().for_each(Converter::begin_talkspurt);
    }

    /// What comes next does not continue what came before.
    pub fn reset(&mut self) {
        self.0.iter_mut().for_each(Converter::reset);
    }
}
