//! The engine with real sockets, under the driver of `OFFHOOK_MEDIA_DRIVER`.

use super::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::command::LegCommand;
use crate::claim::Policy;
use crate::codec::Codec;
use crate::leg::RemoteMedia;
use crate::rtp::{Header, Packet};

mod agents;
mod media;
mod ports;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Tests run side by side: each has ports that no other has. They lie below those of the gateways that other tests run.
fn settings(min: u16, max: u16) -> EngineSettings {
    static GIVEN: Mutex<Vec<PortRange>> = Mutex::new(Vec::new());
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let others = given
        .iter()
        .find(|range| range.min <= max && min <= range.max);
    assert!(
        others.is_none(),
        "{min} to {max}: {others:?} is another test's"
    );
    given.push(PortRange { min, max });
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
    let engine = engine(13_100, 13_101);
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
