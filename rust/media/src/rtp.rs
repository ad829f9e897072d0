//! RTP packets (RFC 3550 section 5) and what a receiver counts about a stream of them (appendix A).
use crate::clock::Time;
use crate::error::PacketError;
use std::time::Duration;

/// Length of a header without CSRC list and extension.
pub const HEADER_LEN: usize = 12;
/// No datagram on our paths is longer; more is refused before it is read.
pub const MAX_PACKET: usize = 2_048;

/// A packet as received; the payload lies in the caller's buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Packet<'a> {
    /// First packet of a talkspurt, or of an event.
    pub marker: bool,
    /// 0 to 127.
    pub payload_type: u8,
    /// Wraps at 2^16.
    pub sequence: u16,
    /// In units of the payload type's clock; wraps at 2^32.
    pub timestamp: u32,
    /// Who sends.
    pub ssrc: u32,
    /// Contributing sources listed; their ids are not read.
    pub csrc_count: u8,
    /// Profile and bytes of the header extension (section 5.3.1).
    pub extension: Option<(u16, &'a [u8])>,
    /// Without padding; may be empty.
    pub payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads a datagram. Every length inside is checked against the bytes that are there.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, PacketError> {
        if bytes.len() > MAX_PACKET {
            return Err(PacketError::TooLong(bytes.len()));
        }
        let Some((header, mut rest)) = bytes.split_first_chunk::<HEADER_LEN>() else {
            return Err(PacketError::Short {
                have: bytes.len(),
                need: HEADER_LEN,
            });
        };
        let version = header[0] >> 6;
        if version != 2 {
            return Err(PacketError::Version(version));
        }
        let csrc_count = header[0] & 0x0f;
        let short = |need: usize| PacketError::Short {
            have: bytes.len(),
            need,
        };
        let csrc_bytes = usize::from(csrc_count) * 4;
        rest = rest
            .get(csrc_bytes..)
            .ok_or(short(HEADER_LEN + csrc_bytes))?;
        let mut extension = None;
        if header[0] & 0x10 != 0 {
            let need = bytes.len() - rest.len() + 4;
            let (head, after) = rest.split_first_chunk::<4>().ok_or(short(need))?;
            let length = usize::from(u16::from_be_bytes([head[2], head[3]])) * 4;
            let (body, after) = after.split_at_checked(length).ok_or(short(need + length))?;
            extension = Some((u16::from_be_bytes([head[0], head[1]]), body));
            rest = after;
        }
        if header[0] & 0x20 != 0 {
            let count = rest.last().copied().unwrap_or(0);
            if count == 0 || usize::from(count) > rest.len() {
                return Err(PacketError::Padding(count));
            }
            rest = &rest[..rest.len() - usize::from(count)];
        }
        Ok(Packet {
            marker: header[1] & 0x80 != 0,
            payload_type: header[1] & 0x7f,
            sequence: u16::from_be_bytes([header[2], header[3]]),
            timestamp: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
            ssrc: u32::from_be_bytes([header[8], header[9], header[10], header[11]]),
            csrc_count,
            extension,
            payload: rest,
        })
    }
}

/// The header of a packet that we send: no CSRC, no extension, no padding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// First packet of a talkspurt, or of an event.
    pub marker: bool,
    /// 0 to 127.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp of the payload's first sample.
    pub timestamp: u32,
    /// Our source id.
    pub ssrc: u32,
}

impl Header {
    /// The twelve bytes on the wire.
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        out[0] = 2 << 6;
        out[1] = (self.payload_type & 0x7f) | (u8::from(self.marker) << 7);
        out[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        out[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        out[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
        out
    }
}

/// Whether a datagram on a port shared by both is RTCP (RFC 5761 section 4).
pub fn is_rtcp(bytes: &[u8]) -> bool {
    matches!(bytes, [first, second, ..] if first >> 6 == 2 && (192..=223).contains(second))
}

/// Where a packet stands in its stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrival {
    /// The next one, or one after a gap.
    Forward,
    /// One that had been missing.
    Reordered,
    /// One that came before.
    Duplicate,
    /// Far off; taken only if the next one follows it.
    Stray,
    /// The stream begins anew here (a confirmed jump).
    Restarted,
}

/// The most a sequence number may leap ahead and still be the same stream (RFC 3550 A.1).
const MAX_DROPOUT: u16 = 3_000;
/// The most it may lie behind.
const MAX_MISORDER: u16 = 100;
/// Packets behind the newest that the duplicate check remembers.
const WINDOW: u32 = 128;
/// So many unseen packets in a row from behind are a sender that stepped back, not stragglers.
const STEP_BACK: u8 = 5;
/// So many in a row from far off are a sender that has jumped.
const JUMP: u8 = 2;

/// What a receiver counts about one SSRC: sequence (A.1), loss (A.3) and jitter (A.8).
#[derive(Clone, Debug)]
pub struct Reception {
    ssrc: u32,
    clock_rate: u32,
    base: u32,
    /// Highest sequence number with its wraps.
    highest: u32,
    seen: u128,
    received: u64,
    expected_prior: u32,
    received_prior: u64,
    /// Losses of earlier stretches of the same stream, kept over a restart.
    lost_before: i64,
    /// The number that would follow the last one that was far off, and how many such have come in a row.
    stray: (u16, u8),
    behind: (u16, u8),
    /// Jitter in 1/16 of a timestamp unit, as A.8 keeps it.
    jitter: u32,
    transit: Option<u32>,
}

impl Reception {
    /// A stream that begins with `sequence`, which is to be [`Reception::receive`]d too.
    pub fn new(ssrc: u32, sequence: u16, clock_rate: u32) -> Self {
        Reception {
            ssrc,
            clock_rate,
            base: u32::from(sequence),
            highest: u32::from(sequence).wrapping_sub(1),
            seen: 0,
            received: 0,
            expected_prior: 0,
            received_prior: 0,
            lost_before: 0,
            stray: (0, 0),
            behind: (0, 0),
            jitter: 0,
            transit: None,
        }
    }

    /// The source this is about.
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Counts a packet and says where it stands.
    pub fn receive(&mut self, sequence: u16) -> Arrival {
        let ahead = sequence.wrapping_sub(self.highest as u16);
        if self.received == 0 || (1..MAX_DROPOUT).contains(&ahead) {
            let step = u32::from(ahead);
            self.seen = if step < WINDOW {
                (self.seen << step) | 1
            } else {
                1
            };
            self.highest = self.highest.wrapping_add(step);
            self.received += 1;
            self.stray.1 = 0;
            self.behind.1 = 0;
            return Arrival::Forward;
        }
        let back = ahead.wrapping_neg();
        if back < MAX_MISORDER {
            let bit = 1u128 << back;
            if self.seen & bit != 0 {
                self.behind.1 = 0;
                return Arrival::Duplicate;
            }
            self.behind = if self.behind.0.wrapping_add(1) == sequence {
                (sequence, self.behind.1 + 1)
            } else {
                (sequence, 1)
            };
            if self.behind.1 >= STEP_BACK && self.highest.wrapping_sub(self.base) < WINDOW {
                self.restart(sequence);
                return Arrival::Restarted;
            }
            self.seen |= bit;
            self.received += 1;
            return Arrival::Reordered;
        }
        let (next, in_a_row) = self.stray;
        let in_a_row = if in_a_row > 0 && next == sequence {
            in_a_row + 1
        } else {
            1
        };
        // What was sent a minute ago may come twice: the end of an event does three times in a row.
        let proof = if back < MAX_DROPOUT { STEP_BACK } else { JUMP };
        if in_a_row >= proof {
            self.restart(sequence);
            return Arrival::Restarted;
        }
        self.stray = (sequence.wrapping_add(1), in_a_row);
        Arrival::Stray
    }

    fn restart(&mut self, sequence: u16) {
        *self = Reception {
            lost_before: self.lost(),
            jitter: self.jitter,
            ..Reception::new(self.ssrc, sequence, self.clock_rate)
        };
        self.receive(sequence);
    }

    /// Takes the arrival time of a packet into the jitter estimate (A.8).
    pub fn arrived(&mut self, now: Time, rtp_timestamp: u32) {
        let ticks =
            (u128::from(now.as_nanos()) * u128::from(self.clock_rate) / 1_000_000_000) as u32;
        let transit = ticks.wrapping_sub(rtp_timestamp);
        if let Some(previous) = self.transit {
            let difference = (transit.wrapping_sub(previous) as i32).unsigned_abs();
            // A leap of the timestamps is no jitter; half a second is beyond any network worth measuring.
            if difference < self.clock_rate / 2 {
                self.jitter = self.jitter + difference - ((self.jitter + 8) >> 4);
            }
        }
        self.transit = Some(transit);
    }

    /// Interarrival jitter in timestamp units.
    pub fn jitter_ticks(&self) -> u32 {
        self.jitter >> 4
    }

    /// Interarrival jitter as time.
    pub fn jitter(&self) -> Duration {
        Duration::from_nanos(
            u64::from(self.jitter) * 1_000_000_000 / 16 / u64::from(self.clock_rate),
        )
    }

    /// Packets lost since the beginning; negative if there were more duplicates than losses counted.
    pub fn lost(&self) -> i64 {
        self.lost_before + i64::from(self.expected()) - self.received as i64
    }

    /// Highest sequence number received, with the count of its wraps above.
    pub fn extended_highest(&self) -> u32 {
        self.highest
    }

    fn expected(&self) -> u32 {
        self.highest.wrapping_sub(self.base).wrapping_add(1)
    }

    /// Fraction lost in 1/256 since the last call (A.3); to be called once a report.
    pub fn fraction_lost(&mut self) -> u8 {
        let expected = self.expected();
        let expected_interval = i64::from(expected.wrapping_sub(self.expected_prior));
        let received_interval = (self.received - self.received_prior) as i64;
        self.expected_prior = expected;
        self.received_prior = self.received;
        let lost = expected_interval - received_interval;
        if expected_interval == 0 || lost <= 0 {
            0
        } else {
            ((lost << 8) / expected_interval).min(255) as u8
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(first: u8, rest: &[u8]) -> Vec<u8> {
        let header = Header {
            marker: false,
            payload_type: 0,
            sequence: 7,
            timestamp: 8,
            ssrc: 9,
        };
        let mut out = header.encode().to_vec();
        out[0] = first;
        out.extend_from_slice(rest);
        out
    }

    #[test]
    fn lying_lengths_are_refused() {
        let short = |have, need| Err(PacketError::Short { have, need });
        assert_eq!(Packet::decode(&[]), short(0, 12));
        assert_eq!(Packet::decode(&bytes(0x80, &[])[..11]), short(11, 12));
        assert_eq!(
            Packet::decode(&bytes(0x40, &[])),
            Err(PacketError::Version(1))
        );
        assert_eq!(Packet::decode(&bytes(0x8f, &[])), short(12, 72));
        assert_eq!(Packet::decode(&bytes(0x90, &[1, 2, 0])), short(15, 16));
        assert_eq!(
            Packet::decode(&bytes(0x90, &[1, 2, 0xff, 0xff, 5])),
            short(17, 16 + 65_535 * 4)
        );
        assert_eq!(
            Packet::decode(&bytes(0xa0, &[])),
            Err(PacketError::Padding(0))
        );
        assert_eq!(
            Packet::decode(&bytes(0xa0, &[1, 0])),
            Err(PacketError::Padding(0))
        );
        assert_eq!(
            Packet::decode(&bytes(0xa0, &[1, 3])),
            Err(PacketError::Padding(3))
        );
        assert_eq!(
            Packet::decode(&[0x80; MAX_PACKET + 1]),
            Err(PacketError::TooLong(MAX_PACKET + 1))
        );
    }

    #[test]
    fn sources_extension_and_padding_are_stepped_over() {
        let packet = bytes(
            0xb1,
            &[
                1, 1, 1, 1, 0xbe, 0xde, 0, 1, 4, 3, 2, 1, 0xaa, 0xbb, 0, 0, 3,
            ],
        );
        let packet = Packet::decode(&packet).expect("well formed");
        assert_eq!(packet.csrc_count, 1);
        assert_eq!(packet.extension, Some((0xbede, &[4, 3, 2, 1][..])));
        assert_eq!(packet.payload, [0xaa, 0xbb]);
    }

    #[test]
    fn rtcp_is_told_from_rtp_by_its_second_byte() {
        assert!(is_rtcp(&[0x80, 200, 0, 0]));
        assert!(!is_rtcp(&[0x80, 0x80, 0, 0]));
        assert!(!is_rtcp(&[0x80]));
    }

    #[test]
    fn counters_survive_the_wrap_of_sequence_numbers() {
        let mut reception = Reception::new(1, 65_530, 8_000);
        for n in 0..20u16 {
            assert_eq!(
                reception.receive(65_530u16.wrapping_add(n)),
                Arrival::Forward
            );
        }
        assert_eq!(reception.lost(), 0);
        assert_eq!(reception.extended_highest(), 65_536 + 13);
    }

    #[test]
    fn losses_are_those_that_were_injected() {
        let mut reception = Reception::new(1, 100, 8_000);
        for n in (100..200).filter(|n| n % 10 != 5) {
            reception.receive(n);
        }
        assert_eq!(reception.lost(), 10);
        assert_eq!(reception.fraction_lost(), (10 * 256 / 100) as u8);
        assert_eq!(reception.fraction_lost(), 0);
        assert_eq!(reception.receive(195), Arrival::Reordered);
        assert_eq!(reception.receive(195), Arrival::Duplicate);
        assert_eq!(reception.lost(), 9);
    }

    #[test]
    fn a_jump_needs_a_second_packet_to_be_believed() {
        let mut reception = Reception::new(1, 10, 8_000);
        reception.receive(10);
        assert_eq!(reception.receive(30_010), Arrival::Stray);
        assert_eq!(reception.receive(11), Arrival::Forward);
        assert_eq!(reception.receive(40_000), Arrival::Stray);
        assert_eq!(reception.receive(40_001), Arrival::Restarted);
        assert_eq!(reception.receive(40_002), Arrival::Forward);
        assert_eq!(reception.lost(), 0);
    }

    #[test]
    fn a_few_packets_that_come_twice_late_are_no_jump_but_a_sender_that_goes_on_from_there_is() {
        let mut reception = Reception::new(1, 1_000, 8_000);
        for n in 1_000..2_000 {
            reception.receive(n);
        }
        for n in 1_750..1_753 {
            assert_eq!(reception.receive(n), Arrival::Stray);
        }
        assert_eq!(reception.receive(2_000), Arrival::Forward);
        let arrivals: Vec<Arrival> = (1_500..1_506).map(|n| reception.receive(n)).collect();
        assert_eq!(arrivals[4..], [Arrival::Restarted, Arrival::Forward]);
    }

    #[test]
    fn a_sender_that_steps_back_a_little_is_followed() {
        let mut reception = Reception::new(1, 1_000, 8_000);
        for n in 1_000..1_020 {
            reception.receive(n);
        }
        let arrivals: Vec<Arrival> = (950..956).map(|n| reception.receive(n)).collect();
        assert_eq!(arrivals[4..], [Arrival::Restarted, Arrival::Forward]);
    }

    #[test]
    fn jitter_follows_the_formula() {
        let mut reception = Reception::new(1, 0, 8_000);
        let mut expected = 0.0f64;
        let mut previous = None;
        for n in 0..200u32 {
            let late_ms = [0u64, 7, 3, 12][n as usize % 4];
            reception.arrived(
                Time::from_millis(1_000 + u64::from(n) * 20 + late_ms),
                n * 160,
            );
            let transit = late_ms as f64 * 8.0;
            if let Some(previous) = previous {
                let difference: f64 = transit - previous;
                expected += (difference.abs() - expected) / 16.0;
            }
            previous = Some(transit);
        }
        assert!((f64::from(reception.jitter_ticks()) - expected).abs() < 2.0);
    }

    proptest! {
        #[test]
        fn decoding_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Packet::decode(&bytes);
            let _ = is_rtcp(&bytes);
        }

        #[test]
        fn what_is_encoded_is_decoded(
            marker: bool, payload_type in 0u8..128, sequence: u16, timestamp: u32, ssrc: u32,
            payload in proptest::collection::vec(any::<u8>(), 0..500),
        ) {
            let header = Header { marker, payload_type, sequence, timestamp, ssrc };
            let mut bytes = header.encode().to_vec();
            bytes.extend_from_slice(&payload);
            let packet = Packet::decode(&bytes).expect("our own");
            prop_assert_eq!(
                packet,
                Packet {
                    marker, payload_type, sequence, timestamp, ssrc,
                    csrc_count: 0, extension: None, payload: &payload,
                }
            );
        }

        #[test]
        fn any_order_of_sequence_numbers_is_counted_without_panic(numbers in proptest::collection::vec(any::<u16>(), 1..300)) {
            let mut reception = Reception::new(1, numbers[0], 8_000);
            for number in numbers {
                reception.receive(number);
                reception.fraction_lost();
            }
        }
    }
}
