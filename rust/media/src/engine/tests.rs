//! The engine with real sockets, under the driver of `OFFHOOK_MEDIA_DRIVER`.

use super::*;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Instant;

use super::command::LegCommand;
use crate::codec::Codec;
use crate::leg::RemoteMedia;
use crate::rtp::{Header, Packet};
use crate::wire::record::{self, Kind};
use crate::wire::websocket::{Decoder, Message};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn settings(min: u16, max: u16) -> EngineSettings {
    EngineSettings {
        addresses: vec![LOOPBACK],
        ports: PortRange { min, max },
        threads: 1,
        quarantine: Duration::ZERO,
        dscp: 46,
        receive_buffer: 65536,
        max_legs: 100,
        max_wires: 10,
        event_limit: 100,
        dial_threads: 2,
        dial_queue: 4,
        speech_weights: None,
    }
}

fn engine(min: u16, max: u16) -> Engine {
    Engine::new(settings(min, max)).expect("an engine")
}

fn policy() -> Policy {
    Policy {
        signalling: LOOPBACK,
        media_allow: Vec::new(),
        nat: false,
        loopback: true,
    }
}

fn nat() -> Policy {
    Policy {
        nat: true,
        ..policy()
    }
}

/// A leg whose peer's SDP is known to name `remote`.
fn leg_for(remote: Option<SocketAddr>, policy: Policy) -> LegSettings {
    LegSettings {
        remote,
        policy: Some(policy),
        playout_limit: Duration::from_secs(60),
        ..LegSettings::default()
    }
}

fn open(engine: &Engine) -> LegHandle {
    engine
        .open_leg(&LegSettings::default(), None)
        .expect("a leg")
}

fn media(rtp: SocketAddr) -> RemoteMedia {
    RemoteMedia::plain(rtp, 0, Codec::Pcmu)
}

/// The far end of a leg; each says something of its own.
struct Peer {
    socket: UdpSocket,
    word: u8,
    sequence: u16,
}

impl Peer {
    fn new(word: u8) -> Self {
        Self::at("127.0.0.1:0", word)
    }

    fn at(address: &str, word: u8) -> Self {
        let socket = UdpSocket::bind(address).expect("bound");
        socket
            .set_read_timeout(Some(Duration::from_secs(5)))
            .expect("set");
        Peer {
            socket,
            word,
            sequence: u16::from(word) << 8,
        }
    }

    fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("bound")
    }

    /// 20 ms of its word to a leg.
    fn say(&mut self, to: SocketAddr) {
        let header = Header {
            marker: false,
            payload_type: 0,
            sequence: self.sequence,
            timestamp: u32::from(self.sequence) * 160,
            ssrc: u32::from(self.word) + 1,
        };
        self.sequence = self.sequence.wrapping_add(1);
        let mut packet = header.encode().to_vec();
        packet.extend([self.word, !self.word].repeat(80));
        self.socket.send_to(&packet, to).expect("sent");
    }

    /// The next packet with a word that somebody has said: which, and where it came from.
    fn hear(&self) -> (u8, SocketAddr) {
        let end = Instant::now() + Duration::from_secs(5);
        loop {
            assert!(Instant::now() < end, "nothing but silence");
            if let Some(heard) = self.hear_word() {
                return heard;
            }
        }
    }

    /// The word in the next packet, if somebody has said it, and where it came from.
    fn hear_word(&self) -> Option<(u8, SocketAddr)> {
        let mut bytes = [0; 400];
        let (length, source) = self.socket.recv_from(&mut bytes).expect("a packet");
        let packet = Packet::decode(&bytes[..length]).expect("RTP");
        // What was filled in between does not alternate so.
        let word = packet.payload[0].min(packet.payload[1]);
        let mut pairs = packet.payload.windows(2);
        let said = pairs.all(|pair| pair[0].min(pair[1]) == word && pair[0] == !pair[1]);
        said.then_some((word, source))
    }

    /// The next packet, silence or not: where it came from.
    fn hear_from(&self) -> SocketAddr {
        let mut bytes = [0; 400];
        self.socket.recv_from(&mut bytes).expect("a packet").1
    }
}

/// An answered leg that plays back what its peer says.
fn echo(engine: &Engine, peer: &Peer, policy: Policy) -> LegHandle {
    let settings = leg_for(Some(peer.address()), policy.clone());
    let leg = engine.open_leg(&settings, None).expect("a leg");
    leg.set_remote(media(peer.address()), policy)
        .expect("taken");
    leg.echo(true).expect("taken");
    leg.start(None).expect("taken");
    leg.release().expect("taken");
    leg
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(5);
    while !condition() {
        assert!(Instant::now() < end, "{what}");
        thread::sleep(Duration::from_millis(2));
    }
}

fn wait_for(engine: &Engine, kind: &str) -> Event {
    let mut found = None;
    until(kind, || {
        let mut events = engine.drain_events(100).into_iter();
        found = events.find(|event| event.what.kind() == kind);
        found.is_some()
    });
    found.expect("it came")
}

#[test]
fn an_address_of_another_machine_is_told_before_any_call() {
    let mut settings = settings(31_900, 31_910);
    settings.addresses = vec![IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9))];
    let error = Engine::new(settings).err().expect("refused");
    assert_eq!(error.code(), "bad_address");
    assert!(error.to_string().contains("203.0.113.9"), "{error}");
}

#[test]
fn a_panic_in_one_call_ends_that_call_only_though_they_share_a_port() {
    let engine = engine(23_100, 23_101);
    let mut peers: Vec<Peer> = (1..=3).map(Peer::new).collect();
    let legs: Vec<LegHandle> = peers
        .iter()
        .map(|peer| echo(&engine, peer, policy()))
        .collect();
    legs[0].send(LegCommand::Panic).expect("taken");
    let event = wait_for(&engine, "internal_error");
    assert_eq!(event.subject, Subject::Leg(legs[0].id()));
    for (peer, leg) in peers.iter_mut().zip(&legs).skip(1) {
        peer.say(leg.local_address());
        assert_eq!(peer.hear(), (peer.word, leg.local_address()));
    }
    let stats = engine.stats();
    assert_eq!((stats.legs, stats.internal_errors), (2, 1));
    legs[0].close();
    engine
        .open_leg(&LegSettings::default(), Some(&legs[1]))
        .expect("the thread is alive");
}

#[test]
fn forty_calls_share_two_ports_and_each_hears_itself() {
    let engine = engine(23_200, 23_203);
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
    let engine = engine(23_210, 23_213);
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
    let engine = engine(23_220, 23_223);
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

impl Peer {
    /// Speak on this port until the leg that sends from `back` says it again, to `to`.
    fn converse(&mut self, port: SocketAddr, to: &UdpSocket, back: SocketAddr) {
        let listener = Peer {
            socket: to.try_clone().expect("cloned"),
            word: self.word,
            sequence: 0,
        };
        for _ in 0..100 {
            self.say(port);
            let frame = Instant::now() + Duration::from_millis(20);
            while Instant::now() < frame {
                if listener.hear_word() == Some((self.word, back)) {
                    return;
                }
            }
        }
        panic!("{} never came from {back}", self.word);
    }
}

#[test]
fn a_place_that_sdp_does_not_name_after_all_is_given_back() {
    let engine = engine(23_230, 23_233);
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
fn what_comes_before_the_answer_is_heard_with_it() {
    let engine = engine(23_240, 23_241);
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
    let engine = engine(23_250, 23_251);
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
    let peer = Peer::at("127.0.0.1:23264", 1);
    let engine = Engine::new(EngineSettings {
        addresses: vec![IpAddr::V4(Ipv4Addr::UNSPECIFIED)],
        ..settings(23_260, 23_265)
    })
    .expect("an engine");
    let victim = open(&engine);
    let own = SocketAddr::new(LOOPBACK, victim.local_address().port());
    for (rtp, rtcp) in [
        (own, None),
        (SocketAddr::new(own.ip(), own.port() + 1), None),
        (
            "[::ffff:127.0.0.1]:23263".parse().expect("an address"),
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
        ..settings(23_270, 23_271)
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
fn each_family_has_its_ports_and_a_leg_that_of_its_peer() {
    let six = IpAddr::V6(Ipv6Addr::LOCALHOST);
    let engine = Engine::new(EngineSettings {
        addresses: vec![LOOPBACK, six],
        ..settings(23_280, 23_281)
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
    let engine = engine(23_290, 23_291);
    let settings = LegSettings {
        family: Some(Family::V6),
        ..LegSettings::default()
    };
    let error = engine.open_leg(&settings, None).err().expect("refused");
    assert_eq!(error.code(), "no_family");
    assert!(error.to_string().contains("IPv6"), "{error}");
}

#[test]
fn reports_come_and_go_by_the_rtp_port_where_that_was_agreed() {
    let engine = engine(23_300, 23_301);
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
    let engine = engine(23_310, 23_311);
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
        ..settings(23_130, 23_131)
    })
    .expect("an engine");
    let settings = LegSettings {
        sdp_address: Some("192.0.2.1".parse().expect("an address")),
        ..LegSettings::default()
    };
    let leg = engine.open_leg(&settings, None).expect("a leg");
    assert!(leg.local_address().ip().is_unspecified());
}

#[test]
fn a_wide_range_is_one_call_a_port_and_closes_what_has_rested() {
    let engine = Engine::new(EngineSettings {
        quarantine: Duration::from_millis(30),
        ..settings(23_400, 23_599)
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
    let engine = engine(23_140, 23_143);
    let taken = UdpSocket::bind("127.0.0.1:23141").expect_err("bound from the start");
    assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
    assert_eq!(engine.stats().ports.ipv4, 2);
    drop(open(&engine));
    until("the leg is gone", || engine.stats().legs == 0);
    UdpSocket::bind("127.0.0.1:23140").expect_err("and after a call");
}

#[test]
fn closing_the_engine_ends_legs_and_frees_their_ports() {
    let engine = engine(23_120, 23_121);
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

/// The records that a worker is sent, as (kind, call, payload).
fn records_of(worker: &mut TcpStream, decoder: &mut Decoder) -> Vec<(Option<Kind>, u32, Vec<u8>)> {
    let mut buffer = [0; 4096];
    let count = worker.read(&mut buffer).expect("the connection lives");
    let (mut input, mut found) = (&buffer[..count], Vec::new());
    while let Some(message) = decoder.receive(&mut input).expect("frames of a server") {
        if let Message::Binary(mut records) = message {
            while let Some(record) = record::read(&mut records) {
                found.push((record.kind, record.call, record.payload.to_vec()));
            }
        }
    }
    found
}

#[test]
fn an_agent_that_may_only_speak_hears_the_caller_from_the_answer_on() {
    let engine = engine(23_310, 23_313);
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let mut worker = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
    worker
        .set_read_timeout(Some(Duration::from_secs(5)))
        .expect("set");
    let (ours, _) = listener.accept().expect("accepted");
    let mux = engine
        .open_mux(ours.as_raw_fd(), b"101", 0)
        .expect("taken over");
    drop(ours);
    worker.read_exact(&mut [0; 3]).expect("the answer");
    let mut peer = Peer::new(7);
    let leg = echo(&engine, &peer, policy());
    let settings = CallSettings {
        dialect: include_str!("../wire/dialects/offhook.json").to_owned(),
        format: "pcmu/8000".to_owned(),
        credit_ms: None,
        send_limit: 32_768,
        text_limit: 1 << 20,
    };
    let wire = engine.open_call(&settings, &mux, &leg).expect("a call");
    wait_for(&engine, "connected");
    leg.connect(Some(&wire), true).expect("of one thread");
    peer.say(leg.local_address());
    // What the leg sends back proves that it has heard.
    peer.hear();
    wire.send_text("{}", false).expect("taken");
    leg.connect(Some(&wire), false).expect("of one thread");
    let (mut decoder, mut records) = (Decoder::new(1 << 20), Vec::new());
    until("the agent hears the caller", || {
        peer.say(leg.local_address());
        records.extend(records_of(&mut worker, &mut decoder));
        records.last().map(|(kind, _, _)| *kind) == Some(Some(Kind::Audio))
    });
    let first = records
        .iter()
        .position(|(kind, _, _)| *kind == Some(Kind::Audio));
    let text = records
        .iter()
        .position(|record| *record == (Some(Kind::Control), 1, b"{}".to_vec()));
    assert!(
        text < first,
        "no sound came before the answer: {:?}",
        records.len()
    );
}

#[test]
fn a_panic_in_one_call_of_a_worker_ends_that_call_only_and_the_worker_is_told() {
    let engine = engine(23_300, 23_303);
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let mut worker = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
    worker
        .set_read_timeout(Some(Duration::from_secs(5)))
        .expect("set");
    let (ours, _) = listener.accept().expect("accepted");
    let mux = engine
        .open_mux(ours.as_raw_fd(), b"101", 0)
        .expect("taken over");
    // Whoever had it before closes its own end, which ends nothing.
    drop(ours);
    let mut answer = [0; 3];
    worker.read_exact(&mut answer).expect("the answer");
    assert_eq!(&answer, b"101");
    let mut peers: Vec<Peer> = (1..=2).map(Peer::new).collect();
    let legs: Vec<LegHandle> = peers
        .iter()
        .map(|peer| echo(&engine, peer, policy()))
        .collect();
    let settings = CallSettings {
        dialect: include_str!("../wire/dialects/offhook.json").to_owned(),
        format: "pcmu/8000".to_owned(),
        credit_ms: None,
        send_limit: 32_768,
        text_limit: 1 << 20,
    };
    let wires: Vec<WireHandle> = legs
        .iter()
        .map(|leg| {
            let wire = engine.open_call(&settings, &mux, leg).expect("a call");
            wait_for(&engine, "connected");
            leg.connect(Some(&wire), false).expect("of one thread");
            wire
        })
        .collect();
    legs[0].send(LegCommand::Panic).expect("taken");
    let event = wait_for(&engine, "internal_error");
    assert_eq!(event.subject, Subject::Leg(legs[0].id()));
    let (mut decoder, mut records) = (Decoder::new(1 << 20), Vec::new());
    until("the worker is told", || {
        records.extend(records_of(&mut worker, &mut decoder));
        let mut told = records.iter();
        told.any(|(kind, call, _)| (*kind, *call) == (Some(Kind::Close), 1))
    });
    wires[1].send_text("{}", false).expect("taken");
    peers[1].say(legs[1].local_address());
    let said = (Some(Kind::Audio), 2, [2, !2].repeat(80));
    until("the other call goes on", || {
        records.extend(records_of(&mut worker, &mut decoder));
        records.contains(&said) && records.contains(&(Some(Kind::Control), 2, b"{}".to_vec()))
    });
    let stats = engine.stats();
    assert_eq!((stats.legs, stats.wires, stats.muxes), (1, 1, 1));
    drop(worker);
    until("the connection is gone", || engine.stats().muxes == 0);
    let ended: Vec<Subject> = engine
        .drain_events(100)
        .into_iter()
        .filter(|event| event.what.kind() == "closed")
        .map(|event| event.subject)
        .collect();
    assert_eq!(
        ended,
        [Subject::Wire(wires[1].id()), Subject::Mux(mux.id())]
    );
}
