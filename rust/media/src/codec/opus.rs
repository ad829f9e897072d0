//! Opus (RFC 6716) as a line speaks it: mono at 16 kHz, in packets of at most 120 ms.
//!
//! The agent's side hears and speaks at 16 kHz, so the decoder gives that whatever the peer coded, stereo mixed down, and the encoder
//! codes no more than wideband. Speech at these rates is coded by the layer that carries copies of the frame before (in-band FEC).
//!
//! Pauses without packets (DTX) are those in which there is digital silence, as an agent's are: below the effort of [`COMPLEXITY`] 7 the library
//! takes all other sound for speech. The first packet of a pause says that it is one, so that the peer goes on with its background and not with
//! the end of a word.
//!
//! A steady tone is no speech to the library, as it is none to libopus: no copies of it are sent, and behind each lost packet it dips for some
//! 40 ms, whoever decodes it. A voice does not.
//!
//! The decoder allocates nothing after its first packets but up to [`LOSS_ALLOCATIONS`] for each lost frame; the encoder makes up to
//! [`ENCODER_ALLOCATIONS`] a packet. All of them are short-lived.
use std::fmt;

use opus_pure::{Application, Bandwidth, OpusDecoder, OpusEncoder, OpusMode, RateControl, packet};

/// What RTP timestamps count, in Hz, whatever is coded (RFC 7587 section 4.1).
pub const RTP_CLOCK: u32 = 48_000;
/// Samples a second, decoded and before they are encoded.
pub const RATE: u32 = 16_000;
/// Samples of the longest packet: 120 ms.
pub const MAX_SAMPLES: usize = 1_920;
/// Allocations that encoding one packet may take, each of less than 1.5 kB and free again when it is done. All are of the library (opus-pure 0.2.2,
/// `silk/enc_api.rs`): the frame as its voice detection has it, the frame as it is coded, and the range coder before the frame's first try.
pub const ENCODER_ALLOCATIONS: u64 = 3;
/// The same for each frame that is made up behind a loss, and for the packet there.
pub const LOSS_ALLOCATIONS: u64 = 4;
/// A packet of no more bytes codes no sound: the peer pauses (DTX).
pub const DTX_BYTES: usize = 2;
/// The bitrate where the peer names none: wideband speech with a copy of each frame, for packets of 20 ms. With less, copies take from the sound
/// what is heard at losses (docs/benchmarks/2026-11-23-opus-by-loss.md).
pub const BITRATE: u32 = 40_000;
/// The lowest that Opus knows (RFC 7587 section 6.1), and the highest that a packet of 60 ms has room for.
pub const BITRATES: std::ops::RangeInclusive<u32> = 6_000..=60_000;
/// What the search for good codes may cost, 0 to 10: what a call costs with so much is in docs/benchmarks/2026-11-23-bridge.md.
const COMPLEXITY: i32 = 3;
/// Losses that the encoder prepares for where the peer tells of none, in percent: below it no copies are sent.
const LOSS_PERCENT: i32 = 5;
/// Beyond it copies take too much from the sound itself.
const MAX_LOSS_PERCENT: i32 = 25;
const TICKS_OF_48K: usize = 6;
/// Samples of 20, 10, 5 and 2.5 ms.
const FRAMES: [usize; 4] = [320, 160, 80, SHORTEST_FRAME];
const SHORTEST_FRAME: usize = 40;

/// What the peer asks of the sound that we send it (RFC 7587 section 6.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Bits a second on average; brought into [`BITRATES`].
    pub bitrate: u32,
    /// The average that nobody's sound may exceed on its way there, where the peer names one (`maxaveragebitrate`).
    pub ceiling: Option<u32>,
    /// Copies of the frame before go along (`useinbandfec`).
    pub fec: bool,
    /// Nothing is sent while there is silence (`usedtx`).
    pub dtx: bool,
    /// All packets have one size (`cbr`).
    pub cbr: bool,
    /// The highest rate that the peer can play, in Hz (`maxplaybackrate`).
    pub max_rate: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            bitrate: BITRATE,
            ceiling: None,
            fec: true,
            dtx: false,
            cbr: false,
            max_rate: RTP_CLOCK,
        }
    }
}

/// Ticks of 8 kHz that a packet holds by its first bytes; 0 for what is no packet (RFC 6716 section 3.2: R1, R2, R5).
pub fn ticks_in(payload: &[u8]) -> u32 {
    let samples = packet::samples_48k(payload).unwrap_or(0);
    if samples <= MAX_SAMPLES * 3 {
        (samples / TICKS_OF_48K) as u32
    } else {
        0
    }
}

/// Ticks of 8 kHz before a packet of which it carries a copy, 0 or one of its frames (RFC 6716 section 4.2.4).
pub fn copied_ticks(payload: &[u8]) -> u32 {
    let speech = matches!(
        packet::mode(payload),
        Ok(OpusMode::SilkOnly | OpusMode::Hybrid)
    );
    let (Ok(in_frame), Ok(channels), Some(&first)) = (
        packet::samples_per_frame(payload, RTP_CLOCK as i32),
        packet::channels(payload),
        first_frame(payload).and_then(<[u8]>::first),
    ) else {
        return 0;
    };
    // One flag of voice for each 20 ms of the frame, then that of the copy; the same for the other channel.
    let flags = (in_frame / 960).max(1);
    let flag = |at: usize| at < 8 && first & (0x80 >> at) != 0;
    if speech && (flag(flags) || channels == 2 && flag(2 * flags + 1)) {
        (in_frame / TICKS_OF_48K) as u32
    } else {
        0
    }
}

/// The bytes from the first frame of a packet on (RFC 6716 section 3.2).
fn first_frame(payload: &[u8]) -> Option<&[u8]> {
    let (&toc, rest) = payload.split_first()?;
    let without_length = |rest: &'_ [u8]| match rest.first()? {
        0..252 => Some(1),
        _ => Some(2),
    };
    match toc & 3 {
        0 | 1 => Some(rest),
        2 => rest.get(without_length(rest)?..),
        _ => {
            let (&count, mut rest) = rest.split_first()?;
            if count & 0x40 != 0 {
                loop {
                    let (&padding, behind) = rest.split_first()?;
                    rest = behind;
                    if padding != 255 {
                        break;
                    }
                }
            }
            if count & 0x80 != 0 {
                for _ in 1..count & 0x3f {
                    rest = rest.get(without_length(rest)?..)?;
                }
            }
            Some(rest)
        }
    }
}

/// Turns the packets of one stream into samples.
pub struct Decoder(OpusDecoder);

impl Default for Decoder {
    fn default() -> Self {
        let decoder = OpusDecoder::new(RATE as i32, 1);
        Decoder(decoder.expect("mono at 16 kHz is one of its formats"))
    }
}

impl Decoder {
    /// Decodes a packet into the beginning of `out`, which has room for it; how many samples it has, 0 for what is no packet.
    pub fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> usize {
        let samples = 2 * ticks_in(payload) as usize;
        if samples == 0 || samples > out.len() {
            return 0;
        }
        self.0
            .decode_s16(payload, samples, &mut out[..samples])
            .unwrap_or(0)
    }

    /// Makes sound in place of what did not come, or of the noise of a pause.
    ///
    /// The library makes whole frames alone, so it is asked for one after another; of the last one the beginning is taken.
    pub fn conceal(&mut self, out: &mut [i16]) -> bool {
        let mut done = 0;
        while done < out.len() {
            let left = &mut out[done..];
            let fitting = FRAMES.iter().find(|frame| **frame <= left.len());
            let made = match fitting {
                Some(&frame) => self.0.decode_s16(&[], frame, &mut left[..frame]),
                None => {
                    let mut frame = [0; SHORTEST_FRAME];
                    let made = self.0.decode_s16(&[], SHORTEST_FRAME, &mut frame);
                    left.copy_from_slice(&frame[..left.len()]);
                    made
                }
            };
            if made.is_err() {
                return false;
            }
            done += fitting.copied().unwrap_or(SHORTEST_FRAME);
        }
        !out.is_empty()
    }

    /// Makes the sound that lies before the packet `next`: its end of the copy that the packet carries, if there is one.
    pub fn recover(&mut self, next: &[u8], out: &mut [i16]) -> bool {
        let copy = packet::samples_per_frame(next, RATE as i32).unwrap_or(0);
        if copy == 0 || copy > out.len() {
            return self.conceal(out);
        }
        let (before, copied) = out.split_at_mut(out.len() - copy);
        (before.is_empty() || self.conceal(before))
            && self.0.decode_fec_s16(next, copy, copied).is_ok()
    }

    /// Another stream begins.
    pub fn reset(&mut self) {
        if self.0.reset_state().is_err() {
            *self = Decoder::default();
        }
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("opus::Decoder")
    }
}

/// Turns samples into the packets of one stream.
pub struct Encoder {
    inner: Box<OpusEncoder>,
    settings: Settings,
    /// The peer has been told that there is a pause.
    pauses: bool,
}

impl Default for Encoder {
    fn default() -> Self {
        let inner = OpusEncoder::new(RATE as i32, 1, Application::Voip);
        let mut encoder = Encoder {
            inner: Box::new(inner.expect("mono at 16 kHz is one of its formats")),
            settings: Settings::default(),
            pauses: false,
        };
        encoder.inner.complexity = COMPLEXITY;
        encoder.inner.packet_loss_perc = LOSS_PERCENT;
        encoder.set(Settings::default());
        encoder
    }
}

impl Encoder {
    /// From here on the peer asks for this.
    pub fn set(&mut self, settings: Settings) {
        self.settings = settings;
        let inner = &mut self.inner;
        inner.bitrate_bps = settings.bitrate.clamp(*BITRATES.start(), *BITRATES.end()) as i32;
        inner.use_inband_fec = settings.fec;
        inner.use_dtx = settings.dtx;
        inner.rate_control = if settings.cbr {
            RateControl::Cbr
        } else {
            RateControl::ConstrainedVbr
        };
        inner.max_bandwidth = match settings.max_rate {
            0..12_000 => Bandwidth::Narrowband,
            12_000..16_000 => Bandwidth::Mediumband,
            _ => Bandwidth::Wideband,
        };
    }

    /// The peer loses so much of what we send, in 1/256 (RFC 3550 section 6.4.1).
    pub fn set_loss(&mut self, fraction: u8) {
        let percent = i32::from(fraction) * 100 / 256;
        self.inner.packet_loss_perc = percent.clamp(LOSS_PERCENT, MAX_LOSS_PERCENT);
    }

    /// Encodes 10, 20, 40 or 60 ms and returns how many bytes it took; 0 where nothing is to be sent: in a pause (DTX), behind its first packet.
    pub fn encode(&mut self, pcm: &[i16], out: &mut [u8]) -> usize {
        let bytes = self.inner.encode_s16(pcm, pcm.len(), out).unwrap_or(0);
        let was_told = self.pauses;
        self.pauses = self.settings.dtx && bytes <= DTX_BYTES;
        if self.pauses && was_told { 0 } else { bytes }
    }

    /// Another stream begins.
    pub fn reset(&mut self) {
        let settings = self.settings;
        *self = Encoder::default();
        self.set(settings);
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("opus::Encoder")
            .field(&self.settings)
            .finish()
    }
}
