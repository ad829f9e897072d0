//! `offhook-bench floor`: the least that an echo can cost here. A SIP endpoint that answers every INVITE and returns its
//! audio with two system calls a packet: what is left below a gateway's figure is the kernel's share.

use crate::pace::Wheel;
use crate::rtp::{self, FRAME, HEADER, Packet};
use crate::sdp::{self, Audio};
use crate::sip::call::respond;
use crate::sip::message::Message;
use crate::sys::{self, Epoll};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{SocketAddr, UdpSocket};

/// Frames that wait to be sent: more would only add delay.
const QUEUE: usize = 5;

/// How the floor echoes.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Address and port for SIP over UDP
    #[arg(long, default_value = "127.0.0.1:5070")]
    pub listen: SocketAddr,
    /// Return each packet the moment it comes, instead of on a clock of 20 ms of the call's own
    #[arg(long)]
    pub reflect: bool,
}

struct Leg {
    rtp: UdpSocket,
    remote: SocketAddr,
    payload_type: u8,
    sequence: u16,
    timestamp: u32,
    queue: VecDeque<[u8; FRAME]>,
}

impl Leg {
    fn send(&mut self, payload: &[u8; FRAME]) {
        let mut bytes = [0; HEADER + FRAME];
        rtp::write_header(
            &mut bytes,
            self.payload_type,
            false,
            self.sequence,
            self.timestamp,
            0xf100_0000,
        );
        bytes[HEADER..].copy_from_slice(payload);
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(FRAME as u32);
        let _ = self.rtp.send_to(&bytes, self.remote);
    }
}

struct Floor {
    reflect: bool,
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
                token => self.receive_rtp(token as usize - 1),
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
        let Some(frame) = Packet::parse(&buffer[..len])
            .and_then(|packet| <[u8; FRAME]>::try_from(packet.payload).ok())
        else {
            return;
        };
        if self.reflect {
            leg.send(&frame);
        } else if leg.queue.len() < QUEUE {
            leg.queue.push_back(frame);
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
        self.epoll.add(&rtp, index as u64 + 1, sys::READABLE)?;
        let local = rtp.local_addr()?;
        let codec = if audio.payload_type == 8 {
            crate::g711::Codec::Pcma
        } else {
            crate::g711::Codec::Pcmu
        };
        let body = sdp::offer(local, local.port(), codec, index as u64, 1);
        let extra = format!("Contact: <sip:floor@{here}>\r\nContent-Type: application/sdp\r\n");
        let answer = respond(invite, 200, "OK", &extra, &body);
        let answer = tagged(&answer, index);
        self.legs.push(Some(Leg {
            rtp,
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

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: calls::Options,
    }

    fn call_floor(reflect: bool) -> serde_json::Value {
        let options = Options {
            listen: "127.0.0.1:0".parse().unwrap(),
            reflect,
        };
        let mut floor = Floor::open(&options).unwrap();
        let target = floor.sip.local_addr().unwrap().to_string();
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let stopped = stop.clone();
        let server = std::thread::spawn(move || {
            let mut ready = Vec::new();
            while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
                floor.step(&mut ready).unwrap();
            }
        });
        let ports = if reflect {
            "21000-21100"
        } else {
            "22000-22100"
        };
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
        ];
        let report = calls::run(&Line::parse_from(words).options).unwrap();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        server.join().unwrap();
        report
    }

    #[test]
    fn the_tool_finds_nothing_wrong_with_the_floor() {
        for reflect in [true, false] {
            let report = call_floor(reflect);
            assert_eq!(report["sip"]["answered"], 3, "{report:#}");
            assert_eq!(report["sip"]["hung_up_by_us"], 3);
            let echo = &report["media"]["echo"];
            assert_eq!(
                (
                    &echo["of_another_call"],
                    &echo["duplicates"],
                    &echo["altered"]
                ),
                (&0.into(), &0.into(), &0.into())
            );
            assert!(echo["frames_back"].as_u64() > Some(100), "{report:#}");
            assert!(echo["round_trip"]["count"].as_u64() > Some(50));
        }
    }
}
