//! Which of a call's frames came back, and how long each was away.

use crate::mark::{Heard, MODULUS};
use crate::rtp::FRAME;

const KEPT: usize = 512;
const HEARD: u64 = 1 << 63;

/// What hearing a frame came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// For the first time; the nanoseconds it was away.
    Back {
        /// Nanoseconds from its sending to its first sample's place on the line.
        delay: u64,
        /// It is the first one heard of this talkspurt.
        first: bool,
    },
    /// Heard before.
    Duplicate,
    /// So old that its sending is forgotten, or never sent.
    Stale,
}

/// What a call's frames came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Marked frames sent.
    pub sent: u64,
    /// Marked frames that came back, each once.
    pub heard: u64,
    /// Never heard, and sent before the first that was.
    pub lost_at_start: u64,
    /// Never heard, and sent later.
    pub lost: u64,
    /// Number of the first frame that was lost later.
    pub first_lost: Option<u32>,
    /// Heard again.
    pub duplicates: u64,
    /// Heard after a later one.
    pub reordered: u64,
    /// Too old, or never sent.
    pub stale: u64,
    /// Not byte for byte what was sent.
    pub altered: u64,
    /// Places where something stood between two frames that belong together, and how many samples.
    pub insertions: u64,
    /// Samples inserted so.
    pub inserted_samples: u64,
    /// Places where samples between two frames that belong together are missing.
    pub cuts: u64,
}

/// The frames of one call.
pub struct Ledger {
    sent_at: Box<[u64; KEPT]>,
    next: u32,
    highest: Option<u32>,
    spurt_start: u32,
    spurt_heard: bool,
    last: Option<(u32, u32)>,
    /// What they came to so far.
    pub tally: Tally,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            // A slot that was never used reads as heard, so that it is never counted as lost.
            sent_at: Box::new([HEARD; KEPT]),
            next: 0,
            highest: None,
            spurt_start: 0,
            spurt_heard: false,
            last: None,
            tally: Tally::default(),
        }
    }
}

impl Ledger {
    /// The number of the next frame.
    pub fn next(&self) -> u32 {
        self.next
    }

    /// A talkspurt starts with the next frame.
    pub fn start_spurt(&mut self) {
        self.spurt_start = self.next;
        self.spurt_heard = false;
    }

    /// The next frame was sent at `at`.
    pub fn sent(&mut self, at: u64) {
        let slot = self.next as usize % KEPT;
        if self.sent_at[slot] & HEARD == 0 {
            self.count_lost(self.next - KEPT as u32);
        }
        self.sent_at[slot] = at;
        self.next += 1;
        self.tally.sent += 1;
    }

    fn count_lost(&mut self, frame: u32) {
        // Nothing heard at all yet: the way was not open.
        if self.highest.is_none() {
            self.tally.lost_at_start += 1;
            return;
        }
        self.tally.lost += 1;
        let first = self
            .tally
            .first_lost
            .map_or(frame, |first| first.min(frame));
        self.tally.first_lost = Some(first);
    }

    /// A frame of this call was heard.
    pub fn heard(&mut self, heard: &Heard) -> Verdict {
        let behind =
            (self.next.wrapping_sub(u32::from(heard.mark.frame)) & (MODULUS - 1)).wrapping_sub(1);
        if behind as usize >= KEPT || behind >= self.next {
            self.tally.stale += 1;
            return Verdict::Stale;
        }
        let frame = self.next - 1 - behind;
        let slot = frame as usize % KEPT;
        if self.sent_at[slot] & HEARD != 0 {
            self.tally.duplicates += 1;
            return Verdict::Duplicate;
        }
        let delay = heard.at.saturating_sub(self.sent_at[slot]);
        self.sent_at[slot] |= HEARD;
        self.tally.heard += 1;
        self.tally.altered += u64::from(!heard.exact);
        self.place(frame, heard.timestamp);
        match self.highest {
            None => {
                // All before the first are lost at the start; those still on their way would be reordered, which is counted.
                for earlier in frame.saturating_sub(KEPT as u32 - 1)..frame {
                    let slot = earlier as usize % KEPT;
                    if self.sent_at[slot] & HEARD == 0 {
                        self.sent_at[slot] |= HEARD;
                        self.tally.lost_at_start += 1;
                    }
                }
                self.highest = Some(frame);
            }
            Some(highest) if frame < highest => self.tally.reordered += 1,
            Some(_) => self.highest = Some(frame),
        }
        let first = !self.spurt_heard && frame >= self.spurt_start;
        self.spurt_heard |= first;
        Verdict::Back { delay, first }
    }

    fn place(&mut self, frame: u32, timestamp: u32) {
        if let Some((last, then)) = self
            .last
            .filter(|&(last, _)| frame > last && last >= self.spurt_start)
        {
            let expected = i64::from(frame - last) * FRAME as i64;
            let difference = i64::from(timestamp.wrapping_sub(then) as i32) - expected;
            if difference > 0 {
                self.tally.insertions += 1;
                self.tally.inserted_samples += difference as u64;
            } else if difference < 0 {
                self.tally.cuts += 1;
            }
        }
        self.last = Some((frame, timestamp));
    }

    /// No more will be heard: what is still away is lost.
    pub fn close(&mut self) {
        for frame in self.next.saturating_sub(KEPT as u32)..self.next {
            let slot = frame as usize % KEPT;
            if self.sent_at[slot] & HEARD == 0 {
                self.sent_at[slot] |= HEARD;
                self.count_lost(frame);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mark::Mark;

    fn heard(frame: u32, at: u64, timestamp: u32) -> Heard {
        Heard {
            mark: Mark {
                call: 0,
                frame: (frame % MODULUS) as u16,
            },
            exact: true,
            at,
            timestamp,
        }
    }

    fn sent(count: u32) -> Ledger {
        let mut ledger = Ledger::default();
        ledger.start_spurt();
        for frame in 0..count {
            ledger.sent(u64::from(frame) * 20);
        }
        ledger
    }

    #[test]
    fn the_delay_is_from_its_own_sending() {
        let mut ledger = sent(3);
        assert_eq!(
            ledger.heard(&heard(0, 7, 0)),
            Verdict::Back {
                delay: 7,
                first: true
            }
        );
        assert_eq!(
            ledger.heard(&heard(1, 28, 160)),
            Verdict::Back {
                delay: 8,
                first: false
            }
        );
        assert_eq!(ledger.heard(&heard(1, 28, 160)), Verdict::Duplicate);
        assert_eq!(ledger.heard(&heard(3, 28, 160)), Verdict::Stale);
        ledger.close();
        let tally = ledger.tally;
        assert_eq!(
            (
                tally.sent,
                tally.heard,
                tally.lost,
                tally.duplicates,
                tally.stale
            ),
            (3, 2, 1, 1, 1)
        );
    }

    #[test]
    fn what_went_before_the_first_heard_is_counted_apart() {
        let mut ledger = sent(10);
        ledger.heard(&heard(4, 100, 0));
        ledger.heard(&heard(6, 140, 320));
        ledger.heard(&heard(5, 150, 480));
        ledger.close();
        let tally = ledger.tally;
        assert_eq!(
            (
                tally.lost_at_start,
                tally.lost,
                tally.reordered,
                tally.heard
            ),
            (4, 3, 1, 3)
        );
        assert_eq!(tally.sent, tally.heard + tally.lost + tally.lost_at_start);
    }

    #[test]
    fn numbers_wrap_and_old_ones_are_lost_exactly_once() {
        let mut ledger = Ledger::default();
        for frame in 0..3 * MODULUS {
            ledger.sent(u64::from(frame));
            if frame % 10 != 3 {
                let verdict = ledger.heard(&heard(frame, u64::from(frame) + 5, frame * 160));
                assert!(matches!(verdict, Verdict::Back { delay: 5, .. }));
            }
        }
        ledger.close();
        let expected = (0..3 * MODULUS).filter(|frame| frame % 10 == 3).count() as u64;
        assert_eq!(ledger.tally.lost, expected);
        assert_eq!(ledger.tally.first_lost, Some(3));
        assert_eq!((ledger.tally.insertions, ledger.tally.cuts), (0, 0));
    }

    #[test]
    fn an_underrun_and_a_cut_are_seen_by_the_timestamps() {
        let mut ledger = sent(6);
        for (frame, timestamp) in [(0, 0), (1, 160), (2, 480), (4, 800), (5, 900)] {
            ledger.heard(&heard(frame, 1_000, timestamp));
        }
        assert_eq!(
            (
                ledger.tally.insertions,
                ledger.tally.inserted_samples,
                ledger.tally.cuts
            ),
            (1, 160, 1)
        );
    }

    #[test]
    fn each_talkspurt_has_a_first_frame_and_its_pause_is_no_insertion() {
        let mut ledger = sent(2);
        ledger.heard(&heard(0, 5, 0));
        ledger.heard(&heard(1, 25, 160));
        ledger.start_spurt();
        ledger.sent(1_000);
        let verdict = ledger.heard(&heard(2, 1_003, 8_000));
        assert_eq!(
            verdict,
            Verdict::Back {
                delay: 3,
                first: true
            }
        );
        assert_eq!(ledger.tally.insertions, 0);
    }
}
