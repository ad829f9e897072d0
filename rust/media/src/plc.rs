//! Concealment of lost sound (packet loss concealment): what is missing is made from what was heard last, and from what is
//! heard next where that is here already.
//!
//! Where nothing is known of what follows, the sound goes on as it was ([`Extrapolation`]) for [`HOLD_MS`] and then fades until [`FADED_MS`],
//! as Appendix I of G.711 has it; the first heard frame after it is cross-faded with what the made sound would have gone on as. Where the
//! frame after the loss is known ([`Concealer::bridge`]), that is carried on backwards too, the sound before is shifted in phase so that it
//! arrives where the frame begins, and the two are cross-faded over the whole of the gap; the frame itself stays as it came.
//!
//! Cost of one loss: at most 40,000 multiplications at 8 kHz and 90,000 at 16 kHz for what begins and ends it, and about 40 a sample. Sound that
//! is heard costs a copy. Nothing is allocated after [`Concealer::new`] for rates that were expected.
use crate::extrapolation::{Extrapolation, MAX_RATE, NEEDED_MS, USED_MS};
use crate::likeness::{best_repeat, energy, product};

/// Made sound is as loud as the heard one for so long.
pub const HOLD_MS: usize = 10;
/// After so long nothing is left of it.
pub const FADED_MS: usize = 60;
/// The longest gap that is bridged.
pub const BRIDGE_MS: usize = 60;

/// Over how much the first heard frame is cross-faded: this and as much again for each 10 ms of the loss, up to [`LONGEST_JOIN_MS`].
const JOIN_MS: usize = 4;
const LONGEST_JOIN_MS: usize = 10;
/// What is compared to find how far the phase has moved over a gap.
const ARRIVAL_MS: usize = 5;
/// How far it may have moved, in halves of a millisecond.
const DRIFT_HALF_MS: usize = 5;
/// Phases that are less alike than this are left as they are.
const ALIKE: f32 = 0.5;
const MAX_PER_MS: usize = MAX_RATE as usize / 1_000;
const MAX_HISTORY: usize = USED_MS * MAX_PER_MS;
const MAX_GAP: usize = BRIDGE_MS * MAX_PER_MS;
const MAX_AHEAD: usize = MAX_GAP + (ARRIVAL_MS + DRIFT_HALF_MS + 1) * MAX_PER_MS;

/// Makes up for lost sound of one stream.
#[derive(Debug)]
pub struct Concealer {
    per_ms: usize,
    /// What was given on so far, [`USED_MS`] of it; the newest is last.
    history: Vec<i16>,
    loss: Option<Loss>,
    random: u32,
}

#[derive(Debug)]
struct Loss {
    sound: Extrapolation,
    /// Samples made so far.
    made: usize,
}

impl Concealer {
    /// A concealer for sound of `rate` Hz, 8000 or 16000, that has heard silence.
    pub fn new(rate: u32) -> Self {
        let mut concealer = Concealer {
            per_ms: 0,
            history: Vec::new(),
            loss: None,
            random: 0x9e37_79b9,
        };
        concealer.set_rate(rate);
        concealer
    }

    /// Samples a second, 8000 or 16000. With another rate all that was heard is forgotten.
    pub fn set_rate(&mut self, rate: u32) {
        assert!(
            rate == 8_000 || rate == MAX_RATE,
            "the line's codecs are at 8 or 16 kHz"
        );
        let per_ms = rate as usize / 1_000;
        if per_ms != self.per_ms {
            self.per_ms = per_ms;
            self.history.clear();
            self.history.resize(USED_MS * per_ms, 0);
            self.loss = None;
        }
    }

    /// Sound of this rate may come: there is room for it from now on.
    pub fn expect(&mut self, rate: u32) {
        let needed = USED_MS * rate as usize / 1_000;
        self.history
            .reserve_exact(needed.saturating_sub(self.history.len()));
    }

    /// Samples a second.
    pub fn rate(&self) -> u32 {
        self.per_ms as u32 * 1_000
    }

    /// Whether more made sound would be silence.
    pub fn has_faded(&self) -> bool {
        self.loss
            .as_ref()
            .is_some_and(|loss| loss.made >= FADED_MS * self.per_ms)
    }

    /// What is heard next does not go on where the sound before ended: another stream, a leap of time. It is joined as after a loss.
    pub fn splice(&mut self) {
        if self.loss.is_none() {
            self.loss = Some(self.begin());
        }
    }

    /// Takes sound that was heard. After a loss its beginning is cross-faded with the made sound; `true` if it was changed.
    pub fn heard(&mut self, sound: &mut [i16]) -> bool {
        let joined = match self.loss.take() {
            Some(loss) => self.join(loss, sound),
            None => false,
        };
        self.remember(sound);
        joined
    }

    /// Takes sound that stands where none was heard but is not made here: silence, noise.
    pub fn filled(&mut self, sound: &[i16]) {
        self.loss = None;
        self.remember(sound);
    }

    /// Makes sound in place of what was lost; all zeros once it has faded.
    pub fn conceal(&mut self, out: &mut [i16]) {
        let mut loss = self.loss.take().unwrap_or_else(|| self.begin());
        self.fading(&mut loss, out);
        self.loss = Some(loss);
        self.remember(out);
    }

    /// Makes sound in place of all that was lost between what was heard and `next`, which follows unchanged.
    ///
    /// `false` if that cannot be done, and nothing is: the gap is longer than [`BRIDGE_MS`], it has been begun already, or `next` is too short.
    pub fn bridge(&mut self, out: &mut [i16], next: &[i16]) -> bool {
        let per_ms = self.per_ms;
        let fits = (1..=BRIDGE_MS * per_ms).contains(&out.len());
        if self.loss.is_some() || !fits || next.len() < NEEDED_MS * per_ms {
            return false;
        }
        let gap = out.len();
        let mut ahead = [0.0; MAX_AHEAD];
        let drift = self.ahead(&mut ahead, gap, next);
        let mut back = [0.0; MAX_GAP];
        self.back(&mut back[..gap], next);
        let mut before = [0.0; MAX_GAP];
        for (n, out) in before[..gap].iter_mut().enumerate() {
            *out = between(&ahead, n as f32 * drift);
        }
        let (before, back) = (&before[..gap], &back[..gap]);
        let both = (energy(before) * energy(back)).sqrt().max(1.0);
        let alike = (product(before, back) / both).clamp(0.0, 1.0);
        for (n, out) in out.iter_mut().enumerate() {
            let to = (n + 1) as f32 / (gap + 1) as f32;
            let from = 1.0 - to;
            // What has nothing in common adds up by its power, what is the same by its height.
            let loud = (from * from + to * to + 2.0 * alike * from * to).sqrt();
            *out = ((before[n] * from + back[gap - 1 - n] * to) / loud) as i16;
        }
        self.remember(out);
        true
    }

    /// What was heard carried on over the gap and a little further. Returns how much faster it has to go so that it is in phase with `next`.
    fn ahead(&mut self, ahead: &mut [f32; MAX_AHEAD], gap: usize, next: &[i16]) -> f32 {
        let arrival = ARRIVAL_MS * self.per_ms;
        let reach = DRIFT_HALF_MS * self.per_ms / 2;
        let mut sound = self.begin().sound;
        sound.make(&mut ahead[..gap + reach + arrival + 2]);
        let mut lead = [0.0; ARRIVAL_MS * MAX_PER_MS];
        let lead = &mut lead[..arrival];
        for (out, &sample) in lead.iter_mut().zip(next) {
            *out = f32::from(sample);
        }
        let first = gap.saturating_sub(reach);
        let found = best_repeat(lead, first..=gap + reach, 1, |at| &ahead[at..at + arrival]);
        if found.likeness < ALIKE {
            return 1.0;
        }
        found.lag as f32 / gap as f32
    }

    /// What `next` would be carried on to if time ran backwards: the newest sample of the gap first.
    fn back(&mut self, back: &mut [f32], next: &[i16]) {
        let mut reversed = [0.0; MAX_HISTORY];
        let known = next.len().min(USED_MS * self.per_ms);
        let reversed = &mut reversed[..known];
        for (out, &sample) in reversed.iter_mut().rev().zip(next) {
            *out = f32::from(sample);
        }
        self.random = self.random.wrapping_mul(0x0019_660d).wrapping_add(1);
        Extrapolation::of(reversed, self.per_ms, self.random).make(back);
    }

    fn begin(&mut self) -> Loss {
        self.random = self.random.wrapping_mul(0x0019_660d).wrapping_add(1);
        let mut known = [0.0; MAX_HISTORY];
        let known = &mut known[..self.history.len()];
        for (out, &sample) in known.iter_mut().zip(&self.history) {
            *out = f32::from(sample);
        }
        Loss {
            sound: Extrapolation::of(known, self.per_ms, self.random),
            made: 0,
        }
    }

    fn fading(&self, loss: &mut Loss, out: &mut [i16]) {
        let (hold, faded) = (HOLD_MS * self.per_ms, FADED_MS * self.per_ms);
        let audible = faded.saturating_sub(loss.made).min(out.len());
        let (out, silent) = out.split_at_mut(audible);
        silent.fill(0);
        let mut made = [0.0; FADED_MS * MAX_PER_MS];
        let made = &mut made[..audible];
        loss.sound.make(made);
        for (out, made) in out.iter_mut().zip(made) {
            let left = (faded - loss.made) as f32 / (faded - hold) as f32;
            *out = (*made * left.min(1.0)) as i16;
            loss.made += 1;
        }
    }

    fn join(&self, mut loss: Loss, sound: &mut [i16]) -> bool {
        let join_ms = JOIN_MS + JOIN_MS * (loss.made / self.per_ms) / 10;
        let length = (join_ms.min(LONGEST_JOIN_MS) * self.per_ms).min(sound.len());
        let mut made = [0; LONGEST_JOIN_MS * MAX_PER_MS];
        self.fading(&mut loss, &mut made[..length]);
        for (n, (sample, &made)) in sound.iter_mut().zip(&made[..length]).enumerate() {
            let share = (n + 1) as f32 / (length + 1) as f32;
            *sample = (f32::from(*sample) * share + f32::from(made) * (1.0 - share)) as i16;
        }
        length > 0
    }

    fn remember(&mut self, sound: &[i16]) {
        let room = self.history.len();
        let newest = &sound[sound.len().saturating_sub(room)..];
        self.history.copy_within(newest.len().., 0);
        self.history[room - newest.len()..].copy_from_slice(newest);
    }
}

/// The sound between its samples (Hermite's cubic).
fn between(sound: &[f32], place: f32) -> f32 {
    let at = place as usize;
    let part = place - at as f32;
    let before = sound[at.saturating_sub(1)];
    let (here, next, after) = (sound[at], sound[at + 1], sound[at + 2]);
    let slope = 0.5 * (next - before);
    let bend = before - 2.5 * here + 2.0 * next - 0.5 * after;
    let twist = 0.5 * (after - before) + 1.5 * (here - next);
    ((twist * part + bend) * part + slope) * part + here
}
