//! Where packets are handed on whole, and no longer decoded: at which one that may begin, what waits by then, and who listens in.

use super::*;
use crate::codec::Decoder;

/// A gap that is longer than this is silence to who listens in: 60 ms.
const MAX_MISSING: u32 = 480;
/// Samples of the longest piece that [`JitterBuffer::listen`] makes.
pub(crate) const MAX_HEARD: usize = READY_MS * 16;

impl JitterBuffer {
    /// Number and timestamp of the packet that follows all that was played, if nothing else of the stream is left over.
    pub(crate) fn follows(&self) -> Option<(u16, u32)> {
        let rest = self.waiting > 0 || self.decoded > 0 || self.ahead > 0;
        let clean = self.playing && !self.pausing && !rest;
        self.next_sequence
            .filter(|_| clean)
            .map(|sequence| (sequence, self.end as u32))
    }

    /// Lets a frame that was played end where a packet ends: what is left over of the last one is put into it, without a seam.
    pub(crate) fn end_with_packet(&mut self, frame: &mut [i16]) {
        let rest = self.waiting;
        if self.decoded > 0 || !(1..=frame.len()).contains(&rest) {
            return;
        }
        let len = frame.len();
        for n in 0..len {
            let later = match (n + rest).checked_sub(len) {
                None => frame[n + rest],
                Some(left) => self.ready[left],
            };
            let (now, later) = (i64::from(frame[n]), i64::from(later));
            let (n, len) = (n as i64 + 1, len as i64);
            frame[n as usize - 1] = ((now * (len - n) + later * n) / len) as i16;
        }
        self.counts.shortened += self.ticks_of(rest) as u64;
        self.waiting = 0;
    }

    /// Packets that wait.
    pub(crate) fn waiting_packets(&self) -> usize {
        self.shelf.len()
    }

    /// The payload of the first packet that waits, which is taken off, in the beginning of `room`.
    pub(crate) fn take_waiting<'a>(&mut self, room: &'a mut [u8]) -> Option<Queued<'a>> {
        let first = *self.shelf.first()?;
        let payload = self.shelf.payload();
        let len = payload.len().min(room.len());
        room[..len].copy_from_slice(&payload[..len]);
        self.take_first(&first);
        Some(Queued {
            sequence: first.sequence,
            timestamp: first.timestamp,
            marker: first.marker,
            content: first.content,
            payload: &room[..len],
            missing: 0,
        })
    }

    /// The decoder of a codec, which is the stream's own.
    pub(crate) fn decoder(&mut self, codec: Codec) -> &mut Decoder {
        self.decoders.of(codec)
    }

    /// Decodes a packet that was handed on, and what `missing` ticks before it were; how many samples, of these and of the packet.
    pub(crate) fn listen(
        &mut self,
        codec: Codec,
        missing: u32,
        payload: &[u8],
        out: &mut [i16; MAX_HEARD],
    ) -> (usize, usize) {
        if codec.sample_rate() != self.rate() {
            self.set_rate(codec.sample_rate());
        }
        let missing = if missing > MAX_MISSING { 0 } else { missing };
        let begins = codec.samples_of_ticks(missing);
        let decoder = self.decoders.of(codec);
        let recovered = begins > 0 && decoder.recover(payload, &mut out[..begins]);
        let heard = decoder.decode(payload, &mut out[begins..]);
        let (made, heard) = out[..begins + heard].split_at_mut(begins);
        if recovered {
            self.concealer.heard(made);
        } else if begins > 0 && !self.concealer.bridge(made, heard) {
            self.concealer.conceal(made);
        }
        self.concealer.heard(heard);
        (begins, heard.len())
    }
}
