//! The hot path of a leg allocates nothing: counted, not believed.
#![allow(unsafe_code)]
use offhook_media::barge_in;
use offhook_media::claim::{Intake, Judged, LegKey, Policy, Remote, Verdict};
use offhook_media::clock::Time;
use offhook_media::codec::{Codec, Encoder, opus};
use offhook_media::convert::{AudioFormat, Converter};
use offhook_media::leg::{
    DtmfBy, DtmfTones, Leg, LegConfig, LegEvent, LegSink, RemoteMedia, SentFrame, UplinkFrame,
};
use offhook_media::melody::Melody;
use offhook_media::playout::{MarkId, PlayoutConfig};
use offhook_media::recorder::{Format, Recording, RecordingConfig, Tap, Target};
use offhook_media::rtp::Header;
use offhook_media::shelf::Queued;
use offhook_media::srtp::{MAX_TRAILER, Protection, SrtpKeys, Suite};
use offhook_media::vad::listeners::{Listeners, SpeechCounts};
use offhook_media::vad::network::SpeechNetwork;
use offhook_media::who_answered::Stage;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// The system's allocator, counting for each thread, so that the test runner's own threads don't disturb.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // Not to be reached while a thread is torn down; then nothing is being measured either.
    let _ = ALLOCATIONS.try_with(|allocations| allocations.set(allocations.get() + 1));
}

// SAFETY: every call goes to the system's allocator unchanged; counting touches a plain thread-local cell, which allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: our caller keeps the promises that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `System` by the functions here.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the pointer came from `System` by the functions here.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[derive(Default)]
struct Sink {
    frames: u64,
    packets: u64,
    events: u64,
    marks: u64,
    now: Time,
    tap: Option<Tap>,
    listeners: Option<Listeners>,
    counts: Arc<SpeechCounts>,
}

impl LegSink for Sink {
    fn audio(&mut self, frame: UplinkFrame<'_>) {
        self.frames += 1;
        if let Some(tap) = &mut self.tap {
            tap.heard(self.now, &frame);
        }
    }
    fn sent(&mut self, frame: SentFrame<'_>) {
        if let Some(tap) = &mut self.tap {
            tap.sent(self.now, &frame);
        }
    }
    fn send_rtp(&mut self, _to: SocketAddr, _packet: &[u8]) {
        self.packets += 1;
    }
    fn send_rtcp(&mut self, _to: SocketAddr, _packet: &[u8]) {
        self.packets += 1;
    }
    fn event(&mut self, _event: LegEvent) {
        self.events += 1;
    }
    fn mark(&mut self, _mark: MarkId) {
        self.marks += 1;
    }
    fn listeners(&mut self) -> Option<&mut Listeners> {
        self.listeners.as_mut()
    }
}

/// Who listens, with the network.
fn listeners(counts: &Arc<SpeechCounts>) -> Listeners {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../python/offhook/media/silero/silero_vad_8k.f32"
    );
    let weights = std::fs::read(path).expect("the weights");
    let network = SpeechNetwork::new(&weights).expect("the network");
    Listeners::new(Arc::new(network), Arc::clone(counts))
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

#[test]
fn a_minute_of_a_call_allocates_nothing() {
    for codec in Codec::BYTE_A_TICK {
        a_minute_of_a_call(codec, None, None);
    }
}

struct Nowhere;

impl Target for Nowhere {
    fn append(&mut self, _bytes: &[u8]) -> io::Result<()> {
        Ok(())
    }
    fn cut(&mut self, _len: u64) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_minute_of_a_recorded_call_allocates_nothing_where_it_is_heard() {
    for codec in Codec::BYTE_A_TICK {
        let (tap, mut recording) = Recording::new(&RecordingConfig {
            format: Format::Flac,
            rate: codec.sample_rate(),
            seal: None,
        });
        recording.open(Ok(Nowhere));
        // The writer has a thread of its own, where it may allocate; this one hurries through the minute, so much of it has no room.
        let writer = std::thread::spawn(move || {
            loop {
                if let Some(outcome) = recording.turn() {
                    return outcome;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        a_minute_of_a_call(codec, None, Some(tap));
        let outcome = writer.join().expect("the writer");
        assert!(outcome.lasted >= Duration::from_secs(60), "{outcome:?}");
        assert!(outcome.dropped_frames < 6_000, "{outcome:?}");
    }
}

/// Sound of a talker goes to the peer, and the peer's own packets come back with losses: hearing takes none, sending those that the encoder names.
#[test]
fn opus_allocates_what_it_names_to_send_and_at_a_loss_and_nothing_else() {
    let peer = address("192.0.2.9:4000");
    let start = Time::from_millis(1_000);
    let mut near = leg_to(peer, start, Codec::Opus);
    let mut far = leg_to(peer, start, Codec::Opus);
    let mut sent = Packets::default();
    let mut sink = Sink::default();
    let speech: Vec<u8> = (0..320u32)
        .flat_map(|n| (((n * n * 37) % 9_001) as i16 - 4_500).to_le_bytes())
        .collect();
    let (mut losses, mut taken) = (0, 0);
    for n in 0..3_000u32 {
        let now = start + Duration::from_millis(20) * n;
        if n % 300 < 200 {
            near.playout().push(now, &speech);
        }
        sent.0.clear();
        let before = ALLOCATIONS.with(Cell::get);
        near.handle_timeout(now, &mut sent);
        let sending = ALLOCATIONS.with(Cell::get) - before;
        let most = opus::ENCODER_ALLOCATIONS * sent.0.len() as u64;
        assert!(
            n < 50 || sending <= most,
            "{sending} for {} packets",
            sent.0.len()
        );
        for packet in &sent.0 {
            let before = ALLOCATIONS.with(Cell::get);
            if n % 7 != 3 {
                far.handle_rtp(now, peer, packet, &mut sink);
            }
            let hearing = ALLOCATIONS.with(Cell::get) - before;
            // A gap closes some packets later. The first of them make room for what they need.
            losses += u64::from(n % 7 == 3 && n > 490);
            taken += if n > 500 { hearing } else { 0 };
            far.handle_timeout(now, &mut sink);
        }
    }
    let most = opus::LOSS_ALLOCATIONS * losses;
    assert!(taken <= most, "{taken} for {losses} losses");
    assert!(far.stats().recovered_frames > 100, "{:?}", far.stats());
}

#[derive(Default)]
struct Packets(Vec<Vec<u8>>);

impl LegSink for Packets {
    fn audio(&mut self, _frame: UplinkFrame<'_>) {}
    fn send_rtp(&mut self, _to: SocketAddr, packet: &[u8]) {
        // Counted apart from the leg's own.
        ALLOCATIONS.with(|allocations| {
            let before = allocations.get();
            self.0.push(packet.to_vec());
            allocations.set(before);
        });
    }
    fn send_rtcp(&mut self, _to: SocketAddr, _packet: &[u8]) {}
    fn event(&mut self, _event: LegEvent) {}
    fn mark(&mut self, _mark: MarkId) {}
}

/// A leg that talks to `peer` in one codec, with a far end that loses a fifth.
fn leg_to(peer: SocketAddr, start: Time, codec: Codec) -> Leg {
    let policy = Policy {
        signalling: peer.ip(),
        media_allow: Vec::new(),
        nat: false,
        loopback: false,
    };
    let config = LegConfig {
        ssrc: 1,
        first_sequence: 65_000,
        first_timestamp: u32::MAX - 70_000,
        seed: 9,
        cname: "leg@offhook".into(),
        ntp_at_zero: 0,
        media_timeout: None,
        drain_linger: Duration::ZERO,
        policy,
        playout: PlayoutConfig::default(),
    };
    let mut leg = Leg::new(config, start);
    leg.set_remote(start, &RemoteMedia::plain(peer, 107, codec));
    leg.start(start, None);
    leg.release(start);
    leg
}

#[test]
fn a_minute_of_an_encrypted_call_allocates_nothing() {
    for suite in Suite::ALL {
        a_minute_of_a_call(Codec::Pcmu, Some(suite), None);
    }
}

fn keys(suite: Suite, send: u8, receive: u8) -> SrtpKeys {
    let key = |fill| vec![fill; suite.key_len() + suite.salt_len()];
    SrtpKeys::new(suite, &key(send), &key(receive)).expect("long enough")
}

/// What the peer sends in a minute, in its order.
fn from_the_peer(suite: Option<Suite>) -> Vec<Vec<u8>> {
    let mut far = Protection::default();
    far.set(Time::ZERO, suite.map(|suite| keys(suite, 2, 1)).as_ref());
    let packet = |n: u32| {
        let event = n % 500 < 5;
        let header = Header {
            marker: false,
            payload_type: if event { 96 } else { 0 },
            sequence: (64_000 + n) as u16,
            timestamp: if event { n - n % 500 } else { n } * 160,
            ssrc: 77,
        };
        // Somebody speaks for 1.2 s of every 4: pulses that ring, about 110 Hz.
        let mut packet = vec![0xff; 172 + MAX_TRAILER];
        for (at, code) in packet[12..172].iter_mut().enumerate() {
            let phase = (n as usize * 160 + at) % (71 + n as usize / 8 % 5);
            if n % 200 < 60 && phase < 40 {
                *code = (0x08 + phase as u8) | (phase as u8 / 4 % 2) << 7;
            }
        }
        packet[..12].copy_from_slice(&header.encode());
        packet[12..16].copy_from_slice(&[5, 10 | u8::from(n % 500 == 4) << 7, 0, 160]);
        let len = far.protect_rtp(&mut packet, 172).expect("sealed");
        packet.truncate(len);
        packet
    };
    (0..3_101).map(packet).collect()
}

fn a_minute_of_a_call(codec: Codec, suite: Option<Suite>, mut tap: Option<Tap>) {
    let peer = address("192.0.2.9:4000");
    let policy = Policy {
        signalling: peer.ip(),
        media_allow: Vec::new(),
        nat: false,
        loopback: false,
    };
    let key = LegKey(1);
    let mut intake = Intake::new();
    intake.open(key, policy.clone(), Arc::default());
    let remote = RemoteMedia {
        dtmf_send: Some(101),
        dtmf_receive: vec![96],
        dtmf_by: if tap.is_some() {
            DtmfBy::Tone
        } else {
            DtmfBy::Event
        },
        dtmf_tones: DtmfTones::Removed,
        comfort_noise: Some(13),
        srtp: suite.map(|suite| keys(suite, 1, 2)),
        ..RemoteMedia::plain(peer, 0, codec)
    };
    let claimed = Remote {
        rtp: remote.rtp,
        payload_types: remote.payload_type_bits(),
        secured: suite.is_some(),
        ..Remote::default()
    };
    intake
        .set_remote(Time::ZERO, key, claimed, policy.clone(), &mut |_, _, _| {
            None
        })
        .expect("the only leg");
    let config = LegConfig {
        ssrc: 1,
        first_sequence: 65_000,
        first_timestamp: u32::MAX - 70_000,
        seed: 9,
        cname: "leg@offhook".into(),
        ntp_at_zero: 0,
        media_timeout: Some(Duration::from_secs(60)),
        drain_linger: Duration::from_millis(100),
        policy,
        playout: PlayoutConfig::default(),
    };
    let start = Time::from_millis(1_000);
    let mut packets = from_the_peer(suite);
    let mut leg = Leg::new(config, start);
    leg.set_remote(start, &remote);
    leg.start(start, Some(Duration::from_millis(300)));
    leg.detect(Some(Stage::Answered), 120_000);
    leg.set_barge_in(Some(barge_in::Policy::DuckThenDecide));
    if let Some(tap) = &mut tap {
        tap.begin(start);
    }
    let mut sink = Sink {
        tap,
        ..Sink::default()
    };
    sink.listeners = Some(listeners(&sink.counts));
    let mut to_agent = Converter::new(AudioFormat::PCMU, AudioFormat::pcm16(16_000));
    let mut to_line = Converter::new(AudioFormat::pcm16(24_000), AudioFormat::of_line(codec));
    let (mut wire, mut line) = (Vec::with_capacity(4_096), Vec::with_capacity(4_096));
    let speech = [7u8; 960];
    let mut before = 0;
    for n in 0..3_100u32 {
        if n == 100 {
            before = ALLOCATIONS.with(Cell::get);
        }
        let now = start + Duration::from_millis(20) * n;
        sink.now = now;
        // Every 17th packet is lost, every 23rd comes after the next, digits are keyed both ways.
        let number = if n % 23 == 0 {
            n + 1
        } else if n % 23 == 1 {
            n - 1
        } else {
            n
        };
        if n % 17 != 0 {
            let packet = &mut packets[number as usize][..];
            let mut opened = None;
            let open = &mut |_: LegKey, protocol, packet: &mut [u8]| {
                opened = leg.open(now, protocol, packet).ok();
                opened
            };
            let judged = intake.receive_rtp(now, peer, packet, open);
            match judged {
                Judged::Rtp(Verdict::Latched(_)) => leg.follow(now, peer, &mut sink),
                Judged::Rtp(Verdict::Accepted(_)) => {}
                other => panic!("{other:?}"),
            }
            assert_eq!(opened.is_some(), suite.is_some());
            leg.handle_rtp(now, peer, &packet[..172], &mut sink);
        }
        wire.clear();
        to_agent.convert(&speech[..160], &mut wire);
        if n % 400 < 300 {
            line.clear();
            to_line.convert(&speech, &mut line);
            leg.playout().push(now, &line);
            leg.playout().push_mark(MarkId(u64::from(n)));
        }
        if n % 700 == 0 {
            leg.send_dtmf("42#");
        }
        if n % 900 == 850 {
            leg.playout().clear(now, drop);
        }
        while let Some(due) = leg
            .next_timeout()
            .filter(|&due| due <= now + Duration::from_millis(19))
        {
            leg.handle_timeout(due.max(now), &mut sink);
        }
    }
    let after = ALLOCATIONS.with(Cell::get);
    assert_eq!(after - before, 0, "allocations in a minute of a call");
    if let Some(tap) = sink.tap.take() {
        tap.end(sink.now);
    }
    let stats = leg.stats();
    assert!(
        stats.received_packets > 2_800 && stats.sent_packets > 3_050,
        "{stats:?}"
    );
    assert!(
        stats.received_digits >= 6 && stats.sent_digits >= 12 && sink.marks > 2_000,
        "{stats:?}"
    );
    assert!(
        stats.received_reordered > 50 && stats.concealed_frames > 50 && stats.rtcp_sent >= 8,
        "{stats:?}"
    );
    assert!(sink.frames > 2_800 && sink.events > 6);
    assert!(
        codec != Codec::Pcmu || stats.ducks > 10 && sink.counts.judged.load(Relaxed) > 100,
        "{stats:?}"
    );
    // What is speech in µ-law is noise in another codec.
    assert!(
        codec != Codec::Pcmu || stats.speech_ms > 10_000,
        "{stats:?}"
    );
}

/// Music for a caller whom we hold, in every codec.
#[test]
fn a_minute_on_hold_allocates_nothing() {
    let melody = Arc::new(Melody::new(&[1_000; 8_000], 8_000).expect("music"));
    for codec in Codec::BYTE_A_TICK {
        let peer = address("192.0.2.9:4000");
        let policy = Policy {
            signalling: peer.ip(),
            media_allow: Vec::new(),
            nat: false,
            loopback: false,
        };
        let config = LegConfig {
            ssrc: 1,
            first_sequence: 1,
            first_timestamp: 1,
            seed: 9,
            cname: "leg@offhook".into(),
            ntp_at_zero: 0,
            media_timeout: None,
            drain_linger: Duration::ZERO,
            policy,
            playout: PlayoutConfig::default(),
        };
        let mut leg = Leg::new(config, Time::ZERO);
        leg.set_music(Some(Arc::clone(&melody)));
        let held = RemoteMedia {
            hold: true,
            receive: false,
            ..RemoteMedia::plain(peer, 0, codec)
        };
        leg.set_remote(Time::ZERO, &held);
        leg.start(Time::ZERO, None);
        let mut sink = Sink::default();
        let mut before = 0;
        for n in 0..3_100 {
            if n == 100 {
                before = ALLOCATIONS.with(Cell::get);
            }
            sink.now = Time::from_millis(20 * n);
            leg.handle_timeout(sink.now, &mut sink);
        }
        assert_eq!(ALLOCATIONS.with(Cell::get) - before, 0, "{codec:?}");
        assert!(leg.stats().sent_music_packets > 3_000);
    }
}

/// A leg with echo whose peer changes its codec, pauses with described noise, loses packets, and whose network stands still now and then.
#[test]
fn an_uneven_minute_of_an_echo_allocates_nothing() {
    let peer = address("192.0.2.9:4000");
    let policy = Policy {
        signalling: peer.ip(),
        media_allow: Vec::new(),
        nat: false,
        loopback: false,
    };
    let remote = RemoteMedia {
        receive_types: vec![(9, Codec::G722), (0, Codec::Pcmu)],
        comfort_noise: Some(13),
        ..RemoteMedia::plain(peer, 9, Codec::G722)
    };
    let config = LegConfig {
        ssrc: 1,
        first_sequence: 0,
        first_timestamp: 0,
        seed: 9,
        cname: "leg@offhook".into(),
        ntp_at_zero: 0,
        media_timeout: None,
        drain_linger: Duration::ZERO,
        policy,
        playout: PlayoutConfig::default(),
    };
    let start = Time::from_millis(1_000);
    let mut leg = Leg::new(config, start);
    leg.set_remote(start, &remote);
    leg.set_echo(true);
    leg.start(start, None);
    leg.release(start);
    let mut sink = Sink::default();
    let voice: Vec<i16> = (0..160)
        .map(|n| (6_000.0 * (std::f64::consts::TAU * f64::from(n) / 40.0).sin()) as i16)
        .collect();
    let mut spoken = [0; 160];
    Encoder::new(Codec::Pcmu).encode(&voice, &mut spoken);
    let mut before = 0;
    for n in 0..6_000u32 {
        if n == 2_000 {
            // Converters of both codecs have been made by now.
            before = ALLOCATIONS.with(Cell::get);
        }
        let spell = n % 1_000;
        // 300 ms late, all at once.
        let late = if (600..615).contains(&spell) {
            615 - spell
        } else {
            0
        };
        let now = start + Duration::from_millis(20) * (n + late);
        while let Some(due) = leg.next_timeout().filter(|&due| due < now) {
            leg.handle_timeout(due, &mut sink);
        }
        let pauses = (200..260).contains(&spell);
        if n % 31 == 5 || pauses && spell > 200 {
            continue;
        }
        let wide = n / 1_000 % 2 == 0;
        let header = Header {
            marker: false,
            payload_type: if pauses {
                13
            } else if wide {
                9
            } else {
                0
            },
            sequence: (n - n / 1_000 * 59 - spell.saturating_sub(200).min(59)) as u16,
            timestamp: n * 160,
            ssrc: 7,
        };
        let mut packet = [0; 172];
        packet[..12].copy_from_slice(&header.encode());
        packet[12..].copy_from_slice(&spoken);
        packet[12] = if pauses { 40 } else { packet[12] };
        let len = if pauses { 16 } else { 172 };
        leg.handle_rtp(now, peer, &packet[..len], &mut sink);
    }
    let after = ALLOCATIONS.with(Cell::get);
    assert_eq!(after - before, 0, "allocations");
    let stats = leg.stats();
    assert!(
        stats.concealed_frames > 100 && stats.noise_frames > 300,
        "{stats:?}"
    );
    assert!(stats.won_back_ms > 500, "{stats:?}");
    assert!(
        stats.jitter_concealed_frames > 100 && stats.jitter_shortened_ms > 500,
        "{stats:?}"
    );
}

/// What leaves a partner at once.
struct Handed(u64);

impl LegSink for Handed {
    fn audio(&mut self, _frame: UplinkFrame<'_>) {}
    fn send_rtp(&mut self, _to: SocketAddr, _packet: &[u8]) {
        self.0 += 1;
    }
    fn send_rtcp(&mut self, _to: SocketAddr, _packet: &[u8]) {}
    fn event(&mut self, _event: LegEvent) {}
    fn mark(&mut self, _mark: MarkId) {}
}

/// What a bridged leg's peer sends goes to the partner.
struct Onward<'a> {
    now: Time,
    partner: &'a mut Leg,
    packets: u64,
}

impl LegSink for Onward<'_> {
    fn audio(&mut self, _frame: UplinkFrame<'_>) {}
    fn onward(&mut self, packet: Queued<'_>, anew: bool) {
        let mut sink = Handed(0);
        self.partner
            .take_of_partner(self.now, packet, (anew, true), &mut sink);
        self.packets += sink.0;
    }
    fn send_rtp(&mut self, _to: SocketAddr, _packet: &[u8]) {
        self.packets += 1;
    }
    fn send_rtcp(&mut self, _to: SocketAddr, _packet: &[u8]) {}
    fn event(&mut self, _event: LegEvent) {}
    fn mark(&mut self, _mark: MarkId) {}
}

#[test]
fn a_minute_of_a_bridge_allocates_nothing() {
    let peer = address("192.0.2.9:4000");
    let start = Time::from_millis(1_000);
    let leg = |codec| {
        let config = LegConfig {
            ssrc: 1,
            first_sequence: 0,
            first_timestamp: 0,
            seed: 9,
            cname: "leg@offhook".into(),
            ntp_at_zero: 0,
            media_timeout: None,
            drain_linger: Duration::ZERO,
            policy: Policy {
                signalling: peer.ip(),
                media_allow: Vec::new(),
                nat: false,
                loopback: false,
            },
            playout: PlayoutConfig::default(),
        };
        let mut leg = Leg::new(config, start);
        leg.set_remote(start, &RemoteMedia::plain(peer, 9, codec));
        leg.start(start, Some(Duration::ZERO));
        leg.handle_timeout(start, &mut Sink::default());
        leg
    };
    for one in Codec::ALL {
        for two in Codec::ALL {
            // What Opus allocates where it encodes or makes up for a loss is counted above.
            if one != two && [one, two].contains(&Codec::Opus) {
                continue;
            }
            let lossless = one == Codec::Opus;
            let mut legs = [leg(one), leg(two)];
            let [a, b] = &mut legs;
            a.hear_partner(start, [two]);
            b.hear_partner(start, [one]);
            let codecs = [one, two];
            let mut payloads = [[0; 2_000]; 2];
            let lens = [0, 1].map(|side: usize| {
                let samples = codecs[side].sample_rate() as usize / 50;
                let tone: Vec<i16> = (0..samples)
                    .map(|n| (6_000.0 * (n as f64 / 8.0).sin()) as i16)
                    .collect();
                Encoder::new(codecs[side]).encode(&tone, &mut payloads[side])
            });
            let (mut before, mut sent) = (0, 0);
            for n in 0..3_000u32 {
                if n == 200 {
                    before = ALLOCATIONS.with(Cell::get);
                }
                let now = start + Duration::from_millis(20) * n;
                for side in 0..2 {
                    let [a, b] = &mut legs;
                    let (own, partner) = if side == 0 { (a, b) } else { (b, a) };
                    let mut sink = Onward {
                        now,
                        partner,
                        packets: 0,
                    };
                    while let Some(due) = own.next_timeout().filter(|&due| due <= now) {
                        sink.now = due;
                        own.handle_timeout(due, &mut sink);
                    }
                    sink.now = now;
                    // One of 31 is lost.
                    if n % 31 != 5 || lossless {
                        let ticks = codecs[side].rtp_clock() / 50;
                        let header = Header {
                            marker: false,
                            payload_type: 9,
                            sequence: n as u16,
                            timestamp: n * ticks,
                            ssrc: 7,
                        };
                        let mut packet = [0; 2_012];
                        packet[..12].copy_from_slice(&header.encode());
                        packet[12..][..lens[side]].copy_from_slice(&payloads[side][..lens[side]]);
                        own.handle_rtp(now, peer, &packet[..12 + lens[side]], &mut sink);
                    }
                    sent += sink.packets;
                }
            }
            let after = ALLOCATIONS.with(Cell::get);
            assert_eq!(after - before, 0, "allocations, {one:?} and {two:?}");
            let handed_on = one == two && one.encoding().is_none();
            for leg in &legs {
                let stats = leg.stats();
                assert!(stats.sent_audio_packets > 2_850, "{stats:?}");
                if handed_on {
                    assert!(stats.passed_packets > 2_800, "{stats:?}");
                } else {
                    assert!(stats.jitter_concealed_frames > 50);
                }
            }
            assert!(sent > 5_900 || handed_on && sent > 5_700, "{sent}");
        }
    }
}

/// A call of many on one port: its own address, codec and keys, and what its peer sends in 12 s.
struct Shared {
    leg: Leg,
    key: LegKey,
    peer: SocketAddr,
    packets: Vec<Vec<u8>>,
    secured: bool,
}

impl Shared {
    fn new(number: u8, start: Time, intake: &mut Intake) -> Self {
        let peer = SocketAddr::from(([192, 0, 2, 9], 4_000 + 2 * u16::from(number)));
        let policy = Policy {
            signalling: peer.ip(),
            media_allow: Vec::new(),
            nat: false,
            loopback: false,
        };
        let codec = Codec::BYTE_A_TICK[usize::from(number) % Codec::BYTE_A_TICK.len()];
        let suite = number
            .is_multiple_of(2)
            .then(|| Suite::ALL[usize::from(number / 2) % Suite::ALL.len()]);
        let remote = RemoteMedia {
            dtmf_send: Some(101),
            dtmf_receive: vec![96],
            comfort_noise: Some(13),
            srtp: suite.map(|suite| keys(suite, 1 + 2 * number, 2 + 2 * number)),
            ..RemoteMedia::plain(peer, 0, codec)
        };
        let config = LegConfig {
            ssrc: 1,
            first_sequence: 0,
            first_timestamp: 0,
            seed: u64::from(number),
            cname: "leg@offhook".into(),
            ntp_at_zero: 0,
            media_timeout: Some(Duration::from_secs(60)),
            drain_linger: Duration::ZERO,
            policy: policy.clone(),
            playout: PlayoutConfig::default(),
        };
        let key = LegKey(number.into());
        intake.open(key, policy.clone(), Arc::default());
        let claimed = Remote {
            rtp: remote.rtp,
            payload_types: remote.payload_type_bits(),
            secured: suite.is_some(),
            ..Remote::default()
        };
        intake
            .set_remote(start, key, claimed, policy, &mut |_, _, _| None)
            .expect("an address of its own");
        let mut leg = Leg::new(config, start);
        leg.set_remote(start, &remote);
        leg.set_echo(true);
        leg.start(start, None);
        leg.release(start);
        let mut far = Protection::default();
        let far_keys = |suite| keys(suite, 2 + 2 * number, 1 + 2 * number);
        far.set(start, suite.map(far_keys).as_ref());
        let packets = (0..600u16).map(|n| {
            let header = Header {
                marker: false,
                payload_type: 0,
                sequence: n,
                timestamp: u32::from(n) * 160,
                ssrc: 1_000 + u32::from(number),
            };
            let mut packet = vec![0x55; 172 + MAX_TRAILER];
            packet[..12].copy_from_slice(&header.encode());
            let len = far.protect_rtp(&mut packet, 172).expect("sealed");
            packet.truncate(len);
            packet
        });
        Shared {
            packets: packets.collect(),
            leg,
            key,
            peer,
            secured: suite.is_some(),
        }
    }
}

/// Forty echoes of every codec and suite on one port, some of their packets lost, and somebody who sprays it.
#[test]
fn many_calls_on_one_port_and_who_sprays_it_allocate_nothing() {
    let start = Time::from_millis(1_000);
    let mut intake = Intake::new();
    let mut calls: Vec<Shared> = (0..40)
        .map(|number| Shared::new(number, start, &mut intake))
        .collect();
    let mut sink = Sink::default();
    let stranger = address("198.51.100.66:4000");
    let mut spray = [0u8; 172];
    let mut before = 0;
    for n in 0..600u32 {
        if n == 150 {
            before = ALLOCATIONS.with(Cell::get);
        }
        let now = start + Duration::from_millis(20) * n;
        for (at, call) in calls.iter_mut().enumerate() {
            let (peer, key, secured) = (call.peer, call.key, call.secured);
            if !(n as usize + at).is_multiple_of(29) {
                let mut packet = std::mem::take(&mut call.packets[n as usize]);
                let mut opened = None;
                // Only its own leg is asked, since its source is known.
                let leg = &mut call.leg;
                let judged =
                    intake.receive_rtp(now, peer, &mut packet, &mut |asked, protocol, packet| {
                        assert_eq!(asked, key);
                        opened = leg.open(now, protocol, packet).ok();
                        opened
                    });
                match judged {
                    Judged::Rtp(Verdict::Latched(_)) => leg.follow(now, peer, &mut sink),
                    Judged::Rtp(Verdict::Accepted(_)) => {}
                    other => panic!("{other:?}"),
                }
                assert_eq!(opened.is_some(), secured);
                leg.handle_rtp(now, peer, &packet[..172], &mut sink);
            }
            let header = Header {
                marker: false,
                payload_type: 0,
                sequence: n as u16,
                timestamp: n * 160,
                ssrc: at as u32,
            };
            spray[..12].copy_from_slice(&header.encode());
            let refused = intake.receive_rtp(now, stranger, &mut spray, &mut |_, _, _| None);
            assert!(matches!(refused, Judged::Rtp(Verdict::Refused(_))));
        }
        for call in &mut calls {
            let end = now + Duration::from_millis(19);
            while let Some(due) = call.leg.next_timeout().filter(|&due| due <= end) {
                call.leg.handle_timeout(due.max(now), &mut sink);
            }
        }
    }
    let after = ALLOCATIONS.with(Cell::get);
    assert_eq!(after - before, 0, "allocations of 40 calls in 9 s");
    for call in &calls {
        let stats = call.leg.stats();
        assert!(
            stats.received_packets > 550 && stats.sent_audio_packets > 500,
            "{stats:?}"
        );
        assert!(stats.concealed_frames > 10, "{stats:?}");
    }
    assert!(intake.counts().parked > 10_000);
}
