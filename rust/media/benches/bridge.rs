//! What two bridged legs cost a media thread, by pair of codecs, with real sockets: `cargo bench -p offhook-media --bench bridge -- PAIRS SECONDS`.
//!
//! The peers are threads of this process, which send a tone that was encoded before; only the media thread's time is counted, as the
//! system keeps it.
use offhook_media::claim::Policy;
use offhook_media::codec::{Codec, Encoder, TICKS};
use offhook_media::engine::{
    BridgeHandle, BridgeSettings, Engine, EngineSettings, LegHandle, LegSettings, PortRange,
};
use offhook_media::leg::RemoteMedia;
use offhook_media::rtp::Header;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const FRAME: Duration = Duration::from_millis(20);
/// Frames of the tone: a whole number of its periods.
const FRAMES: usize = 50;

/// Seconds of processor time that the media threads of this process have had.
fn media_time() -> f64 {
    let threads = fs::read_dir("/proc/self/task").expect("the threads of this process");
    let nanos: u64 = threads
        .filter_map(|thread| {
            let path = thread.ok()?.path();
            let name = fs::read_to_string(path.join("comm")).ok()?;
            let times = fs::read_to_string(path.join("schedstat")).ok()?;
            let own = times.split_whitespace().next()?.parse::<u64>().ok()?;
            name.starts_with("offhook-media").then_some(own)
        })
        .sum();
    nanos as f64 / 1e9
}

fn engine() -> Engine {
    Engine::new(EngineSettings {
        addresses: vec![LOOPBACK],
        ports: PortRange {
            min: 36_000,
            max: 36_999,
        },
        threads: 1,
        quarantine: Duration::ZERO,
        dscp: 0,
        receive_buffer: 1 << 20,
        max_legs: 2_000,
        max_wires: 1,
        event_limit: 1_000,
        dial_threads: 1,
        dial_queue: 1,
        speech_weights: None,
    })
    .expect("an engine")
}

fn policy() -> Policy {
    Policy {
        signalling: LOOPBACK,
        media_allow: Vec::new(),
        nat: false,
        loopback: true,
    }
}

/// A peer: its socket and the packets that it sends round and round.
struct Peer {
    socket: UdpSocket,
    to: SocketAddr,
    header: Header,
    payloads: Vec<Vec<u8>>,
}

impl Peer {
    fn new(engine: &Engine, codec: Codec, number: u32) -> (Self, LegHandle) {
        let socket = UdpSocket::bind((LOOPBACK, 0)).expect("bound");
        socket.set_nonblocking(true).expect("set");
        let address = socket.local_addr().expect("bound");
        let fixed = [(Codec::Pcmu, 0), (Codec::Pcma, 8), (Codec::G722, 9)];
        let fixed = fixed.into_iter().find(|(known, _)| *known == codec);
        let payload_type = fixed.map_or(96, |(_, payload_type)| payload_type);
        let settings = LegSettings {
            remote: Some(address),
            policy: Some(policy()),
            playout_limit: Duration::from_secs(60),
            ..LegSettings::default()
        };
        let leg = engine.open_leg(&settings, None).expect("a leg");
        let media = RemoteMedia::plain(address, payload_type, codec);
        leg.set_remote(media, policy()).expect("set");
        leg.start(Some(Duration::ZERO)).expect("started");
        let samples = codec.samples_of_ticks(TICKS / 50);
        let step = std::f64::consts::TAU * 440.0 / f64::from(codec.sample_rate());
        let mut encoder = Encoder::new(codec);
        let payloads = (0..FRAMES).map(|frame| {
            let pcm: Vec<i16> = (frame * samples..(frame + 1) * samples)
                .map(|n| (8_000.0 * (n as f64 * step).sin()) as i16)
                .collect();
            let mut payload = vec![0; 2_000];
            let len = encoder.encode(&pcm, &mut payload);
            payload.truncate(len);
            payload
        });
        let peer = Peer {
            to: leg.local_address(),
            header: Header {
                marker: false,
                payload_type,
                sequence: 0,
                timestamp: 0,
                ssrc: number + 1,
            },
            payloads: payloads.collect(),
            socket,
        };
        (peer, leg)
    }

    fn say(&mut self, ticks: u32) {
        let payload = &self.payloads[usize::from(self.header.sequence) % FRAMES];
        let mut packet = self.header.encode().to_vec();
        packet.extend_from_slice(payload);
        // A full buffer is a loss, as on any network.
        let _ = self.socket.send_to(&packet, self.to);
        self.header.sequence = self.header.sequence.wrapping_add(1);
        self.header.timestamp = self.header.timestamp.wrapping_add(ticks);
        let mut room = [0; 2_000];
        while self.socket.recv(&mut room).is_ok() {}
    }
}

/// Milliseconds of processor time for a second of a pair, and microseconds for a packet of either way.
fn measure(one: Codec, two: Codec, pairs: u32, seconds: u64) -> (f64, f64) {
    let engine = engine();
    let mut joined: Vec<(LegHandle, LegHandle, BridgeHandle)> = Vec::new();
    let mut peers = Vec::new();
    let both = BridgeSettings {
        digits: true,
        one_way: false,
    };
    for pair in 0..pairs {
        let (a, first) = Peer::new(&engine, one, 2 * pair);
        let (b, second) = Peer::new(&engine, two, 2 * pair + 1);
        let bridge = engine.bridge(&first, &second, both).expect("bridged");
        joined.push((first, second, bridge));
        peers.push((a, one.rtp_clock() / 50));
        peers.push((b, two.rtp_clock() / 50));
    }
    let over = AtomicBool::new(false);
    let packets = || -> u64 {
        let legs = joined.iter().flat_map(|(a, b, _)| [a, b]);
        legs.map(|leg| leg.stats().received_packets.get() + leg.stats().sent_packets.get())
            .sum()
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            let begin = Instant::now();
            let apart = FRAME / peers.len() as u32;
            for frame in 0.. {
                for (n, (peer, ticks)) in peers.iter_mut().enumerate() {
                    let at = begin + FRAME * frame + apart * n as u32;
                    thread::sleep(at.saturating_duration_since(Instant::now()));
                    peer.say(*ticks);
                }
                if over.load(Relaxed) {
                    return;
                }
            }
        });
        thread::sleep(Duration::from_secs(2));
        let (before, carried, begin) = (media_time(), packets(), Instant::now());
        thread::sleep(Duration::from_secs(seconds));
        let (used, carried) = (media_time() - before, packets() - carried);
        let lasted = begin.elapsed().as_secs_f64();
        over.store(true, Relaxed);
        let expected = f64::from(pairs) * 200.0 * lasted;
        assert!(
            carried as f64 > 0.95 * expected,
            "{carried} packets of {expected:.0}: the machine is too busy to say anything"
        );
        (
            1e3 * used / lasted / f64::from(pairs),
            1e6 * used / carried as f64,
        )
    })
}

fn main() {
    let numbers: Vec<u64> = std::env::args()
        .filter_map(|text| text.parse().ok())
        .collect();
    let pairs = numbers.first().copied().unwrap_or(50) as u32;
    let seconds = numbers.get(1).copied().unwrap_or(10);
    println!(
        "{pairs} pairs, {seconds} s each; packets of 20 ms, those of all four directions counted"
    );
    println!(
        "{:<16} {:>22} {:>14}",
        "codecs", "ms of CPU a pair-second", "us a packet"
    );
    for (n, &one) in Codec::ALL.iter().enumerate() {
        for &two in &Codec::ALL[n..] {
            let (pair, packet) = measure(one, two, pairs, seconds);
            let names = format!("{} <-> {}", one.name(), two.name());
            println!("{names:<16} {pair:>22.2} {packet:>14.1}");
        }
    }
}
