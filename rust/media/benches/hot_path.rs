//! Nanoseconds a 20 ms packet costs on each hot path of a leg, sockets not counted: `cargo bench -p offhook-media`.
use offhook_media::claim::{ClaimTable, Glimpse, LegKey, Policy, Remote, Verdict};
use offhook_media::clock::Time;
use offhook_media::codec::Codec;
use offhook_media::convert::{AudioFormat, Converter};
use offhook_media::leg::{Fill, Leg, LegConfig, LegEvent, LegSink, RemoteMedia, UplinkFrame};
use offhook_media::playout::{MarkId, PlayoutConfig};
use offhook_media::rtp::Header;
use offhook_media::srtp::{MAX_TRAILER, Protection, SrtpKeys, Suite};
use offhook_media::vad::Vad;
use offhook_media::vad::network::{SpeechNetwork, SpeechState};
use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

const PACKETS: u32 = 200_000;
const FRAME: Duration = Duration::from_millis(20);

struct Sink;

impl LegSink for Sink {
    fn audio(&mut self, frame: UplinkFrame<'_>) {
        black_box(frame);
    }
    fn send_rtp(&mut self, _to: SocketAddr, packet: &[u8]) {
        black_box(packet);
    }
    fn send_rtcp(&mut self, _to: SocketAddr, packet: &[u8]) {
        black_box(packet);
    }
    fn event(&mut self, event: LegEvent) {
        black_box(event);
    }
    fn mark(&mut self, mark: MarkId) {
        black_box(mark);
    }
}

/// The best of five rounds: what the code costs when nobody disturbs it.
fn measure(name: &str, mut round: impl FnMut()) {
    round();
    let best = (0..5)
        .map(|_| {
            let begin = Instant::now();
            round();
            begin.elapsed()
        })
        .min()
        .expect("five rounds");
    println!(
        "{name:<44} {:>8.0} ns",
        best.as_nanos() as f64 / f64::from(PACKETS)
    );
}

fn leg(peer: SocketAddr, echo: bool) -> (Leg, ClaimTable) {
    let policy = Policy {
        signalling: peer.ip(),
        media_allow: Vec::new(),
        nat: false,
        loopback: false,
    };
    let remote = RemoteMedia {
        dtmf_send: Some(101),
        dtmf_receive: vec![101],
        ..RemoteMedia::plain(peer, 0, Codec::Pcmu)
    };
    let mut claims = ClaimTable::new();
    claims.open(LegKey(1), policy.clone(), Arc::default());
    let claimed = Remote {
        rtp: remote.rtp,
        payload_types: remote.payload_type_bits(),
        ..Remote::default()
    };
    claims
        .set_remote(LegKey(1), claimed, policy.clone())
        .expect("the only leg");
    let config = LegConfig {
        ssrc: 1,
        first_sequence: 0,
        first_timestamp: 0,
        seed: 1,
        cname: "bench@offhook".into(),
        ntp_at_zero: 0,
        media_timeout: None,
        drain_linger: Duration::ZERO,
        policy,
        playout: PlayoutConfig::default(),
    };
    let mut leg = Leg::new(config, Time::ZERO);
    leg.set_remote(Time::ZERO, &remote);
    leg.start(Time::ZERO, None);
    leg.release(Time::ZERO);
    leg.set_echo(echo);
    (leg, claims)
}

/// What a round is made of.
#[derive(Clone, Copy, PartialEq)]
enum Load {
    Receive,
    Silence,
    Speech,
    Echo,
}

fn run(load: Load) {
    let peer: SocketAddr = "192.0.2.9:4000".parse().expect("an address");
    let (mut leg, mut claims) = leg(peer, load == Load::Echo);
    let mut sink = Sink;
    let speech = [7u8; 160];
    for n in 0..PACKETS {
        let now = Time::ZERO + FRAME * (n + 1);
        if matches!(load, Load::Receive | Load::Echo) {
            let header = Header {
                marker: false,
                payload_type: 0,
                sequence: n as u16,
                timestamp: n.wrapping_mul(160),
                ssrc: 7,
            };
            let mut packet = [7u8; 172];
            packet[..12].copy_from_slice(&header.encode());
            let glimpse = Glimpse::of(&packet).expect("RTP");
            if let Verdict::Accepted(_) | Verdict::Latched(_) =
                claims.receive_rtp(now, peer, glimpse, &mut |_| false)
            {
                leg.handle_rtp(now, peer, black_box(&packet), &mut sink);
            }
        }
        if load == Load::Speech {
            leg.playout().push(now, black_box(&speech));
        }
        if load != Load::Receive {
            while leg
                .next_timeout()
                .is_some_and(|due| due <= now + Duration::from_millis(19))
            {
                leg.handle_timeout(now + Duration::from_millis(19), &mut sink);
            }
        }
    }
}

fn convert(name: &str, from: AudioFormat, to: AudioFormat) {
    let input: Vec<u8> = (0..from.bytes_in_ms(20)).map(|n| (n * 7) as u8).collect();
    let mut converter = Converter::new(from, to);
    let mut out = Vec::with_capacity(4_096);
    measure(name, || {
        for _ in 0..PACKETS {
            out.clear();
            converter.convert(black_box(&input), &mut out);
            black_box(&out);
        }
    });
}

fn voice_activity(name: &str, sample: impl Fn(u32) -> i16) {
    let pcm: Vec<i16> = (0..160 * 730).map(sample).collect();
    let mut vad = Vad::new();
    let mut position = 0;
    measure(name, || {
        for pcm in pcm.chunks_exact(160).cycle().take(PACKETS as usize) {
            let frame = UplinkFrame {
                codec: Codec::Pcmu,
                coded: None,
                pcm: black_box(pcm),
                rate: 8_000,
                position,
                fill: Fill::Heard,
                after_pause: false,
            };
            position += 160;
            vad.hear(&frame, |speech| {
                black_box(speech);
            });
        }
    });
}

/// 20 ms of G.711, sealed by one end and then opened by the other.
fn encrypt(suite: Suite) {
    let key = |fill| vec![fill; suite.key_len() + suite.salt_len()];
    let keys =
        |send, receive| SrtpKeys::new(suite, &key(send), &key(receive)).expect("long enough");
    let end = |send, receive| {
        let mut end = Protection::default();
        end.set(Time::ZERO, Some(&keys(send, receive)));
        end
    };
    let mut wires = vec![[0; 172 + MAX_TRAILER]; PACKETS as usize];
    let seal = |wires: &mut [[u8; 172 + MAX_TRAILER]]| {
        let mut near = end(1, 2);
        for (sequence, wire) in wires.iter_mut().enumerate() {
            let header = Header {
                marker: false,
                payload_type: 0,
                sequence: sequence as u16,
                timestamp: 0,
                ssrc: 7,
            };
            wire[..12].copy_from_slice(&header.encode());
            black_box(near.protect_rtp(wire, 172).expect("sealed"));
        }
    };
    measure(&format!("seal: {}", suite.name()), || seal(&mut wires));
    let sealed = wires.clone();
    let len = 172 + suite.rtp_tag_len();
    measure(&format!("copy and open: {}", suite.name()), || {
        let mut far = end(2, 1);
        wires.copy_from_slice(&sealed);
        for wire in &mut wires {
            black_box(far.unprotect_rtp(Time::ZERO, &mut wire[..len])).expect("opened");
        }
    });
}

/// The network that tells speech from noise, by chunks of 32 ms.
fn network() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../python/offhook/media/silero/silero_vad_8k.f32"
    );
    let weights = std::fs::read(path).expect("the weights");
    let network = SpeechNetwork::new(&weights).expect("the network");
    let mut state = SpeechState::default();
    let chunk = std::array::from_fn(|n| (n as f32 * 0.37).sin() * 0.1);
    let begin = Instant::now();
    let count = PACKETS / 20;
    for _ in 0..count {
        black_box(network.judge(&mut state, black_box(&chunk)));
    }
    let each = begin.elapsed() / count;
    println!("{:<44} {:>8} ns", "speech network: 32 ms", each.as_nanos());
}

fn main() {
    network();
    Suite::ALL.into_iter().for_each(encrypt);
    measure("receive: claim, RTP, order, agent", || run(Load::Receive));
    measure("send: a tick of silence", || run(Load::Silence));
    measure("send: push and a tick of speech", || run(Load::Speech));
    measure("echo: receive, push and tick", || run(Load::Echo));
    voice_activity("voice activity: silence", |_| 0);
    voice_activity("voice activity: noise", |n| {
        (n.wrapping_mul(2_654_435_761) >> 20) as i16 - 2_048
    });
    // Pulses that ring, 80 to 118 Hz, for 1.2 s of every 2.
    voice_activity("voice activity: a voice and pauses", |n| {
        match n % (68 + n / 640 % 30) {
            phase if phase < 40 && n / 160 % 100 < 60 => {
                (40 - phase as i16) * if phase / 4 % 2 == 0 { 300 } else { -300 }
            }
            _ => 0,
        }
    });
    let pcm = AudioFormat::pcm16;
    convert(
        "convert: µ-law to A-law",
        AudioFormat::PCMU,
        AudioFormat::PCMA,
    );
    convert(
        "convert: µ-law to linear, 8 kHz",
        AudioFormat::PCMU,
        pcm(8_000),
    );
    convert(
        "convert: linear to µ-law, 8 kHz",
        pcm(8_000),
        AudioFormat::PCMU,
    );
    convert(
        "convert: µ-law to linear, 16 kHz",
        AudioFormat::PCMU,
        pcm(16_000),
    );
    convert(
        "convert: linear to µ-law, 16 kHz",
        pcm(16_000),
        AudioFormat::PCMU,
    );
    convert(
        "convert: µ-law to linear, 24 kHz",
        AudioFormat::PCMU,
        pcm(24_000),
    );
    convert(
        "convert: linear to µ-law, 24 kHz",
        pcm(24_000),
        AudioFormat::PCMU,
    );
    convert(
        "convert: linear to µ-law, 48 kHz",
        pcm(48_000),
        AudioFormat::PCMU,
    );
}
