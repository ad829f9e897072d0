//! An engine in memory and telephones around it that are none of its code but for the codecs: what they are sent is kept packet by packet.
#![allow(dead_code, reason = "each test file uses what it needs")]
use offhook_media::claim::Policy;
use offhook_media::clock::Time;
use offhook_media::codec::{Codec, Decoder, Encoder, TICKS, opus};
use offhook_media::engine::{Engine, EngineSettings, Event, LegHandle, LegSettings, PortRange};
use offhook_media::leg::RemoteMedia;
use offhook_media::rtp::{Header, Packet};
use offhook_media::srtp::{MAX_TRAILER, Protection};
use offhook_media_sys::Carried;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

pub const START: Time = Time::from_millis(1_000_000);
const GATEWAY: &str = "10.0.0.1";

/// An RTP packet that a telephone has got.
#[derive(Clone, Debug)]
pub struct Got {
    pub at: Time,
    pub header: Header,
    pub payload: Vec<u8>,
}

/// What the network does to the packet of that number: how much later it comes, or that it doesn't.
pub type Way = Box<dyn FnMut(u32) -> Option<Duration>>;

/// A telephone.
pub struct Phone {
    pub address: SocketAddr,
    pub media: RemoteMedia,
    pub got: Vec<Got>,
    /// The payloads of its own packets with sound.
    pub sent: Vec<Vec<u8>>,
    /// Says the sample of that number, at its codec's rate; `None` says nothing at all.
    pub voice: Option<Box<dyn FnMut(u64) -> i16>>,
    pub way: Way,
    /// Its own keys, the other way around.
    pub seals: Option<Protection>,
    codec: Codec,
    ptime_ms: u32,
    encoder: Encoder,
    /// Shorter payloads are not sent, in bytes.
    shortest: usize,
    header: Header,
    spoken: u64,
    next_at: Time,
    number: u32,
    under_way: Vec<(Time, Vec<u8>)>,
    target: Option<SocketAddr>,
}

impl Phone {
    /// Number `n`, which speaks and hears one codec.
    pub fn new(n: u16, codec: Codec) -> Self {
        let payload_type = match codec {
            Codec::Pcmu => 0,
            Codec::Pcma => 8,
            Codec::G722 => 9,
            Codec::Opus => 107,
        };
        let address = SocketAddr::new("10.0.0.2".parse().expect("one"), 20_000 + 2 * n);
        Phone {
            address,
            media: RemoteMedia::plain(address, payload_type, codec),
            got: Vec::new(),
            sent: Vec::new(),
            voice: None,
            way: Box::new(|_| Some(Duration::from_millis(10))),
            seals: None,
            codec,
            ptime_ms: 20,
            encoder: Encoder::new(codec),
            shortest: 1,
            header: Header {
                marker: true,
                payload_type,
                sequence: 1_000 * n,
                timestamp: 77_777 * u32::from(n),
                ssrc: 0xabc0 + u32::from(n),
            },
            spoken: 0,
            next_at: START + Duration::from_millis(u64::from(3 * n)),
            number: 0,
            under_way: Vec::new(),
            target: None,
        }
    }

    /// Packets of so many milliseconds both ways.
    pub fn packets_of(mut self, ptime_ms: u32) -> Self {
        self.ptime_ms = ptime_ms;
        self.media.ptime_ms = ptime_ms;
        self
    }

    /// Sends nothing while it says digital silence, but that it pauses, if it `tells` that (DTX); `asks`: it wants the same of us.
    pub fn pausing(mut self, asks: bool, tells: bool) -> Self {
        let pauses = opus::Settings {
            dtx: true,
            ..opus::Settings::default()
        };
        self.encoder.set_opus(pauses);
        self.media.opus.dtx = asks;
        self.shortest = if tells { 1 } else { opus::DTX_BYTES + 1 };
        self
    }

    /// Says a sine.
    pub fn says(mut self, hertz: f64) -> Self {
        self.say(hertz);
        self
    }

    pub fn say(&mut self, hertz: f64) {
        let step = std::f64::consts::TAU * hertz / f64::from(self.codec.sample_rate());
        self.voice = Some(Box::new(move |n| {
            (8_000.0 * (n as f64 * step).sin()) as i16
        }));
    }

    /// Speaks and hears another codec from here on.
    pub fn turn_to(&mut self, codec: Codec, payload_type: u8) {
        (self.codec, self.encoder) = (codec, Encoder::new(codec));
        self.header.payload_type = payload_type;
        self.media = RemoteMedia::plain(self.address, payload_type, codec);
    }

    pub fn rate(&self) -> u32 {
        self.codec.sample_rate()
    }

    /// A packet of anything else, in sequence with the sound.
    pub fn send(&mut self, now: Time, payload_type: u8, marker: bool, timestamp: u32, body: &[u8]) {
        let header = Header {
            payload_type,
            marker,
            timestamp,
            ..self.header
        };
        self.header.sequence = self.header.sequence.wrapping_add(1);
        self.post(now, header, body);
    }

    pub fn timestamp(&self) -> u32 {
        self.header.timestamp
    }

    fn post(&mut self, now: Time, header: Header, body: &[u8]) {
        let mut packet = header.encode().to_vec();
        packet.extend_from_slice(body);
        if let Some(seals) = &mut self.seals {
            let len = packet.len();
            packet.resize(len + MAX_TRAILER, 0);
            let len = seals.protect_rtp(&mut packet, len).expect("sealed");
            packet.truncate(len);
        }
        if let Some(delay) = (self.way)(self.number) {
            self.under_way.push((now + delay, packet));
        }
        self.number += 1;
    }

    fn speak(&mut self, now: Time) {
        while self.next_at <= now {
            let samples = self.codec.sample_rate() as usize * self.ptime_ms as usize / 1_000;
            let ticks = self.codec.rtp_clock() * self.ptime_ms / 1_000;
            let (at, header) = (self.next_at, self.header);
            self.next_at += Duration::from_millis(self.ptime_ms.into());
            self.header.timestamp = self.header.timestamp.wrapping_add(ticks);
            let begin = self.spoken;
            self.spoken += samples as u64;
            let Some(voice) = &mut self.voice else {
                continue;
            };
            let pcm: Vec<i16> = (begin..self.spoken).map(voice).collect();
            let mut payload = [0; 4_000];
            let len = self.encoder.encode(&pcm, &mut payload);
            if len < self.shortest {
                self.header.marker = true;
                continue;
            }
            self.header.sequence = self.header.sequence.wrapping_add(1);
            self.header.marker = false;
            self.sent.push(payload[..len].to_vec());
            self.post(at, header, &payload[..len]);
        }
    }

    /// The sound that it got from a time on, put together by timestamps, and whether every sample between the first and the last was there.
    /// What comes before is decoded, too, and events are nothing.
    pub fn sound(&self, from: Time) -> (Vec<i16>, bool) {
        let mut decoder = Decoder::new(self.codec);
        let (mut out, mut whole, mut end) = (Vec::new(), true, None);
        for got in &self.got {
            if got.header.payload_type != self.media.payload_type {
                continue;
            }
            let mut room = [0; 6_000];
            let samples = decoder.decode(&got.payload, &mut room);
            if got.at < from {
                continue;
            }
            whole &= end.is_none_or(|end| end == got.header.timestamp);
            let ticks = self.codec.ticks_in(&got.payload) * (self.codec.rtp_clock() / TICKS);
            end = Some(got.header.timestamp.wrapping_add(ticks));
            out.extend_from_slice(&room[..samples]);
        }
        (out, whole)
    }
}

/// The engine, a leg for each telephone, and time.
pub struct Lines {
    pub engine: Engine,
    pub now: Time,
    pub phones: Vec<Phone>,
    pub legs: Vec<LegHandle>,
    pub told: Vec<Event>,
}

pub fn policy() -> Policy {
    Policy {
        signalling: "10.0.0.2".parse().expect("one"),
        media_allow: vec![],
        nat: false,
        loopback: false,
    }
}

impl Lines {
    pub fn new(phones: Vec<Phone>) -> Self {
        let own: IpAddr = GATEWAY.parse().expect("one");
        let settings = EngineSettings {
            addresses: vec![own],
            ports: PortRange {
                min: 30_000,
                max: 30_031,
            },
            threads: 1,
            quarantine: Duration::ZERO,
            dscp: 0,
            receive_buffer: 65_536,
            max_legs: 16,
            max_wires: 2,
            event_limit: 10_000,
            dial_threads: 1,
            dial_queue: 1,
            speech_weights: None,
        };
        let engine = Engine::in_memory(settings, START, 1).expect("an engine");
        let mut lines = Lines {
            engine,
            now: START,
            phones: Vec::new(),
            legs: Vec::new(),
            told: Vec::new(),
        };
        for phone in phones {
            lines.add(phone);
        }
        lines
    }

    /// One telephone more.
    pub fn add(&mut self, mut phone: Phone) {
        let settings = LegSettings {
            remote: Some(phone.address),
            policy: Some(policy()),
            playout_limit: Duration::from_secs(60),
            ..LegSettings::default()
        };
        let leg = self.engine.open_leg(&settings, None).expect("a leg");
        leg.set_remote(phone.media.clone(), policy()).expect("set");
        leg.start(Some(Duration::ZERO)).expect("started");
        phone.target = Some(leg.local_address());
        phone.next_at = phone.next_at.max(self.now);
        self.legs.push(leg);
        self.phones.push(phone);
    }

    /// Lets so many milliseconds pass.
    pub fn run(&mut self, millis: u64) {
        for _ in 0..millis {
            self.now += Duration::from_millis(1);
            let mut arrived = Vec::new();
            for phone in &mut self.phones {
                phone.speak(self.now);
                let to = phone.target.expect("it has a leg");
                let now = self.now;
                phone.under_way.sort_by_key(|(at, _)| *at);
                let count = phone.under_way.partition_point(|(at, _)| *at <= now);
                arrived.extend(phone.under_way.drain(..count).map(|(_, bytes)| Carried {
                    from: phone.address,
                    to,
                    bytes,
                }));
            }
            let mut left = Vec::new();
            self.engine.step(self.now, arrived, &mut left);
            for datagram in left {
                self.deliver(datagram);
            }
        }
        self.told.extend(self.engine.drain_events(10_000));
    }

    fn deliver(&mut self, mut datagram: Carried) {
        let Some(phone) = self
            .phones
            .iter_mut()
            .find(|phone| phone.address == datagram.to)
        else {
            return;
        };
        if let Some(seals) = &mut phone.seals {
            let opened = seals.unprotect_rtp(self.now, &mut datagram.bytes);
            datagram
                .bytes
                .truncate(opened.expect("sealed with our keys"));
        }
        let packet = Packet::decode(&datagram.bytes).expect("RTP");
        phone.got.push(Got {
            at: self.now,
            header: Header {
                marker: packet.marker,
                payload_type: packet.payload_type,
                sequence: packet.sequence,
                timestamp: packet.timestamp,
                ssrc: packet.ssrc,
            },
            payload: packet.payload.to_vec(),
        });
    }

    /// Digits told of a leg, and events of a kind.
    pub fn told(&self, leg: usize, kind: &str) -> Vec<&Event> {
        let id = self.legs[leg].id();
        let of = |event: &&Event| {
            event.what.kind() == kind && event.subject == offhook_media::engine::Subject::Leg(id)
        };
        self.told.iter().filter(of).collect()
    }
}
