//! What waits to be written to the agent's socket: a bounded queue of whole frames in one buffer.
//!
//! Audio that a slow agent doesn't take is worthless when it gets there late, so the oldest goes first. Control messages
//! are never dropped; a queue full of them is the end of the wire.

use std::collections::VecDeque;

use super::websocket::KEEP_CAPACITY;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Caller audio of so many microseconds.
    Audio { micros: u32 },
    /// Everything that must arrive.
    Control,
    /// Only the last pong is worth anything (RFC 6455 section 5.5.3).
    Pong,
}

#[derive(Debug)]
struct Entry {
    length: usize,
    kind: Kind,
}

#[derive(Debug, Default)]
pub(super) struct Outgoing {
    bytes: Vec<u8>,
    start: usize,
    entries: VecDeque<Entry>,
    /// Bytes of the first entry that have been written; what is begun must be ended.
    begun: usize,
    audio_bytes: usize,
    control_bytes: usize,
}

impl Outgoing {
    /// Append one frame, which `write` writes.
    pub fn push(&mut self, kind: Kind, write: impl FnOnce(&mut Vec<u8>)) {
        if kind == Kind::Pong {
            self.drop_first(|kind| kind == Kind::Pong);
        }
        let before = self.bytes.len();
        write(&mut self.bytes);
        let length = self.bytes.len() - before;
        *self.counter(kind) += length;
        self.entries.push_back(Entry { length, kind });
    }

    /// Drop the oldest audio frame of which nothing has been written, and say how long it was.
    pub fn drop_oldest_audio(&mut self) -> Option<u32> {
        match self.drop_first(|kind| matches!(kind, Kind::Audio { .. })) {
            Some(Kind::Audio { micros }) => Some(micros),
            _ => None,
        }
    }

    /// Whether [`Self::take`] would take anything.
    pub fn has_takeable(&self, credit: u64) -> bool {
        match self.entries.front() {
            None => false,
            Some(Entry {
                kind: Kind::Audio { micros },
                ..
            }) => u64::from(*micros) <= credit || self.control_bytes > 0,
            Some(_) => true,
        }
    }

    /// Move frames to the end of `out`, in order, whole, about `bytes` of them and one at least; audio as far as `credit`
    /// goes, in microseconds. Control does not wait behind audio that has no credit. What `out` got is the result.
    pub fn take(&mut self, bytes: usize, credit: &mut u64, out: &mut Vec<u8>) -> usize {
        debug_assert_eq!(self.begun, 0, "a queue is either taken from or written");
        let before = out.len();
        while let Some(first) = self.entries.front()
            && out.len() - before < bytes
        {
            match first.kind {
                Kind::Audio { micros } if u64::from(micros) > *credit => {
                    self.take_control(out);
                    break;
                }
                Kind::Audio { micros } => *credit -= u64::from(micros),
                Kind::Control | Kind::Pong => {}
            }
            let length = first.length;
            out.extend_from_slice(&self.bytes[self.start..self.start + length]);
            self.written(length);
        }
        out.len() - before
    }

    /// Move all that is not audio to the end of `out`.
    pub fn take_control(&mut self, out: &mut Vec<u8>) {
        if self.control_bytes == 0 {
            return;
        }
        let mut offset = self.start;
        for entry in &self.entries {
            if !matches!(entry.kind, Kind::Audio { .. }) {
                out.extend_from_slice(&self.bytes[offset..offset + entry.length]);
            }
            offset += entry.length;
        }
        while self
            .drop_first(|kind| !matches!(kind, Kind::Audio { .. }))
            .is_some()
        {}
    }

    /// Drop everything of which nothing has been written.
    pub fn drop_unbegun(&mut self) {
        while self.drop_first(|_| true).is_some() {}
    }

    fn drop_first(&mut self, wanted: impl Fn(Kind) -> bool) -> Option<Kind> {
        let mut offset = self.start;
        for (index, entry) in self.entries.iter().enumerate() {
            let rest = if index == 0 {
                entry.length - self.begun
            } else {
                entry.length
            };
            if wanted(entry.kind) && (index > 0 || self.begun == 0) {
                self.bytes.drain(offset..offset + rest);
                let entry = self
                    .entries
                    .remove(index)
                    .expect("the index is of an entry");
                *self.counter(entry.kind) -= entry.length;
                return Some(entry.kind);
            }
            offset += rest;
        }
        None
    }

    /// What is to be written, in order.
    pub fn pending(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }

    /// Bytes of audio frames that are not written whole.
    pub fn audio_bytes(&self) -> usize {
        self.audio_bytes
    }

    /// Bytes of control messages that are not written whole.
    pub fn control_bytes(&self) -> usize {
        self.control_bytes
    }

    /// `count` bytes from the front have been written.
    pub fn written(&mut self, count: usize) {
        assert!(
            count <= self.pending().len(),
            "more was written than there was"
        );
        self.start += count;
        self.begun += count;
        while let Some(first) = self.entries.front() {
            if self.begun < first.length {
                break;
            }
            self.begun -= first.length;
            let first = self.entries.pop_front().expect("there is a first entry");
            *self.counter(first.kind) -= first.length;
        }
        if self.is_empty() {
            self.bytes.clear();
            self.start = 0;
            if self.bytes.capacity() > KEEP_CAPACITY {
                self.bytes = Vec::new();
            }
        } else if self.start > KEEP_CAPACITY {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
    }

    fn counter(&mut self, kind: Kind) -> &mut usize {
        match kind {
            Kind::Audio { .. } => &mut self.audio_bytes,
            Kind::Control | Kind::Pong => &mut self.control_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn push(queue: &mut Outgoing, kind: Kind, text: &str) {
        queue.push(kind, |out| out.extend_from_slice(text.as_bytes()));
    }

    #[test]
    fn the_oldest_audio_goes_first_but_never_half_a_frame() {
        let mut queue = Outgoing::default();
        push(&mut queue, Kind::Audio { micros: 1 }, "aaaa");
        push(&mut queue, Kind::Control, "M");
        push(&mut queue, Kind::Audio { micros: 2 }, "bbbb");
        push(&mut queue, Kind::Audio { micros: 3 }, "cccc");
        queue.written(1);
        assert_eq!(queue.drop_oldest_audio(), Some(2));
        assert_eq!(queue.pending(), b"aaaMcccc");
        queue.written(4);
        assert_eq!((queue.audio_bytes(), queue.control_bytes()), (4, 0));
        assert_eq!(queue.drop_oldest_audio(), Some(3));
        assert_eq!(queue.drop_oldest_audio(), None);
        assert!(queue.is_empty());
    }

    #[test]
    fn only_the_last_pong_waits() {
        let mut queue = Outgoing::default();
        push(&mut queue, Kind::Control, "x");
        push(&mut queue, Kind::Pong, "one");
        push(&mut queue, Kind::Pong, "two");
        assert_eq!(queue.pending(), b"xtwo");
        queue.written(2);
        push(&mut queue, Kind::Pong, "six");
        assert_eq!(queue.pending(), b"wosix");
    }

    proptest! {
        #[test]
        fn whole_frames_come_out_in_order_and_the_counts_are_true(
            steps in prop::collection::vec((0_u8..4, 1_usize..50), 0..200),
        ) {
            let mut queue = Outgoing::default();
            let mut next = 0_u8;
            let mut out: Vec<u8> = Vec::new();
            for (step, size) in steps {
                next = next.wrapping_add(1);
                // Each frame is its own length and number repeated, so that a torn one would show.
                let frame = |out: &mut Vec<u8>| out.extend([size as u8, next].repeat(size));
                match step {
                    0 => queue.push(Kind::Audio { micros: size as u32 }, frame),
                    1 => queue.push(Kind::Control, frame),
                    2 => { queue.drop_oldest_audio(); }
                    _ => {
                        let count = size.min(queue.pending().len());
                        out.extend_from_slice(&queue.pending()[..count]);
                        queue.written(count);
                    }
                }
            }
            out.extend_from_slice(queue.pending());
            let rest = queue.pending().len();
            queue.written(rest);
            prop_assert_eq!((queue.audio_bytes(), queue.control_bytes(), queue.entries.len(), queue.begun), (0, 0, 0, 0));
            let mut rest = &out[..];
            while let [size, number, ..] = *rest {
                let (frame, tail) = rest.split_at(usize::from(size) * 2);
                prop_assert_eq!(frame, [size, number].repeat(usize::from(size)));
                rest = tail;
            }
        }
    }
}
