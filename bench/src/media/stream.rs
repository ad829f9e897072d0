//! How regularly the far end's packets leave it, whatever they carry.

use crate::histogram::Histogram;
use crate::rtp::{Packet, SAMPLE_NS};

/// A gap between two packets longer than this is one a caller hears.
pub const AUDIBLE_GAP: u64 = 40_000_000;

/// What all streams of a run come to.
#[derive(Default)]
pub struct Regularity {
    /// How far each interval was from the length of the packet before it, in the steady window.
    pub deviation: Histogram,
    /// The same, over all of each call.
    pub deviation_overall: Histogram,
    /// The intervals that follow a marker bit: a sender that lets the first frame of a talkspurt leave early makes up for it
    /// there, and no packet is late by its timestamp. They are in none of the other figures.
    pub after_marker: Histogram,
    /// The longest interval in nanoseconds, over all of each call.
    pub longest_gap: u64,
    /// The longest interval in the steady window.
    pub longest_gap_steady: u64,
    /// Intervals over `AUDIBLE_GAP`, over all of each call.
    pub audible_gaps: u64,
    /// Packets.
    pub packets: u64,
    /// Sequence numbers passed over.
    pub missing: u64,
    /// Packets with a sequence number not above the last.
    pub late: u64,
    /// Timestamps that did not continue the packet before, without a marker bit.
    pub jumps: u64,
    /// Marker bits.
    pub markers: u64,
    /// Changes of SSRC.
    pub ssrc_changes: u64,
    /// Packets of another payload type than negotiated.
    pub wrong_payload_type: u64,
    /// Packets from another address than the answer named.
    pub wrong_source: u64,
    /// No RTP.
    pub garbage: u64,
    /// SRTP that is not of the key in the answer.
    pub unauthentic: u64,
    /// RTCP packets.
    pub rtcp: u64,
}

impl Regularity {
    fn count_interval(&mut self, last: &Last, interval: u64, steady: bool) {
        if last.marker {
            self.after_marker.record(interval);
            return;
        }
        let deviation = interval.abs_diff(u64::from(last.samples) * SAMPLE_NS);
        self.deviation_overall.record(deviation);
        self.longest_gap = self.longest_gap.max(interval);
        self.audible_gaps += u64::from(interval > AUDIBLE_GAP);
        if steady {
            self.deviation.record(deviation);
            self.longest_gap_steady = self.longest_gap_steady.max(interval);
        }
    }
}

/// The last packet of one stream.
#[derive(Clone, Copy)]
struct Last {
    at: u64,
    sequence: u16,
    timestamp: u32,
    ssrc: u32,
    samples: u32,
    marker: bool,
}

/// Whether a packet continues its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Continuity {
    /// The next in order.
    Next,
    /// The first, or after a hole: what came before does not join it.
    Fresh,
    /// Not newer than the last: its place is past.
    Late,
}

/// One far end's stream.
#[derive(Default)]
pub struct Stream {
    last: Option<Last>,
}

impl Stream {
    /// Takes one packet that the kernel stamped `at`.
    pub fn receive(
        &mut self,
        packet: &Packet<'_>,
        at: u64,
        steady: bool,
        totals: &mut Regularity,
    ) -> Continuity {
        totals.packets += 1;
        totals.markers += u64::from(packet.marker);
        let mut continuity = Continuity::Fresh;
        if let Some(last) = self.last {
            let ahead = packet.sequence.wrapping_sub(last.sequence);
            if packet.ssrc != last.ssrc {
                totals.ssrc_changes += 1;
            } else if ahead == 0 || ahead > u16::MAX / 2 {
                totals.late += 1;
                return Continuity::Late;
            } else {
                totals.missing += u64::from(ahead - 1);
                if ahead == 1 {
                    continuity = Continuity::Next;
                    totals.jumps += u64::from(
                        !packet.marker
                            && packet.timestamp != last.timestamp.wrapping_add(last.samples),
                    );
                }
            }
            totals.count_interval(&last, at.saturating_sub(last.at), steady);
        }
        self.last = Some(Last {
            at,
            sequence: packet.sequence,
            timestamp: packet.timestamp,
            ssrc: packet.ssrc,
            samples: packet.payload.len() as u32,
            marker: packet.marker,
        });
        continuity
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn packet(sequence: u16, timestamp: u32) -> Packet<'static> {
        Packet {
            payload_type: 0,
            marker: false,
            sequence,
            timestamp,
            ssrc: 1,
            payload: &[0xff; 160],
        }
    }

    #[test]
    fn intervals_are_measured_from_20_ms() {
        let (mut stream, mut totals) = (Stream::default(), Regularity::default());
        assert_eq!(
            stream.receive(&packet(65_535, 0), 0, true, &mut totals),
            Continuity::Fresh
        );
        assert_eq!(
            stream.receive(&packet(0, 160), 21 * MS, true, &mut totals),
            Continuity::Next
        );
        assert_eq!(
            stream.receive(&packet(1, 320), 66 * MS, true, &mut totals),
            Continuity::Next
        );
        assert_eq!(totals.deviation.max(), 25 * MS);
        assert_eq!(
            (totals.longest_gap, totals.audible_gaps, totals.packets),
            (45 * MS, 1, 3)
        );
        assert_eq!((totals.missing, totals.late, totals.jumps), (0, 0, 0));
    }

    #[test]
    fn the_interval_after_a_marker_is_counted_apart() {
        let (mut stream, mut totals) = (Stream::default(), Regularity::default());
        let marked = Packet {
            marker: true,
            ..packet(1, 0)
        };
        stream.receive(&marked, 0, true, &mut totals);
        stream.receive(&packet(2, 160), 37 * MS, true, &mut totals);
        stream.receive(&packet(3, 320), 57 * MS, true, &mut totals);
        assert_eq!(totals.after_marker.max(), 37 * MS);
        assert_eq!(totals.longest_gap, 20 * MS);
        assert_eq!(totals.deviation.count(), 1);
    }

    #[test]
    fn holes_and_late_packets_are_told_apart() {
        let (mut stream, mut totals) = (Stream::default(), Regularity::default());
        stream.receive(&packet(10, 0), 0, false, &mut totals);
        assert_eq!(
            stream.receive(&packet(13, 480), 60 * MS, false, &mut totals),
            Continuity::Fresh
        );
        assert_eq!(
            stream.receive(&packet(12, 320), 61 * MS, false, &mut totals),
            Continuity::Late
        );
        assert_eq!(
            stream.receive(&packet(13, 480), 62 * MS, false, &mut totals),
            Continuity::Late
        );
        assert_eq!((totals.missing, totals.late), (2, 2));
        assert_eq!(totals.deviation.count(), 0);
    }

    #[test]
    fn a_timestamp_jump_without_a_marker_and_a_new_ssrc_are_counted() {
        let (mut stream, mut totals) = (Stream::default(), Regularity::default());
        stream.receive(&packet(1, 0), 0, true, &mut totals);
        stream.receive(&packet(2, 999), 20 * MS, true, &mut totals);
        let marked = Packet {
            marker: true,
            ..packet(3, 5_000)
        };
        stream.receive(&marked, 40 * MS, true, &mut totals);
        stream.receive(
            &Packet {
                ssrc: 2,
                ..packet(500, 0)
            },
            60 * MS,
            true,
            &mut totals,
        );
        assert_eq!(
            (totals.jumps, totals.markers, totals.ssrc_changes),
            (1, 1, 1)
        );
    }
}
