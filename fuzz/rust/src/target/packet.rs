//! RTP and RTCP datagrams.
use crate::mutate::mutate;
use crate::random::Random;
use offhook_media::claim::Glimpse;
use offhook_media::rtcp::{self, Compound, Outgoing, Report, ReportBlock, SenderInfo};
use offhook_media::rtp::{HEADER_LEN, Header, MAX_PACKET, Packet, is_rtcp};

const RTP_SEEDS: [&[u8]; 4] = [
    b"\x80\x00\x12\x34\x00\x00\x00\xa0\xde\xad\xbe\xef\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x80\xe5\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x05\x8a\x03\x20",
    b"\x92\x08\xff\xff\xff\xff\xff\xff\x00\x00\x00\x02AAAABBBB\xbe\xde\x00\x01\x10\x2a\x00\x00sound",
    b"\xa0\x00\x00\x02\x00\x00\x01\x40\x00\x00\x00\x01sound\x00\x00\x00\x04",
];

/// What is read lies within the datagram, and a plain header is written as it was read.
pub fn rtp(random: &mut Random) {
    let seed = *random.pick(&RTP_SEEDS);
    let bytes = mutate(seed, &[&[0xff; 4], &[0; 12]], random, MAX_PACKET + 8);
    let _ = is_rtcp(&bytes);
    let Ok(packet) = Packet::decode(&bytes) else {
        return;
    };
    let extension = packet.extension.map_or(0, |(_, body)| body.len() + 4);
    let inside = HEADER_LEN + usize::from(packet.csrc_count) * 4 + extension + packet.payload.len();
    assert!(inside <= bytes.len(), "more was read than there is");
    let glimpse = Glimpse::of(&bytes).expect("a packet that can be read can be glimpsed at");
    assert_eq!(
        (glimpse.sequence, glimpse.ssrc, glimpse.payload_type),
        (packet.sequence, packet.ssrc, packet.payload_type),
    );
    if bytes[0] == 0x80 {
        let header = Header {
            marker: packet.marker,
            payload_type: packet.payload_type,
            sequence: packet.sequence,
            timestamp: packet.timestamp,
            ssrc: packet.ssrc,
        };
        assert_eq!(header.encode(), bytes[..HEADER_LEN]);
    }
}

/// A compound never yields more than its bytes hold, and what we write ourselves is read.
pub fn rtcp(random: &mut Random) {
    let cname = String::from_utf8_lossy(&random.bytes(40)).into_owned();
    let report = Outgoing {
        ssrc: random.next() as u32,
        sender: (!random.once_in(3)).then(|| SenderInfo {
            ntp: random.next(),
            rtp_timestamp: random.next() as u32,
            packets: random.next() as u32,
            bytes: random.next() as u32,
        }),
        block: (!random.once_in(3)).then(|| ReportBlock {
            ssrc: random.next() as u32,
            fraction_lost: random.next() as u8,
            cumulative_lost: (random.next() as i32) >> 9,
            highest_sequence: random.next() as u32,
            jitter: random.next() as u32,
            last_sr: random.next() as u32,
            delay_since_last_sr: random.next() as u32,
        }),
        cname: &cname,
        bye: random.once_in(2),
    };
    let mut room = [0; rtcp::WRITE_LEN];
    let length = rtcp::write(&report, &mut room);
    let written = &room[..length];
    let first = Compound::decode(written).expect("what we write").next();
    match first.expect("a report leads") {
        Report::Sender { ssrc, info, blocks } => {
            assert_eq!((ssrc, Some(info)), (report.ssrc, report.sender));
            assert_eq!(blocks.collect::<Vec<_>>(), Vec::from_iter(report.block));
        }
        Report::Receiver { ssrc, blocks } => {
            assert_eq!((ssrc, None), (report.ssrc, report.sender));
            assert_eq!(blocks.collect::<Vec<_>>(), Vec::from_iter(report.block));
        }
        other => panic!("{other:?} leads"),
    }
    let words: [&[u8]; 5] = [
        b"\x80\xc8\x00\x06",
        b"\x81\xcb\x00\x01",
        b"\xa0\xca\x00\x01",
        b"\xff\xff",
        written,
    ];
    let bytes = mutate(written, &words, random, MAX_PACKET + 8);
    let Ok(compound) = Compound::decode(&bytes) else {
        return;
    };
    let mut reports = 0;
    let mut ids = 0;
    for report in compound {
        reports += 1;
        ids += match report {
            Report::Sender { blocks, .. } | Report::Receiver { blocks, .. } => blocks.count() * 6,
            Report::Bye { sources } => sources.count(),
            Report::Other(_) => 0,
        };
    }
    assert!(reports > 0, "a compound that was taken is not empty");
    assert!(
        (reports + ids) * 4 <= bytes.len(),
        "more was read than there is"
    );
}
