use super::testing::{
    SSRC, end, hex, master, open_at, opened, opened_rtcp, roomy, rtcp, rtp, sealed, sealed_rtcp,
};
use super::*;

/// Two ends of one call, `suite` both ways.
fn pair(suite: Suite) -> (Protection, Protection) {
    let (ours, theirs) = (master(suite, 1), master(suite, 2));
    (end(suite, &ours, &theirs), end(suite, &theirs, &ours))
}

// Both ends.

#[test]
fn what_one_end_seals_the_other_opens() {
    for suite in Suite::ALL {
        let (mut ours, mut theirs) = pair(suite);
        for sequence in 0..50 {
            let packet = rtp(SSRC, sequence);
            let wire = sealed(&mut ours, &packet);
            assert_eq!(wire.len(), packet.len() + suite.rtp_tag_len());
            assert_eq!(wire[..12], packet[..12]);
            assert_ne!(wire[12..172], packet[12..]);
            assert_eq!(opened(&mut theirs, &wire), Ok(packet));
            let report = rtcp(SSRC);
            let wire = sealed_rtcp(&mut theirs, &report);
            assert_eq!(wire.len(), report.len() + suite.rtcp_tag_len() + 4);
            assert_ne!(wire[8..report.len()], report[8..]);
            assert_eq!(opened_rtcp(&mut ours, &wire), Ok(report));
        }
    }
}

#[test]
fn headers_with_sources_and_extensions_stay_readable() {
    for suite in Suite::ALL {
        let (mut ours, mut theirs) = pair(suite);
        let mut packet =
            hex("9200 0007 00000001 5501a0b2 00000001 00000002 bede0002 aabbccdd eeff0011");
        packet.extend([0x55; 20]);
        let wire = sealed(&mut ours, &packet);
        assert_eq!(wire[..32], packet[..32]);
        assert_ne!(wire[32..52], packet[32..]);
        assert_eq!(opened(&mut theirs, &wire), Ok(packet.clone()));
        // The tag is over them all the same.
        let again = {
            packet[3] = 8;
            sealed(&mut ours, &packet)
        };
        for at in 12..32 {
            let mut changed = again.clone();
            changed[at] ^= 1;
            assert!(opened(&mut theirs, &changed).is_err(), "byte {at}");
        }
    }
}

#[test]
fn every_bit_counts() {
    for suite in Suite::ALL {
        let (mut ours, mut theirs) = pair(suite);
        let (wire, report) = (
            sealed(&mut ours, &rtp(SSRC, 1)),
            sealed_rtcp(&mut ours, &rtcp(SSRC)),
        );
        for bit in 0..wire.len() * 8 {
            let mut changed = wire.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(
                opened(&mut theirs, &changed).is_err(),
                "{suite:?} bit {bit}"
            );
        }
        for bit in 0..report.len() * 8 {
            let mut changed = report.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(
                opened_rtcp(&mut theirs, &changed).is_err(),
                "{suite:?} bit {bit}"
            );
        }
        for len in 0..wire.len() {
            assert!(
                opened(&mut theirs, &wire[..len]).is_err(),
                "{suite:?} cut to {len}"
            );
        }
        for len in 0..report.len() {
            assert!(
                opened_rtcp(&mut theirs, &report[..len]).is_err(),
                "{suite:?} cut to {len}"
            );
        }
        assert_eq!(
            opened(&mut theirs, &[&wire[..], &[0]].concat()),
            Err(SrtpError::Forged)
        );
        assert!(
            opened(&mut theirs, &wire).is_ok(),
            "none of it did any harm"
        );
        assert!(opened_rtcp(&mut theirs, &report).is_ok());
    }
}

#[test]
fn plain_packets_and_those_of_other_keys_are_forged() {
    for suite in Suite::ALL {
        let (mut ours, mut theirs) = pair(suite);
        assert_eq!(opened(&mut theirs, &rtp(SSRC, 1)), Err(SrtpError::Forged));
        let mut stranger = end(suite, &master(suite, 77), &master(suite, 78));
        let wire = sealed(&mut stranger, &rtp(SSRC, 1));
        assert_eq!(opened(&mut theirs, &wire), Err(SrtpError::Forged));
        // What we sent ourselves is not the peer's.
        let wire = sealed(&mut ours, &rtp(SSRC, 1));
        assert_eq!(opened(&mut ours, &wire), Err(SrtpError::Forged));
        // RTP is no RTCP, whoever sealed it.
        assert!(opened_rtcp(&mut theirs, &wire).is_err());
    }
}

#[test]
fn a_peer_of_which_nothing_came_for_more_than_half_a_rollover_is_understood_again() {
    let suite = Suite::AesCm128HmacSha1_80;
    let at = |number: u32| Time::from_millis(1_000 + 20 * u64::from(number));
    for unheard in [33_000, 70_000, 300_000] {
        let (mut ours, mut theirs) = pair(suite);
        let mut wires = Vec::new();
        for number in 0..unheard + 3 {
            let wire = sealed(&mut ours, &rtp(SSRC, number as u16));
            if !(3..unheard).contains(&number) {
                wires.push((number, wire));
            }
        }
        let mut stranger = end(suite, &master(suite, 77), &master(suite, 78));
        let forged = sealed(&mut stranger, &rtp(SSRC, unheard as u16));
        for (number, wire) in &wires {
            let forged = open_at(&mut theirs, at(*number), &forged);
            assert!(forged.is_err());
            let opened = open_at(&mut theirs, at(*number), wire);
            assert_eq!(opened, Ok(rtp(SSRC, *number as u16)), "{number}");
        }
        // None of it is taken twice, however long ago it came.
        for (_, wire) in &wires {
            for later in [unheard + 3, unheard + 200_000] {
                assert!(open_at(&mut theirs, at(later), wire).is_err());
            }
        }
        let next = sealed(&mut ours, &rtp(SSRC, (unheard + 3) as u16));
        assert!(open_at(&mut theirs, at(unheard + 4), &next).is_ok());
    }
}

#[test]
fn a_packet_is_taken_once() {
    for suite in Suite::ALL {
        let (mut ours, mut theirs) = pair(suite);
        let wires: Vec<_> = (0..200)
            .map(|sequence| sealed(&mut ours, &rtp(SSRC, sequence)))
            .collect();
        for at in [0, 1, 3, 2, 199] {
            assert!(opened(&mut theirs, &wires[at]).is_ok());
        }
        for at in [0, 1, 2, 3, 199] {
            assert_eq!(
                opened(&mut theirs, &wires[at]),
                Err(SrtpError::Replayed),
                "{at}"
            );
        }
        assert_eq!(
            opened(&mut theirs, &wires[71]),
            Err(SrtpError::Replayed),
            "too old to tell"
        );
        assert!(
            opened(&mut theirs, &wires[72]).is_ok(),
            "128 packets are remembered"
        );
        let report = sealed_rtcp(&mut ours, &rtcp(SSRC));
        assert!(opened_rtcp(&mut theirs, &report).is_ok());
        assert_eq!(opened_rtcp(&mut theirs, &report), Err(SrtpError::Replayed));
    }
}

// Rollovers.

#[test]
fn sequence_numbers_roll_over_through_loss_and_reordering() {
    for suite in [Suite::AesCm128HmacSha1_80, Suite::AeadAes128Gcm] {
        let (mut ours, mut theirs) = pair(suite);
        let mut held = None;
        for number in 100..300_000u32 {
            let packet = rtp(SSRC, number as u16);
            let wire = sealed(&mut ours, &packet);
            // A long gap, and every 1,000th packet comes three later, over the edges too.
            if (90_000..115_000).contains(&number) {
                continue;
            }
            if number % 1_000 == 535 {
                held = Some((wire, packet));
                continue;
            }
            assert_eq!(opened(&mut theirs, &wire), Ok(packet), "{number}");
            if number % 1_000 == 538
                && let Some((wire, packet)) = held.take()
            {
                assert_eq!(opened(&mut theirs, &wire), Ok(packet), "{number} late");
            }
        }
    }
}

#[test]
fn a_stream_that_rolled_over_before_it_was_heard_is_heard() {
    let (mut ours, mut theirs) = pair(Suite::AesCm128HmacSha1_80);
    for sequence in [65_534, 65_535] {
        sealed(&mut ours, &rtp(SSRC, sequence));
    }
    let wire = sealed(&mut ours, &rtp(SSRC, 0));
    assert_eq!(opened(&mut theirs, &wire), Ok(rtp(SSRC, 0)));
    let wire = sealed(&mut ours, &rtp(SSRC, 1));
    assert_eq!(opened(&mut theirs, &wire), Ok(rtp(SSRC, 1)));
}

#[test]
fn an_index_is_never_used_twice() {
    let (mut ours, _) = pair(Suite::AeadAes128Gcm);
    let mut buffer = roomy(&rtp(SSRC, 1_000));
    assert!(ours.protect_rtp(&mut buffer, 172).is_ok());
    for sequence in [1_000, 999, 900] {
        let packet = roomy(&rtp(SSRC, sequence));
        let mut buffer = packet.clone();
        assert_eq!(
            ours.protect_rtp(&mut buffer, 172),
            Err(SrtpError::IndexUsed)
        );
        assert_eq!(buffer, packet);
    }
}

#[test]
fn a_packet_may_be_sealed_behind_its_successors_once() {
    let (mut ours, mut theirs) = pair(Suite::AeadAes128Gcm);
    // Across a rollover of the numbers, too.
    for sequence in [65_533, 65_535, 1, 65_534, 0] {
        let wire = sealed(&mut ours, &rtp(SSRC, sequence));
        assert_eq!(opened(&mut theirs, &wire), Ok(rtp(SSRC, sequence)));
    }
    for sequence in [65_533, 65_534, 65_535, 0, 1] {
        let mut buffer = roomy(&rtp(SSRC, sequence));
        assert_eq!(
            ours.protect_rtp(&mut buffer, 172),
            Err(SrtpError::IndexUsed)
        );
    }
}

#[test]
fn a_key_ends_with_its_last_index() {
    let suite = Suite::AesCm128HmacSha1_80;
    let (mut ours, _) = pair(suite);
    let sender = ours.sender.as_mut().expect("on");
    sender.begin_at(SSRC, (1 << 48) - 2, (1 << 31) - 1);
    let mut buffer = roomy(&rtp(SSRC, 0xffff));
    assert!(ours.protect_rtp(&mut buffer, 172).is_ok(), "the last one");
    let mut buffer = roomy(&rtp(SSRC, 0));
    assert_eq!(
        ours.protect_rtp(&mut buffer, 172),
        Err(SrtpError::Exhausted)
    );
    let mut buffer = roomy(&rtcp(SSRC));
    assert!(ours.protect_rtcp(&mut buffer, 24).is_ok(), "the last one");
    let mut buffer = roomy(&rtcp(SSRC));
    assert_eq!(
        ours.protect_rtcp(&mut buffer, 24),
        Err(SrtpError::Exhausted)
    );
}

// Sources.

#[test]
fn sources_are_kept_apart_and_their_number_is_bounded() {
    let suite = Suite::AeadAes128Gcm;
    let (mut ours, mut theirs) = pair(suite);
    for ssrc in 1..=4 {
        for sequence in [5, 6] {
            let wire = sealed(&mut ours, &rtp(ssrc, sequence));
            assert!(opened(&mut theirs, &wire).is_ok());
        }
    }
    let mut buffer = roomy(&rtp(5, 5));
    assert_eq!(
        ours.protect_rtp(&mut buffer, 172),
        Err(SrtpError::TooManySources)
    );
}

#[test]
fn a_source_that_gave_way_can_not_be_played_again() {
    let suite = Suite::AesCm128HmacSha1_80;
    let mut theirs = end(suite, &master(suite, 2), &master(suite, 1));
    // A peer that changes its source under one key, as no sender of ours does.
    let wire = |ssrc: u32, sequence| {
        sealed(
            &mut end(suite, &master(suite, 1), &master(suite, 2)),
            &rtp(ssrc, sequence),
        )
    };
    for ssrc in 1..=10 {
        assert!(opened(&mut theirs, &wire(ssrc, 100)).is_ok());
    }
    for ssrc in 1..=10 {
        for sequence in [100, 99] {
            let again = opened(&mut theirs, &wire(ssrc, sequence));
            let live = ssrc > 6 && sequence == 99;
            assert_eq!(again.is_ok(), live, "{ssrc} {sequence}");
        }
    }
    assert!(
        opened(&mut theirs, &wire(3, 101)).is_ok(),
        "it may come back and go on"
    );
    let receiver = theirs.receiver.as_ref().expect("on");
    assert_eq!(receiver.known(), (4, 6));
    for ssrc in 100..200 {
        assert!(opened(&mut theirs, &wire(ssrc, 1)).is_ok());
    }
    assert_eq!(theirs.receiver.as_ref().expect("on").known(), (4, 16));
}

#[test]
fn forged_packets_of_many_sources_leave_nothing_behind() {
    let (mut ours, mut theirs) = pair(Suite::AesCm128HmacSha1_32);
    let wire = sealed(&mut ours, &rtp(SSRC, 1));
    assert!(opened(&mut theirs, &wire).is_ok());
    for number in 0..100_000u32 {
        assert_eq!(
            opened(&mut theirs, &rtp(number, number as u16)),
            Err(SrtpError::Forged)
        );
    }
    assert_eq!(theirs.receiver.as_ref().expect("on").known(), (1, 0));
    let wire = sealed(&mut ours, &rtp(SSRC, 2));
    assert!(opened(&mut theirs, &wire).is_ok());
}

// Keys that change.

fn keys(suite: Suite, send: u8, receive: u8) -> SrtpKeys {
    SrtpKeys::new(suite, &master(suite, send), &master(suite, receive)).expect("long enough")
}

#[test]
fn equal_keys_keep_their_rollovers() {
    let suite = Suite::AesCm128HmacSha1_80;
    let (mut ours, mut theirs) = pair(suite);
    for number in 60_000..70_000u32 {
        let wire = sealed(&mut ours, &rtp(SSRC, number as u16));
        assert!(opened(&mut theirs, &wire).is_ok());
    }
    ours.set(Time::ZERO, Some(&keys(suite, 1, 2)));
    theirs.set(Time::ZERO, Some(&keys(suite, 2, 1)));
    let again = sealed(&mut ours, &rtp(SSRC, 70_000u32 as u16));
    assert!(opened(&mut theirs, &again).is_ok());
    assert_eq!(opened(&mut theirs, &again), Err(SrtpError::Replayed));
}

#[test]
fn the_key_before_is_good_for_a_while() {
    let suite = Suite::AeadAes256Gcm;
    let (mut ours, mut theirs) = pair(suite);
    let start = Time::from_millis(1_000);
    let before: Vec<_> = (60_000..70_000u32)
        .map(|n| sealed(&mut ours, &rtp(SSRC, n as u16)))
        .collect();
    for wire in &before[..9_990] {
        assert!(open_at(&mut theirs, start, wire).is_ok());
    }
    ours.set(start, Some(&keys(suite, 3, 2)));
    theirs.set(start, Some(&keys(suite, 2, 3)));
    // Sequence numbers run on, rollovers begin anew.
    let after: Vec<_> = (70_000..70_010u32)
        .map(|n| sealed(&mut ours, &rtp(SSRC, n as u16)))
        .collect();
    let soon = start + Duration::from_millis(4_999);
    assert!(open_at(&mut theirs, soon, &after[0]).is_ok());
    assert!(
        open_at(&mut theirs, soon, &before[9_990]).is_ok(),
        "on its way while the key changed"
    );
    assert_eq!(
        open_at(&mut theirs, soon, &before[9_990]),
        Err(SrtpError::Replayed)
    );
    assert_eq!(
        open_at(&mut theirs, soon, &before[9_989]),
        Err(SrtpError::Replayed)
    );
    assert!(open_at(&mut theirs, soon, &after[1]).is_ok());
    let late = start + OLD_KEY;
    assert_eq!(
        open_at(&mut theirs, late, &before[9_991]),
        Err(SrtpError::Forged)
    );
    assert!(open_at(&mut theirs, late, &after[2]).is_ok());
    assert!(theirs.old.is_none(), "forgotten");
}

#[test]
fn one_direction_may_change_its_key_alone() {
    let suite = Suite::AesCm128HmacSha1_80;
    let (mut ours, mut theirs) = pair(suite);
    for sequence in 0..10 {
        let wire = sealed(&mut ours, &rtp(SSRC, sequence));
        assert!(opened(&mut theirs, &wire).is_ok());
    }
    theirs.set(Time::ZERO, Some(&keys(suite, 4, 1)));
    let mut buffer = roomy(&rtp(SSRC, 9));
    ours.set(Time::ZERO, Some(&keys(suite, 1, 4)));
    assert_eq!(
        ours.protect_rtp(&mut buffer, 172),
        Err(SrtpError::IndexUsed),
        "the sending key is as it was"
    );
    let wire = sealed(&mut theirs, &rtp(7, 1));
    assert!(opened(&mut ours, &wire).is_ok());
}

#[test]
fn back_to_the_key_before_what_was_seen_is_still_known() {
    let suite = Suite::AesCm128HmacSha1_80;
    let (mut ours, mut theirs) = pair(suite);
    let wire = sealed(&mut ours, &rtp(SSRC, 1));
    assert!(opened(&mut theirs, &wire).is_ok());
    theirs.set(Time::ZERO, Some(&keys(suite, 2, 3)));
    theirs.set(Time::ZERO, Some(&keys(suite, 2, 1)));
    assert_eq!(opened(&mut theirs, &wire), Err(SrtpError::Replayed));
}

#[test]
fn a_peer_that_counts_on_under_a_new_key_is_heard() {
    let suite = Suite::AesCm128HmacSha1_80;
    let (mut ours, mut theirs) = pair(suite);
    for number in 0..140_000u32 {
        let wire = sealed(&mut ours, &rtp(SSRC, number as u16));
        assert!(opened(&mut theirs, &wire).is_ok());
    }
    theirs.set(Time::ZERO, Some(&keys(suite, 2, 3)));
    ours.set(Time::ZERO, Some(&keys(suite, 3, 2)));
    ours.sender.as_mut().expect("on").begin_at(SSRC, 139_999, 0);
    let wire = sealed(&mut ours, &rtp(SSRC, 140_000u32 as u16));
    assert!(opened(&mut theirs, &wire).is_ok());
}

#[test]
fn what_is_given_up_becomes_plain_and_no_noise() {
    let suite = Suite::AesCm128HmacSha1_80;
    let (mut ours, mut theirs) = pair(suite);
    let under_way = sealed(&mut ours, &rtp(SSRC, 1));
    ours.set(Time::ZERO, None);
    theirs.set(Time::ZERO, None);
    assert!(!ours.is_on() && !theirs.is_on());
    assert_eq!(opened(&mut theirs, &under_way), Ok(rtp(SSRC, 1)));
    assert_eq!(opened(&mut theirs, &under_way), Err(SrtpError::Replayed));
    assert_eq!(sealed(&mut ours, &rtp(SSRC, 2)), rtp(SSRC, 2));
    assert_eq!(opened(&mut theirs, &rtp(SSRC, 2)), Ok(rtp(SSRC, 2)));
    assert_eq!(
        open_at(&mut theirs, Time::ZERO + OLD_KEY, &under_way),
        Ok(under_way.clone())
    );
}

// What is no packet.

#[test]
fn what_is_no_packet_is_neither_sealed_nor_opened() {
    for suite in Suite::ALL {
        let (mut ours, mut theirs) = pair(suite);
        let sealing = [
            hex(""),
            hex("80"),
            hex("8000 0001 00000000 000000"),
            hex("4000 0001 00000000 00000001"),
            hex("8f00 0001 00000000 00000001 00000000"),
            hex("9000 0001 00000000 00000001 bede ffff 00000000"),
            [0x80; 3_000].to_vec(),
        ];
        for packet in sealing {
            let mut buffer = roomy(&packet);
            assert_eq!(
                ours.protect_rtp(&mut buffer, packet.len()),
                Err(SrtpError::Malformed)
            );
            assert!(opened(&mut theirs, &roomy(&packet)).is_err());
            assert!(opened_rtcp(&mut theirs, &packet).is_err());
        }
        for packet in [hex(""), hex("80c9 0001 000000"), hex("00c9 0001 00000001")] {
            let mut buffer = roomy(&packet);
            assert_eq!(
                ours.protect_rtcp(&mut buffer, packet.len()),
                Err(SrtpError::Malformed)
            );
        }
        let mut tight = rtp(SSRC, 1);
        assert_eq!(ours.protect_rtp(&mut tight, 172), Err(SrtpError::NoRoom));
        assert_eq!(ours.protect_rtp(&mut tight, 173), Err(SrtpError::NoRoom));
        let mut tight = rtcp(SSRC);
        assert_eq!(ours.protect_rtcp(&mut tight, 24), Err(SrtpError::NoRoom));
    }
}

#[test]
fn noise_is_refused() {
    let mut random = 0x2545_f491_4f6c_dd1du64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    for suite in Suite::ALL {
        let (_, mut theirs) = pair(suite);
        for _ in 0..2_000 {
            let len = next() as usize % 300;
            let mut noise: Vec<u8> = (0..len).map(|_| next() as u8).collect();
            if let Some(first) = noise.first_mut() {
                *first = *first & 0x3f | 0x80;
            }
            assert!(opened(&mut theirs, &noise).is_err());
            assert!(opened_rtcp(&mut theirs, &noise).is_err());
        }
    }
}

#[test]
fn nothing_of_it_shows_a_key() {
    let (ours, _) = pair(Suite::AesCm128HmacSha1_80);
    assert_eq!(format!("{ours:?}"), "Protection(AES_CM_128_HMAC_SHA1_80)");
    assert_eq!(format!("{:?}", Protection::default()), "Protection(none)");
}
