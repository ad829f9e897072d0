//! Encrypted packets: lost, doubled, late, changed on the way, and under keys that change.
use crate::mutate::mutate;
use crate::random::Random;
use offhook_media::clock::Time;
use offhook_media::rtp::Header;
use offhook_media::srtp::{MAX_TRAILER, Protection, Protocol, SrtpError, SrtpKeys, Suite};
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// What was sealed: the bytes on the wire and those before.
struct Sealed {
    protocol: Protocol,
    wire: Vec<u8>,
    plain: Vec<u8>,
}

fn keys(random: &mut Random) -> (SrtpKeys, SrtpKeys) {
    let suite = *random.pick(&Suite::ALL);
    let len = suite.key_len() + suite.salt_len();
    let (one, other) = (random.bytes(len), random.bytes(len));
    let keys = |send: &[u8], receive: &[u8]| {
        assert!(
            SrtpKeys::new(suite, &send[1..], receive).is_err(),
            "too short a key"
        );
        SrtpKeys::new(suite, send, receive).expect("keys of the suite's length")
    };
    (keys(&one, &other), keys(&other, &one))
}

fn open(
    near: &mut Protection,
    now: Time,
    protocol: Protocol,
    packet: &mut [u8],
) -> Result<usize, SrtpError> {
    match protocol {
        Protocol::Rtp => near.unprotect_rtp(now, packet),
        Protocol::Rtcp => near.unprotect_rtcp(now, packet),
    }
}

/// Only what the far side sealed is opened, once, and to what it was; whatever else comes stays as it is and changes nothing.
pub fn run(random: &mut Random) {
    let (mut near, mut far) = (Protection::default(), Protection::default());
    let mut now = Time::from_millis(1_000);
    let mut sealed: Vec<Sealed> = Vec::new();
    let mut by_wire: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut opened: HashSet<usize> = HashSet::new();
    let (mine, theirs) = keys(random);
    near.set(now, Some(&mine));
    far.set(now, Some(&theirs));
    let ssrcs = [random.next() as u32, random.next() as u32];
    let mut sequence = random.next() as u16;
    for _ in 0..200 {
        now += Duration::from_millis(*random.pick(&[0, 20, 20, 500]));
        if random.once_in(20) {
            // Long enough for rollovers that nobody has heard.
            now += Duration::from_secs(random.below(10_000) as u64);
        }
        match random.below(12) {
            0 if random.once_in(4) => {
                let (mine, theirs) = keys(random);
                near.set(now, Some(&mine));
                far.set(now, Some(&theirs));
            }
            1 => sequence = sequence.wrapping_add(*random.pick(&[1, 100, 30_000, 65_000])),
            2..=6 => {
                let protocol = if random.once_in(4) {
                    Protocol::Rtcp
                } else {
                    Protocol::Rtp
                };
                let ssrc = *random.pick(&ssrcs);
                let mut plain = match protocol {
                    Protocol::Rtp => {
                        let header = Header {
                            marker: false,
                            payload_type: 0,
                            sequence,
                            timestamp: 0,
                            ssrc,
                        };
                        header.encode().to_vec()
                    }
                    Protocol::Rtcp => [&[0x80, 201, 0, 1][..], &ssrc.to_be_bytes()].concat(),
                };
                sequence = sequence.wrapping_add(1);
                let length = random.below(300);
                plain.extend(random.bytes(length));
                let mut wire = plain.clone();
                wire.resize(plain.len() + MAX_TRAILER, 0xee);
                let done = match protocol {
                    Protocol::Rtp => far.protect_rtp(&mut wire, plain.len()),
                    Protocol::Rtcp => far.protect_rtcp(&mut wire, plain.len()),
                };
                let Ok(len) = done else { continue };
                wire.truncate(len);
                assert!(len > plain.len() && wire != plain, "nothing was sealed");
                assert!(by_wire.insert(wire.clone(), sealed.len()).is_none());
                sealed.push(Sealed {
                    protocol,
                    wire,
                    plain,
                });
            }
            _ => {
                let Some(from) = sealed.get(sealed.len().saturating_sub(1 + random.below(8)))
                else {
                    continue;
                };
                let mut protocol = from.protocol;
                let mut packet = match random.below(6) {
                    0 => mutate(&from.wire, &[], random, 2_100),
                    1 => {
                        let length = random.below(60);
                        random.bytes(length)
                    }
                    2 if random.once_in(3) => {
                        protocol = *random.pick(&[Protocol::Rtp, Protocol::Rtcp]);
                        from.plain.clone()
                    }
                    _ => from.wire.clone(),
                };
                let came = packet.clone();
                match open(&mut near, now, protocol, &mut packet) {
                    Ok(len) => {
                        let index = by_wire.get(&came).copied();
                        let index = index.expect("a packet was opened that nobody sealed");
                        assert_eq!(packet[..len], sealed[index].plain, "not what was sealed");
                        assert!(opened.insert(index), "a packet was opened twice");
                    }
                    Err(_) => assert_eq!(packet, came, "what was not opened was changed"),
                }
            }
        }
    }
}
