//! A timer wheel with slots of one millisecond: arming and firing cost the same whatever the number of calls.

/// One slot, in nanoseconds.
pub const TICK_NS: u64 = 1_000_000;
/// Slots; a deadline beyond them waits in the last one and is put off when that comes up.
const SLOTS: u64 = 1024;
const WORDS: usize = (SLOTS / 64) as usize;

/// Deadlines of numbered owners, rounded up to whole ticks, so that owners whose deadlines are a whole number of ticks
/// apart stay exactly so.
///
/// Each owner has one deadline at a time. The wheel doesn't unlink: an entry that comes up early is asked against the
/// owner's current deadline and put off, one whose owner has none any more is dropped.
#[derive(Debug)]
pub struct TimerWheel {
    slots: Vec<Vec<u32>>,
    occupied: [u64; WORDS],
    /// The first tick that has not been fired yet.
    cursor: u64,
    /// Per owner: the tick it wants, and the earliest tick at which an entry of it stands in the wheel.
    deadlines: Vec<Deadline>,
    /// Owners of the slots that are being fired, kept for its room.
    scratch: Vec<u32>,
}

#[derive(Debug, Clone, Copy)]
struct Deadline {
    wanted: u64,
    entered: u64,
}

const NEVER: u64 = u64::MAX;

impl TimerWheel {
    /// An empty wheel that starts at `now_ns`.
    #[must_use]
    pub fn new(now_ns: u64) -> Self {
        Self {
            slots: (0..SLOTS).map(|_| Vec::new()).collect(),
            occupied: [0; WORDS],
            cursor: now_ns / TICK_NS,
            deadlines: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// Set the owner's deadline in place of the one it had; `None` disarms it.
    pub fn arm(&mut self, owner: u32, deadline_ns: Option<u64>) {
        let index = owner as usize;
        if index >= self.deadlines.len() {
            self.deadlines.resize(
                index + 1,
                Deadline {
                    wanted: NEVER,
                    entered: NEVER,
                },
            );
        }
        let wanted = deadline_ns.map_or(NEVER, |ns| ns.div_ceil(TICK_NS).max(self.cursor));
        self.deadlines[index].wanted = wanted;
        // An entry that stands earlier will find the new deadline by itself.
        if wanted < self.deadlines[index].entered {
            self.enter(owner, wanted);
        }
    }

    /// Append the owners whose deadlines have come to `due`; each is disarmed by that.
    pub fn expire(&mut self, now_ns: u64, due: &mut Vec<u32>) {
        let now = now_ns / TICK_NS;
        // After a long pause one turn of the wheel visits every entry there is.
        let first = self.cursor.max((now + 1).saturating_sub(SLOTS));
        let mut owners = std::mem::take(&mut self.scratch);
        for tick in first..=now {
            let slot = (tick % SLOTS) as usize;
            if self.occupied[slot / 64] & (1 << (slot % 64)) != 0 {
                self.occupied[slot / 64] &= !(1 << (slot % 64));
                owners.append(&mut self.slots[slot]);
            }
        }
        self.cursor = self.cursor.max(now + 1);
        // Only once all slots are empty may owners be entered anew, or they would land in one still to be visited.
        for owner in owners.drain(..) {
            let deadline = &mut self.deadlines[owner as usize];
            if deadline.entered > now {
                // An older entry of an owner that has since been entered elsewhere.
                continue;
            }
            deadline.entered = NEVER;
            if deadline.wanted <= now {
                deadline.wanted = NEVER;
                due.push(owner);
            } else if deadline.wanted != NEVER {
                let wanted = deadline.wanted;
                self.enter(owner, wanted);
            }
        }
        self.scratch = owners;
    }

    /// When the next slot with an entry comes up, `None` if the wheel is empty.
    #[must_use]
    pub fn next(&self) -> Option<u64> {
        let start = (self.cursor % SLOTS) as usize;
        for step in 0..=WORDS {
            let word = (start / 64 + step) % WORDS;
            let mut bits = self.occupied[word];
            if step == 0 {
                bits &= !0 << (start % 64);
            } else if step == WORDS {
                bits &= !(!0 << (start % 64));
            }
            if bits != 0 {
                let slot = (word * 64) as u64 + u64::from(bits.trailing_zeros());
                let ahead = (slot + SLOTS - start as u64) % SLOTS;
                return Some((self.cursor + ahead) * TICK_NS);
            }
        }
        None
    }

    fn enter(&mut self, owner: u32, wanted: u64) {
        let tick = wanted.min(self.cursor + SLOTS - 1);
        let slot = (tick % SLOTS) as usize;
        self.slots[slot].push(owner);
        self.occupied[slot / 64] |= 1 << (slot % 64);
        self.deadlines[owner as usize].entered = tick;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: u64 = 1_000_000;
    const NOBODY: [u32; 0] = [];

    fn fire(wheel: &mut TimerWheel, now: u64) -> Vec<u32> {
        let mut due = Vec::new();
        wheel.expire(now, &mut due);
        due.sort_unstable();
        due
    }

    #[test]
    fn a_deadline_fires_once_and_never_early() {
        let mut wheel = TimerWheel::new(0);
        wheel.arm(3, Some(20 * MS + 1));
        assert_eq!(wheel.next(), Some(21 * MS));
        assert_eq!(fire(&mut wheel, 20 * MS + 999_999), NOBODY);
        assert_eq!(fire(&mut wheel, 21 * MS), [3]);
        assert_eq!(wheel.next(), None);
        assert_eq!(fire(&mut wheel, 60 * MS), NOBODY);
    }

    #[test]
    fn moving_a_deadline_either_way_leaves_one() {
        let mut wheel = TimerWheel::new(0);
        wheel.arm(1, Some(10 * MS));
        wheel.arm(1, Some(30 * MS));
        assert_eq!(fire(&mut wheel, 10 * MS), NOBODY, "put off");
        wheel.arm(1, Some(20 * MS));
        assert_eq!(fire(&mut wheel, 25 * MS), [1]);
        assert_eq!(fire(&mut wheel, 40 * MS), NOBODY);
        wheel.arm(1, Some(50 * MS));
        wheel.arm(1, None);
        assert_eq!(fire(&mut wheel, 60 * MS), NOBODY);
    }

    #[test]
    fn a_deadline_beyond_the_wheel_is_put_off_until_it_comes() {
        let mut wheel = TimerWheel::new(0);
        wheel.arm(1, Some(60_000 * MS));
        let mut turns = 0;
        let mut now;
        loop {
            now = wheel.next().expect("armed");
            turns += 1;
            if fire(&mut wheel, now) == [1] {
                break;
            }
        }
        assert_eq!(now, 60_000 * MS);
        assert!(turns < 70, "{turns}");
    }

    #[test]
    fn a_long_pause_loses_nobody() {
        let mut wheel = TimerWheel::new(0);
        for owner in 0..100 {
            wheel.arm(owner, Some(u64::from(owner) * 15 * MS));
        }
        assert_eq!(
            fire(&mut wheel, 50_000 * MS),
            (0..100).collect::<Vec<u32>>()
        );
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_sorted_list(steps in proptest::collection::vec((0u32..8, 0u64..3_000, 0u64..400), 1..200)) {
            let mut wheel = TimerWheel::new(0);
            let mut model: [Option<u64>; 8] = [None; 8];
            let (mut now, mut cursor) = (0, 0);
            for (owner, after, step) in steps {
                let deadline = now + after * MS;
                wheel.arm(owner, Some(deadline));
                model[owner as usize] = Some(deadline.max(cursor));
                now += step * MS;
                let next = wheel.next().expect("somebody is armed");
                prop_assert!(next <= model.iter().flatten().copied().min().expect("somebody is armed"));
                let due = fire(&mut wheel, now);
                cursor = now + MS;
                let mut expected: Vec<u32> = Vec::new();
                for (index, slot) in model.iter_mut().enumerate() {
                    if slot.is_some_and(|deadline| deadline <= now) {
                        *slot = None;
                        expected.push(index as u32);
                    }
                }
                prop_assert_eq!(due, expected);
            }
        }
    }
}
