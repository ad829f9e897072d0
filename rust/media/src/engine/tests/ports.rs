//! How calls get their ports, share them and give them back.

use super::*;

#[test]
fn forty_calls_share_two_ports_and_each_hears_itself() {
    let engine = engine(13_200, 13_203);
    let mut peers: Vec<Peer> = (1..=40).map(Peer::new).collect();
    let legs: Vec<LegHandle> = peers
        .iter()
        .map(|peer| echo(&engine, peer, policy()))
        .collect();
    let stats = engine.stats();
    assert_eq!((stats.ports.in_use, stats.ports.most_legs), (2, 20));
    for _ in 0..5 {
        for (peer, leg) in peers.iter_mut().zip(&legs) {
            peer.say(leg.local_address());
        }
        thread::sleep(Duration::from_millis(20));
    }
    for (peer, leg) in peers.iter().zip(&legs) {
        for _ in 0..3 {
            assert_eq!(peer.hear(), (peer.word, leg.local_address()));
        }
        assert_eq!(leg.stats().received_wrong_source.get(), 0);
    }
    drop(legs);
    until("all legs are gone", || engine.stats().legs == 0);
    assert_eq!(engine.stats().ports.in_use, 0);
}

#[test]
fn peers_behind_one_address_need_a_port_each_until_they_are_heard() {
    let engine = engine(13_210, 13_213);
    let mut peers: Vec<Peer> = (1..=3).map(Peer::new).collect();
    // Their SDP names ports that the router has changed on the way.
    let behind = |number: u16| {
        let sdp = SocketAddr::new(LOOPBACK, 9 + number);
        let leg = engine.open_leg(&leg_for(Some(sdp), nat()), None)?;
        leg.set_remote(media(sdp), nat()).expect("taken");
        leg.echo(true).expect("taken");
        leg.start(None).expect("taken");
        leg.release().expect("taken");
        Ok::<_, MediaError>(leg)
    };
    let first = behind(1).expect("a port of its own");
    let second = behind(2).expect("another");
    let error = behind(3).err().expect("no third");
    assert_eq!(error.code(), "no_port");
    assert!(
        error.to_string().contains("2 carry a call that could be"),
        "{error}"
    );
    for _ in 0..4 {
        peers[0].say(first.local_address());
    }
    until("the first is heard", || {
        first.stats().received_packets.get() == 4
    });
    let third = behind(3).expect("beside the first, which is heard");
    assert_eq!(third.local_address(), first.local_address());
    for _ in 0..4 {
        peers[2].say(third.local_address());
        peers[1].say(second.local_address());
    }
    for (number, leg) in [(0, &first), (1, &second), (2, &third)] {
        let peer = &mut peers[number];
        assert_eq!(peer.hear(), (peer.word, leg.local_address()));
        assert_eq!(leg.stats().received_packets.get(), 4);
        assert_eq!(leg.stats().received_wrong_source.get(), 0);
    }
}

#[test]
fn a_remote_address_that_another_call_has_is_an_error_and_another_port_solves_it() {
    let engine = engine(13_220, 13_223);
    let (one, mut two, mut both) = (Peer::new(1), Peer::new(2), Peer::new(3));
    let first = echo(&engine, &both, policy());
    let _second = echo(&engine, &one, policy());
    let leg = echo(&engine, &two, policy());
    let old = leg.local_address();
    assert_eq!(old, first.local_address(), "they share a port");
    two.say(old);
    assert_eq!(two.hear(), (2, old));
    // The peer's media moves to an address that the first call has, as one that mixes calls does.
    let error = leg
        .set_remote(media(both.address()), policy())
        .expect_err("taken");
    assert_eq!(error.code(), "collision");
    let new = leg.place(both.address()).expect("another port");
    assert_ne!(new, old);
    assert_eq!(leg.place(both.address()).expect("the same again"), new);
    assert_eq!(leg.local_address(), new);
    two.say(old);
    assert_eq!(two.hear(), (2, old), "nothing has changed yet");
    leg.set_remote(media(both.address()), policy())
        .expect("free there");
    // The old source is still heard on the old port, and what we send leaves from the new one.
    two.converse(old, &both.socket, new);
    let mixer = both.socket.try_clone().expect("cloned");
    both.converse(new, &mixer, new);
    let heard = leg.stats().received_packets.get();
    for _ in 0..3 {
        two.say(old);
    }
    until("they are known as stragglers", || {
        engine.stats().straggler_packets == 3
    });
    assert_eq!(leg.stats().received_packets.get(), heard);
    both.converse(old, &mixer, old);
    // And back: it stays where it is, which is as good.
    assert_eq!(leg.place(two.address()).expect("it stays"), new);
    leg.set_remote(media(two.address()), policy())
        .expect("free");
    let back = two.socket.try_clone().expect("cloned");
    two.converse(new, &back, new);
}

#[test]
fn a_place_that_sdp_does_not_name_after_all_is_given_back() {
    let engine = engine(13_230, 13_233);
    let (one, mut two) = (Peer::new(1), Peer::new(2));
    let _first = echo(&engine, &one, policy());
    let _other = echo(&engine, &Peer::new(4), policy());
    let leg = echo(&engine, &two, policy());
    let old = leg.local_address();
    let new = leg.place(one.address()).expect("another port");
    assert_ne!(new, old);
    assert_eq!(engine.stats().ports.most_legs, 2);
    assert_eq!(leg.place(two.address()).expect("it stays"), old);
    leg.set_remote(media(two.address()), policy())
        .expect("free");
    two.say(old);
    assert_eq!(two.hear(), (2, old));
    leg.close();
    until("it is gone", || engine.stats().legs == 2);
    assert_eq!(engine.stats().ports.most_legs, 1);
}

#[test]
fn each_family_has_its_ports_and_a_leg_that_of_its_peer() {
    let six = IpAddr::V6(Ipv6Addr::LOCALHOST);
    let engine = Engine::new(EngineSettings {
        addresses: vec![LOOPBACK, six],
        ..settings(13_280, 13_281)
    })
    .expect("an engine");
    let mut four = Peer::new(4);
    let mut peer = Peer::at("[::1]:0", 6);
    let policy_of_six = Policy {
        signalling: six,
        ..policy()
    };
    let first = echo(&engine, &four, policy());
    let second = echo(&engine, &peer, policy_of_six.clone());
    assert_eq!(first.local_address().port(), second.local_address().port());
    assert_eq!(second.local_address().ip(), six);
    four.say(first.local_address());
    peer.say(second.local_address());
    assert_eq!(four.hear(), (4, first.local_address()));
    assert_eq!(peer.hear(), (6, second.local_address()));
    let stats = engine.stats().ports;
    assert_eq!((stats.ipv4, stats.ipv6, stats.in_use), (1, 1, 2));
    // Media of the other family needs another port.
    let error = first
        .set_remote(media(peer.address()), policy_of_six)
        .expect_err("the port is one of IPv4");
    assert_eq!(error.code(), "no_family");
    let other = Peer::at("[::1]:0", 7);
    let new = first.place(other.address()).expect("a port of IPv6");
    assert_eq!(new, second.local_address());
    first
        .set_remote(media(other.address()), policy())
        .expect("free");
    assert_eq!(other.hear_from(), new);
}

#[test]
fn a_family_without_an_address_is_an_error_that_says_so() {
    let engine = engine(13_290, 13_291);
    let settings = LegSettings {
        family: Some(Family::V6),
        ..LegSettings::default()
    };
    let error = engine.open_leg(&settings, None).err().expect("refused");
    assert_eq!(error.code(), "no_family");
    assert!(error.to_string().contains("IPv6"), "{error}");
}

#[test]
fn a_wide_range_is_one_call_a_port_and_closes_what_has_rested() {
    let engine = Engine::new(EngineSettings {
        quarantine: Duration::from_millis(30),
        ..settings(13_400, 13_599)
    })
    .expect("an engine");
    let peers: Vec<Peer> = (1..=3).map(Peer::new).collect();
    let legs: Vec<LegHandle> = peers
        .iter()
        .map(|peer| echo(&engine, peer, policy()))
        .collect();
    let stats = engine.stats().ports;
    assert_eq!((stats.in_use, stats.most_legs, stats.ipv4), (3, 1, 100));
    let address = legs[0].local_address();
    UdpSocket::bind(address).expect_err("it is bound");
    drop(legs);
    until("the port is closed", || UdpSocket::bind(address).is_ok());
    assert_eq!(engine.stats().ports.resting, 0);
}

#[test]
fn a_small_range_stays_bound() {
    let engine = engine(13_140, 13_143);
    let taken = UdpSocket::bind("127.0.0.1:13141").expect_err("bound from the start");
    assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
    assert_eq!(engine.stats().ports.ipv4, 2);
    drop(open(&engine));
    until("the leg is gone", || engine.stats().legs == 0);
    UdpSocket::bind("127.0.0.1:13140").expect_err("and after a call");
}

#[test]
fn closing_the_engine_ends_legs_and_frees_their_ports() {
    let engine = engine(13_120, 13_121);
    let leg = open(&engine);
    let address = leg.local_address();
    engine.close();
    UdpSocket::bind(address).expect("the port is free");
    assert!(matches!(
        engine.open_leg(&LegSettings::default(), None),
        Err(MediaError::Closed)
    ));
    leg.drain().expect("ignored");
}
