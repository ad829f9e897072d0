//! The playout buffer of a line whose sound goes to another line: a person hears it, so it comes out evenly, as late as it must and no later.
//!
//! Packets go in as they come, 20 ms of sound come out at each tick of the asker's clock. How late that is ([`JitterBuffer::delay`]) follows
//! how unevenly packets come ([`Transit`]), and the clocks of sender and asker, which drift apart by up to some hundred
//! parts in a million: sound is made shorter or longer without changing its pitch ([`crate::tempo`]), at best in pauses. What has not come by its
//! tick is made up ([`Concealer`]); if it comes afterwards, it is still played, and the delay is won back.
//!
//! A frame is asked for whole, so what counts is the tick at which a packet is needed. Two numbers tell where the buffer stands: the *spare* is how much
//! later the packets could come and still be in time; the *rest* is sound that waits behind each frame for no use, because packets and
//! frames do not begin together. Spare moves by whole frames only: it is given up or taken when it is a frame too much, or too little.
//!
//! Cost: a tick copies its samples and decodes a packet; a repeat that is left out or said twice costs what [`crate::tempo`] says, on one tick of three
//! at most. Memory is taken for codecs as they are expected, and as more packets wait than ever before.
use crate::clock::{Time, duration_of};
use crate::codec::{Codec, opus};
use crate::comfort_noise::ComfortNoise;
use crate::decoders::Decoders;
use crate::plc::{BRIDGE_MS, Concealer};
use crate::shelf::{Content, Label, Put, Queued, Shelf};
use crate::tempo::LONGEST_MS;
use crate::transit::Transit;
use crate::uplink::Fill;
use std::time::Duration;

mod counts;
pub(crate) mod handover;
mod pace;

pub use counts::{JitterCounts, Played};

/// Ticks of the line's codecs, in Hz.
const RATE: u32 = 8_000;
/// Time between two frames.
pub const FRAME_TIME: Duration = Duration::from_millis(20);
/// Ticks of a frame.
const FRAME: i64 = 160;
/// The longest frame that comes out, in samples: 20 ms at 16 kHz.
pub const MAX_FRAME: usize = 320;
/// The least delay that is aimed at, the frame itself counted.
pub const MIN_TARGET: Duration = Duration::from_millis(20);
/// The most.
pub const MAX_TARGET: Duration = Duration::from_millis(200);
/// How long after the first packet the first tick should be: spare of this much is aimed at as long as nothing is known.
pub const FIRST_SPARE: Duration = Duration::from_millis(8);
const FIRST_SPARE_TICKS: i64 = 64;
/// If more sound than this waits, it is given up: 500 ms.
const MAX_WAITING: i64 = 4_000;
/// Packets that come so much later or earlier than the others have leapt: 2 s.
const MAX_TRANSIT: i64 = 16_000;
/// Packets that may wait, and their bytes: a second.
const MAX_PACKETS: usize = 100;
const MAX_BYTES: usize = 8_192;
/// A leap of more numbers than this is another stream.
const MAX_AHEAD: i16 = 1_000;
/// A gap in the timestamps that is longer than this is a leap: 60 s.
const MAX_GAP: i64 = 480_000;
/// Payload bytes decoded at a time where they have a byte for a tick: 20 ms.
const PIECE: usize = 160;
/// Milliseconds of decoded sound: what is bridged, the longest packet or a piece, and what a cut looks at.
const READY_MS: usize = BRIDGE_MS + opus::MAX_SAMPLES / 16 + 40;
/// Samples of the longest loss that a decoder is told of.
const MAX_LOST: usize = BRIDGE_MS * 16;
/// Packets whose places are looked at: their beginnings may lie differently in a frame.
const PLACES: usize = 4;

/// What is missing before a packet, in ticks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Gap {
    /// Was lost, whatever has been made up for it by now.
    lost: i64,
    /// Has still to be made up for.
    missing: i64,
}

/// The buffer of one stream at a time.
#[derive(Debug)]
pub struct JitterBuffer {
    shelf: Shelf,
    decoders: Decoders,
    concealer: Concealer,
    noise: ComfortNoise,
    transit: Transit,
    /// Decoded and not yet played.
    ready: Vec<i16>,
    waiting: usize,
    /// What was played last.
    said: Vec<i16>,
    next_sequence: Option<u16>,
    /// Payload bytes of the first packet on the shelf that are decoded already.
    decoded: usize,
    /// The timestamp behind the last sample in `ready`, without wraps.
    end: i64,
    /// Made up while nothing came, in ticks; a gap that is found afterwards is shorter by it.
    ahead: i64,
    /// The peer pauses, and has described its noise.
    pausing: bool,
    /// The first frame has been played since the stream began.
    playing: bool,
    /// Where the last packets begin.
    places: [i64; PLACES],
    next_place: usize,
    spare_wanted: i64,
    /// The asker makes up for a lack of less than a frame.
    ticks_slide: bool,
    /// What [`Transit::base`] was when this was last looked at.
    base: i64,
    frames_to_relax: u32,
    since_cut: u32,
    spare: i64,
    delay: i64,
    counts: JitterCounts,
}

impl JitterBuffer {
    /// An empty buffer; `codec` is what is expected first.
    pub fn new(codec: Codec) -> Self {
        let mut decoders = Decoders::new();
        decoders.expect(codec);
        JitterBuffer {
            shelf: Shelf::new(MAX_PACKETS, MAX_BYTES),
            decoders,
            concealer: Concealer::new(codec.sample_rate()),
            noise: ComfortNoise::new(),
            transit: Transit::new(),
            ready: vec![0; samples_in_ms(READY_MS, codec.sample_rate())],
            waiting: 0,
            said: vec![0; samples_in_ms(LONGEST_MS, codec.sample_rate())],
            next_sequence: None,
            decoded: 0,
            end: 0,
            ahead: 0,
            pausing: false,
            playing: false,
            places: [0; PLACES],
            next_place: 0,
            spare_wanted: FIRST_SPARE_TICKS,
            ticks_slide: false,
            base: 0,
            frames_to_relax: 50,
            since_cut: 0,
            spare: 0,
            delay: 0,
            counts: JitterCounts::default(),
        }
    }

    /// The peer may send this codec: what it takes to decode it is made now.
    pub fn expect(&mut self, codec: Codec) {
        self.decoders.expect(codec);
        let rate = codec.sample_rate();
        self.concealer.expect(rate);
        let reserve = |room: &mut Vec<i16>, needed: usize| {
            room.reserve_exact(needed.saturating_sub(room.len()));
        };
        reserve(&mut self.ready, samples_in_ms(READY_MS, rate));
        reserve(&mut self.said, samples_in_ms(LONGEST_MS, rate));
    }

    /// Sound comes out at another rate; nothing waits.
    fn set_rate(&mut self, rate: u32) {
        self.concealer.set_rate(rate);
        self.ready.resize(samples_in_ms(READY_MS, rate), 0);
        self.said.clear();
        self.said.resize(samples_in_ms(LONGEST_MS, rate), 0);
    }

    /// The asker lets its ticks come later, by [`JitterBuffer::is_short_by`]: sound is lengthened only where more is lacking than a frame.
    pub fn let_ticks_slide(&mut self) {
        self.ticks_slide = true;
    }

    /// Another stream begins with the next packet (new SSRC, confirmed jump). What waits of the old one is given up.
    pub fn restart(&mut self) {
        while !self.shelf.is_empty() {
            self.drop_first();
        }
        self.decoders.reset();
        self.transit.restart();
        self.next_sequence = None;
        self.decoded = 0;
        self.ahead = 0;
        self.pausing = false;
        self.playing = false;
    }

    /// Takes a packet that is no duplicate.
    pub fn put(&mut self, now: Time, packet: Queued<'_>) {
        if !self.playing && self.shelf.is_empty() {
            self.next_sequence = Some(packet.sequence);
            self.end = i64::from(packet.timestamp);
        }
        let next = self.next_sequence.unwrap_or(packet.sequence);
        let mut ahead = packet.sequence.wrapping_sub(next) as i16;
        if !(-MAX_AHEAD..=MAX_AHEAD).contains(&ahead) {
            self.restart();
            self.end = i64::from(packet.timestamp);
            ahead = 0;
        }
        if ahead == 0 || !self.playing && ahead < 0 {
            // The first packets of a stream may be out of order themselves.
            self.next_sequence = Some(packet.sequence);
        }
        self.note(now, &packet);
        if ahead < 0 && self.playing {
            self.counts.late += 1;
            return;
        }
        let origin = self.next_sequence.unwrap_or(packet.sequence);
        while self.shelf.put(now, origin, &packet) == Put::Full && !self.shelf.is_empty() {
            self.drop_first();
        }
    }

    /// How unevenly a packet comes, and where in a frame it begins.
    fn note(&mut self, now: Time, packet: &Queued<'_>) {
        if let Content::Sound(_) = packet.content {
            let place = self.whole(packet.timestamp);
            let transit = ticks_at(now) - place;
            if (transit - self.transit.base()).abs() > MAX_TRANSIT {
                self.transit.restart();
            }
            if self.transit.is_new() {
                self.base = transit;
                self.places = [place; PLACES];
            }
            self.transit.arrived(transit);
            self.places[self.next_place] = place;
            self.next_place = (self.next_place + 1) % PLACES;
        }
    }

    /// The delay that is aimed at, the frame itself counted.
    pub fn target(&self) -> Duration {
        duration_of((self.spare_wanted + FRAME) as u64, RATE)
    }

    /// How much later the last frame was played than if its quickest packet had been played at once, the frame itself counted.
    pub fn delay(&self) -> Duration {
        duration_of((self.delay + FRAME).max(0) as u64, RATE)
    }

    /// How much later the asker's ticks would have to be for all packets to be in time without lengthening the sound.
    pub fn is_short_by(&self) -> Duration {
        if !self.playing || self.pausing {
            return Duration::ZERO;
        }
        duration_of((self.spare_wanted - self.spare).max(0) as u64, RATE)
    }

    /// What was counted so far.
    pub fn counts(&self) -> JitterCounts {
        self.counts
    }

    /// Samples a second that come out at present.
    pub fn rate(&self) -> u32 {
        self.concealer.rate()
    }

    /// The next 20 ms. `tick` is when the asker's clock says that they are due, which is not later than they are asked for.
    pub fn play(&mut self, tick: Time, out: &mut [i16; MAX_FRAME]) -> Played {
        let tick = ticks_at(tick);
        self.relax();
        self.give_up_what_is_too_much();
        let has_sound = self.waiting > 0;
        let has_sound = self.fetch(tick, 0) || has_sound;
        let frame = self.frame();
        if self.playing {
            self.look(tick);
            self.keep_pace(tick, frame);
        }
        let made_up = frame.saturating_sub(self.waiting);
        let fill = match made_up {
            0 => Fill::Heard,
            _ if has_sound => {
                self.make_up(made_up);
                Fill::Heard
            }
            _ => self.make_up(made_up),
        };
        out[..frame].copy_from_slice(&self.ready[..frame]);
        self.say(frame);
        self.counts.frames += 1;
        Played {
            samples: frame,
            rate: self.rate(),
            fill,
        }
    }

    fn per_ms(&self) -> usize {
        self.rate() as usize / 1_000
    }

    /// Samples of a frame.
    fn frame(&self) -> usize {
        20 * self.per_ms()
    }

    fn ticks_of(&self, samples: usize) -> i64 {
        (samples * 8 / self.per_ms()) as i64
    }

    fn samples_of(&self, ticks: i64) -> usize {
        ticks.max(0) as usize * self.per_ms() / 8
    }

    /// The timestamp without wraps.
    fn whole(&self, timestamp: u32) -> i64 {
        self.end + i64::from(timestamp.wrapping_sub(self.end as u32) as i32)
    }

    /// The timestamp of the first sample that waits.
    fn front(&self) -> i64 {
        self.end - self.ticks_of(self.waiting)
    }

    /// Decodes until a frame and `more` samples wait, as far as what has come allows; whether anything was decoded.
    fn fetch(&mut self, tick: i64, more: usize) -> bool {
        let mut heard = false;
        while self.waiting < self.frame() + more {
            let Some(&first) = self.shelf.first() else {
                break;
            };
            let Content::Sound(codec) = first.content else {
                self.take_soundless(&first);
                continue;
            };
            if codec.sample_rate() != self.rate() {
                if self.waiting > 0 {
                    break;
                }
                self.set_rate(codec.sample_rate());
            }
            let Some(gap) = self.come_to(tick, &first, codec) else {
                break;
            };
            self.take_sound(codec, gap);
            heard = true;
        }
        heard
    }

    /// A packet without sound: a description of noise, or a digit, which only holds its place.
    fn take_soundless(&mut self, first: &Label) {
        if first.content == Content::Noise && self.noise.describe(self.shelf.payload()) {
            self.pausing = true;
        }
        self.take_first(first);
    }

    fn take_first(&mut self, first: &Label) {
        self.next_sequence = Some(first.sequence.wrapping_add(1));
        self.decoded = 0;
        self.shelf.take(|_| {});
    }

    /// Comes to where the first packet goes on. Returns what is missing before it, or `None` if it is not yet to be played.
    fn come_to(&mut self, tick: i64, first: &Label, codec: Codec) -> Option<Gap> {
        let decoded = &self.shelf.payload()[..self.decoded];
        let place = self.whole(first.timestamp) + i64::from(codec.ticks_in(decoded));
        let gap = place - self.end;
        let is_loss = self.next_sequence != Some(first.sequence);
        if !self.playing {
            return self.begin(tick, place);
        }
        if gap == 0 {
            self.ahead = 0;
            return Some(Gap::default());
        }
        if !(0..MAX_GAP).contains(&gap) {
            self.counts.leaps += 1;
            self.concealer.splice();
            self.end = place;
            self.ahead = 0;
            return Some(Gap::default());
        }
        let missing = (gap - self.ahead).max(0);
        if is_loss && !self.pausing && missing <= BRIDGE_MS as i64 * 8 {
            // The missing packet may come until a frame would not be whole without it.
            if self.waiting >= self.frame() {
                return None;
            }
            self.end = place;
            self.ahead = 0;
            return Some(Gap { lost: gap, missing });
        }
        self.begin(tick, place)
    }

    /// A talkspurt begins with the next frame, if that leaves enough to spare.
    fn begin(&mut self, tick: i64, place: i64) -> Option<Gap> {
        if self.waiting > 0 || tick - place - self.transit.base() < self.spare_wanted {
            return None;
        }
        if self.concealer.has_faded() {
            self.concealer.filled(&[]);
        }
        self.end = place;
        self.ahead = 0;
        self.pausing = false;
        self.playing = true;
        Some(Gap::default())
    }

    /// Decodes the next piece of the first packet behind a gap, which is bridged.
    fn take_sound(&mut self, codec: Codec, Gap { lost, missing }: Gap) {
        let Some(&first) = self.shelf.first() else {
            return;
        };
        self.next_sequence = Some(first.sequence);
        let rest = &self.shelf.payload()[self.decoded..];
        let piece = match codec.conceals() {
            true => rest,
            false => &rest[..rest.len().min(PIECE)],
        };
        let length = piece.len();
        let begins = self.waiting + self.samples_of(missing);
        let per_ms = self.per_ms();
        let decoder = self.decoders.of(codec);
        // What was made up while nothing came is heard already; the decoder has to know of the loss all the same.
        let lost = (lost as usize * per_ms / 8).min(MAX_LOST);
        let made = begins - self.waiting;
        let mut before = [0; MAX_LOST];
        let recovered = lost >= made.max(1) && decoder.recover(piece, &mut before[..lost]);
        if recovered {
            self.ready[self.waiting..begins].copy_from_slice(&before[lost - made..lost]);
        }
        let ends = begins + decoder.decode(piece, &mut self.ready[begins..]);
        if missing > 0 && recovered {
            self.concealer.heard(&mut self.ready[self.waiting..begins]);
        } else if missing > 0 {
            let (made, heard) = self.ready.split_at_mut(begins);
            let made = &mut made[self.waiting..];
            if !self.concealer.bridge(made, &heard[..ends - begins]) {
                self.concealer.conceal(made);
            }
        }
        self.counts.concealed_frames += u64::from(missing > 0);
        self.concealer.heard(&mut self.ready[begins..ends]);
        self.waiting = ends;
        self.end += self.ticks_of(ends - begins);
        self.decoded += length;
        if self.decoded == first.payload_len() {
            self.take_first(&first);
        }
    }

    /// What is not there when it is due: noise in a described pause, else what the sound before would have gone on as.
    fn make_up(&mut self, samples: usize) -> Fill {
        let made = &mut self.ready[self.waiting..self.waiting + samples];
        let fill = if self.pausing {
            self.noise.make(made);
            self.concealer.filled(made);
            Fill::Noise
        } else if self.playing && !self.concealer.has_faded() {
            self.concealer.conceal(made);
            self.counts.concealed_frames += 1;
            Fill::Concealed
        } else {
            made.fill(0);
            Fill::Silence
        };
        self.waiting += samples;
        self.ahead += self.ticks_of(samples);
        fill
    }

    fn say(&mut self, frame: usize) {
        let newest = &self.ready[frame.saturating_sub(self.said.len())..frame];
        self.said.copy_within(newest.len().., 0);
        let place = self.said.len() - newest.len();
        self.said[place..].copy_from_slice(newest);
        self.ready.copy_within(frame..self.waiting, 0);
        self.waiting -= frame;
    }

    fn drop_first(&mut self) {
        if let Some(&first) = self.shelf.first() {
            self.counts.dropped += 1;
            self.take_first(&first);
        }
    }

    /// After a standstill of the network more may have come than can be caught up with.
    fn give_up_what_is_too_much(&mut self) {
        let keep = self.spare_wanted + 2 * FRAME;
        let Some((first, last)) = self.shelf.first().zip(self.shelf.last()) else {
            return;
        };
        let last = self.whole(last.timestamp);
        if !(MAX_WAITING..MAX_GAP).contains(&(last - self.whole(first.timestamp))) {
            return;
        }
        while let Some(&first) = self.shelf.first()
            && last - self.whole(first.timestamp) > keep
        {
            self.drop_first();
            self.end = self.end.max(self.whole(first.timestamp));
        }
        if let Some(first) = self.shelf.first() {
            self.end = self.whole(first.timestamp);
            self.next_sequence = Some(first.sequence);
        }
        self.concealer.splice();
    }
}

fn samples_in_ms(millis: usize, rate: u32) -> usize {
    millis * rate as usize / 1_000
}

fn ticks_at(time: Time) -> i64 {
    (u128::from(time.as_nanos()) * u128::from(RATE) / 1_000_000_000) as i64
}
