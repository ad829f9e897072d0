//! Calls of honest phones that share a few ports, behind NAT or not, encrypted or not, among strangers: nobody hears another's caller.
use crate::random::Random;
use offhook_media::claim::{Intake, Judged, LegKey, Policy, Remote, Verdict};
use offhook_media::clock::Time;
use offhook_media::rtp::Header;
use offhook_media::srtp::Protocol;
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

const PORTS: usize = 2;
/// The host whose calls are all encrypted: whoever forges another's address is that host to its calls in the clear.
const WARY: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 3));
/// How long a port may keep a packet.
const KEPT: Duration = Duration::from_millis(200);
/// Bytes of the mark at the end of a sealed packet.
const TAG: usize = 4;

/// One phone and its call.
struct Call {
    leg: LegKey,
    port: usize,
    ip: IpAddr,
    /// What its SDP says; behind NAT that is an address of its own network, which others have, too.
    named: Option<SocketAddr>,
    nat: bool,
    secret: Option<u32>,
    source: SocketAddr,
    ssrc: u32,
    sequence: u16,
    /// Something of its present stream has been heard.
    known: bool,
    ended: Option<Time>,
}

impl Call {
    fn policy(&self) -> Policy {
        Policy {
            signalling: self.ip,
            media_allow: vec![],
            nat: self.nat,
            loopback: false,
        }
    }

    fn remote(&self) -> Remote {
        Remote {
            rtp: self.named,
            rtcp: None,
            rtcp_mux: false,
            payload_types: 1,
            secured: self.secret.is_some(),
        }
    }
}

/// Who sent a packet, and when.
struct Sent {
    leg: Option<LegKey>,
    source: SocketAddr,
    at: Time,
}

#[derive(Default)]
struct World {
    now: Time,
    intakes: [Intake; PORTS],
    calls: Vec<Call>,
    sent: Vec<Sent>,
    delivered: HashSet<usize>,
    next_port: u16,
    next_leg: u32,
}

/// The packet's number stands in its payload.
fn number_of(packet: &[u8]) -> usize {
    let number = packet[12..16].try_into().expect("a number");
    u32::from_be_bytes(number) as usize
}

impl World {
    fn secret(&self, leg: LegKey) -> Option<u32> {
        let call = self.calls.iter().find(|call| call.leg == leg)?;
        call.secret.filter(|_| call.ended.is_none())
    }

    /// Runs something on a port that may ask whether packets are authentic, and takes what had to wait.
    fn with_intake<T>(
        &mut self,
        port: usize,
        work: impl FnOnce(
            &mut Intake,
            &mut dyn FnMut(LegKey, Protocol, &mut [u8]) -> Option<usize>,
        ) -> T,
    ) -> T {
        let mut intake = std::mem::take(&mut self.intakes[port]);
        let mut authenticate = |leg: LegKey, _: Protocol, packet: &mut [u8]| {
            let secret = self.secret(leg).expect("only a secured leg is asked");
            let len = packet.len().checked_sub(TAG)?;
            (packet[len..] == secret.to_be_bytes()).then_some(len)
        };
        let result = work(&mut intake, &mut authenticate);
        while let Some(waited) = intake.poll() {
            self.deliver(waited.leg, &waited.bytes, waited.opened);
            let sent = &self.sent[number_of(&waited.bytes)];
            assert!(self.now - sent.at <= KEPT, "a packet waited for too long");
        }
        let counts = intake.counts();
        assert!(counts.unclaimed <= counts.parked);
        self.intakes[port] = intake;
        result
    }

    fn deliver(&mut self, leg: LegKey, packet: &[u8], opened: bool) {
        let number = number_of(packet);
        let sender = self.sent[number].leg;
        let to = self.calls.iter().find(|call| call.leg == leg);
        let to = to.expect("a packet for a leg that never was");
        assert!(to.ended.is_none(), "a packet for a leg that has ended");
        assert_eq!(sender, Some(leg), "packet {number} is not of its caller");
        assert_eq!(opened, to.secret.is_some(), "as it was agreed on");
        assert!(self.delivered.insert(number), "packet {number} came twice");
        let heard = self.calls.iter_mut().find(|call| call.leg == leg);
        let heard = heard.expect("it was there");
        heard.known |= heard.source == self.sent[number].source;
    }

    fn send(
        &mut self,
        port: usize,
        source: SocketAddr,
        header: Header,
        leg: Option<LegKey>,
        secret: Option<u32>,
    ) {
        let number = self.sent.len() as u32;
        let at = self.now;
        self.sent.push(Sent { leg, source, at });
        let mut packet = header.encode().to_vec();
        packet.extend(number.to_be_bytes());
        packet.extend(secret.map(u32::to_be_bytes).unwrap_or_default());
        let now = self.now;
        let judged = self.with_intake(port, |intake, authenticate| {
            intake.receive_rtp(now, source, &mut packet, authenticate)
        });
        if let Judged::Rtp(Verdict::Accepted(leg) | Verdict::Latched(leg)) = judged {
            let opened = self.secret(leg).is_some();
            self.deliver(leg, &packet, opened);
        }
    }

    /// A phone sends its next packet; those of a call that is over are its last.
    fn talk(&mut self, at: usize, lost: bool) {
        let call = &mut self.calls[at];
        if call.ended.is_some() && call.nat && !call.known {
            // Nobody can tell whose this is: its source was never heard and is named nowhere.
            return;
        }
        let header = Header {
            marker: false,
            payload_type: 0,
            sequence: call.sequence,
            timestamp: u32::from(call.sequence).wrapping_mul(160),
            ssrc: call.ssrc,
        };
        call.sequence = call.sequence.wrapping_add(1);
        let (port, source, leg, secret) = (call.port, call.source, call.leg, call.secret);
        if !lost {
            self.send(port, source, header, Some(leg), secret);
        }
    }

    fn new_source(&mut self, ip: IpAddr) -> SocketAddr {
        self.next_port += 2;
        SocketAddr::new(ip, 10_000 + self.next_port)
    }

    fn place(&mut self, random: &mut Random) {
        let ip = IpAddr::V4(Ipv4Addr::new(192, 0, 2, *random.pick(&[1, 1, 2, 3])));
        let source = self.new_source(ip);
        let nat = random.once_in(2);
        let at_home = SocketAddr::from(([192, 168, 1, *random.pick(&[10, 11])], 4_000));
        self.next_leg += 1;
        let call = Call {
            leg: LegKey(self.next_leg),
            port: 0,
            ip,
            named: Some(if nat { at_home } else { source }),
            nat,
            secret: (ip == WARY || random.once_in(4)).then(|| random.next() as u32),
            source,
            ssrc: random.next() as u32,
            sequence: random.next() as u16,
            known: false,
            ended: None,
        };
        let (leg, policy, remote) = (call.leg, call.policy(), call.remote());
        self.calls.push(call);
        let at = self.calls.len() - 1;
        let now = self.now;
        let first = random.below(PORTS);
        for port in (first..PORTS).chain(0..first) {
            self.calls[at].port = port;
            self.intakes[port].open(leg, policy.clone(), Arc::default());
            let placed = self.with_intake(port, |intake, authenticate| {
                intake.set_remote(now, leg, remote, policy.clone(), authenticate)
            });
            if placed.is_ok() {
                return;
            }
            self.intakes[port].close(leg, now);
        }
        // No port without a collision: the call is refused before the phone knows where to send.
        self.calls.pop();
    }

    /// A re-INVITE names another address; the phone sends from there, sometimes as another stream.
    fn move_away(&mut self, at: usize, random: &mut Random) {
        let source = self.new_source(self.calls[at].ip);
        let call = &self.calls[at];
        let (port, leg, policy) = (call.port, call.leg, call.policy());
        let named = if call.nat { call.named } else { Some(source) };
        let remote = Remote {
            rtp: named,
            ..call.remote()
        };
        let now = self.now;
        let moved = self.with_intake(port, |intake, authenticate| {
            intake.set_remote(now, leg, remote, policy, authenticate)
        });
        if moved.is_ok() && !self.calls[at].nat {
            let call = &mut self.calls[at];
            (call.named, call.source) = (named, source);
            if random.once_in(3) {
                (call.ssrc, call.sequence) = (random.next() as u32, random.next() as u16);
                call.known = false;
            }
        }
    }

    fn hang_up(&mut self, at: usize) {
        let (port, leg) = (self.calls[at].port, self.calls[at].leg);
        self.intakes[port].close(leg, self.now);
        self.calls[at].ended = Some(self.now);
    }

    /// Somebody from elsewhere, or one who can forge the address of a phone whose call is encrypted.
    fn stranger(&mut self, random: &mut Random) {
        let port = random.below(PORTS);
        let elsewhere = SocketAddr::from((
            [198, 51, 100, random.below(3) as u8],
            random.below(3) as u16 + 4_000,
        ));
        let victim = self.calls.get(random.below(self.calls.len()));
        let forged = victim.filter(|call| call.ip == WARY && call.ended.is_none());
        let (port, source, ssrc) = match forged {
            Some(call) => (call.port, call.source, call.ssrc),
            None => (port, elsewhere, victim.map_or(7, |call| call.ssrc)),
        };
        let secret = random.once_in(2).then(|| random.next() as u32);
        let first = random.next() as u16;
        for step in 0..random.below(6) as u16 {
            let header = Header {
                marker: false,
                payload_type: 0,
                sequence: first.wrapping_add(step),
                timestamp: 0,
                ssrc,
            };
            self.send(port, source, header, None, secret);
        }
    }
}

/// Every packet that reaches a leg is of its own caller, comes once, and waited no longer than it may.
pub fn run(random: &mut Random) {
    let mut world = World {
        now: Time::from_millis(10_000),
        ..World::default()
    };
    for _ in 0..300 {
        world.now += Duration::from_millis(*random.pick(&[0, 1, 5, 20, 20, 300, 3_000]));
        let (now, at) = (world.now, random.below(world.calls.len()));
        let on = world.calls.get(at).is_some_and(|call| call.ended.is_none());
        match random.below(16) {
            0 if world
                .calls
                .iter()
                .filter(|call| call.ended.is_none())
                .count()
                < 6 =>
            {
                world.place(random)
            }
            1 if on && random.once_in(4) => world.hang_up(at),
            2 if on => world.move_away(at, random),
            3 if on && world.calls[at].nat => {
                world.calls[at].source = world.new_source(world.calls[at].ip);
                world.calls[at].known = false;
            }
            4 | 5 => world.stranger(random),
            6 => {
                // A phone stops within a second of its call's end.
                world.calls.retain(|call| {
                    call.ended
                        .is_none_or(|end| now - end < Duration::from_secs(1))
                });
            }
            _ if world.calls.is_empty() => {}
            _ => {
                for _ in 0..*random.pick(&[1, 1, 2, 4, 10]) {
                    let ended = world.calls[at].ended;
                    if ended.is_none_or(|end| world.now - end < Duration::from_secs(1)) {
                        world.talk(at, random.once_in(12));
                        world.now += Duration::from_millis(*random.pick(&[0, 20]));
                    }
                }
            }
        }
        let kept: u64 = world
            .intakes
            .iter()
            .map(|intake| intake.counts().parked)
            .sum();
        assert!(kept <= world.sent.len() as u64, "more was kept than came");
    }
}
