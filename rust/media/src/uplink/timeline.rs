//! The timeline itself: what goes on of each packet, what is made for a gap, and how too much of that is won back.
use super::{FILL_TIME, Fill, MAX_FILL, MAX_SAMPLES, RATE, UplinkCounts, UplinkFrame};
use crate::clock::{Time, duration_of, samples_in};
use crate::codec::{Codec, opus};
use crate::comfort_noise::ComfortNoise;
use crate::decoders::Decoders;
use crate::order::{Content, MIN_PATIENCE, Queued};
use crate::plc::Concealer;
use crate::tempo::shorten;
use std::time::Duration;

/// What is filled in comes by frames of 20 ms.
const FILL_FRAME: usize = 160;
/// A gap in the timestamps may be longer than the time that passed by this much: 200 ms.
const SLACK: u64 = 1_600;
/// What was filled in too early and is still being won back; beyond it the timeline is taken as it is: 1 s.
const MAX_SURPLUS: u64 = 8_000;
/// A peer that sends nothing for so much of its clock pauses; those that count in packets may be a little off: 20 ms.
const PAUSE: u32 = 160;
/// Payload bytes handled at a time where they have a byte for a tick: 60 ms.
const MAX_PIECE: usize = 480;
/// A frame none of whose samples is beyond this (-48 dBFS) is a pause: it may be left out.
const QUIET: u16 = 128;
/// How like its next period voiced sound must be to be left out.
const ALIKE: f32 = 0.85;
/// One repeat is left out of so many frames at most.
const CUT_EVERY: u32 = 2;

#[derive(Debug)]
pub(super) struct Timeline {
    pub started: bool,
    codec: Codec,
    pub position: u64,
    pub jitter: Duration,
    pub patience: Duration,
    /// `None` before the first packet of a stream.
    pub next_timestamp: Option<u32>,
    /// Ticks of the last packet with sound, and whether one without has come since, as those of keys are.
    last_ticks: u32,
    soundless: bool,
    /// The peer has paused since the last frame that was heard.
    after_pause: bool,
    /// Ticks filled in beyond the timestamps seen so far.
    surplus: u64,
    last_arrival: Time,
    pub next_fill: Time,
    /// Something has been filled in since the last packet.
    pub filling: bool,
    /// Frames since a repeat was left out.
    uncut: u32,
    pub decoders: Decoders,
    pub concealer: Concealer,
    noise: ComfortNoise,
    /// The peer pauses, and has described its noise.
    pub pausing: Option<Pause>,
    pub counts: UplinkCounts,
}

/// How the peer has described its noise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pause {
    /// In a packet of its own (RFC 3389).
    Noise,
    /// In the last packets of its codec.
    Codec,
}

/// What is known of the sound behind a gap.
#[derive(Clone, Copy)]
enum Behind<'a> {
    Nothing,
    /// It is here already.
    Heard(&'a [i16]),
    /// The decoder makes the gap itself before it decodes this.
    Coded(&'a [u8]),
}

impl Timeline {
    pub fn new(codec: Codec) -> Self {
        Timeline {
            started: false,
            codec,
            position: 0,
            jitter: Duration::ZERO,
            patience: MIN_PATIENCE,
            next_timestamp: None,
            last_ticks: 0,
            soundless: false,
            after_pause: false,
            surplus: 0,
            last_arrival: Time::ZERO,
            next_fill: Time::ZERO,
            filling: false,
            uncut: 0,
            decoders: Decoders::new(),
            concealer: Concealer::new(codec.sample_rate()),
            noise: ComfortNoise::new(),
            pausing: None,
            counts: UplinkCounts::default(),
        }
    }

    pub fn restart(&mut self) {
        self.surplus = 0;
        self.pausing = None;
        self.decoders.reset();
        if self.next_timestamp.take().is_none() {
            return;
        }
        if self.concealer.has_faded() {
            // After silence, the first word stays as it came.
            self.concealer.filled(&[]);
        } else {
            self.concealer.splice();
        }
    }

    pub fn set_codec(&mut self, codec: Codec) {
        if codec != self.codec {
            self.codec = codec;
            self.concealer.set_rate(codec.sample_rate());
        }
    }

    /// Puts a packet on the timeline: the gap before it, then its sound.
    pub fn take(&mut self, now: Time, packet: &Queued<'_>, out: &mut dyn FnMut(UplinkFrame<'_>)) {
        match packet.content {
            Content::Sound(codec) if !packet.payload.is_empty() => {
                self.take_sound(now, codec, packet, out);
            }
            Content::Noise if self.noise.describe(packet.payload) => {
                self.take_noise(now, packet, out);
            }
            content => {
                self.counts.bad_noise += u64::from(content == Content::Noise);
                self.next_timestamp.get_or_insert(packet.timestamp);
                self.soundless = true;
            }
        }
    }

    fn take_noise(&mut self, now: Time, packet: &Queued<'_>, out: &mut dyn FnMut(UplinkFrame<'_>)) {
        self.close_gap(now, packet, Behind::Nothing, out);
        self.pausing = Some(Pause::Noise);
        self.next_timestamp = Some(packet.timestamp);
        self.last_arrival = now;
        // A pause needs no patience: it has been announced. What comes after it may come a little early against it.
        self.next_fill = now + FILL_TIME + self.jitter.min(self.patience);
    }

    fn take_sound(
        &mut self,
        now: Time,
        codec: Codec,
        packet: &Queued<'_>,
        out: &mut dyn FnMut(UplinkFrame<'_>),
    ) {
        self.set_codec(codec);
        let ticks = codec.ticks_in(packet.payload);
        if ticks == 0 {
            self.counts.bad_payloads += 1;
            self.next_timestamp.get_or_insert(packet.timestamp);
            self.soundless = true;
            return;
        }
        if codec.conceals() {
            self.take_packet(now, packet, out);
        } else {
            self.take_bytes(now, packet, out);
        }
        self.next_timestamp = Some(packet.timestamp.wrapping_add(ticks));
        (self.last_ticks, self.soundless) = (ticks, false);
        self.last_arrival = now;
        let patience = match self.pausing {
            Some(_) => self.jitter.min(self.patience),
            None => self.patience,
        };
        self.next_fill = now + duration_of(u64::from(ticks), RATE) + patience;
        self.filling = false;
    }

    /// Sound with a byte for a tick, a piece at a time: a gap before it is bridged to what is heard then.
    fn take_bytes(&mut self, now: Time, packet: &Queued<'_>, out: &mut dyn FnMut(UplinkFrame<'_>)) {
        let mut room = [0; MAX_SAMPLES];
        for (index, piece) in packet.payload.chunks(MAX_PIECE).enumerate() {
            let decoder = self.decoders.of(self.codec);
            let samples = decoder.decode(piece, &mut room);
            let heard = &mut room[..samples];
            if index == 0 {
                self.close_gap(now, packet, Behind::Heard(heard), out);
                self.pausing = None;
            }
            self.give_heard(heard, Some(piece), out);
        }
    }

    /// A packet that makes sense as a whole, to a decoder that knows what came before: it makes up for a gap itself.
    fn take_packet(
        &mut self,
        now: Time,
        packet: &Queued<'_>,
        out: &mut dyn FnMut(UplinkFrame<'_>),
    ) {
        let pauses = packet.payload.len() <= opus::DTX_BYTES;
        self.close_gap(now, packet, Behind::Coded(packet.payload), out);
        let mut room = [0; opus::MAX_SAMPLES];
        let samples = self
            .decoders
            .of(self.codec)
            .decode(packet.payload, &mut room);
        if samples == 0 {
            self.counts.bad_payloads += 1;
            let ticks = self.codec.ticks_in(packet.payload) as usize;
            self.fill_all(ticks, out);
        }
        self.pausing = pauses.then_some(Pause::Codec);
        let whole = (samples <= MAX_SAMPLES).then_some(packet.payload);
        for heard in room[..samples].chunks_mut(MAX_SAMPLES) {
            self.give_heard(heard, whole, out);
        }
    }

    /// Gives on what the caller said, less what makes up for what was filled in too early.
    fn give_heard(
        &mut self,
        heard: &mut [i16],
        coded: Option<&[u8]>,
        out: &mut dyn FnMut(UplinkFrame<'_>),
    ) {
        if self.is_left_out(heard) {
            return;
        }
        let cut = self.cut(heard);
        let left = heard.len() - cut;
        let heard = &mut heard[..left];
        let joined = self.concealer.heard(heard);
        out(UplinkFrame {
            codec: self.codec,
            coded: coded.filter(|_| cut == 0 && !joined),
            pcm: heard,
            rate: self.codec.sample_rate(),
            position: self.position,
            fill: Fill::Heard,
            after_pause: std::mem::take(&mut self.after_pause),
        });
        self.position += self.ticks_of(heard.len());
    }

    fn ticks_of(&self, samples: usize) -> u64 {
        samples as u64 * u64::from(RATE) / u64::from(self.codec.sample_rate())
    }

    /// Whether what was heard is a pause that makes up for what was filled in too early.
    fn is_left_out(&mut self, heard: &[i16]) -> bool {
        let ticks = self.ticks_of(heard.len());
        let left_out =
            self.surplus >= ticks && heard.iter().all(|sample| sample.unsigned_abs() < QUIET);
        if left_out {
            self.win_back(ticks);
        }
        left_out
    }

    /// Leaves a repeat of what was heard out, if that makes up for something; how many samples.
    fn cut(&mut self, heard: &mut [i16]) -> usize {
        self.uncut = self.uncut.saturating_add(1);
        if self.surplus == 0 || self.uncut < CUT_EVERY {
            return 0;
        }
        let most = self.codec.samples_of_ticks(self.surplus as u32);
        let per_ms = self.codec.sample_rate() as usize / 1_000;
        let cut = shorten(heard, per_ms, most, ALIKE);
        if cut > 0 {
            self.uncut = 0;
            self.win_back(self.ticks_of(cut));
        }
        cut
    }

    fn win_back(&mut self, ticks: u64) {
        self.surplus -= ticks;
        self.counts.won_back += ticks;
    }

    /// Fills up to the place of a packet with what is `behind` the gap, as far as time that has passed explains it.
    fn close_gap(
        &mut self,
        now: Time,
        packet: &Queued<'_>,
        behind: Behind<'_>,
        out: &mut dyn FnMut(UplinkFrame<'_>),
    ) {
        let Some(expected) = self.next_timestamp else {
            return;
        };
        let gap = packet.timestamp.wrapping_sub(expected) as i32;
        let passed = samples_in(now - self.last_arrival, RATE);
        let explained = gap >= 0 && gap as u64 <= passed + SLACK;
        if !explained {
            self.counts.jumps += 1;
            self.surplus = 0;
            self.concealer.splice();
            return;
        }
        let lost = u32::from(packet.missing) * self.last_ticks;
        self.after_pause |= !self.soundless && gap as u32 >= lost.saturating_add(PAUSE);
        let copied = match behind {
            Behind::Coded(next) if lost > 0 => opus::copied_ticks(next).min(lost),
            _ => 0,
        };
        // A copy is what was said: it goes on though its time was filled already, as a packet does that comes late.
        let won_back = self
            .surplus
            .min((gap as u64).saturating_sub(u64::from(copied)));
        self.surplus -= won_back;
        let missing = gap as u64 - won_back;
        if missing > u64::from(MAX_FILL) {
            self.counts.jumps += 1;
        }
        let missing = missing.min(u64::from(MAX_FILL)) as usize;
        let pauses = self.pausing.is_some();
        let bridged = match behind {
            Behind::Heard(heard) if !pauses && (packet.missing > 0 || !packet.marker) => {
                self.bridge(missing, heard, out)
            }
            Behind::Coded(next) if lost > 0 && (!pauses || copied > 0) => {
                self.recover(missing, lost as usize, next, out)
            }
            _ => false,
        };
        if !bridged {
            self.fill_all(missing, out);
        }
        if packet.missing == 0 && gap > 0 && self.concealer.has_faded() {
            // The talker paused: the first word stays as it came.
            self.concealer.filled(&[]);
        }
        if self.surplus > MAX_SURPLUS {
            self.surplus = 0;
        }
    }

    /// Lets the decoder make what `lost` ticks were: the end of them from the copy that `next` carries, if it does. The last `missing` ticks of the
    /// gap are still to be given out; what they are more than was lost is a pause before it. `false` if that is too much.
    fn recover(
        &mut self,
        missing: usize,
        lost: usize,
        next: &[u8],
        out: &mut dyn FnMut(UplinkFrame<'_>),
    ) -> bool {
        if lost > MAX_FILL as usize {
            return false;
        }
        self.fill_all(missing.saturating_sub(lost), out);
        // What was made up while nothing came is heard already; the decoder has to know of the loss all the same.
        let mut filled = lost.saturating_sub(missing);
        let copied = Some(opus::copied_ticks(next) as usize);
        let copied = copied.filter(|&copied| copied <= lost).unwrap_or(0);
        let unknown = match self.pausing {
            Some(_) => Fill::Noise,
            None => Fill::Concealed,
        };
        let mut room = [0; MAX_SAMPLES];
        let mut left = lost - copied;
        while left > 0 {
            let some = left.min(FILL_FRAME);
            let made = &mut room[..self.codec.samples_of_ticks(some as u32)];
            if !self.decoders.of(self.codec).conceal(made) {
                made.fill(0);
            }
            self.give_rest(made, &mut filled, unknown, out);
            left -= some;
        }
        if copied > 0 {
            let copy = &mut room[..self.codec.samples_of_ticks(copied as u32)];
            let is_there = self.decoders.of(self.codec).recover(next, copy);
            if !is_there {
                copy.fill(0);
            }
            let fill = if is_there { Fill::Heard } else { unknown };
            self.give_rest(copy, &mut filled, fill, out);
        }
        true
    }

    /// Gives out made sound but for the first of it, in whose place `filled` ticks have been given out already.
    fn give_rest(
        &mut self,
        made: &mut [i16],
        filled: &mut usize,
        fill: Fill,
        out: &mut dyn FnMut(UplinkFrame<'_>),
    ) {
        let skipped = (*filled).min(self.ticks_of(made.len()) as usize);
        *filled -= skipped;
        let skipped = self.codec.samples_of_ticks(skipped as u32);
        let frame = self.codec.samples_of_ticks(FILL_FRAME as u32);
        for made in made[skipped..].chunks_mut(frame) {
            self.concealer.heard(made);
            if fill == Fill::Heard {
                self.counts.recovered_frames += 1;
                self.give(made, fill, out);
            } else {
                self.give_made(made, fill, out);
            }
        }
    }

    /// Bridges a gap whose end is heard already; `false` if there is nothing that could be.
    fn bridge(&mut self, ticks: usize, next: &[i16], out: &mut dyn FnMut(UplinkFrame<'_>)) -> bool {
        let samples = self.codec.samples_of_ticks(ticks as u32);
        if samples > MAX_SAMPLES {
            return false;
        }
        let mut made = [0; MAX_SAMPLES];
        if !self.concealer.bridge(&mut made[..samples], next) {
            return false;
        }
        let frame = self.codec.samples_of_ticks(FILL_FRAME as u32);
        for made in made[..samples].chunks(frame) {
            self.give_made(made, Fill::Concealed, out);
        }
        true
    }

    /// Nothing has come for 20 ms more, but for what waits behind a gap, which ends at `waiting`.
    pub fn flow(&mut self, waiting: Option<u32>, out: &mut dyn FnMut(UplinkFrame<'_>)) {
        self.next_fill += FILL_TIME;
        if let Some(expected) = self.next_timestamp {
            let is_filled = waiting.is_some_and(|timestamp| {
                let gap = i64::from(timestamp.wrapping_sub(expected) as i32);
                gap - (self.surplus as i64) < FILL_FRAME as i64
            });
            if is_filled {
                return;
            }
            self.surplus += FILL_FRAME as u64;
        }
        self.filling = true;
        self.fill(FILL_FRAME, out);
    }

    /// Fills so many ticks, frame by frame.
    fn fill_all(&mut self, mut ticks: usize, out: &mut dyn FnMut(UplinkFrame<'_>)) {
        while ticks > 0 {
            let some = ticks.min(FILL_FRAME);
            self.fill(some, out);
            ticks -= some;
        }
    }

    /// Puts something where nothing came: the noise of a pause, made sound, or silence once that has faded.
    fn fill(&mut self, ticks: usize, out: &mut dyn FnMut(UplinkFrame<'_>)) {
        let samples = self.codec.samples_of_ticks(ticks as u32);
        let mut made = [0; MAX_SAMPLES];
        let made = &mut made[..samples];
        let fill = if let Some(pause) = self.pausing {
            if pause == Pause::Noise || !self.decoders.of(self.codec).conceal(made) {
                self.noise.make(made);
            }
            self.concealer.filled(made);
            Fill::Noise
        } else if self.next_timestamp.is_some() && !self.concealer.has_faded() {
            self.concealer.conceal(made);
            Fill::Concealed
        } else {
            made.fill(0);
            Fill::Silence
        };
        self.give_made(made, fill, out);
    }

    fn give_made(&mut self, made: &[i16], fill: Fill, out: &mut dyn FnMut(UplinkFrame<'_>)) {
        let counter = match fill {
            Fill::Concealed => &mut self.counts.concealed_frames,
            Fill::Noise => &mut self.counts.noise_frames,
            Fill::Silence | Fill::Heard => &mut self.counts.silence_frames,
        };
        *counter += 1;
        self.give(made, fill, out);
    }

    fn give(&mut self, made: &[i16], fill: Fill, out: &mut dyn FnMut(UplinkFrame<'_>)) {
        let ticks = self.ticks_of(made.len());
        out(UplinkFrame {
            codec: self.codec,
            coded: None,
            pcm: made,
            rate: self.codec.sample_rate(),
            position: self.position,
            fill,
            after_pause: false,
        });
        self.position += ticks;
    }
}
