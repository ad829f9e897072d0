//! A leg that is recorded: where each sound lies in the file, what a pause, a loss, a full ring and a full disk leave of it.
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aes_gcm::aead::{AeadInOut, Nonce, Tag};
use aes_gcm::{Aes256Gcm, KeyInit};
use offhook_media::claim::Policy;
use offhook_media::clock::Time;
use offhook_media::codec::{Codec, Encoder, Encoding};
use offhook_media::leg::{Leg, LegConfig, LegEvent, LegSink, RemoteMedia, SentFrame, UplinkFrame};
use offhook_media::playout::{MarkId, PlayoutConfig};
use offhook_media::recorder::{
    CHUNK, Flac, Format, Outcome, Recording, RecordingConfig, SealKey, Tap, Target,
};
use offhook_media::rtp::Header;
use proptest::prelude::*;
use support::{Network, Random, tone, voice};

mod support;

const START: Time = Time::from_millis(5_000);
const FRAME: Duration = Duration::from_millis(20);
/// An agent speaks between two ticks of the leg.
const BETWEEN: Duration = Duration::from_millis(5);

/// A disk that a test can look at. It is full at `room` bytes.
#[derive(Clone, Debug)]
struct Disk {
    bytes: Arc<Mutex<Vec<u8>>>,
    room: usize,
}

impl Disk {
    fn new(room: usize) -> Self {
        Disk {
            bytes: Arc::default(),
            room,
        }
    }

    fn file(&self) -> Vec<u8> {
        self.bytes.lock().expect("nobody panicked").clone()
    }
}

impl Target for Disk {
    fn append(&mut self, new: &[u8]) -> io::Result<()> {
        let mut bytes = self.bytes.lock().expect("nobody panicked");
        let taken = new.len().min(self.room - bytes.len());
        bytes.extend_from_slice(&new[..taken]);
        if taken < new.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.bytes
            .lock()
            .expect("nobody panicked")
            .truncate(len as usize);
        Ok(())
    }
}

struct Ear {
    now: Time,
    tap: Option<Tap>,
}

impl LegSink for Ear {
    fn audio(&mut self, frame: UplinkFrame<'_>) {
        if let Some(tap) = &mut self.tap {
            tap.heard(self.now, &frame);
        }
    }
    fn sent(&mut self, frame: SentFrame<'_>) {
        if let Some(tap) = &mut self.tap {
            tap.sent(self.now, &frame);
        }
    }
    fn send_rtp(&mut self, _to: SocketAddr, _packet: &[u8]) {}
    fn send_rtcp(&mut self, _to: SocketAddr, _packet: &[u8]) {}
    fn event(&mut self, _event: LegEvent) {}
    fn mark(&mut self, _mark: MarkId) {}
}

/// A call in virtual time.
struct Call {
    leg: Leg,
    ear: Ear,
    recording: Recording<Disk>,
    disk: Disk,
    codec: Codec,
    encoder: Encoder,
    sent: u32,
    writes: bool,
}

fn remote(codec: Codec) -> RemoteMedia {
    RemoteMedia {
        dtmf_send: Some(101),
        dtmf_receive: vec![96],
        ..RemoteMedia::plain("192.0.2.9:4000".parse().expect("an address"), 0, codec)
    }
}

fn plain(format: Format, rate: u32) -> RecordingConfig {
    RecordingConfig {
        format,
        rate,
        seal: None,
    }
}

impl Call {
    fn new(codec: Codec, config: &RecordingConfig, room: usize) -> Self {
        let policy = Policy {
            signalling: "192.0.2.9".parse().expect("an address"),
            media_allow: Vec::new(),
            nat: false,
            loopback: false,
        };
        let leg = LegConfig {
            ssrc: 1,
            first_sequence: 7,
            first_timestamp: u32::MAX - 4_000,
            seed: 9,
            cname: "leg@offhook".into(),
            ntp_at_zero: 0,
            media_timeout: None,
            drain_linger: Duration::ZERO,
            policy,
            playout: PlayoutConfig::default(),
        };
        let mut leg = Leg::new(leg, START);
        leg.set_remote(START, &remote(codec));
        leg.start(START, None);
        leg.release(START);
        let (mut tap, mut recording) = Recording::new(config);
        tap.begin(START);
        let disk = Disk::new(room);
        recording.open(Ok(disk.clone()));
        let ear = Ear {
            now: START,
            tap: Some(tap),
        };
        Call {
            leg,
            ear,
            recording,
            disk,
            codec,
            encoder: Encoder::new(codec),
            sent: 0,
            writes: true,
        }
    }

    fn until(&mut self, end: Time) {
        while let Some(due) = self.leg.next_timeout().filter(|&due| due <= end) {
            self.ear.now = due.max(self.ear.now);
            self.leg.handle_timeout(self.ear.now, &mut self.ear);
        }
        self.ear.now = end;
        if self.writes {
            assert!(self.recording.turn().is_none(), "it goes on");
        }
    }

    /// A packet of the caller that comes at `at`; its number is its place.
    fn says(&mut self, at: Time, number: u32, sound: &[i16]) {
        self.until(at);
        let mut packet = [0; 172];
        let header = Header {
            marker: false,
            payload_type: 0,
            sequence: number as u16,
            timestamp: number * 160,
            ssrc: 77,
        };
        packet[..12].copy_from_slice(&header.encode());
        let len = self.encoder.encode(sound, &mut packet[12..]);
        let source = "192.0.2.9:4000".parse().expect("an address");
        self.leg
            .handle_rtp(at, source, &packet[..12 + len], &mut self.ear);
        self.until(at);
    }

    fn agent_says(&mut self, at: Time, sound: &[i16]) {
        self.until(at);
        let mut bytes = Vec::new();
        self.leg
            .playout_state()
            .format()
            .encoding
            .write(sound, &mut bytes);
        self.leg.playout().push(at, &bytes);
        self.until(at);
    }

    fn rate(&self) -> u32 {
        self.codec.sample_rate()
    }

    fn frame(&self) -> usize {
        self.rate() as usize / 50
    }

    /// A caller who is silent but for a tone at each of `beeps`, 20 ms packets, for `frames` of them.
    fn caller_beeps(&mut self, frames: u32, beeps: &[u32], also: impl Fn(&mut Call, u32)) {
        let beep = tone(self.rate(), 1_000.0, 8_000.0, self.frame());
        let silence = vec![0; self.frame()];
        for n in 0..frames {
            let sound = if beeps.contains(&n) { &beep } else { &silence };
            also(self, n);
            self.says(START + FRAME * (n + 1), self.sent, sound);
            self.sent += 1;
        }
    }

    fn over(mut self, at: Time) -> (Outcome, Vec<u8>) {
        self.until(at);
        self.ear.tap.take().expect("one recording").end(at);
        let outcome = self.recording.turn().expect("it is over");
        (outcome, self.disk.file())
    }
}

/// The two sides of a WAV file.
fn sides(file: &[u8]) -> (Vec<i16>, Vec<i16>) {
    assert_eq!(&file[..4], b"RIFF");
    let mut samples = vec![0; (file.len() - 44) / 2];
    Encoding::Pcm16Le.read(&file[44..], &mut samples);
    let side = |which| samples.iter().skip(which).step_by(2).copied().collect();
    (side(0), side(1))
}

/// Where sounds begin, in samples: loud after 100 ms of quiet.
fn onsets(side: &[i16], rate: u32) -> Vec<usize> {
    let mut found = Vec::new();
    let mut quiet = rate as usize;
    for (at, sample) in side.iter().enumerate() {
        if sample.unsigned_abs() > 1_500 {
            if quiet > rate as usize / 10 {
                found.push(at);
            }
            quiet = 0;
        } else {
            quiet += 1;
        }
    }
    found
}

/// Within a packet of it; what left, within what makes it loud.
fn near(found: &[usize], expected_ms: &[u32], rate: u32) {
    let ms: Vec<f64> = found
        .iter()
        .map(|&at| at as f64 * 1e3 / f64::from(rate))
        .collect();
    assert_eq!(ms.len(), expected_ms.len(), "{ms:?} {expected_ms:?}");
    for (found, &expected) in ms.iter().zip(expected_ms) {
        assert!(
            (found - f64::from(expected)).abs() <= 20.0,
            "{ms:?} {expected_ms:?}"
        );
    }
}

#[test]
fn each_side_lies_where_it_was_spoken_and_where_it_left() {
    for codec in Codec::BYTE_A_TICK {
        let mut call = Call::new(codec, &plain(Format::Wav, codec.sample_rate()), usize::MAX);
        let rate = call.rate();
        let word = tone(rate, 700.0, 8_000.0, rate as usize / 5);
        // The caller beeps at 1 s, 2 s and 3.5 s; the agent speaks at 1.2 s and 3 s, 200 ms each.
        call.caller_beeps(250, &[50, 100, 175], |call, n| {
            if n == 60 || n == 150 {
                call.agent_says(START + FRAME * n + BETWEEN, &word);
            }
        });
        let (outcome, file) = call.over(START + FRAME * 250);
        let (left, right) = sides(&file);
        near(&onsets(&left, rate), &[1_000, 2_000, 3_500], rate);
        near(&onsets(&right, rate), &[1_205, 3_005], rate);
        assert_eq!(
            (left.len(), right.len()),
            (outcome.samples as usize, left.len())
        );
        let lasted = outcome.lasted.as_millis();
        assert!((5_000..=5_020).contains(&lasted), "{lasted} ms");
        assert_eq!(
            (outcome.dropped_frames, outcome.bytes),
            (0, file.len() as u64)
        );
    }
}

#[test]
fn what_the_caller_said_is_there_sample_for_sample() {
    let mut call = Call::new(Codec::Pcmu, &plain(Format::Wav, 8_000), usize::MAX);
    let spoken = voice(8_000, 4.0, 3);
    for (n, sound) in spoken.chunks_exact(160).enumerate() {
        // Half a frame of the first packet was spoken before the recording began.
        let at = START + FRAME * n as u32 + FRAME / 2;
        call.says(at, n as u32, sound);
    }
    let (_, file) = call.over(START + FRAME * 200);
    let mut coded = vec![0; spoken.len()];
    Encoding::Pcmu.write_to(&spoken, &mut coded);
    let mut heard = vec![0; spoken.len()];
    Encoding::Pcmu.read(&coded, &mut heard);
    let left = sides(&file).0;
    assert!(left[..spoken.len() - 80] == heard[80..], "other samples");
}

#[test]
fn lost_packets_and_a_hold_move_nothing() {
    let mut call = Call::new(Codec::Pcmu, &plain(Format::Wav, 8_000), usize::MAX);
    let beep = tone(8_000, 1_000.0, 8_000.0, 160);
    let mut random = Random::new(4);
    for n in 0..600u32 {
        let at = START + FRAME * (n + 1);
        if n == 200 || n == 400 {
            let held = n == 200;
            let changed = RemoteMedia {
                send: !held,
                receive: !held,
                hold: held,
                ..remote(Codec::Pcmu)
            };
            call.until(at);
            call.leg.set_remote(at, &changed);
        }
        let beeps = [100, 180, 300, 450, 550].contains(&n);
        if n == 120 || n == 320 || n == 500 {
            call.agent_says(at + BETWEEN, &[beep.clone(), beep.clone()].concat());
        }
        if beeps || random.unit() > 0.1 {
            call.says(at + BETWEEN, n, if beeps { &beep } else { &[0; 160] });
        }
    }
    let (_, file) = call.over(START + FRAME * 600);
    let (left, right) = sides(&file);
    // What the caller said while it held the call reached nobody; what was said to it waited, since nobody has cut it off here.
    near(&onsets(&left, 8_000), &[2_000, 3_600, 9_000, 11_000], 8_000);
    near(&onsets(&right, 8_000), &[2_425, 8_020, 10_025], 8_000);
}

#[test]
fn a_pause_is_silent_on_both_sides_and_as_long_as_it_was() {
    let mut call = Call::new(Codec::Pcmu, &plain(Format::Wav, 8_000), usize::MAX);
    let word = tone(8_000, 700.0, 8_000.0, 320);
    call.caller_beeps(400, &[50, 150, 160, 350], |call, n| {
        let tap = call.ear.tap.as_mut().expect("one recording");
        match n {
            100 => assert!(tap.pause() && !tap.pause()),
            300 => assert!(tap.resume() && !tap.resume()),
            60 | 200 | 360 => call.agent_says(START + FRAME * n + BETWEEN, &word),
            _ => {}
        }
    });
    let (outcome, file) = call.over(START + FRAME * 400);
    let (left, right) = sides(&file);
    near(&onsets(&left, 8_000), &[1_000, 7_000], 8_000);
    near(&onsets(&right, 8_000), &[1_205, 7_205], 8_000);
    assert!(left[16_500..47_500].iter().all(|&sample| sample == 0));
    assert!(right[16_500..47_500].iter().all(|&sample| sample == 0));
    assert!((8_000..=8_020).contains(&outcome.lasted.as_millis()));
}

#[test]
fn both_sides_keep_to_one_clock_for_an_hour_though_the_caller_has_another() {
    for skew in [-120.0, 120.0] {
        let mut call = Call::new(Codec::Pcmu, &plain(Format::Wav, 8_000), usize::MAX);
        let network = Network {
            seed: 5,
            skew_ppm: skew,
            jitter: Duration::from_millis(8),
            ..Network::default()
        };
        let beep = tone(8_000, 1_000.0, 8_000.0, 160);
        let mut said = Vec::new();
        for arrival in network.carry(START + FRAME, FRAME, 180_000) {
            let beeps = arrival.number % 5_000 == 4_000;
            if beeps {
                // Its first packet came without delay.
                said.push((arrival.at - START).as_millis() as u32 - 20);
            }
            call.says(
                arrival.at,
                arrival.number,
                if beeps { &beep } else { &[0; 160] },
            );
        }
        let end = call.ear.now;
        let (_, file) = call.over(end);
        let found = onsets(&sides(&file).0, 8_000);
        assert_eq!(found.len(), said.len());
        for (found, said) in found.iter().zip(said) {
            let ms = *found as f64 / 8.0;
            assert!(
                (ms - f64::from(said)).abs() <= 20.0,
                "{skew} ppm: {ms} {said}"
            );
        }
    }
}

#[test]
fn a_disk_that_stands_still_costs_the_frames_of_that_time_and_nothing_behind_them() {
    let mut call = Call::new(Codec::Pcmu, &plain(Format::Wav, 8_000), usize::MAX);
    call.caller_beeps(1_500, &[50, 1_400], |call, n| {
        call.writes = !(100..1_300).contains(&n)
    });
    let (outcome, file) = call.over(START + FRAME * 1_500);
    near(&onsets(&sides(&file).0, 8_000), &[1_000, 28_000], 8_000);
    assert!(
        (200..2_400).contains(&outcome.dropped_frames),
        "{outcome:?}"
    );
    assert!((30_000..=30_020).contains(&outcome.lasted.as_millis()));
}

#[test]
fn a_full_disk_ends_the_recording_with_what_is_whole() {
    for format in [Format::Wav, Format::Flac] {
        let mut call = Call::new(Codec::Pcmu, &plain(format, 8_000), 8_000);
        call.writes = false;
        let noise = voice(8_000, 8.0, 7);
        let mut outcome = None;
        for (n, sound) in noise.chunks_exact(160).enumerate() {
            call.says(START + FRAME * (n as u32 + 1), n as u32, sound);
            outcome = outcome.or_else(|| call.recording.turn());
        }
        let outcome = outcome.unwrap_or_else(|| {
            panic!(
                "{format:?} did not give up at {} bytes",
                call.disk.file().len()
            )
        });
        assert_eq!(
            outcome.error.map(|error| error.kind()),
            Some(io::ErrorKind::StorageFull)
        );
        let file = call.disk.file();
        assert_eq!(outcome.bytes, file.len() as u64);
        match format {
            Format::Wav => assert_eq!((file.len() - 44) % 4, 0),
            Format::Flac => assert!(decoded(&file).0.len().is_multiple_of(4_096)),
        }
    }
}

#[test]
fn a_file_that_cannot_be_made_is_told_at_once() {
    let (tap, mut recording) = Recording::<Disk>::new(&plain(Format::Wav, 8_000));
    recording.open(Err(io::ErrorKind::PermissionDenied.into()));
    let outcome = recording.turn().expect("over before it began");
    assert_eq!(
        outcome.error.map(|error| error.kind()),
        Some(io::ErrorKind::PermissionDenied)
    );
    assert_eq!((outcome.samples, outcome.bytes), (0, 0));
    drop(tap);
}

#[test]
fn a_leg_that_ends_without_a_word_leaves_a_whole_file() {
    let mut call = Call::new(Codec::Pcmu, &plain(Format::Wav, 8_000), usize::MAX);
    call.caller_beeps(100, &[50], |_, _| {});
    drop(call.ear.tap.take());
    let outcome = call.recording.turn().expect("over");
    assert!(outcome.error.is_none() && outcome.lasted >= Duration::from_secs(2));
    near(&onsets(&sides(&call.disk.file()).0, 8_000), &[1_000], 8_000);
}

#[test]
fn a_line_that_changes_its_codec_keeps_the_rate_of_the_file() {
    let mut call = Call::new(Codec::Pcmu, &plain(Format::Wav, 8_000), usize::MAX);
    call.caller_beeps(100, &[50], |_, _| {});
    call.codec = Codec::G722;
    call.encoder = Encoder::new(Codec::G722);
    let at = call.ear.now;
    call.leg.set_remote(at, &remote(Codec::G722));
    let wide = tone(16_000, 1_000.0, 8_000.0, 320);
    for n in 100..200u32 {
        call.says(
            START + FRAME * (n + 1),
            n,
            if n == 150 { &wide } else { &[0; 320] },
        );
    }
    let (outcome, file) = call.over(START + FRAME * 200);
    near(&onsets(&sides(&file).0, 8_000), &[1_000, 3_000], 8_000);
    assert!((4_000..=4_020).contains(&outcome.lasted.as_millis()));
}

// FLAC

/// What a decoder of other people makes of a stream.
fn decoded(file: &[u8]) -> (Vec<i16>, Vec<i16>) {
    let mut reader = claxon::FlacReader::new(file).expect("a stream");
    assert_eq!(
        (
            reader.streaminfo().channels,
            reader.streaminfo().bits_per_sample
        ),
        (2, 16)
    );
    let (mut left, mut right) = (Vec::new(), Vec::new());
    let mut blocks = reader.blocks();
    let mut buffer = Vec::new();
    while let Some(block) = blocks
        .read_next_or_eof(buffer)
        .expect("frames with the right checksums")
    {
        left.extend(block.channel(0).iter().map(|&sample| sample as i16));
        right.extend(block.channel(1).iter().map(|&sample| sample as i16));
        buffer = block.into_buffer();
    }
    (left, right)
}

fn flac(rate: u32, left: &[i16], right: &[i16], cut: usize) -> Vec<u8> {
    let mut flac = Flac::new(rate);
    let mut file = Vec::new();
    flac.header(&mut file);
    for (left, right) in left.chunks(cut).zip(right.chunks(cut)) {
        flac.write(left, right, &mut file);
    }
    flac.finish(&mut file);
    file
}

#[test]
fn flac_gives_speech_back_as_it_was_in_half_the_bytes() {
    let spoken = voice(16_000, 60.0, 11);
    let mut heard = spoken.clone();
    heard.rotate_left(12_345);
    let file = flac(16_000, &spoken, &heard, 320);
    assert!(decoded(&file) == (spoken.clone(), heard), "other samples");
    assert!(
        file.len() < 2 * spoken.len(),
        "{} of {}",
        file.len(),
        4 * spoken.len()
    );
}

#[test]
fn flac_numbers_more_frames_than_a_byte_counts() {
    let silence = vec![3i16; 4_096 * 3_000];
    let file = flac(8_000, &silence, &silence, 10_000);
    assert!(decoded(&file).0 == silence, "other samples");
    assert!(file.len() < 50_000);
}

proptest! {
    #[test]
    fn flac_gives_back_whatever_it_was_given(
        len in 1usize..9_000,
        cut in 1usize..700,
        scale in prop::sample::select(vec![0.0, 1.0, 60.0, 4_000.0, 32_767.0]),
        seed in any::<u64>(),
    ) {
        let mut random = Random::new(seed);
        let mut side = || -> Vec<i16> { (0..len).map(|_| ((random.unit() * 2.0 - 1.0) * scale) as i16).collect() };
        let (left, right) = (side(), side());
        prop_assert!(decoded(&flac(8_000, &left, &right, cut)) == (left, right));
    }
}

#[test]
fn flac_takes_the_loudest_steps_there_are() {
    let square: Vec<i16> = (0..5_000)
        .map(|n| if n / 3 % 2 == 0 { i16::MIN } else { i16::MAX })
        .collect();
    let impulse: Vec<i16> = (0..5_000)
        .map(|n| if n % 997 == 0 { i16::MIN } else { 0 })
        .collect();
    let file = flac(8_000, &square, &impulse, 5_000);
    assert!(decoded(&file) == (square, impulse), "other samples");
}

// Encryption

/// The sound of an encrypted file, or none if it is not whole.
fn opened(file: &[u8], key: &[u8; 32], prefix: &[u8; 7], header: &[u8]) -> Option<Vec<u8>> {
    let gcm = Aes256Gcm::new(&(*key).into());
    let mut out = Vec::new();
    let chunks: Vec<&[u8]> = file.strip_prefix(header)?.chunks(CHUNK + 16).collect();
    for (index, chunk) in chunks.iter().enumerate() {
        let last = u8::from(index + 1 == chunks.len());
        let mut nonce = [0; 12];
        nonce[..7].copy_from_slice(prefix);
        nonce[7..11].copy_from_slice(&(index as u32).to_be_bytes());
        nonce[11] = last;
        let (sealed, tag) = chunk.split_at(chunk.len().checked_sub(16)?);
        let tag: [u8; 16] = tag.try_into().ok()?;
        let mut clear = sealed.to_vec();
        gcm.decrypt_inout_detached(
            &Nonce::<Aes256Gcm>::from(nonce),
            header,
            (&mut clear[..]).into(),
            &Tag::<Aes256Gcm>::from(tag),
        )
        .ok()?;
        out.extend(clear);
    }
    Some(out)
}

#[test]
fn an_encrypted_recording_opens_with_its_key_alone_and_only_whole() {
    let (key, prefix, header) = ([7; 32], [3; 7], b"a header");
    let seal = SealKey::new(&key, &prefix, header);
    let config = RecordingConfig {
        seal,
        ..plain(Format::Wav, 8_000)
    };
    let run = |config: &RecordingConfig| {
        let mut call = Call::new(Codec::Pcmu, config, usize::MAX);
        call.caller_beeps(250, &[50, 200], |_, _| {});
        call.over(START + FRAME * 250).1
    };
    let (sealed, clear) = (run(&config), run(&plain(Format::Wav, 8_000)));
    assert_eq!(opened(&sealed, &key, &prefix, header), Some(clear.clone()));
    assert_eq!(opened(&sealed, &[8; 32], &prefix, header), None);
    assert_eq!(opened(&sealed, &key, &prefix, b"a headex"), None);
    // Cut at the end of a chunk, and with a chunk in another's place.
    let chunk = CHUNK + 16;
    assert_eq!(
        opened(&sealed[..8 + 2 * chunk], &key, &prefix, header),
        None
    );
    let mut swapped = sealed.clone();
    let (first, second) = swapped[8..8 + 2 * chunk].split_at_mut(chunk);
    first.swap_with_slice(second);
    assert_eq!(opened(&swapped, &key, &prefix, header), None);
    assert!(!sealed.windows(12).any(|bytes| bytes == &clear[..12]));
}
