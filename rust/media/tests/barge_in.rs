//! Whether a caller who speaks over the agent is noticed, how soon, and what is not taken for one: a whole leg in virtual time.
//!
//! `OFFHOOK_SPEECH=DIR cargo test --release -p offhook-media --test barge_in -- --ignored --nocapture` measures with the WAV files of a directory
//! (8 or 16 kHz, 16 bits, mono) as the caller's voice.
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use offhook_media::barge_in::Policy;
use offhook_media::claim;
use offhook_media::clock::Time;
use offhook_media::codec::{Codec, Decoder, Encoder, opus};
use offhook_media::leg::{
    DtmfBy, DtmfTones, Leg, LegConfig, LegEvent, LegSink, RemoteMedia, UplinkFrame,
};
use offhook_media::playout::{MarkId, PlayoutConfig};
use offhook_media::rtp::Header;
use offhook_media::utterance::Utterance;
use offhook_media::vad::listeners::{Listeners, SpeechCounts};
use offhook_media::vad::network::SpeechNetwork;
use sound::{FRAME, RATE, Random, Sound, active_level, level, levels, loud, noise, pcm, scale};

#[allow(dead_code, reason = "not all sounds are of use here")]
mod sound;

const TICK: Duration = Duration::from_millis(20);
/// The caller's packets come so long after our ticks.
const OFFSET: Duration = Duration::from_millis(7);
/// A room: what comes back later of the same sound, in milliseconds, and how much of it.
const ROOM: [(usize, f64); 5] = [(0, 1.0), (17, 0.6), (41, 0.4), (73, 0.3), (110, 0.15)];

fn offhook() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../python/offhook")
}

fn listeners() -> Listeners {
    let weights = std::fs::read(offhook().join("media/silero/silero_vad_8k.f32")).expect("weights");
    let network = SpeechNetwork::new(&weights).expect("the network");
    Listeners::new(Arc::new(network), Arc::new(SpeechCounts::default()))
}

/// The agent: our own synthetic voice, without pauses longer than those of its sentences.
fn agent() -> Sound {
    let mut agent = Sound::new();
    for file in [
        "destination/prompts/welcome.wav",
        "phone/sounds/sentence.wav",
    ] {
        let mut recording = sound::wav(&offhook().join(file));
        let change = -23.0 - active_level(&recording);
        let whole = level(&recording) + change;
        scale(&mut recording, whole);
        agent.extend(recording);
    }
    agent
}

/// What the leg told and sent, by frames of 20 ms.
#[derive(Default)]
struct Line {
    packets: Vec<Vec<u8>>,
    events: Vec<LegEvent>,
    listeners: Option<Listeners>,
}

impl LegSink for Line {
    fn audio(&mut self, _frame: UplinkFrame<'_>) {}
    fn send_rtp(&mut self, _to: std::net::SocketAddr, packet: &[u8]) {
        self.packets.push(packet[12..].to_vec());
    }
    fn send_rtcp(&mut self, _to: std::net::SocketAddr, _packet: &[u8]) {}
    fn event(&mut self, event: LegEvent) {
        self.events.push(event);
    }
    fn mark(&mut self, _mark: MarkId) {}
    fn listeners(&mut self) -> Option<&mut Listeners> {
        self.listeners.as_mut()
    }
}

/// A call in which both may speak.
struct Scene {
    caller: Sound,
    /// Delay in milliseconds, and loss in decibels, of our own voice's echo.
    echo: Option<(usize, f64)>,
    /// The echo is that of a room.
    room: bool,
    /// Packets come up to so many milliseconds later than the others.
    jitter: u64,
    policy: Policy,
    network: bool,
    /// What is heard is the gateway's own, and no utterance.
    prompts: bool,
}

/// What happened, in milliseconds of the call.
#[derive(Debug, Default)]
struct Told {
    /// When a frame left that was lowered for the first time, and when the sound had ended.
    ducked: Vec<f64>,
    cleared: Vec<f64>,
    words: usize,
    sure: Vec<f64>,
}

fn ms(time: Time) -> f64 {
    time.as_secs_f64() * 1_000.0
}

fn run(scene: &Scene) -> Told {
    let peer = "127.0.0.1:4000".parse().expect("an address");
    let policy = claim::Policy {
        signalling: std::net::IpAddr::from([127, 0, 0, 1]),
        media_allow: Vec::new(),
        nat: false,
        loopback: true,
    };
    let config = LegConfig {
        ssrc: 1,
        first_sequence: 0,
        first_timestamp: 0,
        seed: 1,
        cname: "x".to_owned(),
        ntp_at_zero: 0,
        media_timeout: None,
        drain_linger: Duration::ZERO,
        policy,
        playout: PlayoutConfig::default(),
    };
    let mut leg = Leg::new(config, Time::ZERO);
    let mut line = Line::default();
    if scene.network {
        line.listeners = Some(listeners());
    }
    leg.set_remote(
        Time::ZERO,
        &RemoteMedia {
            rtp: Some(peer),
            rtcp: None,
            rtcp_mux: false,
            codec: Codec::Pcmu,
            payload_type: 0,
            receive_types: vec![(0, Codec::Pcmu)],
            dtmf_send: None,
            dtmf_receive: vec![],
            dtmf_by: DtmfBy::Event,
            dtmf_tones: DtmfTones::Ignored,
            comfort_noise: None,
            ptime_ms: 20,
            opus: opus::Settings::default(),
            send: true,
            receive: true,
            hold: false,
            srtp: None,
        },
    );
    leg.start(Time::ZERO, Some(Duration::ZERO));
    leg.set_barge_in(scene.prompts.then_some(scene.policy));
    let agent = pcm(&agent());
    let mut encoder = Encoder::new(Codec::Pcmu);
    let mut back = Encoder::new(Codec::Pcmu);
    let frames = scene.caller.len() / FRAME;
    let mut far = Far {
        decoder: Decoder::new(Codec::Pcmu),
        played: Vec::new(),
        silent_until: Time::ZERO,
        told: Told::default(),
    };
    let (mut said, mut utterance) = (0, 0);
    let mut late = Random(11);
    let mut on_their_way = VecDeque::new();
    let mut last = Time::ZERO;
    for index in 0..frames {
        let now = Time::ZERO + TICK * index as u32;
        if now >= far.silent_until {
            if leg.open_utterance().is_none() && !scene.prompts {
                utterance += 1;
                leg.begin_utterance(Utterance {
                    id: utterance.to_string(),
                    policy: Some(scene.policy),
                    ..Utterance::default()
                });
            }
            while leg.playout_state().waiting_samples() < 2 * FRAME as u64 * 10 {
                let samples: Vec<i16> = (0..FRAME)
                    .map(|n| agent[(said + n) % agent.len()])
                    .collect();
                said += FRAME;
                let mut bytes = [0; FRAME];
                encoder.encode(&samples, &mut bytes);
                if scene.prompts {
                    leg.push_prompt(now, &bytes);
                } else {
                    leg.playout().push(now, &bytes);
                }
            }
        }
        leg.handle_timeout(now, &mut line);
        far.take(&mut line, &mut leg, now);
        let at = index * FRAME;
        let mut mixed = scene.caller[at..at + FRAME].to_vec();
        if let Some((delay, loss)) = scene.echo {
            let paths = if scene.room { &ROOM[..] } else { &ROOM[..1] };
            for (later, share) in paths {
                let gain = share * 10_f64.powf(-loss / 20.0);
                for (n, sample) in mixed.iter_mut().enumerate() {
                    let from = (at + n).checked_sub((delay + later) * RATE / 1_000);
                    if let Some(echo) = from.and_then(|from| far.played.get(from)) {
                        *sample += gain * echo;
                    }
                }
            }
        }
        let mut packet: Vec<u8> = Header {
            marker: false,
            payload_type: 0,
            sequence: index as u16,
            timestamp: at as u32,
            ssrc: 9,
        }
        .encode()
        .to_vec();
        let mut payload = [0; FRAME];
        back.encode(&pcm(&mixed), &mut payload);
        packet.extend(payload);
        let delay = Duration::from_micros((late.unit() * 1e3 * scene.jitter as f64) as u64);
        last = last.max(now + OFFSET + delay);
        on_their_way.push_back((last, packet));
        let next = now + TICK;
        while on_their_way.front().is_some_and(|(at, _)| *at < next) {
            let (now, packet) = on_their_way.pop_front().expect("there is one");
            let ducks = leg.stats().ducks;
            leg.handle_rtp(now, peer, &packet, &mut line);
            if leg.stats().ducks > ducks {
                far.told.ducked.push(ms(now));
            }
            far.take(&mut line, &mut leg, now);
        }
    }
    far.told
}

/// The far end: what has come out there, and what was told on the way.
struct Far {
    decoder: Decoder,
    /// For the echo.
    played: Vec<f64>,
    silent_until: Time,
    told: Told,
}

impl Far {
    fn take(&mut self, line: &mut Line, leg: &mut Leg, now: Time) {
        for payload in line.packets.drain(..) {
            let mut samples = [0; FRAME];
            self.decoder.decode(&payload, &mut samples);
            self.played
                .extend(samples.map(|sample| f64::from(sample) / 32_768.0));
        }
        for event in line.events.drain(..) {
            match event {
                LegEvent::Interrupted(_) => {
                    leg.cut();
                    leg.playout().clear(now, |_| {});
                    self.silent_until = now + Duration::from_millis(2_500);
                    self.told.cleared.push(ms(now));
                }
                LegEvent::BargeIn(_) => self.told.sure.push(ms(now)),
                LegEvent::Backchannel(_) => self.told.words += 1,
                _ => {}
            }
        }
    }
}

/// Callers who say something every few seconds while the agent speaks: the sound, and when the first loud frame of each begins, in milliseconds.
fn interruptions(words: &[Sound], random: &mut Random, dbov: f64) -> (Sound, Vec<f64>) {
    let mut caller = vec![0.0; 3 * RATE];
    let mut begins = Vec::new();
    for word in words {
        begins.push(caller.len() as f64 * 1_000.0 / RATE as f64);
        let mut word = word.clone();
        let whole = level(&word) + dbov - active_level(&word);
        scale(&mut word, whole);
        caller.extend(&word);
        let pause = 4.0 + random.unit();
        let len = (caller.len() + (pause * RATE as f64) as usize).div_ceil(FRAME) * FRAME;
        caller.resize(len, 0.0);
    }
    // A telephone is never quite silent.
    for sample in &mut caller {
        *sample += 10_f64.powf(-62.0 / 20.0) * random.normal();
    }
    (caller, begins)
}

/// From the first frame that is within 20 dB of the loud ones on, and at most two seconds.
fn trimmed(sound: &Sound) -> Option<Sound> {
    let least = loud(sound) - 20.0;
    let begin = levels(sound).iter().position(|level| *level > least)?;
    let end = sound.len().min(begin * FRAME + 2 * RATE);
    let sound = sound[begin * FRAME..end].to_vec();
    (sound.len() > RATE * 4 / 5).then_some(sound)
}

fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values
        .get(((values.len() as f64 * share).ceil() as usize).max(1) - 1)
        .copied()
        .unwrap_or(f64::NAN)
}

/// For each beginning the time until the first of `times` within two and a half seconds.
fn after(begins: &[f64], times: &[f64]) -> (Vec<f64>, usize) {
    let mut found = Vec::new();
    let mut missed = 0;
    for begin in begins {
        let next = times
            .iter()
            .find(|time| **time >= *begin && **time < begin + 2_500.0);
        match next {
            // The packet that holds the first loud frame comes 20 ms after its first sample, at the next packet time.
            Some(time) => found.push(time - begin - OFFSET.as_secs_f64() * 1_000.0),
            None => missed += 1,
        }
    }
    (found, missed)
}

/// Our own voice as the caller's: sentences of the recordings, cut where they pause.
fn sentences() -> Vec<Sound> {
    let mut sentences = Vec::new();
    for file in [
        "phone/sounds/sentence.wav",
        "destination/prompts/welcome.wav",
    ] {
        let recording = sound::wav(&offhook().join(file));
        let least = loud(&recording) - 30.0;
        let mut begin = None;
        let mut quiet = 0;
        for (index, level) in levels(&recording).into_iter().enumerate() {
            quiet = if level > least { 0 } else { quiet + 1 };
            if level > least {
                begin.get_or_insert(index);
            } else if quiet == 8 {
                let sentence = begin
                    .take()
                    .map(|begin| recording[begin * FRAME..index * FRAME].to_vec());
                sentences.extend(sentence.as_ref().and_then(trimmed));
            }
        }
    }
    assert!(sentences.len() >= 3, "{}", sentences.len());
    sentences
}

fn call(caller: Sound, policy: Policy) -> Scene {
    Scene {
        caller,
        echo: None,
        policy,
        network: true,
        prompts: false,
        room: false,
        jitter: 0,
    }
}

#[test]
fn a_prompt_of_the_gateways_own_is_said_to_its_end() {
    let (caller, begins) = interruptions(&sentences(), &mut Random(7), -23.0);
    let mut scene = call(caller, Policy::DuckThenDecide);
    assert_eq!(run(&scene).cleared.len(), begins.len());
    scene.prompts = true;
    let told = run(&scene);
    assert_eq!(
        (told.ducked.len(), told.cleared.len(), told.words),
        (0, 0, 0)
    );
}

#[test]
fn a_caller_who_goes_on_is_let_speak() {
    let (caller, begins) = interruptions(&sentences(), &mut Random(7), -23.0);
    let told = run(&call(caller, Policy::DuckThenDecide));
    let (mut ducked, missed) = after(&begins, &told.ducked);
    assert_eq!(missed, 0);
    assert!(percentile(&mut ducked, 0.95) <= 20.0, "{ducked:?}");
    let (mut cleared, missed) = after(&begins, &told.cleared);
    assert_eq!((missed, told.cleared.len()), (0, begins.len()));
    assert!(percentile(&mut cleared, 0.95) <= 600.0, "{cleared:?}");
}

#[test]
fn with_or_without_the_network_a_clear_waits_for_no_more_than_it_needs() {
    for (network, within) in [(true, 100.0), (false, 40.0)] {
        let (caller, begins) = interruptions(&sentences(), &mut Random(7), -23.0);
        let scene = Scene {
            network,
            ..call(caller, Policy::Clear)
        };
        let (mut cleared, missed) = after(&begins, &run(&scene).cleared);
        assert_eq!(missed, 0);
        assert!(
            percentile(&mut cleared, 0.95) <= within,
            "{network} {cleared:?}"
        );
    }
}

#[test]
fn an_agent_that_wants_to_know_is_told_and_nothing_is_done() {
    let (caller, begins) = interruptions(&sentences(), &mut Random(7), -23.0);
    let told = run(&call(caller, Policy::Agent));
    let (_, missed) = after(&begins, &told.sure);
    assert_eq!((missed, told.ducked.len(), told.cleared.len()), (0, 0, 0));
    let (caller, _) = interruptions(&sentences(), &mut Random(7), -23.0);
    let told = run(&call(caller, Policy::Off));
    assert_eq!(
        (told.sure.len(), told.ducked.len(), told.cleared.len()),
        (0, 0, 0)
    );
}

#[test]
fn a_word_in_passing_stops_nothing() {
    let words: Vec<Sound> = sentences()
        .into_iter()
        .map(|sentence| sentence[..RATE * 3 / 10].to_vec())
        .collect();
    let (caller, begins) = interruptions(&words, &mut Random(7), -23.0);
    let told = run(&call(caller, Policy::DuckThenDecide));
    let (_, missed) = after(&begins, &told.ducked);
    assert_eq!((missed, told.cleared.len()), (0, 0));
    assert!(told.words > 0, "and the agent knows of it");
}

#[test]
fn our_own_voice_interrupts_nobody() {
    for (delay, loss) in [(20, 10.0), (150, 15.0), (400, 25.0)] {
        let mut random = Random(5);
        let quiet = || 10_f64.powf(-62.0 / 20.0) * random.normal();
        let caller = std::iter::repeat_with(quiet).take(30 * RATE).collect();
        let scene = Scene {
            echo: Some((delay, loss)),
            ..call(caller, Policy::DuckThenDecide)
        };
        let told = run(&scene);
        assert_eq!(
            (told.cleared.len(), told.words),
            (0, 0),
            "{delay} ms -{loss} dB"
        );
        assert!(
            told.ducked.len() <= 1,
            "{delay} ms -{loss} dB: {:?}",
            told.ducked
        );
    }
}

#[test]
fn nor_does_it_in_a_room_or_on_an_uneven_line() {
    for (delay, jitter) in [(60, 0), (60, 15), (200, 60)] {
        let mut random = Random(5);
        let quiet = || 10_f64.powf(-62.0 / 20.0) * random.normal();
        let caller = std::iter::repeat_with(quiet).take(30 * RATE).collect();
        let scene = Scene {
            echo: Some((delay, 12.0)),
            room: true,
            jitter,
            ..call(caller, Policy::DuckThenDecide)
        };
        let told = run(&scene);
        assert_eq!(
            (told.cleared.len(), told.words),
            (0, 0),
            "{delay} ms ± {jitter}"
        );
    }
}

#[test]
fn a_caller_is_heard_above_our_own_voice() {
    let (mut all, mut unheard) = (0, 0);
    for delay in [20, 150, 400] {
        let (caller, begins) = interruptions(&sentences(), &mut Random(7), -23.0);
        let scene = Scene {
            echo: Some((delay, 10.0)),
            ..call(caller, Policy::DuckThenDecide)
        };
        let (_, missed) = after(&begins, &run(&scene).cleared);
        all += begins.len();
        unheard += missed;
    }
    assert!(10 * unheard <= all, "{unheard} of {all}");
}

#[test]
fn the_noise_of_a_line_lowers_the_voice_at_most() {
    for kind in ["white", "car", "office", "hum", "steps"] {
        let mut caller = noise(kind, 30 * RATE, &mut Random(3));
        scale(&mut caller, -40.0);
        let told = run(&call(caller, Policy::DuckThenDecide));
        assert_eq!((told.cleared.len(), told.words), (0, 0), "{kind}");
        assert!(told.ducked.len() <= 6, "{kind}: {}", told.ducked.len());
    }
}

#[test]
#[ignore = "measures"]
fn how_well_it_works() {
    let directory = std::env::var("OFFHOOK_SPEECH").expect("a directory of recordings");
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
        .expect("the directory")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wav"))
        .collect();
    files.sort();
    let words: Vec<Sound> = files
        .iter()
        .filter_map(|file| trimmed(&sound::wav(file)))
        .take(100)
        .collect();
    println!("{} recordings", words.len());
    let mut scenes = vec![("no echo".to_owned(), None)];
    for loss in [10.0, 20.0, 30.0] {
        for delay in [20, 150, 400] {
            scenes.push((format!("echo -{loss} dB {delay} ms"), Some((delay, loss))));
        }
    }
    for (name, echo) in scenes {
        for (policy, network) in [
            (Policy::DuckThenDecide, true),
            (Policy::Clear, true),
            (Policy::Clear, false),
        ] {
            let mut random = Random(7);
            let (caller, begins) = interruptions(&words, &mut random, -23.0);
            let told = run(&Scene {
                echo,
                network,
                ..call(caller, policy)
            });
            let (mut cleared, missed) = after(&begins, &told.cleared);
            let (mut ducked, _) = after(&begins, &told.ducked);
            let wrong = told
                .cleared
                .iter()
                .filter(|time| {
                    !begins
                        .iter()
                        .any(|begin| **time >= *begin && **time < begin + 2_300.0)
                })
                .count();
            println!(
                "{name:22} {policy:?} {network:5}: missed {missed:3}, cleared {:4.0} / {:4.0} ms, ducked {:4.0} / {:4.0}, ducks {}, clears {}, wrong {wrong}",
                percentile(&mut cleared, 0.5),
                percentile(&mut cleared, 0.95),
                percentile(&mut ducked, 0.5),
                percentile(&mut ducked, 0.95),
                told.ducked.len(),
                told.cleared.len(),
            );
        }
    }
    for policy in [Policy::DuckThenDecide, Policy::Clear] {
        for kind in ["white", "car", "office", "hum", "steps"] {
            for dbov in [-50.0, -35.0] {
                let mut random = Random(3);
                let mut caller = noise(kind, 300 * RATE, &mut random);
                scale(&mut caller, dbov);
                let told = run(&call(caller, policy));
                println!(
                    "{policy:?} {kind} {dbov}: in 5 min ducks {}, words {}, clears {}",
                    told.ducked.len(),
                    told.words,
                    told.cleared.len()
                );
            }
        }
        for loss in [10.0, 15.0, 20.0, 30.0] {
            for delay in [20, 60, 150, 400] {
                let mut random = Random(5);
                let caller = (0..300 * RATE)
                    .map(|_| 10_f64.powf(-62.0 / 20.0) * random.normal())
                    .collect();
                let told = run(&Scene {
                    echo: Some((delay, loss)),
                    ..call(caller, policy)
                });
                println!(
                    "{policy:?} echo alone -{loss} dB {delay} ms: in 5 min ducks {}, words {}, clears {}",
                    told.ducked.len(),
                    told.words,
                    told.cleared.len()
                );
            }
        }
    }
}
