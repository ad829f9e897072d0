//! Frames on their way from a media thread to the writer: one end each, no lock, no allocation once it is made.
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

use super::track::Side;
use crate::clock::Time;
use crate::codec::Encoding;

/// Words of an entry before its sound.
const HEAD: usize = 3;
/// How much of the caller's sound is held back where that is asked for: 80 ms, in ticks of 8 kHz.
const HELD_TICKS: u64 = 640;
/// Entries held back at most: twice what packets of 10 ms both ways need.
const MAX_HELD: usize = 32;

/// The sound of a frame, as it is at hand.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sound<'a> {
    /// As samples of this encoding, a byte or two each.
    Coded(Encoding, &'a [u8]),
    /// Decoded.
    Linear(&'a [i16]),
}

/// What an entry says beside its sound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Head {
    pub side: Side,
    /// It begins a talkspurt.
    pub begins: bool,
    /// Samples a second.
    pub rate: u32,
    /// When it came or left.
    pub at: Time,
    /// Where its sound begins in its own timeline, in ticks of 8 kHz.
    pub position: u64,
}

#[derive(Debug)]
struct Ring {
    /// A power of two of them.
    words: Box<[AtomicU64]>,
    read: AtomicUsize,
    written: AtomicUsize,
    origin: AtomicU64,
    end: AtomicU64,
    dropped: AtomicU64,
    closed: AtomicBool,
    abandoned: AtomicBool,
}

/// The end that the media thread has.
#[derive(Debug)]
pub(super) struct Sender {
    ring: Arc<Ring>,
    written: usize,
    read: usize,
    holds: bool,
    /// What the writer may not read yet, oldest first.
    held: VecDeque<Held>,
}

/// An entry that is held back.
#[derive(Clone, Copy, Debug)]
struct Held {
    begin: usize,
    end: usize,
    side: Side,
    position: u64,
    silence: u64,
}

/// The end that the writer has.
#[derive(Debug)]
pub(super) struct Receiver {
    ring: Arc<Ring>,
    read: usize,
}

/// A ring of at least so many bytes.
pub(super) fn ring(bytes: usize) -> (Sender, Receiver) {
    let words = bytes.div_ceil(8).next_power_of_two();
    let ring = Arc::new(Ring {
        words: (0..words).map(|_| AtomicU64::new(0)).collect(),
        read: AtomicUsize::new(0),
        written: AtomicUsize::new(0),
        origin: AtomicU64::new(0),
        end: AtomicU64::new(0),
        dropped: AtomicU64::new(0),
        closed: AtomicBool::new(false),
        abandoned: AtomicBool::new(false),
    });
    let sender = Sender {
        ring: Arc::clone(&ring),
        written: 0,
        read: 0,
        holds: false,
        held: VecDeque::with_capacity(MAX_HELD),
    };
    (sender, Receiver { ring, read: 0 })
}

impl Ring {
    fn word(&self, at: usize) -> &AtomicU64 {
        &self.words[at & (self.words.len() - 1)]
    }
}

impl Sender {
    /// The recording's time begins here.
    pub fn set_origin(&mut self, origin: Time) {
        self.ring.origin.store(origin.as_nanos(), Relaxed);
    }

    /// The recording's time ends here; nothing follows.
    pub fn close(&mut self, end: Time) {
        self.hold(false);
        self.ring.end.fetch_max(end.as_nanos(), Relaxed);
        self.ring.closed.store(true, Release);
    }

    /// Whether entries are held back until 80 ms more of the caller's sound have come.
    pub fn hold(&mut self, on: bool) {
        self.holds = on;
        if !on {
            self.held.clear();
            self.ring.written.store(self.written, Release);
        }
    }

    /// The caller's sound that is held back becomes silence.
    pub fn hush(&mut self) {
        for held in self.held.iter().filter(|held| held.side == Side::Caller) {
            for at in held.begin + HEAD..held.end {
                self.ring.word(at).store(held.silence, Relaxed);
            }
        }
    }

    /// Gives the writer what need not be held back any longer.
    fn publish(&mut self, head: Head) {
        while let Some(&held) = self.held.front() {
            let is_old = match held.side {
                Side::Caller if head.side == Side::Caller => {
                    head.position >= held.position + HELD_TICKS
                }
                Side::Caller => false,
                Side::Agent => true,
            };
            if !is_old && self.held.len() < MAX_HELD {
                return;
            }
            self.held.pop_front();
            self.ring.written.store(held.end, Release);
        }
    }

    /// Puts a frame in; one without room is dropped and counted.
    pub fn push(&mut self, head: Head, sound: Sound<'_>) {
        let ring = &*self.ring;
        let (encoding, len) = match sound {
            Sound::Coded(encoding, bytes) => (encoding, bytes.len()),
            Sound::Linear(samples) => (Encoding::Pcm16Le, 2 * samples.len()),
        };
        let code = match encoding {
            Encoding::Pcmu => 0,
            Encoding::Pcma => 1,
            Encoding::Pcm16Le => 2,
        };
        let words = HEAD + len.div_ceil(8);
        if self.written - self.read + words > ring.words.len() {
            self.read = ring.read.load(Acquire);
        }
        if self.written - self.read + words > ring.words.len() {
            // A writer that has given up is no overflow: that recording is told as failed.
            if !ring.abandoned.load(Relaxed) {
                ring.dropped.store(ring.dropped.load(Relaxed) + 1, Relaxed);
            }
            return;
        }
        let side = match head.side {
            Side::Caller => 0,
            Side::Agent => 1,
        };
        let what = side
            | u64::from(head.begins) << 1
            | code << 8
            | u64::from(head.rate / 1_000) << 16
            | (len as u64) << 32;
        let mut at = self.written;
        let mut put = |word: u64| {
            ring.word(at).store(word, Relaxed);
            at += 1;
        };
        put(what);
        put(head.at.as_nanos());
        put(head.position);
        match sound {
            Sound::Coded(_, bytes) => {
                for eight in bytes.chunks(8) {
                    let mut word = [0; 8];
                    word[..eight.len()].copy_from_slice(eight);
                    put(u64::from_le_bytes(word));
                }
            }
            Sound::Linear(samples) => {
                for four in samples.chunks(4) {
                    let mut word = 0;
                    for (index, &sample) in four.iter().enumerate() {
                        word |= u64::from(sample as u16) << (16 * index);
                    }
                    put(word);
                }
            }
        }
        let begin = std::mem::replace(&mut self.written, at);
        if self.holds {
            self.publish(head);
            self.held.push_back(Held {
                begin,
                end: at,
                side: head.side,
                position: head.position,
                silence: u64::from_le_bytes([encoding.silence(); 8]),
            });
        } else {
            ring.written.store(at, Release);
        }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.hold(false);
        self.ring.closed.store(true, Release);
    }
}

impl Receiver {
    /// Where the recording's time begins; known once the first frame has come or it is closed.
    pub fn origin(&self) -> Time {
        Time::from_nanos(self.ring.origin.load(Relaxed))
    }

    /// Frames that had no room so far.
    pub fn dropped(&self) -> u64 {
        self.ring.dropped.load(Relaxed)
    }

    /// Where its time ends, if no frame follows those that are in. To be asked before the frames are taken.
    pub fn closed(&self) -> Option<Time> {
        self.ring
            .closed
            .load(Acquire)
            .then(|| Time::from_nanos(self.ring.end.load(Relaxed)))
    }

    /// Takes the next frame, its samples to the end of `samples`.
    pub fn next(&mut self, samples: &mut Vec<i16>) -> Option<Head> {
        let ring = &*self.ring;
        if ring.written.load(Acquire) == self.read {
            return None;
        }
        let mut at = self.read;
        let mut take = || {
            let word = ring.word(at).load(Relaxed);
            at += 1;
            word
        };
        let what = take();
        let head = Head {
            side: if what & 1 == 0 {
                Side::Caller
            } else {
                Side::Agent
            },
            begins: what & 2 != 0,
            rate: (what >> 16 & 0xffff) as u32 * 1_000,
            at: Time::from_nanos(take()),
            position: take(),
        };
        let encoding = match what >> 8 & 0xff {
            0 => Encoding::Pcmu,
            1 => Encoding::Pcma,
            _ => Encoding::Pcm16Le,
        };
        let mut left = (what >> 32) as usize;
        while left > 0 {
            let word = take().to_le_bytes();
            let bytes = &word[..left.min(8)];
            let from = samples.len();
            samples.resize(from + bytes.len() / encoding.sample_bytes(), 0);
            encoding.read(bytes, &mut samples[from..]);
            left -= bytes.len();
        }
        self.read = at;
        ring.read.store(at, Release);
        Some(head)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.ring.abandoned.store(true, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(position: u64) -> Head {
        Head {
            side: Side::Agent,
            begins: position.is_multiple_of(3),
            rate: 16_000,
            at: Time::from_millis(position),
            position,
        }
    }

    #[test]
    fn frames_come_out_as_they_went_in_however_often_the_ring_goes_round() {
        let (mut sender, mut receiver) = ring(1_024);
        for round in 0..100u64 {
            let spoken: Vec<i16> = (0..round as i16 % 40 + 1)
                .map(|n| n * 700 - 9_000)
                .collect();
            sender.push(head(round), Sound::Linear(&spoken));
            sender.push(head(round), Sound::Coded(Encoding::Pcma, &[0xd5; 13]));
            let mut samples = Vec::new();
            assert_eq!(receiver.next(&mut samples), Some(head(round)));
            assert_eq!(samples, spoken);
            samples.clear();
            assert_eq!(receiver.next(&mut samples), Some(head(round)));
            assert_eq!(samples, [8; 13]);
            assert_eq!(receiver.next(&mut samples), None);
        }
        assert_eq!(receiver.dropped(), 0);
    }

    #[test]
    fn what_is_held_back_can_still_be_hushed_and_then_goes_on_in_order() {
        let (mut sender, mut receiver) = ring(16_384);
        let caller = |n: u64| Head {
            side: Side::Caller,
            ..head(160 * n)
        };
        sender.push(caller(0), Sound::Linear(&[1; 160]));
        sender.hold(true);
        for n in 1..8 {
            sender.push(caller(n), Sound::Coded(Encoding::Pcmu, &[0x10; 160]));
            sender.push(head(160 * n), Sound::Linear(&[2; 160]));
        }
        sender.hush();
        let mut seen = Vec::new();
        let mut take = |receiver: &mut Receiver| {
            let mut samples = Vec::new();
            while let Some(head) = receiver.next(&mut samples) {
                seen.push((head.side, head.position / 160, samples[0]));
                samples.clear();
            }
            seen.len()
        };
        assert_eq!(
            take(&mut receiver),
            7,
            "the last four of the caller are held"
        );
        sender.hold(false);
        assert_eq!(take(&mut receiver), 15);
        let loud = |&&(side, _, sample): &&(Side, u64, i16)| side == Side::Caller && sample != 0;
        let heard: Vec<u64> = seen.iter().filter(loud).map(|&(_, n, _)| n).collect();
        assert_eq!(heard, [0, 1, 2, 3]);
        assert!(
            seen.iter()
                .all(|&(side, _, sample)| side == Side::Caller || sample == 2)
        );
    }

    #[test]
    fn what_has_no_room_is_counted_and_the_rest_stays_whole() {
        let (mut sender, mut receiver) = ring(1_024);
        for n in 0..20 {
            sender.push(head(n), Sound::Linear(&[n as i16; 40]));
        }
        let mut seen = Vec::new();
        let mut samples = Vec::new();
        while let Some(head) = receiver.next(&mut samples) {
            seen.push(head.position);
        }
        assert_eq!(seen.len() as u64 + receiver.dropped(), 20);
        assert_eq!(seen, (0..seen.len() as u64).collect::<Vec<_>>());
        sender.push(head(30), Sound::Linear(&[]));
        assert!(receiver.next(&mut samples).is_some(), "room again");
    }

    #[test]
    fn another_thread_hears_all_of_it_in_order() {
        let (mut sender, mut receiver) = ring(4_096);
        let speaker = std::thread::spawn(move || {
            for n in 0..20_000u64 {
                sender.push(head(n), Sound::Linear(&[n as i16; 160]));
            }
            sender.close(Time::from_millis(7));
        });
        let (mut heard, mut last) = (0, None);
        loop {
            let closed = receiver.closed();
            let mut samples = Vec::new();
            while let Some(head) = receiver.next(&mut samples) {
                assert!(last < Some(head.position));
                assert!(samples.iter().all(|&sample| sample == head.position as i16));
                last = Some(head.position);
                samples.clear();
                heard += 1;
            }
            if let Some(end) = closed {
                assert_eq!(end, Time::from_millis(7));
                break;
            }
        }
        speaker.join().expect("it spoke");
        assert_eq!(heard + receiver.dropped(), 20_000);
    }
}
