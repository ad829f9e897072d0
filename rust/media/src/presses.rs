//! One event per press, however many ways the peer tells of it.
use crate::clock::Time;
use crate::telephone_event::Digit;
use std::time::Duration;

/// How a press came to us.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PressedBy {
    /// Telephone events (RFC 4733).
    Event,
    /// SIP INFO.
    Info,
    /// Tones in the sound.
    Tone,
}

impl PressedBy {
    /// Its name in events.
    pub fn name(self) -> &'static str {
        match self {
            Self::Event => "rfc4733",
            Self::Info => "info",
            Self::Tone => "inband",
        }
    }
}

/// The ways of a press are this far apart at most: an INFO may have had to be sent again.
const APART: Duration = Duration::from_secs(2);
/// Presses that are remembered: more than anybody types in that time.
const KEPT: usize = 32;

#[derive(Clone, Copy, Debug)]
struct Told {
    digit: Digit,
    began: Time,
    ended: Time,
    /// The ways by which it has come.
    ways: [bool; 3],
}

/// What was told of late. A press that comes another way is matched with the oldest of the same digit that has not come that way yet: so of two
/// quick presses of one key, each told twice, two are left.
#[derive(Debug)]
pub struct Presses {
    told: [Option<Told>; KEPT],
    next: usize,
}

impl Default for Presses {
    fn default() -> Self {
        Presses {
            told: [None; KEPT],
            next: 0,
        }
    }
}

impl Presses {
    /// Whether a press that has lasted from `began` to `ended` is a new one; `false` if it was told already, as it came another way.
    pub fn is_new(&mut self, digit: Digit, by: PressedBy, began: Time, ended: Time) -> bool {
        let (before, after) = self.told.split_at_mut(self.next);
        let twin = after.iter_mut().chain(before).flatten().find(|told| {
            let apart = (began - told.ended).max(told.began - ended);
            told.digit == digit && !told.ways[by as usize] && apart <= APART
        });
        if let Some(twin) = twin {
            twin.ways[by as usize] = true;
            return false;
        }
        let mut ways = [false; 3];
        ways[by as usize] = true;
        self.told[self.next] = Some(Told {
            digit,
            began,
            ended,
            ways,
        });
        self.next = (self.next + 1) % KEPT;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use PressedBy::{Event, Info, Tone};

    /// Plays (key, way, began and ended in ms) and returns what is told.
    fn told(presses: &[(char, PressedBy, u64, u64)]) -> String {
        let mut known = Presses::default();
        presses
            .iter()
            .filter(|&&(key, by, began, ended)| {
                let digit = Digit::from_char(key).expect("a key");
                let at = |millis| Time::from_millis(10_000 + millis);
                known.is_new(digit, by, at(began), at(ended))
            })
            .map(|&(key, ..)| key)
            .collect()
    }

    #[test]
    fn a_press_that_comes_two_or_three_ways_is_told_once() {
        assert_eq!(told(&[('5', Event, 0, 120), ('5', Info, 130, 130)]), "5");
        assert_eq!(told(&[('5', Info, 10, 10), ('5', Event, 0, 120)]), "5");
        let all = [
            ('5', Tone, 0, 110),
            ('5', Info, 10, 10),
            ('5', Event, 0, 120),
        ];
        assert_eq!(told(&all), "5");
    }

    #[test]
    fn the_same_key_again_the_same_way_is_another_press() {
        assert_eq!(told(&[('5', Event, 0, 60), ('5', Event, 100, 160)]), "55");
        assert_eq!(told(&[('5', Info, 0, 0), ('5', Info, 1, 1)]), "55");
    }

    #[test]
    fn of_quick_presses_each_has_its_twin() {
        let presses = [
            ('5', Event, 0, 60),
            ('5', Event, 100, 160),
            ('5', Info, 200, 200),
            ('1', Info, 210, 210),
            ('5', Info, 300, 300),
            ('5', Info, 310, 310),
        ];
        assert_eq!(told(&presses), "5515");
    }

    #[test]
    fn a_key_held_for_long_is_the_press_that_its_info_told_at_the_start() {
        assert_eq!(told(&[('9', Info, 5, 5), ('9', Event, 0, 8_000)]), "9");
        assert_eq!(told(&[('9', Event, 0, 8_000), ('9', Info, 5, 5)]), "9");
    }

    #[test]
    fn presses_far_apart_are_two() {
        assert_eq!(
            told(&[('5', Event, 0, 60), ('5', Info, 2_100, 2_100)]),
            "55"
        );
    }
}
