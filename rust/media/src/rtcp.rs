//! RTCP (RFC 3550 section 6): compound packets of SR, RR, SDES and BYE.
use crate::error::PacketError;

/// Longest compound packet that is read.
pub const MAX_PACKET: usize = 2_048;
/// Longest name that is sent.
pub const MAX_CNAME: usize = 64;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const BYE: u8 = 203;

/// What a sender says about itself (section 6.4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SenderInfo {
    /// Wall clock as NTP: seconds since 1900 in the upper half, fraction in the lower.
    pub ntp: u64,
    /// The same instant on the RTP clock.
    pub rtp_timestamp: u32,
    /// Packets sent.
    pub packets: u32,
    /// Payload bytes sent.
    pub bytes: u32,
}

/// What a receiver says about one source (section 6.4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ReportBlock {
    /// Whom this is about.
    pub ssrc: u32,
    /// Of the packets since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Since the beginning; 24 bits with sign on the wire, brought into them.
    pub cumulative_lost: i32,
    /// Highest sequence number with its wraps.
    pub highest_sequence: u32,
    /// In timestamp units.
    pub jitter: u32,
    /// Middle 32 bits of the NTP time of the last SR received; 0 if none.
    pub last_sr: u32,
    /// Time since then in 1/65536 s.
    pub delay_since_last_sr: u32,
}

impl ReportBlock {
    /// Length on the wire.
    pub const LEN: usize = 24;

    fn decode(bytes: &[u8; Self::LEN]) -> Self {
        let word = |index: usize| {
            u32::from_be_bytes([
                bytes[index],
                bytes[index + 1],
                bytes[index + 2],
                bytes[index + 3],
            ])
        };
        ReportBlock {
            ssrc: word(0),
            fraction_lost: bytes[4],
            cumulative_lost: ((word(4) << 8) as i32) >> 8,
            highest_sequence: word(8),
            jitter: word(12),
            last_sr: word(16),
            delay_since_last_sr: word(20),
        }
    }

    fn encode(&self, out: &mut Writer<'_>) {
        let lost = self.cumulative_lost.clamp(-0x80_0000, 0x7f_ffff) as u32 & 0xff_ffff;
        out.word(self.ssrc);
        out.word(u32::from(self.fraction_lost) << 24 | lost);
        out.word(self.highest_sequence);
        out.word(self.jitter);
        out.word(self.last_sr);
        out.word(self.delay_since_last_sr);
    }
}

/// The report blocks of a packet, read one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocks<'a>(&'a [u8]);

impl Iterator for Blocks<'_> {
    type Item = ReportBlock;
    fn next(&mut self) -> Option<ReportBlock> {
        let (block, rest) = self.0.split_first_chunk::<{ ReportBlock::LEN }>()?;
        self.0 = rest;
        Some(ReportBlock::decode(block))
    }
}

/// The sources of a BYE, read one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources<'a>(&'a [u8]);

impl Iterator for Sources<'_> {
    type Item = u32;
    fn next(&mut self) -> Option<u32> {
        let (source, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*source))
    }
}

/// One packet of a compound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report<'a> {
    /// SR.
    Sender {
        /// Who reports.
        ssrc: u32,
        /// About itself.
        info: SenderInfo,
        /// About whom it hears.
        blocks: Blocks<'a>,
    },
    /// RR.
    Receiver {
        /// Who reports.
        ssrc: u32,
        /// About whom it hears.
        blocks: Blocks<'a>,
    },
    /// BYE.
    Bye {
        /// Who leaves.
        sources: Sources<'a>,
    },
    /// SDES, APP, feedback and others, which tell us nothing.
    Other(u8),
}

/// A compound packet whose lengths have all been checked.
#[derive(Clone, Debug)]
pub struct Compound<'a>(&'a [u8]);

impl<'a> Compound<'a> {
    /// Checks a datagram whole (appendix A.2): versions, lengths, padding. A compound that does not begin with a report is
    /// taken too (RFC 5506).
    pub fn decode(bytes: &'a [u8]) -> Result<Self, PacketError> {
        if bytes.len() > MAX_PACKET {
            return Err(PacketError::TooLong(bytes.len()));
        }
        let mut rest = bytes;
        loop {
            let (body, after) = split(rest)?;
            read(body)?;
            if after.is_empty() {
                return Ok(Compound(bytes));
            }
            // Padding may stand in the last packet only.
            if body[0] & 0x20 != 0 {
                return Err(PacketError::Padding(0));
            }
            rest = after;
        }
    }
}

impl<'a> Iterator for Compound<'a> {
    type Item = Report<'a>;
    fn next(&mut self) -> Option<Report<'a>> {
        let (body, after) = split(self.0).ok()?;
        self.0 = after;
        read(body).ok()
    }
}

/// The first packet of a compound, and what follows it.
fn split(bytes: &[u8]) -> Result<(&[u8], &[u8]), PacketError> {
    let Some(header) = bytes.first_chunk::<4>() else {
        return Err(PacketError::Short {
            have: bytes.len(),
            need: 4,
        });
    };
    let version = header[0] >> 6;
    if version != 2 {
        return Err(PacketError::Version(version));
    }
    let need = (usize::from(u16::from_be_bytes([header[2], header[3]])) + 1) * 4;
    bytes.split_at_checked(need).ok_or(PacketError::Short {
        have: bytes.len(),
        need,
    })
}

fn read(packet: &[u8]) -> Result<Report<'_>, PacketError> {
    let (header, mut body) = packet
        .split_first_chunk::<4>()
        .ok_or(PacketError::Length(0))?;
    let kind = header[1];
    let count = usize::from(header[0] & 0x1f);
    if header[0] & 0x20 != 0 {
        let padding = body.last().copied().unwrap_or(0);
        if padding == 0 || padding % 4 != 0 || usize::from(padding) > body.len() {
            return Err(PacketError::Padding(padding));
        }
        body = &body[..body.len() - usize::from(padding)];
    }
    let wrong = PacketError::Length(kind);
    match kind {
        SENDER_REPORT => {
            let (fixed, rest) = body.split_first_chunk::<24>().ok_or(wrong)?;
            let word = |index: usize| {
                u32::from_be_bytes([
                    fixed[index],
                    fixed[index + 1],
                    fixed[index + 2],
                    fixed[index + 3],
                ])
            };
            let info = SenderInfo {
                ntp: u64::from(word(4)) << 32 | u64::from(word(8)),
                rtp_timestamp: word(12),
                packets: word(16),
                bytes: word(20),
            };
            let blocks = rest.get(..count * ReportBlock::LEN).ok_or(wrong)?;
            Ok(Report::Sender {
                ssrc: word(0),
                info,
                blocks: Blocks(blocks),
            })
        }
        RECEIVER_REPORT => {
            let (ssrc, rest) = body.split_first_chunk::<4>().ok_or(wrong)?;
            let blocks = rest.get(..count * ReportBlock::LEN).ok_or(wrong)?;
            Ok(Report::Receiver {
                ssrc: u32::from_be_bytes(*ssrc),
                blocks: Blocks(blocks),
            })
        }
        BYE => Ok(Report::Bye {
            sources: Sources(body.get(..count * 4).ok_or(wrong)?),
        }),
        other => Ok(Report::Other(other)),
    }
}

/// Room that [`write`] needs at most.
pub const WRITE_LEN: usize = 28 + ReportBlock::LEN + 8 + 2 + MAX_CNAME + 4 + 8;

/// What a leg reports.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Ours.
    pub ssrc: u32,
    /// If we have sent since the last report but one: SR instead of RR.
    pub sender: Option<SenderInfo>,
    /// If we hear somebody.
    pub block: Option<ReportBlock>,
    /// Our name for this leg; what is longer than [`MAX_CNAME`] is cut.
    pub cname: &'a str,
    /// We leave.
    pub bye: bool,
}

/// Writes a compound packet of SR or RR, SDES with CNAME, and BYE if asked; returns its length.
pub fn write(report: &Outgoing<'_>, out: &mut [u8; WRITE_LEN]) -> usize {
    let mut writer = Writer { out, len: 0 };
    let blocks = u8::from(report.block.is_some());
    let block_words = u16::from(blocks) * (ReportBlock::LEN / 4) as u16;
    match report.sender {
        Some(info) => {
            writer.header(blocks, SENDER_REPORT, 6 + block_words);
            writer.word(report.ssrc);
            writer.word((info.ntp >> 32) as u32);
            writer.word(info.ntp as u32);
            writer.word(info.rtp_timestamp);
            writer.word(info.packets);
            writer.word(info.bytes);
        }
        None => {
            writer.header(blocks, RECEIVER_REPORT, 1 + block_words);
            writer.word(report.ssrc);
        }
    }
    if let Some(block) = &report.block {
        block.encode(&mut writer);
    }
    let mut cut = report.cname.len().min(MAX_CNAME);
    while !report.cname.is_char_boundary(cut) {
        cut -= 1;
    }
    let name = &report.cname.as_bytes()[..cut];
    // Type, length and text, then at least one zero up to the next word (section 6.5).
    let item_words = (2 + name.len()) / 4 + 1;
    writer.header(1, SOURCE_DESCRIPTION, 1 + item_words as u16);
    writer.word(report.ssrc);
    let end = writer.len + item_words * 4;
    writer.bytes(&[1, name.len() as u8]);
    writer.bytes(name);
    while writer.len < end {
        writer.bytes(&[0]);
    }
    if report.bye {
        writer.header(1, BYE, 1);
        writer.word(report.ssrc);
    }
    writer.len
}

struct Writer<'a> {
    out: &'a mut [u8; WRITE_LEN],
    len: usize,
}

impl Writer<'_> {
    fn bytes(&mut self, bytes: &[u8]) {
        self.out[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    fn word(&mut self, word: u32) {
        self.bytes(&word.to_be_bytes());
    }

    fn header(&mut self, count: u8, kind: u8, words: u16) {
        self.bytes(&[2 << 6 | count, kind]);
        self.bytes(&words.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn compound(report: &Outgoing<'_>) -> Vec<u8> {
        let mut out = [0; WRITE_LEN];
        let len = write(report, &mut out);
        out[..len].to_vec()
    }

    #[test]
    fn a_sender_report_on_the_wire() {
        let block = ReportBlock {
            ssrc: 9,
            fraction_lost: 3,
            cumulative_lost: -2,
            highest_sequence: 70_000,
            jitter: 17,
            last_sr: 5,
            delay_since_last_sr: 6,
        };
        let info = SenderInfo {
            ntp: 1 << 32 | 2,
            rtp_timestamp: 3,
            packets: 4,
            bytes: 5,
        };
        let bytes = compound(&Outgoing {
            ssrc: 7,
            sender: Some(info),
            block: Some(block),
            cname: "ab",
            bye: true,
        });
        assert_eq!(bytes[..4], [0x81, 200, 0, 12]);
        assert_eq!(
            bytes[52..],
            [
                0x81, 202, 0, 3, 0, 0, 0, 7, 1, 2, b'a', b'b', 0, 0, 0, 0, 0x81, 203, 0, 1, 0, 0,
                0, 7
            ]
        );
        let mut reports = Compound::decode(&bytes).expect("our own");
        let Some(Report::Sender {
            ssrc: 7,
            info: read,
            mut blocks,
        }) = reports.next()
        else {
            panic!("no SR")
        };
        assert_eq!(
            (read, blocks.next(), blocks.next()),
            (info, Some(block), None)
        );
        assert_eq!(reports.next(), Some(Report::Other(202)));
        let Some(Report::Bye { sources }) = reports.next() else {
            panic!("no BYE")
        };
        assert_eq!(sources.collect::<Vec<_>>(), [7]);
        assert_eq!(reports.next(), None);
    }

    #[test]
    fn lying_lengths_are_refused() {
        for len in 0..8 {
            assert!(Compound::decode(&[0x81, 200, 0, 6, 0, 0, 0, 7][..len]).is_err());
        }
        // A count of 31 blocks in a packet of none.
        assert_eq!(
            Compound::decode(&[0x9f, 201, 0, 1, 0, 0, 0, 7]).err(),
            Some(PacketError::Length(201))
        );
        assert_eq!(
            Compound::decode(&[0x9f, 203, 0, 1, 0, 0, 0, 7]).err(),
            Some(PacketError::Length(203))
        );
        assert_eq!(
            Compound::decode(&[0x80, 200, 0, 0]).err(),
            Some(PacketError::Length(200))
        );
        assert_eq!(
            Compound::decode(&[0xa0, 201, 0, 1, 0, 0, 0, 8]).err(),
            Some(PacketError::Padding(8))
        );
        assert_eq!(
            Compound::decode(&[0x80, 201, 0xff, 0xff, 0, 0, 0, 8]).err(),
            Some(PacketError::Short {
                have: 8,
                need: 65_536 * 4
            })
        );
        assert!(Compound::decode(&[0; MAX_PACKET + 1]).is_err());
    }

    proptest! {
        #[test]
        fn decoding_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(compound) = Compound::decode(&bytes) {
                for report in compound {
                    if let Report::Sender { blocks, .. } | Report::Receiver { blocks, .. } = report {
                        prop_assert!(blocks.count() < 32);
                    }
                }
            }
        }

        #[test]
        fn what_looks_like_rtcp_never_panics(
            kind in 200u8..208, count in 0u8..32, padded: bool, words in 0u16..40,
            body in proptest::collection::vec(any::<u8>(), 0..160),
        ) {
            let mut bytes = vec![0x80 | u8::from(padded) << 5 | count, kind];
            bytes.extend_from_slice(&words.to_be_bytes());
            bytes.extend_from_slice(&body);
            if let Ok(compound) = Compound::decode(&bytes) {
                compound.for_each(drop);
            }
        }

        #[test]
        fn any_name_makes_a_valid_compound(cname in ".{0,80}", sender: bool, blocks: bool, bye: bool) {
            let bytes = compound(&Outgoing {
                ssrc: 1,
                sender: sender.then(SenderInfo::default),
                block: blocks.then(ReportBlock::default),
                cname: &cname,
                bye,
            });
            prop_assert_eq!(bytes.len() % 4, 0);
            prop_assert_eq!(Compound::decode(&bytes).expect("our own").count(), 2 + usize::from(bye));
        }
    }
}
