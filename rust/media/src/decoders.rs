//! The decoders of one stream, which may change its codec.
use crate::codec::{Codec, Decoder};

/// One decoder for each codec that the peer may send; made when that is known, not when the first packet comes.
#[derive(Debug)]
pub struct Decoders(Vec<Decoder>);

impl Decoders {
    /// A set that knows none yet.
    pub fn new() -> Self {
        Decoders(Vec::with_capacity(Codec::ALL.len()))
    }

    /// The peer may send this codec.
    pub fn expect(&mut self, codec: Codec) {
        self.of(codec);
    }

    /// The decoder of a codec. It is made where nobody told that the codec may come, once.
    pub fn of(&mut self, codec: Codec) -> &mut Decoder {
        let known = self.0.iter().position(|decoder| decoder.codec() == codec);
        let index = known.unwrap_or_else(|| {
            self.0.push(Decoder::new(codec));
            self.0.len() - 1
        });
        &mut self.0[index]
    }

    /// Another stream begins.
    pub fn reset(&mut self) {
        self.0.iter_mut().for_each(Decoder::reset);
    }
}

impl Default for Decoders {
    fn default() -> Self {
        Self::new()
    }
}
