//! `offhook-bench floor`: the least that a call can cost here. A SIP endpoint that answers every INVITE and returns its
//! audio with two system calls a packet, or carries it to an agent's WebSocket with four: that is the kernel's share of a
//! gateway's figure.

mod wire;

use crate::codec::Codec;
use crate::pace::Wheel;
use crate::rtp::{self, FRAME, HEADER, Packet};
use crate::sdp::{self, Audio};
use crate::sip::call::respond;
use crate::sip::message::Message;
use crate::sys::{self, Epoll};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use wire::Wire;

/// Frames that wait to be sent: more would only add delay.
const QUEUE: usize = 5;
/// Every so many packets one is spoilt.
const SPOIL_EVERY: u64 = 50;
const SSRC: u32 = 0xf100_0000;

/// How the floor echoes.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Address and port for SIP over UDP
    #[arg(long, default_value = "127.0.0.1:5070")]
    pub listen: SocketAddr,
    /// Return each packet the moment it comes, instead of on a clock of 20 ms of the call's own
    #[arg(long)]
    pub reflect: bool,
    /// Carry the audio to an offhook.v1 agent here instead of echoing it
    #[arg(long, conflicts_with = "reflect")]
    pub agent: Option<SocketAddr>,
    /// Do this to every 50th packet, to see that it is noticed
    #[arg(long, value_enum)]
    pub spoil: Option<Spoil>,
}

/// What a bad echo does to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Spoil {
    /// Leaves it out.
    Lose,
    /// Sends its audio a second time, in a packet of its own.
    Repeat,
    /// Sends it to the call before.
    Mix,
    /// Changes one byte of it.
    Alter,
    /// Sends half a frame of silence before it.
    Stretch,
}

struct Leg {
    rtp: UdpSocket,
    wire: Option<Wire>,
    remote: SocketAddr,
    payload_type: u8,
    sequence: u16,
    timestamp: u32,
    queue: VecDeque<[u8; FRAME]>,
}

impl Leg {
    fn send(&mut self, payload: &[u8]) {
        let mut bytes = [0; HEADER + FRAME];
        let length = HEADER + payload.len();
        rtp::write_header(
            &mut bytes,
            self.payload_type,
            false,
            self.sequence,
            self.timestamp,
            SSRC,
        );
        bytes[HEADER..length].copy_from_slice(payload);
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(payload.len() as u32);
        // A call that has just gone refuses its last packets.
        let _ = self.rtp.send_to(&bytes[..length], self.remote);
    }

    fn spoil(&mut self, spoil: Spoil, frame: &mut [u8; FRAME]) {
        match spoil {
            Spoil::Lose => {
                self.sequence = self.sequence.wrapping_add(1);
                self.timestamp = self.timestamp.wrapping_add(FRAME as u32);
            }
            Spoil::Repeat => {
                self.send(frame);
                self.send(frame);
            }
            Spoil::Alter => {
                frame[FRAME / 2] ^= 0x01;
                self.send(frame);
            }
            Spoil::Stretch => {
                self.send(&[0xff; FRAME / 2]);
                self.send(frame);
            }
            // Takes two calls, so the floor does it.
            Spoil::Mix => {}
        }
    }
}

struct Floor {
    reflect: bool,
    agent: Option<SocketAddr>,
    spoil: Option<Spoil>,
    received: u64,
    sip: UdpSocket,
    epoll: Epoll,
    legs: Vec<Option<Leg>>,
    /// SIP Call-ID to its leg and the answer to its INVITE.
    calls: HashMap<String, (usize, String)>,
    wheel: Wheel,
}

/// Answers until it is killed.
pub fn run(options: &Options) -> io::Result<()> {
    sys::raise_descriptor_limit();
    sys::exact_timers();
    let mut floor = Floor::open(options)?;
    let mut ready = Vec::new();
    loop {
        floor.step(&mut ready)?;
    }
}

impl Floor {
    fn open(options: &Options) -> io::Result<Self> {
        let sip = UdpSocket::bind(options.listen)?;
        sip.set_nonblocking(true)?;
        let epoll = Epoll::new(256)?;
        epoll.add(&sip, 0, sys::READABLE)?;
        Ok(Self {
            reflect: options.reflect,
            agent: options.agent,
            spoil: options.spoil,
            received: 0,
            sip,
            epoll,
            legs: Vec::new(),
            calls: HashMap::new(),
            wheel: Wheel::new(1_000_000, sys::now()),
        })
    }

    fn step(&mut self, ready: &mut Vec<sys::Ready>) -> io::Result<()> {
        let idle = self.reflect || self.calls.is_empty();
        let wait = if idle {
            1_000_000_000
        } else {
            self.wheel.next().saturating_sub(sys::now())
        };
        self.epoll.wait(wait, ready)?;
        for one in ready.iter() {
            match one.token {
                0 => self.receive_sip()?,
                token if token % 2 == 1 => self.receive_rtp(token as usize / 2),
                token => self.receive_wire(token as usize / 2 - 1),
            }
        }
        let now = sys::now();
        while let Some((_, calls)) = self.wheel.due(now) {
            for &call in calls {
                if let Some(leg) = &mut self.legs[call as usize] {
                    let frame = leg.queue.pop_front().unwrap_or([0xff; FRAME]);
                    leg.send(&frame);
                }
            }
        }
        Ok(())
    }

    fn receive_rtp(&mut self, index: usize) {
        let Some(leg) = self.legs.get_mut(index).and_then(Option::as_mut) else {
            return;
        };
        let mut buffer = [0; 2_048];
        let Ok(len) = leg.rtp.recv(&mut buffer) else {
            return;
        };
        let Some(mut frame) = Packet::parse(&buffer[..len])
            .and_then(|packet| <[u8; FRAME]>::try_from(packet.payload).ok())
        else {
            return;
        };
        self.received += 1;
        match self
            .spoil
            .filter(|_| self.received.is_multiple_of(SPOIL_EVERY))
        {
            Some(Spoil::Mix) => {
                let other = if index == 0 { 1 } else { index - 1 };
                if let Some(other) = self.legs.get_mut(other).and_then(Option::as_mut) {
                    other.send(&frame);
                }
            }
            Some(spoil) => leg.spoil(spoil, &mut frame),
            None if self.reflect => leg.send(&frame),
            None if leg.wire.is_some() => leg.wire.iter_mut().for_each(|wire| wire.send(&frame)),
            None if leg.queue.len() < QUEUE => leg.queue.push_back(frame),
            None => {}
        }
    }

    fn receive_wire(&mut self, index: usize) {
        let Some(leg) = self.legs.get_mut(index).and_then(Option::as_mut) else {
            return;
        };
        let Some(wire) = &mut leg.wire else {
            return;
        };
        let queue = &mut leg.queue;
        let lives = wire.receive(|frame| {
            if queue.len() < QUEUE {
                queue.push_back(frame);
            }
        });
        if !lives {
            leg.wire = None;
        }
    }

    fn receive_sip(&mut self) -> io::Result<()> {
        let mut buffer = [0; 65_536];
        while let Ok((len, source)) = self.sip.recv_from(&mut buffer) {
            let Some(message) = Message::parse(&buffer[..len]) else {
                continue;
            };
            let call_id = message.header("Call-ID").unwrap_or_default().to_owned();
            let answers = match message.method() {
                Some("INVITE") => self.invited(&message, call_id)?,
                Some("BYE") => {
                    if let Some((index, _)) = self.calls.remove(&call_id) {
                        self.legs[index] = None;
                    }
                    vec![respond(&message, 200, "OK", "", "")]
                }
                Some("OPTIONS") => vec![respond(&message, 200, "OK", "", "")],
                _ => Vec::new(),
            };
            for answer in answers {
                self.sip.send_to(answer.as_bytes(), source)?;
            }
        }
        Ok(())
    }

    fn invited(&mut self, invite: &Message, call_id: String) -> io::Result<Vec<String>> {
        if let Some((_, answer)) = self.calls.get(&call_id) {
            return Ok(vec![answer.clone()]);
        }
        let Some(audio) = Audio::parse(&invite.body) else {
            return Ok(vec![respond(invite, 488, "Not Acceptable Here", "", "")]);
        };
        let here = self.sip.local_addr()?;
        let rtp = UdpSocket::bind(SocketAddr::new(here.ip(), 0))?;
        rtp.set_nonblocking(true)?;
        let index = self.legs.len();
        self.epoll.add(&rtp, 2 * index as u64 + 1, sys::READABLE)?;
        let wire = self.agent.map(Wire::open).transpose()?;
        if let Some(wire) = &wire {
            self.epoll
                .add(&wire.stream, 2 * index as u64 + 2, sys::READABLE)?;
        }
        let local = rtp.local_addr()?;
        let codec = Codec::of_payload_type(audio.payload_type).unwrap_or(Codec::Pcmu);
        let body = sdp::offer(local, local.port(), codec, index as u64, 1, None);
        let extra = format!("Contact: <sip:floor@{here}>\r\nContent-Type: application/sdp\r\n");
        let answer = respond(invite, 200, "OK", &extra, &body);
        let answer = tagged(&answer, index);
        self.legs.push(Some(Leg {
            rtp,
            wire,
            remote: audio.address,
            payload_type: audio.payload_type,
            sequence: 0,
            timestamp: 0,
            queue: VecDeque::with_capacity(QUEUE),
        }));
        if !self.reflect {
            self.wheel.add(index as u32);
        }
        self.calls.insert(call_id, (index, answer.clone()));
        Ok(vec![respond(invite, 100, "Trying", "", ""), answer])
    }
}

fn tagged(response: &str, index: usize) -> String {
    let mut lines: Vec<String> = response.split("\r\n").map(str::to_owned).collect();
    if let Some(to) = lines.iter_mut().find(|line| line.starts_with("To:")) {
        to.push_str(&format!(";tag=floor{index}"));
    }
    lines.join("\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls;
    use clap::Parser;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: calls::Options,
    }

    fn call_floor(options: &Options, ports: &str, codec: &str) -> serde_json::Value {
        let mut floor = Floor::open(options).unwrap();
        let target = floor.sip.local_addr().unwrap().to_string();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let server = std::thread::spawn(move || {
            let mut ready = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                floor.step(&mut ready).unwrap();
            }
        });
        let words = [
            "calls",
            "--target",
            &target,
            "--calls",
            "3",
            "--rate",
            "100",
            "--seconds",
            "0.5",
            "--settle",
            "0.2",
            "--rtp-ports",
            ports,
            "--codec",
            codec,
        ];
        let report = calls::run(&Line::parse_from(words).options).unwrap();
        stop.store(true, Ordering::Relaxed);
        server.join().unwrap();
        assert_eq!(report["sip"]["answered"], 3, "{report:#}");
        assert_eq!(report["sip"]["hung_up_by_us"], 3);
        report
    }

    fn options(reflect: bool, spoil: Option<Spoil>) -> Options {
        Options {
            listen: "127.0.0.1:0".parse().unwrap(),
            reflect,
            agent: None,
            spoil,
        }
    }

    #[test]
    fn nothing_is_wrong_with_the_floor() {
        for (reflect, ports) in [(true, "21000-21100"), (false, "21100-21200")] {
            let echo = &call_floor(&options(reflect, None), ports, "PCMU")["media"]["echo"];
            for name in [
                "of_another_call",
                "duplicates",
                "altered",
                "reordered",
                "stale",
            ] {
                assert_eq!(echo[name], 0, "{name} {echo:#}");
            }
            assert!(echo["frames_back"].as_u64() > Some(100), "{echo:#}");
            assert!(echo["round_trip"]["count"].as_u64() > Some(50), "{echo:#}");
        }
    }

    #[test]
    fn a_reflected_call_of_g722_is_read_frame_by_frame() {
        let echo = &call_floor(&options(true, None), "21200-21300", "G722")["media"]["echo"];
        for name in ["lost", "of_another_call", "duplicates", "reordered"] {
            assert_eq!(echo[name], 0, "{name} {echo:#}");
        }
        assert!(echo["frames_back"].as_u64() > Some(100), "{echo:#}");
    }

    #[test]
    fn every_way_to_spoil_an_echo_is_noticed_and_called_by_its_name() {
        let cases = [
            (Spoil::Lose, vec!["lost"], "22000-22100"),
            (Spoil::Repeat, vec!["duplicates"], "22100-22200"),
            (Spoil::Mix, vec!["of_another_call", "lost"], "22200-22300"),
            (Spoil::Alter, vec!["altered"], "22300-22400"),
            (Spoil::Stretch, vec!["insertions"], "22400-22500"),
        ];
        for (spoil, noticed, ports) in cases {
            let echo = &call_floor(&options(true, Some(spoil)), ports, "PCMU")["media"]["echo"];
            for name in ["lost", "duplicates", "of_another_call", "altered"] {
                let expected = noticed.contains(&name);
                assert_eq!(
                    echo[name].as_u64() > Some(0),
                    expected,
                    "{spoil:?} {name} {echo:#}"
                );
            }
            for name in noticed {
                assert!(echo[name].as_u64() > Some(0), "{spoil:?} {name} {echo:#}");
            }
        }
    }
}
