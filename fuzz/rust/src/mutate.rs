//! Changes to a seed: bits, words that matter to the reader, deletions, repetitions, and lengths at their limits.
use crate::random::Random;

/// `seed`, changed in one to six places and at most `limit` long.
pub fn mutate(seed: &[u8], words: &[&[u8]], random: &mut Random, limit: usize) -> Vec<u8> {
    let mut value = seed.to_vec();
    for _ in 0..*random.pick(&[1, 1, 1, 2, 3, 6]) {
        let at = random.below(value.len() + 1);
        let end = (at + random.pick(&[1, 1, 2, 4, 16, 80])).min(value.len());
        match random.below(9) {
            0 if at < value.len() => value[at] ^= 1 << random.below(8),
            1 if at < value.len() => value[at] = *random.pick(&[0, 1, 0x7f, 0x80, 0xff]),
            2 if !words.is_empty() => {
                let word = *random.pick(words);
                value.splice(at..at, word.iter().copied());
            }
            3 if !words.is_empty() => {
                let word = *random.pick(words);
                value.splice(at..end, word.iter().copied());
            }
            4 => drop(value.drain(at..end)),
            5 => {
                let again = value[at..end].repeat(*random.pick(&[1, 2, 10, 300]));
                value.splice(at..at, again);
            }
            6 => {
                let noise = random.bytes(end - at);
                value.splice(at..end, noise);
            }
            7 => value.truncate(at),
            _ => value.insert(at, random.next() as u8),
        }
    }
    value.truncate(limit);
    value
}

/// The same bytes in pieces of random lengths, empty ones among them.
pub fn pieces<'a>(bytes: &'a [u8], random: &mut Random) -> Vec<&'a [u8]> {
    let mut rest = bytes;
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (piece, after) =
            rest.split_at((*random.pick(&[0, 1, 1, 2, 3, 7, 40, 1_000])).min(rest.len()));
        found.push(piece);
        rest = after;
    }
    found
}
