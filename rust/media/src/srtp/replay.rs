//! Which packet indices have been seen (RFC 3711 sections 3.3.1 and 3.3.2).

/// How far behind the newest packet another is still taken, in packets: 2.5 s of the usual 20 ms.
pub const WINDOW: u64 = 128;
/// One more than the highest index of RTP: 32 bits of rollovers, 16 of sequence number.
pub(super) const RTP_INDICES: u64 = 1 << 48;
/// One more than the highest index of RTCP.
pub(super) const RTCP_INDICES: u64 = 1 << 31;

/// The newest index of a stream, and which of those right before it have come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Window {
    highest: u64,
    /// Bit n stands for `highest - n`.
    seen: u128,
}

impl Window {
    /// A stream whose first packet has this index.
    pub fn new(index: u64) -> Self {
        Window {
            highest: index,
            seen: 1,
        }
    }

    /// A stream that was forgotten but for its newest index: nothing up to it is taken again.
    pub fn beyond(index: u64) -> Self {
        Window {
            highest: index,
            seen: u128::MAX,
        }
    }

    /// The newest index.
    pub fn highest(&self) -> u64 {
        self.highest
    }

    /// Whether a packet of this index would be new.
    pub fn is_new(&self, index: u64) -> bool {
        match self.highest.checked_sub(index) {
            None => true,
            Some(behind) => behind < WINDOW && self.seen & 1 << behind == 0,
        }
    }

    /// A packet of this index has come, and it is authentic.
    pub fn add(&mut self, index: u64) {
        if let Some(behind) = self.highest.checked_sub(index) {
            if behind < WINDOW {
                self.seen |= 1 << behind;
            }
        } else {
            let step = index - self.highest;
            self.seen = if step < WINDOW {
                self.seen << step | 1
            } else {
                1
            };
            self.highest = index;
        }
    }

    /// The index that a sequence number stands for: the nearest to the newest one. Before the first rollover there is nothing behind it,
    /// so a number that seems to lie there is far ahead.
    pub fn guess(&self, sequence: u16) -> u64 {
        let (rollovers, newest) = (self.highest >> 16, self.highest as u16);
        let rollovers = if newest < 0x8000 {
            rollovers.saturating_sub(u64::from(i32::from(sequence) - i32::from(newest) > 0x8000))
        } else {
            rollovers + u64::from(newest - 0x8000 > sequence)
        };
        rollovers << 16 | u64::from(sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_index_is_new_once_and_only_within_the_window() {
        let mut window = Window::new(1_000);
        assert!(!window.is_new(1_000));
        assert!(window.is_new(999) && window.is_new(873) && !window.is_new(872));
        window.add(873);
        window.add(1_001);
        assert!(!window.is_new(873), "it has left the window");
        assert!(window.is_new(999) && window.is_new(874) && !window.is_new(1_000));
        window.add(1_128);
        assert!(!window.is_new(1_000) && !window.is_new(1_001) && window.is_new(1_002));
        window.add(5_000_000);
        assert!(!window.is_new(5_000_000) && window.is_new(4_999_999) && !window.is_new(1_200));
        assert!((0..=128).all(|behind| !Window::beyond(500).is_new(500 - behind)));
        assert!(Window::beyond(500).is_new(501));
    }

    #[test]
    fn the_window_agrees_with_a_list_of_all_that_was_seen() {
        let mut window = Window::new(500);
        let mut seen = std::collections::BTreeSet::from([500u64]);
        let mut random = 0x9e37_79b9_7f4a_7c15u64;
        for _ in 0..20_000 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let highest = *seen.last().expect("never empty");
            let index = (highest + random % 40).saturating_sub(random >> 32 & 0xff);
            let fresh = index + WINDOW > highest && !seen.contains(&index);
            assert_eq!(window.is_new(index), fresh, "{index} of {highest}");
            if fresh {
                window.add(index);
                seen.insert(index);
            }
        }
    }

    /// RFC 3711 section 3.3.1 and appendix A.
    #[test]
    fn a_sequence_number_stands_for_the_nearest_index() {
        let at = |rollovers: u64, sequence: u64| Window::new(rollovers << 16 | sequence);
        let index = |rollovers: u64, sequence: u64| rollovers << 16 | sequence;
        for (newest, sequence, expected) in [
            ((0, 10), 11, (0, 11)),
            ((0, 10), 9, (0, 9)),
            ((0, 65_535), 0, (1, 0)),
            ((0, 65_000), 3, (1, 3)),
            ((1, 3), 65_530, (0, 65_530)),
            ((1, 3), 4, (1, 4)),
            ((7, 0x7fff), 0xfffe, (7, 0xfffe)),
            ((7, 0x7fff), 0xffff, (7, 0xffff)),
            ((7, 0x7ffe), 0xffff, (6, 0xffff)),
            ((7, 0x8000), 0, (7, 0)),
            ((7, 0x8001), 0, (8, 0)),
            // Nothing lies before the first rollover: the number is ahead, however far.
            ((0, 10), 60_000, (0, 60_000)),
        ] {
            let guess = at(newest.0, newest.1).guess(sequence);
            assert_eq!(
                guess,
                index(expected.0, expected.1),
                "{newest:?} {sequence}"
            );
        }
    }
}
