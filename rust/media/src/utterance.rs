//! What the agent says, by the names that it gives to it: what has been heard of which utterance, in its own words.
use crate::barge_in::Policy;
use crate::playout::UNITS;
use std::collections::VecDeque;

/// Pieces of utterances that may wait to be played; an agent that has more is told so.
pub const MAX_PIECES: usize = 256;
/// Bytes of a name, and of the words of a piece.
pub const MAX_ID: usize = 64;
/// Bytes of the words of a piece.
pub const MAX_TEXT: usize = 4_096;
/// Words of a piece whose ends may be told.
pub const MAX_WORDS: usize = 1_024;
/// How long a character of speech takes where nothing else is known.
const MILLIS_A_CHARACTER: u64 = 65;

/// A piece of an utterance begins: the agent's sound belongs to it from here on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Utterance {
    /// Its name. The name of the one before means another piece of that.
    pub id: String,
    /// What is said, if the agent tells.
    pub text: String,
    /// When each word of it ends, in milliseconds from the piece's beginning; empty, or as many as there are words.
    pub word_ends_ms: Vec<u32>,
    /// What is to happen if the caller speaks over it; `None` for the route's.
    pub policy: Option<Policy>,
}

/// What was left of the agent's utterances when its voice was cut off.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Cut {
    /// The one that was being played; empty if the sound belonged to none.
    pub id: String,
    /// How much of it was, in milliseconds.
    pub played_ms: u64,
    /// The words of it that were heard whole.
    pub text: String,
    /// Those behind it, of which nothing was heard.
    pub unheard: Vec<String>,
}

#[derive(Debug)]
struct Piece {
    utterance: Utterance,
    /// Its place in all that was ever pushed, in [`UNITS`] a second; no end as long as more may come.
    begins: u64,
    ends: Option<u64>,
}

/// The utterances that wait or are being played, in order.
#[derive(Debug, Default)]
pub struct Utterances {
    pieces: VecDeque<Piece>,
}

impl Utterances {
    /// A piece begins at `end`, where the next sound will be. `false` if too many wait; then the sound belongs to the one before.
    pub fn begin(&mut self, utterance: Utterance, left: u64, end: u64) -> bool {
        self.forget(left);
        if self.pieces.len() >= MAX_PIECES {
            return false;
        }
        self.end(end);
        self.pieces.push_back(Piece {
            utterance,
            begins: end,
            ends: None,
        });
        true
    }

    /// The last one is complete.
    pub fn end(&mut self, end: u64) {
        if let Some(last) = self.pieces.back_mut() {
            last.ends.get_or_insert(end);
        }
    }

    /// The name of the last one, if more of it may come.
    pub fn open(&self) -> Option<&str> {
        let last = self.pieces.back().filter(|last| last.ends.is_none())?;
        Some(&last.utterance.id)
    }

    /// What is to happen if the caller speaks over what leaves now; `None` if it belongs to no utterance.
    pub fn policy(&self, left: u64) -> Option<Option<Policy>> {
        let at = self.playing(left)?;
        let first = self.first_of(at);
        Some(self.pieces[first].utterance.policy)
    }

    /// The name of what leaves now.
    pub fn current(&self, left: u64) -> &str {
        self.playing(left)
            .map_or("", |at| &self.pieces[at].utterance.id)
    }

    /// The names of those that wait or are being played.
    pub fn names(&self, left: u64) -> Vec<String> {
        let waits = |piece: &&Piece| piece.ends.is_none_or(|ends| left < ends);
        let mut names: Vec<String> = Vec::new();
        for piece in self.pieces.iter().filter(waits) {
            if names.last() != Some(&piece.utterance.id) {
                names.push(piece.utterance.id.clone());
            }
        }
        names
    }

    /// The voice is cut off: all that waits is forgotten. `None` if nothing of any utterance was playing or waiting.
    pub fn cut(&mut self, left: u64, end: u64) -> Option<Cut> {
        let at = self.playing(left);
        let mut cut = Cut::default();
        let mut behind = self.pieces.len();
        if let Some(at) = at {
            cut.id.clone_from(&self.pieces[at].utterance.id);
            let first = self.first_of(at);
            behind = at + 1;
            for piece in self.pieces.range(first..=at) {
                let until = piece.ends.unwrap_or(u64::MAX).min(left);
                cut.played_ms += millis(until.saturating_sub(piece.begins));
                let words = piece.heard(left, end);
                if !cut.text.is_empty() && !words.is_empty() {
                    cut.text.push(' ');
                }
                cut.text.push_str(words);
            }
        } else {
            behind = self
                .pieces
                .iter()
                .position(|piece| piece.begins >= left)
                .unwrap_or(behind);
        }
        for piece in self.pieces.range(behind..) {
            let id = &piece.utterance.id;
            if *id != cut.id && cut.unheard.last() != Some(id) {
                cut.unheard.push(id.clone());
            }
        }
        let any = at.is_some() || !cut.unheard.is_empty();
        self.pieces.clear();
        any.then_some(cut)
    }

    /// The piece that is leaving or leaves next.
    fn playing(&self, left: u64) -> Option<usize> {
        self.pieces
            .iter()
            .position(|piece| piece.begins <= left && piece.ends.is_none_or(|ends| left < ends))
    }

    /// The first piece of the utterance that `at` is of.
    fn first_of(&self, mut at: usize) -> usize {
        while at > 0 && self.pieces[at - 1].utterance.id == self.pieces[at].utterance.id {
            at -= 1;
        }
        at
    }

    /// Utterances that have been played are forgotten, but for the last.
    fn forget(&mut self, left: u64) {
        let keep = match self.playing(left) {
            Some(at) => self.first_of(at),
            None => {
                let waits = |piece: &Piece| piece.begins > left;
                let next = self.pieces.iter().position(waits);
                let last = self.pieces.len().saturating_sub(1);
                next.unwrap_or_else(|| self.first_of(last))
            }
        };
        self.pieces.drain(..keep.min(self.pieces.len()));
    }
}

fn millis(units: u64) -> u64 {
    units / u64::from(UNITS / 1_000)
}

impl Piece {
    /// The words of which the end has left.
    fn heard(&self, left: u64, end: u64) -> &str {
        let text = self.utterance.text.trim();
        let played = millis(left.saturating_sub(self.begins));
        if self.ends.is_some_and(|ends| ends <= left) {
            return text;
        }
        let characters = text.chars().count() as u64;
        let known = millis(self.ends.unwrap_or(end).saturating_sub(self.begins));
        let lasts = match self.ends {
            Some(_) => known,
            None => known.max(characters * MILLIS_A_CHARACTER),
        };
        let ends = &self.utterance.word_ends_ms;
        let (mut heard, mut said) = (0, 0);
        for (index, (at, word)) in words(text).enumerate() {
            said += text[heard..at + word.len()].chars().count() as u64;
            let ends_at = match ends.get(index) {
                Some(&ends_at) => u64::from(ends_at),
                None => said * lasts / characters.max(1),
            };
            if ends_at > played {
                break;
            }
            heard = at + word.len();
        }
        &text[..heard]
    }
}

/// The words of a text, each with where it begins.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split_whitespace()
        .map(|word| (word.as_ptr() as usize - text.as_ptr() as usize, word))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = UNITS as u64;

    fn said(id: &str, text: &str) -> Utterance {
        Utterance {
            id: id.to_owned(),
            text: text.to_owned(),
            ..Utterance::default()
        }
    }

    #[test]
    fn words_are_heard_by_the_share_of_the_sound_that_was_played() {
        let mut all = Utterances::default();
        assert!(all.begin(said("a", "one two three four"), 0, 0));
        all.end(SECOND);
        let cut = all.cut(SECOND / 2, SECOND).expect("a cut");
        assert_eq!(
            (cut.id.as_str(), cut.played_ms, cut.text.as_str()),
            ("a", 500, "one two")
        );
        assert_eq!(all.cut(SECOND / 2, SECOND), None, "only once");
    }

    #[test]
    fn the_agents_own_timings_are_better() {
        let mut all = Utterances::default();
        let utterance = Utterance {
            word_ends_ms: vec![100, 200, 450, 1_000],
            ..said("a", "one two three four")
        };
        all.begin(utterance, 0, 0);
        let cut = all.cut(SECOND / 2, SECOND).expect("a cut");
        assert_eq!(cut.text, "one two three");
    }

    #[test]
    fn pieces_of_one_name_are_one_utterance_and_what_waits_behind_is_unheard() {
        let mut all = Utterances::default();
        all.begin(said("a", "Hello."), 0, 0);
        all.begin(said("a", "How are you?"), 0, SECOND);
        all.begin(said("b", "Well?"), 0, 2 * SECOND);
        all.begin(said("b", "Hm?"), 0, 3 * SECOND);
        all.begin(said("c", "Bye."), 0, 4 * SECOND);
        assert_eq!(all.open(), Some("c"));
        let left = SECOND * 3 / 2;
        assert_eq!(all.current(left), "a");
        let cut = all.cut(left, 5 * SECOND).expect("a cut");
        assert_eq!((cut.played_ms, cut.text.as_str()), (1_500, "Hello. How"));
        assert_eq!(cut.unheard, ["b", "c"]);
    }

    #[test]
    fn an_utterance_that_still_comes_is_as_long_as_its_words_take() {
        let mut all = Utterances::default();
        // 40 characters: about 2.6 s, of which 100 ms have come.
        all.begin(said("a", "one two three four five six seven eight."), 0, 0);
        let cut = all.cut(SECOND / 10, SECOND / 10).expect("a cut");
        assert_eq!((cut.played_ms, cut.text.as_str()), (100, ""));
    }

    #[test]
    fn sound_of_no_utterance_is_nobodys() {
        let mut all = Utterances::default();
        assert_eq!(all.policy(0), None);
        all.begin(said("a", "x"), 0, 0);
        all.end(SECOND);
        assert_eq!(all.policy(SECOND / 2), Some(None));
        assert_eq!((all.policy(SECOND), all.current(SECOND)), (None, ""));
        assert_eq!(all.cut(SECOND, 2 * SECOND), None);
    }

    #[test]
    fn what_was_played_is_forgotten_and_too_many_are_refused() {
        let mut all = Utterances::default();
        for n in 0..10_000 {
            assert!(all.begin(said(&n.to_string(), "x"), n * SECOND, n * SECOND));
        }
        assert!(all.pieces.len() <= 2);
        let mut all = Utterances::default();
        let kept = (0..1_000)
            .filter(|n| all.begin(said(&n.to_string(), "x"), 0, n * SECOND))
            .count();
        assert_eq!(kept, MAX_PIECES);
    }
}
