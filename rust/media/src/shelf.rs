//! Packets of one stream that wait, in the order of their numbers, their bytes in one place.
use crate::clock::Time;
use crate::codec::Codec;

/// What is in a packet's payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Content {
    /// Sound in this codec.
    Sound(Codec),
    /// A description of the noise in a pause (RFC 3389).
    Noise,
    /// Nothing to be heard: it only holds its place in the sequence.
    Nothing,
}

/// A packet of one stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Queued<'a> {
    /// Its number; wraps at 2^16.
    pub sequence: u16,
    /// In units of the codec's clock; wraps at 2^32.
    pub timestamp: u32,
    /// First packet of a talkspurt.
    pub marker: bool,
    /// What the payload is.
    pub content: Content,
    /// The payload.
    pub payload: &'a [u8],
    /// Packets before it that were given up; zero on the way in.
    pub missing: u16,
}

/// A packet on the shelf, without its payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Label {
    /// As in [`Queued`].
    pub sequence: u16,
    /// As in [`Queued`].
    pub timestamp: u32,
    /// As in [`Queued`].
    pub marker: bool,
    /// As in [`Queued`].
    pub content: Content,
    /// When it came, or a packet behind it that came earlier.
    pub arrived: Time,
    start: usize,
    len: usize,
}

impl Label {
    /// Bytes of the payload.
    pub fn payload_len(&self) -> usize {
        self.len
    }
}

/// What became of a packet that was to be put on the shelf.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Put {
    /// It waits.
    Kept,
    /// Its number waits already.
    Twice,
    /// There is no room.
    Full,
}

/// A bounded number of packets. It takes memory as more of them wait than ever before, and keeps it.
#[derive(Debug)]
pub struct Shelf {
    labels: Vec<Label>,
    bytes: Vec<u8>,
    packets_max: usize,
    bytes_max: usize,
}

impl Shelf {
    /// A shelf for so many packets and payload bytes at most.
    pub fn new(packets_max: usize, bytes_max: usize) -> Self {
        Shelf {
            labels: Vec::new(),
            bytes: Vec::new(),
            packets_max,
            bytes_max,
        }
    }

    /// Packets that wait.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The one with the lowest number.
    pub fn first(&self) -> Option<&Label> {
        self.labels.first()
    }

    /// The one with the highest number.
    pub fn last(&self) -> Option<&Label> {
        self.labels.last()
    }

    /// The payload of the first.
    pub fn payload(&self) -> &[u8] {
        self.labels.first().map_or(&[], |label| {
            &self.bytes[label.start..label.start + label.len]
        })
    }

    /// Puts a packet in its place. Numbers are compared by how far they are ahead of `origin`.
    pub fn put(&mut self, now: Time, origin: u16, packet: &Queued<'_>) -> Put {
        let len = packet.payload.len();
        if self.labels.len() == self.packets_max || self.bytes.len() + len > self.bytes_max {
            return Put::Full;
        }
        let distance = |sequence: u16| sequence.wrapping_sub(origin);
        let index = self
            .labels
            .partition_point(|label| distance(label.sequence) < distance(packet.sequence));
        let next = self.labels.get(index);
        if next.is_some_and(|next| next.sequence == packet.sequence) {
            return Put::Twice;
        }
        let label = Label {
            sequence: packet.sequence,
            timestamp: packet.timestamp,
            marker: packet.marker,
            content: packet.content,
            arrived: next.map_or(now, |next| next.arrived),
            start: self.bytes.len(),
            len,
        };
        self.bytes.extend_from_slice(packet.payload);
        self.labels.insert(index, label);
        Put::Kept
    }

    /// Takes the first off; `look` sees it whole.
    pub fn take(&mut self, look: impl FnOnce(Queued<'_>)) {
        let Some(label) = self.labels.first().copied() else {
            return;
        };
        look(Queued {
            sequence: label.sequence,
            timestamp: label.timestamp,
            marker: label.marker,
            content: label.content,
            payload: self.payload(),
            missing: 0,
        });
        self.labels.remove(0);
        self.bytes.drain(label.start..label.start + label.len);
        for other in &mut self.labels {
            if other.start > label.start {
                other.start -= label.len;
            }
        }
    }
}
