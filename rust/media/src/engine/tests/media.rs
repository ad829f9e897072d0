//! What goes between a leg and its peer: packets, reports, errors.

use super::*;

use crate::codec::Encoder;
use crate::telephone_event::Digit;
use crate::tones::{ToneDetector, ToneMaker};

#[test]
fn what_comes_before_the_answer_is_heard_with_it() {
    let engine = engine(13_240, 13_241);
    let mut peer = Peer::new(5);
    let leg = engine
        .open_leg(&leg_for(None, policy()), None)
        .expect("a leg");
    leg.echo(true).expect("taken");
    for _ in 0..4 {
        peer.say(leg.local_address());
    }
    until("they are parked", || engine.stats().parked_packets == 4);
    leg.set_remote(media(peer.address()), policy())
        .expect("taken");
    leg.start(None).expect("taken");
    leg.release().expect("taken");
    until("they are the leg's", || {
        leg.stats().received_packets.get() == 4
    });
    assert_eq!(leg.stats().received_wrong_source.get(), 0);
    assert_eq!(engine.stats().unclaimed_packets, 0);
}

#[test]
fn a_call_after_another_on_the_same_port_is_clean() {
    let engine = engine(13_250, 13_251);
    let mut zombie = Peer::new(6);
    let before = echo(&engine, &zombie, nat());
    let port = before.local_address();
    for _ in 0..4 {
        zombie.say(port);
    }
    assert_eq!(zombie.hear(), (6, port));
    before.close();
    until("it is gone", || engine.stats().legs == 0);
    // Its peer has missed the BYE and goes on; the next call comes from behind the same address.
    let mut peer = Peer::new(7);
    let sdp = SocketAddr::new(LOOPBACK, 9);
    let after = engine
        .open_leg(&leg_for(Some(sdp), nat()), None)
        .expect("the only port");
    assert_eq!(after.local_address(), port);
    after.set_remote(media(sdp), nat()).expect("taken");
    after.echo(true).expect("taken");
    after.start(None).expect("taken");
    after.release().expect("taken");
    for _ in 0..20 {
        zombie.say(port);
    }
    until("they are known", || engine.stats().straggler_packets == 20);
    assert_eq!(after.stats().received_packets.get(), 0);
    for _ in 0..4 {
        zombie.say(port);
        peer.say(port);
    }
    assert_eq!(peer.hear(), (7, port));
    assert_eq!(after.stats().received_packets.get(), 4);
}

#[test]
fn media_aimed_at_our_own_ports_is_never_sent() {
    let peer = Peer::at("127.0.0.1:13264", 1);
    let engine = Engine::new(EngineSettings {
        addresses: vec![IpAddr::V4(Ipv4Addr::UNSPECIFIED)],
        ..settings(13_260, 13_265)
    })
    .expect("an engine");
    let victim = open(&engine);
    let own = SocketAddr::new(LOOPBACK, victim.local_address().port());
    for (rtp, rtcp) in [
        (own, None),
        (SocketAddr::new(own.ip(), own.port() + 1), None),
        (
            "[::ffff:127.0.0.1]:13263".parse().expect("an address"),
            None,
        ),
        (own, Some(own)),
    ] {
        let leg = open(&engine);
        let remote = RemoteMedia { rtcp, ..media(rtp) };
        leg.set_remote(remote, policy()).expect("taken as a hold");
        leg.start(None).expect("taken");
        until("it is not sent", || leg.stats().unsent_packets.get() > 2);
        leg.close();
        until("it is gone", || engine.stats().legs == 1);
        assert_eq!(leg.stats().sent_packets.get(), 0, "{rtp}");
        assert_eq!(leg.stats().rtcp_sent.get(), 0, "{rtp}");
    }
    // A port of the range that another process holds is as good as any.
    let leg = open(&engine);
    leg.set_remote(media(peer.address()), policy())
        .expect("taken");
    leg.start(None).expect("taken");
    peer.hear_from();
}

#[test]
fn what_is_sent_leaves_from_the_address_that_the_peer_sends_to() {
    let engine = Engine::new(EngineSettings {
        addresses: vec![IpAddr::V4(Ipv4Addr::UNSPECIFIED)],
        ..settings(13_270, 13_271)
    })
    .expect("an engine");
    if engine.stats().driver != "linux" {
        return;
    }
    let mut peer = Peer::new(8);
    let leg = echo(&engine, &peer, policy());
    assert!(leg.local_address().ip().is_unspecified());
    let asked = SocketAddr::new(
        IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)),
        leg.local_address().port(),
    );
    peer.say(asked);
    assert_eq!(peer.hear(), (8, asked));
}

#[test]
fn reports_come_and_go_by_the_rtp_port_where_that_was_agreed() {
    let engine = engine(13_300, 13_301);
    let mut peer = Peer::new(3);
    let leg = open(&engine);
    let muxed = RemoteMedia {
        rtcp_mux: true,
        ..media(peer.address())
    };
    leg.set_remote(muxed, policy()).expect("taken");
    leg.start(None).expect("taken");
    peer.say(leg.local_address());
    let report = [0x80, 201, 0, 1, 0, 0, 0, 4];
    peer.socket
        .send_to(&report, leg.local_address())
        .expect("sent");
    until("it is counted", || leg.stats().rtcp_received.get() == 1);
    assert_eq!(leg.stats().received_wrong_payload_type.get(), 0);
    leg.close();
    loop {
        let mut bytes = [0; 400];
        let (length, source) = peer.socket.recv_from(&mut bytes).expect("a BYE");
        assert_eq!(source, leg.local_address());
        if bytes[1] == 200 {
            assert!(length > 28);
            break;
        }
    }
}

#[test]
fn an_icmp_error_is_counted_for_the_leg_whose_it_is() {
    let engine = engine(13_310, 13_311);
    if engine.stats().driver != "linux" {
        return;
    }
    let peer = Peer::new(1);
    let gone = Peer::new(2).address();
    let heard = echo(&engine, &peer, policy());
    let settings = leg_for(Some(gone), policy());
    let deaf = engine.open_leg(&settings, None).expect("a leg");
    deaf.set_remote(media(gone), policy()).expect("taken");
    deaf.start(None).expect("taken");
    assert_eq!(deaf.local_address(), heard.local_address());
    let event = wait_for(&engine, "unreachable");
    assert_eq!(event.subject, Subject::Leg(deaf.id()));
    until("they are counted", || {
        deaf.stats().sent_unreachable.get() > 2
    });
    assert_eq!(heard.stats().sent_unreachable.get(), 0);
    assert!(peer.hear_from() == heard.local_address());
    assert_eq!(engine.stats().send_errors, 0, "no error hides a packet");
}

#[test]
fn an_address_in_sdp_that_is_none_of_this_host_costs_no_call() {
    let engine = Engine::new(EngineSettings {
        addresses: vec![IpAddr::V4(Ipv4Addr::UNSPECIFIED)],
        ..settings(13_130, 13_131)
    })
    .expect("an engine");
    let settings = LegSettings {
        sdp_address: Some("192.0.2.1".parse().expect("an address")),
        ..LegSettings::default()
    };
    let leg = engine.open_leg(&settings, None).expect("a leg");
    assert!(leg.local_address().ip().is_unspecified());
}

/// The keys in what is tapped of a leg while its peer presses one by its tones.
fn tapped_keys(engine: &Engine, mask: DigitMask) -> String {
    let peer = Peer::new(1);
    let leg = engine
        .open_leg(&leg_for(Some(peer.address()), policy()), None)
        .expect("a leg");
    leg.set_remote(media(peer.address()), policy())
        .expect("taken");
    leg.mask_digits(mask).expect("taken");
    leg.tap(true).expect("taken");
    leg.start(None).expect("taken");
    let (mut maker, mut encoder) = (ToneMaker::default(), Encoder::new(Codec::Pcmu));
    let digit = Digit::from_char('5').expect("a key");
    for n in 0..30 {
        let header = Header {
            marker: n == 0,
            payload_type: 0,
            sequence: n,
            timestamp: u32::from(n) * 160,
            ssrc: 9,
        };
        let (mut pcm, mut payload) = ([0; 160], [0; 160]);
        if (5..15).contains(&n) {
            maker.make(digit, 8_000, n == 5, n == 14, &mut pcm);
        }
        encoder.encode(&pcm, &mut payload);
        let packet = [&header.encode()[..], &payload].concat();
        peer.socket
            .send_to(&packet, leg.local_address())
            .expect("sent");
    }
    let (mut sound, mut keys) = (Vec::new(), String::new());
    until("all of it is tapped", || {
        for event in engine.drain_events(100) {
            if let What::Audio { pcm16, .. } = event.what {
                let samples = pcm16.chunks_exact(2);
                sound.extend(samples.map(|pair| i16::from_le_bytes([pair[0], pair[1]])));
            }
        }
        leg.stats().received_packets.get() == 30 && sound.len() >= 30 * 160
    });
    leg.close();
    let mut detector = ToneDetector::default();
    detector.hear(&sound, 8_000, false, |key| keys.push(key.digit.as_char()));
    keys
}

#[test]
fn who_taps_a_leg_hears_keys_only_where_they_are_not_masked() {
    let engine = engine(13_600, 13_605);
    assert_eq!(tapped_keys(&engine, DigitMask::Off), "5");
    assert_eq!(tapped_keys(&engine, DigitMask::Masked), "");
    assert_eq!(tapped_keys(&engine, DigitMask::Withheld), "");
}
