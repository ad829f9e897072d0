//! How late the sound is, and how late it should be: what is aimed at, where the buffer stands, and repeats that are left out or said twice.

use super::*;
use crate::tempo::{lengthen, shorten};

/// Spare beyond what packets were seen to need: 4 ms.
const MARGIN: i64 = 32;
/// Spare beyond a frame too much that is let be: 5 ms.
const SLACK: i64 = 40;
/// How fast the spare that is aimed at goes down, in ticks for 50 frames: 2 ms a second.
const RELAX: i64 = 16;
/// Shortest repeat that is cut, in ticks.
const SHORTEST: i64 = 20;
/// A lack of as much as this is made up for by repeats that are not longer.
const LONG: i64 = 64;
/// How like its next period sound must be to be cut, where there is time, and where there is none.
const ALIKE: f32 = 0.85;
const ALIKE_URGENT: f32 = 0.6;
/// Ticks of the asker's clock between two cuts.
const CUT_EVERY: u32 = 3;

impl JitterBuffer {
    pub(super) fn relax(&mut self) {
        let needed = self.transit.late() + MARGIN;
        let most = i64::from(RATE) * (MAX_TARGET - MIN_TARGET).as_millis() as i64 / 1_000;
        let needed = needed.min(most);
        // A way that has become longer for good has nothing to spare for what was the shorter one's.
        let rise = (self.transit.base() - self.base).max(0);
        self.base = self.transit.base();
        self.spare_wanted -= rise;
        self.frames_to_relax -= 1;
        if self.frames_to_relax == 0 {
            self.frames_to_relax = 50;
            self.spare_wanted = (self.spare_wanted - RELAX).max(needed);
        }
        self.spare_wanted = self.spare_wanted.max(needed);
    }

    /// Where the buffer stands.
    pub(super) fn look(&mut self, tick: i64) {
        let front = self.front();
        self.delay = tick - front - self.transit.base();
        self.spare = self.delay - self.rests(front).1;
    }

    /// Ticks into a frame at which packets begin: the least and the most.
    fn rests(&self, front: i64) -> (i64, i64) {
        let rest = |place: &i64| (place - front).rem_euclid(FRAME);
        let rests = self.places.iter().map(rest);
        rests.fold((FRAME, 0), |(least, most), rest| {
            (least.min(rest), most.max(rest))
        })
    }

    /// Makes sound shorter or longer if the delay is not what it should be and the sound allows it.
    pub(super) fn keep_pace(&mut self, tick: i64, frame: usize) {
        self.since_cut = self.since_cut.saturating_add(1);
        if self.since_cut < CUT_EVERY {
            return;
        }
        let (least, most) = self.rests(self.front());
        let short = self.spare_wanted - self.spare;
        if self.ticks_slide && (1..=FRAME).contains(&short) {
            return;
        }
        if short > 0 {
            let alike = if short > FRAME / 2 {
                ALIKE_URGENT
            } else {
                ALIKE
            };
            self.lengthen(frame, FRAME - most, alike);
            return;
        }
        let too_much = -short;
        let mut surplus = least;
        let mut alike = ALIKE;
        if too_much >= FRAME + SLACK {
            surplus += FRAME;
            if too_much >= 4 * FRAME {
                alike = ALIKE_URGENT;
            }
        }
        if surplus >= SHORTEST {
            self.shorten(tick, frame, surplus, alike);
        }
    }

    fn lengthen(&mut self, frame: usize, wanted: i64, alike: f32) {
        if self.waiting < frame {
            return;
        }
        let enough = self.samples_of(wanted.max(SHORTEST));
        let most = if wanted >= LONG {
            enough
        } else {
            LONGEST_MS * self.per_ms()
        };
        let said = &self.said[..];
        let per_ms = self.rate() as usize / 1_000;
        // What is said twice pushes what follows back: only the frame itself is rewritten.
        let mut sound = [0; MAX_FRAME];
        sound[..frame].copy_from_slice(&self.ready[..frame]);
        let lag = lengthen(said, &mut sound[..frame], per_ms, enough, most, alike);
        if lag == 0 || self.waiting + lag > self.ready.len() {
            return;
        }
        self.ready.copy_within(frame - lag..self.waiting, frame);
        self.ready[..frame].copy_from_slice(&sound[..frame]);
        self.waiting += lag;
        self.counts.lengthened += self.ticks_of(lag) as u64;
        self.since_cut = 0;
    }

    fn shorten(&mut self, tick: i64, frame: usize, surplus: i64, alike: f32) {
        let most = self.samples_of(surplus).min(LONGEST_MS * self.per_ms());
        self.fetch(tick, most);
        let length = self.waiting.min(frame + most);
        if length <= frame {
            return;
        }
        let most = most.min(length - frame);
        let per_ms = self.per_ms();
        let cut = shorten(&mut self.ready[..length], per_ms, most, alike);
        if cut > 0 {
            self.ready.copy_within(length..self.waiting, length - cut);
            self.waiting -= cut;
            self.counts.shortened += self.ticks_of(cut) as u64;
            self.since_cut = 0;
        }
    }
}
