//! Codecs of the line, and how the agent's wire writes samples.
//!
//! A [`Codec`] is what RTP carries; it may hold state ([`Decoder`], [`Encoder`]: one of each for a stream). An [`Encoding`] is how single samples
//! are written as bytes, which needs none.
pub mod g711;
pub mod g722;
pub mod opus;

/// How often a thread has decoded and encoded.
#[cfg(test)]
pub(crate) mod counted {
    use std::cell::Cell;

    thread_local! {
        pub static DECODED: Cell<u64> = const { Cell::new(0) };
        pub static ENCODED: Cell<u64> = const { Cell::new(0) };
    }
}

/// What the line speaks: the payload format of an RTP stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Codec {
    /// G.711 µ-law (RFC 3551 section 4.5.14).
    Pcmu,
    /// G.711 A-law (RFC 3551 section 4.5.14).
    Pcma,
    /// G.722 at 64 kbit/s (RFC 3551 section 4.5.2).
    G722,
    /// Opus at 16 kHz (RFC 6716, RFC 7587).
    Opus,
}

/// Ticks of a line's timeline, in Hz. RTP timestamps of a codec that counts otherwise are turned into these where a leg takes packets.
pub const TICKS: u32 = 8_000;

impl Codec {
    /// All of them.
    pub const ALL: [Codec; 4] = [Codec::Pcmu, Codec::Pcma, Codec::G722, Codec::Opus];

    /// Those whose payloads have a byte for each tick, and may be cut anywhere.
    pub const BYTE_A_TICK: [Codec; 3] = [Codec::Pcmu, Codec::Pcma, Codec::G722];

    /// The name in SDP.
    pub const fn name(self) -> &'static str {
        match self {
            Codec::Pcmu => "PCMU",
            Codec::Pcma => "PCMA",
            Codec::G722 => "G722",
            Codec::Opus => "opus",
        }
    }

    /// The codec of a name in SDP, in any case of letters.
    pub fn of_name(name: &str) -> Option<Codec> {
        Codec::ALL
            .into_iter()
            .find(|codec| codec.name().eq_ignore_ascii_case(name))
    }

    /// What RTP timestamps count, in Hz. G.722's is 8000 by an error of old that RFC 3551 section 4.5.2 keeps.
    pub const fn rtp_clock(self) -> u32 {
        match self {
            Codec::Pcmu | Codec::Pcma | Codec::G722 => 8_000,
            Codec::Opus => opus::RTP_CLOCK,
        }
    }

    /// Samples a second, decoded.
    pub const fn sample_rate(self) -> u32 {
        match self {
            Codec::Pcmu | Codec::Pcma => 8_000,
            Codec::G722 => 16_000,
            Codec::Opus => opus::RATE,
        }
    }

    /// Samples, at [`Codec::sample_rate`], that a payload holds.
    pub fn samples_in(self, payload: &[u8]) -> usize {
        self.samples_of_ticks(self.ticks_in(payload))
    }

    /// How many [`TICKS`] a payload lasts; 0 for what is none.
    pub fn ticks_in(self, payload: &[u8]) -> u32 {
        match self {
            Codec::Pcmu | Codec::Pcma | Codec::G722 => payload.len() as u32,
            Codec::Opus => opus::ticks_in(payload),
        }
    }

    /// How many samples pass in so many [`TICKS`].
    pub const fn samples_of_ticks(self, ticks: u32) -> usize {
        ticks as usize * (self.sample_rate() / TICKS) as usize
    }

    /// The packet time that it has next to the one wished for, in milliseconds, from 10 to 60.
    pub fn packet_ms(self, wished: u32) -> u32 {
        match (self, wished.clamp(10, 60)) {
            (Codec::Opus, 10..=19) => 10,
            (Codec::Opus, ms) => ms / 20 * 20,
            (_, ms) => ms,
        }
    }

    /// Whether its decoder makes up for losses by itself, of what the next packet has a copy of too.
    pub const fn conceals(self) -> bool {
        matches!(self, Codec::Opus)
    }

    /// How its samples are written where each has its own byte; `None` where a payload makes sense only in its stream.
    pub const fn encoding(self) -> Option<Encoding> {
        match self {
            Codec::Pcmu => Some(Encoding::Pcmu),
            Codec::Pcma => Some(Encoding::Pcma),
            Codec::G722 | Codec::Opus => None,
        }
    }
}

/// Turns the payloads of one stream into samples.
#[derive(Debug)]
pub struct Decoder {
    codec: Codec,
    memory: Memory<g722::Decoder, opus::Decoder>,
}

/// What a codec remembers of its stream.
#[derive(Debug)]
enum Memory<G722, Opus> {
    None,
    G722(Box<G722>),
    Opus(Box<Opus>),
}

impl<G722: Default, Opus: Default> Memory<G722, Opus> {
    fn of(codec: Codec) -> Self {
        match codec {
            Codec::Pcmu | Codec::Pcma => Memory::None,
            Codec::G722 => Memory::G722(Box::default()),
            Codec::Opus => Memory::Opus(Box::default()),
        }
    }
}

impl Decoder {
    /// A decoder at the start of a stream. It allocates here at most, never when it decodes.
    pub fn new(codec: Codec) -> Self {
        Decoder {
            codec,
            memory: Memory::of(codec),
        }
    }

    /// What it decodes.
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Decodes a payload, or the part of it that `out` has room for, and returns how many samples were written: at [`Codec::sample_rate`],
    /// [`Codec::samples_in`] of them. Any bytes are a payload, but for Opus: what is no packet of it, or has no room, has no samples.
    pub fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> usize {
        #[cfg(test)]
        counted::DECODED.with(|count| count.set(count.get() + 1));
        match (self.codec, &mut self.memory) {
            (_, Memory::G722(g722)) => g722.decode(payload, out),
            (_, Memory::Opus(opus)) => opus.decode(payload, out),
            (Codec::Pcma, _) => each(payload, out, |&code| g711::pcma_to_linear(code)),
            _ => each(payload, out, |&code| g711::pcmu_to_linear(code)),
        }
    }

    /// Makes sound in place of what did not come, where the codec has its own way ([`Codec::conceals`]); `false` where it has none.
    pub fn conceal(&mut self, out: &mut [i16]) -> bool {
        match &mut self.memory {
            Memory::Opus(opus) => opus.conceal(out),
            _ => false,
        }
    }

    /// Makes the sound before the payload `next`, of its copy of it if there is one; `false` where the codec can't.
    pub fn recover(&mut self, next: &[u8], out: &mut [i16]) -> bool {
        match &mut self.memory {
            Memory::Opus(opus) => opus.recover(next, out),
            _ => false,
        }
    }

    /// Another stream begins.
    pub fn reset(&mut self) {
        match &mut self.memory {
            Memory::None => {}
            Memory::G722(g722) => **g722 = g722::Decoder::default(),
            Memory::Opus(opus) => opus.reset(),
        }
    }
}

/// Turns samples into the payloads of one stream.
#[derive(Debug)]
pub struct Encoder {
    codec: Codec,
    memory: Memory<g722::Encoder, opus::Encoder>,
}

impl Encoder {
    /// An encoder at the start of a stream. It allocates here, and when it encodes none but [`opus::ENCODER_ALLOCATIONS`].
    pub fn new(codec: Codec) -> Self {
        Encoder {
            codec,
            memory: Memory::of(codec),
        }
    }

    /// What it encodes.
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Encodes samples at [`Codec::sample_rate`], or as many as `out` has room for, and returns how many bytes were written. G.722 takes samples by
    /// twos: an odd last one is left out. Opus takes a packet at a time ([`Codec::packet_ms`]); 0 means that none is to be sent.
    pub fn encode(&mut self, pcm: &[i16], out: &mut [u8]) -> usize {
        #[cfg(test)]
        counted::ENCODED.with(|count| count.set(count.get() + 1));
        match (self.codec, &mut self.memory) {
            (_, Memory::G722(g722)) => g722.encode(pcm, out),
            (_, Memory::Opus(opus)) => opus.encode(pcm, out),
            (Codec::Pcma, _) => each(pcm, out, |&sample| g711::linear_to_pcma(sample)),
            _ => each(pcm, out, |&sample| g711::linear_to_pcmu(sample)),
        }
    }

    /// What the peer asks of Opus; of other codecs nothing.
    pub fn set_opus(&mut self, settings: opus::Settings) {
        if let Memory::Opus(opus) = &mut self.memory {
            opus.set(settings);
        }
    }

    /// The peer loses so much of what we send, in 1/256: the better codecs prepare for it.
    pub fn set_loss(&mut self, fraction: u8) {
        if let Memory::Opus(opus) = &mut self.memory {
            opus.set_loss(fraction);
        }
    }

    /// Another stream begins.
    pub fn reset(&mut self) {
        match &mut self.memory {
            Memory::None => {}
            Memory::G722(g722) => **g722 = g722::Encoder::default(),
            Memory::Opus(opus) => opus.reset(),
        }
    }
}

/// Writes `turn` of each input as far as there is room; how many.
fn each<A, B>(input: &[A], out: &mut [B], turn: impl Fn(&A) -> B) -> usize {
    for (out, input) in out.iter_mut().zip(input) {
        *out = turn(input);
    }
    input.len().min(out.len())
}

/// How samples are written as bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Encoding {
    /// G.711 µ-law, one byte a sample.
    Pcmu,
    /// G.711 A-law, one byte a sample.
    Pcma,
    /// Linear 16 bit, little endian.
    Pcm16Le,
}

impl Encoding {
    /// The byte that fills silence: digital zero of the encoding.
    pub const fn silence(self) -> u8 {
        match self {
            Encoding::Pcmu => 0xff,
            Encoding::Pcma => 0xd5,
            Encoding::Pcm16Le => 0,
        }
    }

    /// Bytes of one sample.
    pub const fn sample_bytes(self) -> usize {
        match self {
            Encoding::Pcmu | Encoding::Pcma => 1,
            Encoding::Pcm16Le => 2,
        }
    }

    /// Writes the samples of `bytes` to `out`, as many as both have whole.
    pub fn read(self, bytes: &[u8], out: &mut [i16]) {
        match self {
            Encoding::Pcmu => _ = each(bytes, out, |&code| g711::pcmu_to_linear(code)),
            Encoding::Pcma => _ = each(bytes, out, |&code| g711::pcma_to_linear(code)),
            Encoding::Pcm16Le => {
                for (out, pair) in out.iter_mut().zip(bytes.chunks_exact(2)) {
                    *out = i16::from_le_bytes([pair[0], pair[1]]);
                }
            }
        }
    }

    /// Writes samples over the beginning of `out`, as many as it has room for.
    pub fn write_to(self, pcm: &[i16], out: &mut [u8]) {
        match self {
            Encoding::Pcmu => _ = each(pcm, out, |&sample| g711::linear_to_pcmu(sample)),
            Encoding::Pcma => _ = each(pcm, out, |&sample| g711::linear_to_pcma(sample)),
            Encoding::Pcm16Le => {
                for (pair, sample) in out.chunks_exact_mut(2).zip(pcm) {
                    pair.copy_from_slice(&sample.to_le_bytes());
                }
            }
        }
    }

    /// Appends samples to `out`.
    pub fn write(self, pcm: &[i16], out: &mut Vec<u8>) {
        let start = out.len();
        out.resize(start + pcm.len() * self.sample_bytes(), 0);
        self.write_to(pcm, &mut out[start..]);
    }

    /// Whether a frame of this encoding is quieter than about -48 dBFS throughout, as
    /// pauses and muted microphones are.
    pub fn is_quiet(self, payload: &[u8]) -> bool {
        match self {
            // The lowest segment of either law.
            Encoding::Pcmu => payload.iter().all(|&byte| byte & 0x70 == 0x70),
            Encoding::Pcma => payload.iter().all(|&byte| (byte ^ 0x55) & 0x70 == 0),
            Encoding::Pcm16Le => payload
                .chunks_exact(2)
                .all(|pair| i16::from_le_bytes([pair[0], pair[1]]).unsigned_abs() < 128),
        }
    }
}
