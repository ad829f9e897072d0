//! The playout buffer of a line whose sound goes to another line, through networks of every kind, hours in a moment.
mod support;

use offhook_media::clock::Time;
use offhook_media::codec::{Codec, Decoder, Encoder};
use offhook_media::jitter::{FRAME_TIME, JitterBuffer, MAX_FRAME};
use offhook_media::shelf::{Content, Queued};
use std::time::Duration;
use support::{Arrival, Network, Random, level, roughness, sweep, tone, voice};

const START: Time = Time::from_millis(50_000);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A listener that asks every 20 ms, first `phase` after the first packet.
struct Listener {
    buffer: JitterBuffer,
    next_tick: Time,
    heard: Vec<i16>,
    longest: Duration,
    shortest: Duration,
    ticks: u32,
    /// Whether what was heard is kept.
    keeps: bool,
}

impl Listener {
    fn new(codec: Codec, phase: Duration) -> Self {
        Listener {
            buffer: JitterBuffer::new(codec),
            next_tick: START + phase,
            heard: Vec::new(),
            longest: Duration::ZERO,
            shortest: Duration::MAX,
            ticks: 0,
            keeps: true,
        }
    }

    fn run(&mut self, until: Time) {
        while self.next_tick <= until {
            let mut out = [0; MAX_FRAME];
            let played = self.buffer.play(self.next_tick, &mut out);
            if self.keeps {
                self.heard.extend_from_slice(&out[..played.samples]);
            }
            self.next_tick += FRAME_TIME;
            self.ticks += 1;
            if self.ticks > 250 {
                self.longest = self.longest.max(self.buffer.delay());
                self.shortest = self.shortest.min(self.buffer.delay());
            }
        }
    }

    fn receive(&mut self, at: Time, packet: Queued<'_>) {
        self.run(Time::from_nanos(at.as_nanos() - 1));
        self.buffer.put(at, packet);
    }
}

/// One sound sent by packets of so many milliseconds.
struct Sender {
    codec: Codec,
    payload: Vec<u8>,
    packet: usize,
    first_sequence: u16,
    first_timestamp: u32,
}

impl Sender {
    fn new(codec: Codec, sound: &[i16], packet_ms: usize) -> Self {
        let mut payload = vec![0; sound.len()];
        let length = Encoder::new(codec).encode(sound, &mut payload);
        payload.truncate(length);
        Sender {
            codec,
            payload,
            packet: packet_ms * 8,
            first_sequence: 65_500,
            first_timestamp: u32::MAX - 10_000,
        }
    }

    fn count(&self) -> u32 {
        (self.payload.len() / self.packet) as u32
    }

    fn every(&self) -> Duration {
        ms(self.packet as u64 / 8)
    }

    /// A packet; its sound begins anew when it is over.
    fn packet(&self, number: u32) -> Queued<'_> {
        let at = (number % self.count()) as usize * self.packet;
        Queued {
            sequence: self.first_sequence.wrapping_add(number as u16),
            timestamp: self
                .first_timestamp
                .wrapping_add(number.wrapping_mul(self.packet as u32)),
            marker: number == 0,
            content: Content::Sound(self.codec),
            payload: &self.payload[at..at + self.packet],
            missing: 0,
        }
    }

    fn send(&self, arrivals: &[Arrival], listener: &mut Listener) {
        for arrival in arrivals {
            listener.receive(arrival.at, self.packet(arrival.number));
        }
        listener.run(arrivals.last().expect("packets").at);
    }

    /// What comes out if nothing goes wrong.
    fn decoded(&self) -> Vec<i16> {
        let mut out = vec![0; self.codec.samples_in(&self.payload)];
        Decoder::new(self.codec).decode(&self.payload, &mut out);
        out
    }
}

fn through(network: &Network, codec: Codec, sound: &[i16], packet_ms: usize) -> (Sender, Listener) {
    let sender = Sender::new(codec, sound, packet_ms);
    let mut listener = Listener::new(codec, ms(8));
    let arrivals = network.carry(START, sender.every(), sender.count());
    sender.send(&arrivals, &mut listener);
    (sender, listener)
}

#[test]
fn on_a_clean_line_nothing_is_changed_and_the_delay_is_that_of_the_first_packet() {
    for (codec, rate) in [
        (Codec::Pcmu, 8_000),
        (Codec::Pcma, 8_000),
        (Codec::G722, 16_000),
    ] {
        for packet_ms in [20, 40, 60] {
            let sound = voice(rate, 20.0, 3);
            let (sender, listener) = through(&Network::default(), codec, &sound, packet_ms);
            let heard = &listener.heard;
            assert!(heard.len() >= sound.len() - rate as usize / 10);
            assert!(sender.decoded().starts_with(heard), "{codec:?} {packet_ms}");
            let counts = listener.buffer.counts();
            assert_eq!((counts.shortened, counts.lengthened), (0, 0));
            assert_eq!((counts.late, counts.concealed_frames), (0, 0));
            if packet_ms == 20 {
                assert_eq!((listener.longest, listener.shortest), (ms(28), ms(28)));
            }
        }
    }
}

#[test]
fn packets_that_do_not_fill_frames_lose_nothing_and_wait_a_frame_more_at_most() {
    for packet_ms in [10, 30, 50] {
        let sound = voice(8_000, 20.0, 3);
        let (sender, listener) = through(&Network::default(), Codec::Pcmu, &sound, packet_ms);
        let decoded = sender.decoded();
        let last = listener.heard.len() - 4_000;
        let piece = &listener.heard[last..last + 800];
        assert!(
            decoded.windows(800).any(|window| window == piece),
            "{packet_ms}"
        );
        assert!(listener.longest <= ms(60), "{:?}", listener.longest);
        assert_eq!(listener.buffer.counts().late, 0);
    }
}

#[test]
fn clocks_that_differ_by_200_ppm_for_four_hours_neither_grow_the_delay_nor_run_it_dry() {
    let hours = 4 * 3_600 * 50;
    for sound in [tone(8_000, 250.0, 6_000.0, 80_000), voice(8_000, 60.0, 5)] {
        for skew_ppm in [-200.0, 200.0] {
            let network = Network {
                skew_ppm,
                jitter: ms(3),
                ..Network::default()
            };
            let sender = Sender::new(Codec::Pcmu, &sound, 20);
            let mut listener = Listener::new(Codec::Pcmu, ms(8));
            listener.keeps = false;
            sender.send(&network.carry(START, ms(20), hours), &mut listener);
            let counts = listener.buffer.counts();
            assert_eq!((counts.late, counts.dropped), (0, 0));
            assert_eq!(counts.concealed_frames, 0, "{skew_ppm}");
            // 28 ms, and not more than a frame and a half more.
            assert!(listener.shortest >= ms(25) && listener.longest <= ms(60));
            let made_up_for = counts.shortened as f64 - counts.lengthened as f64;
            let drift = 4.0 * 3_600.0 * 8_000.0 * skew_ppm * 1e-6;
            assert!((made_up_for - drift).abs() < 400.0, "{counts:?}");
            assert!((counts.shortened + counts.lengthened) as f64 <= drift.abs() + 400.0);
        }
    }
}

#[test]
fn the_delay_follows_the_jitter_and_no_further() {
    let sound = voice(8_000, 60.0, 5);
    for (jitter, overtakes, least, most, concealed) in [
        (0, false, 28, 28, 0),
        (20, false, 40, 60, 3),
        (60, false, 80, 110, 6),
        (60, true, 80, 110, 9),
        (150, false, 140, 230, 15),
    ] {
        let network = Network {
            jitter: ms(jitter),
            overtakes,
            ..Network::default()
        };
        let (_, listener) = through(&network, Codec::Pcmu, &sound, 20);
        let counts = listener.buffer.counts();
        assert!(
            counts.concealed_frames <= concealed,
            "{jitter} {overtakes}: {counts:?}"
        );
        let (shortest, longest) = (listener.shortest, listener.longest);
        assert!(
            shortest >= ms(least) && longest <= ms(most),
            "{jitter} {overtakes}: {shortest:?} to {longest:?}"
        );
    }
}

#[test]
fn each_lost_packet_is_made_up_for_once_and_costs_no_delay() {
    let sound = voice(8_000, 60.0, 5);
    for (loss, burst) in [(0.01, 1), (0.03, 1), (0.10, 1), (0.05, 3)] {
        let network = Network {
            loss,
            burst,
            doubled: 0.02,
            ..Network::default()
        };
        let (sender, listener) = through(&network, Codec::Pcmu, &sound, 20);
        let mut came: Vec<u32> = network
            .carry(START, ms(20), sender.count())
            .iter()
            .map(|arrival| arrival.number)
            .collect();
        came.dedup();
        let lost = u64::from(sender.count()) - came.len() as u64;
        let counts = listener.buffer.counts();
        assert!(counts.concealed_frames <= lost, "{loss}: {counts:?}");
        assert!(counts.concealed_frames + 2 * u64::from(burst) >= lost * 9 / 10);
        assert_eq!(listener.buffer.delay(), ms(28));
        assert!(level(&listener.heard) > 0.9 * level(&sound));
    }
}

#[test]
fn a_standstill_costs_no_speech_and_its_delay_is_won_back() {
    let sound = voice(8_000, 60.0, 5);
    let network = Network {
        standstill: Some((500, ms(200))),
        ..Network::default()
    };
    let sender = Sender::new(Codec::Pcmu, &sound, 20);
    let mut listener = Listener::new(Codec::Pcmu, ms(8));
    for arrival in network.carry(START, ms(20), sender.count()) {
        listener.receive(arrival.at, sender.packet(arrival.number));
        let since = arrival.number % 500;
        if arrival.number > 500 && since > 250 && since < 490 {
            assert!(listener.buffer.delay() <= ms(60), "5 s after it");
        }
    }
    let counts = listener.buffer.counts();
    assert_eq!((counts.late, counts.dropped), (0, 0));
    assert!(counts.shortened >= 5 * 1_200, "{counts:?}");
}

#[test]
fn a_long_standstill_is_not_caught_up_with_word_by_word() {
    let sound = voice(8_000, 30.0, 5);
    let network = Network {
        standstill: Some((500, ms(1_500))),
        ..Network::default()
    };
    let (_, listener) = through(&network, Codec::Pcmu, &sound[..8 * 15_000], 20);
    let counts = listener.buffer.counts();
    assert!(counts.dropped > 50 && counts.dropped < 80, "{counts:?}");
    assert!(listener.buffer.delay() <= ms(60));
}

/// A talkspurt, a pause without packets, another talkspurt that comes `late` against the first.
fn with_pause(noise: Option<&[u8]>, late: Duration) -> (Listener, Vec<i16>) {
    let sound = voice(8_000, 2.0, 9);
    let sender = Sender::new(Codec::Pcmu, &sound, 20);
    let mut listener = Listener::new(Codec::Pcmu, ms(8));
    for number in 0..45 {
        listener.receive(START + ms(20) * number, sender.packet(number));
    }
    if let Some(payload) = noise {
        let packet = Queued {
            content: Content::Noise,
            payload,
            ..sender.packet(45)
        };
        listener.receive(START + ms(900), packet);
    }
    let numbers = if noise.is_some() { 46 } else { 45 };
    for number in 0..40u32 {
        let packet = Queued {
            sequence: sender
                .first_sequence
                .wrapping_add((numbers + number) as u16),
            timestamp: sender.first_timestamp.wrapping_add(160 * (210 + number)),
            marker: number == 0,
            ..sender.packet(48 + number)
        };
        listener.receive(START + ms(20) * (210 + number) + late, packet);
    }
    listener.run(START + ms(20 * 250) + late);
    (listener, sender.decoded())
}

#[test]
fn after_a_pause_speech_begins_whole_and_in_time() {
    for late in [0, 7, 33] {
        let (listener, decoded) = with_pause(None, ms(late));
        let spurt = &decoded[48 * 160..49 * 160];
        let at = listener
            .heard
            .windows(160)
            .position(|window| window == spurt)
            .unwrap_or_else(|| panic!("{late}: the first word whole"));
        // It is heard when it comes, and at most a frame and what is to spare later.
        let came = 210 * 160 + late as usize * 8;
        let later = (at + 80).saturating_sub(came);
        assert!(later <= 160 + 80, "{late}: {later} ticks");
        let pause = &listener.heard[50 * 160..at - 160];
        assert!(pause.iter().all(|&sample| sample == 0));
    }
}

#[test]
fn in_a_described_pause_there_is_noise_of_that_level() {
    let (listener, _) = with_pause(Some(&[50]), Duration::ZERO);
    let pause = &listener.heard[64 * 160..200 * 160];
    let expected = 32_124.0 * 10f64.powf(-50.0 / 20.0);
    let off = 20.0 * (level(pause) / expected).log10();
    assert!(off.abs() < 1.0, "{off} dB");
}

#[test]
fn a_sweep_has_no_clicks_though_clocks_differ_and_packets_are_early_and_late() {
    let sound = sweep(8_000, 100.0, 1_500.0, 8_000.0, 8 * 60_000);
    let clean = Network::default();
    let (_, listener) = through(&clean, Codec::Pcmu, &sound, 20);
    let ordinary = roughness(&listener.heard[80..]);
    for skew_ppm in [-2_000.0, 2_000.0] {
        let network = Network {
            skew_ppm,
            jitter: ms(5),
            ..Network::default()
        };
        let (_, listener) = through(&network, Codec::Pcmu, &sound, 20);
        let counts = listener.buffer.counts();
        assert!(counts.shortened + counts.lengthened > 700, "{counts:?}");
        let rough = roughness(&listener.heard[80..]);
        assert!(rough <= ordinary * 11 / 10, "{rough} and {ordinary}");
    }
}

#[test]
fn leaps_and_other_streams_are_followed() {
    let sound = voice(8_000, 4.0, 5);
    let sender = Sender::new(Codec::Pcmu, &sound, 20);
    for (sequence_step, timestamp_step, restarts) in [
        (30_000u16, 30_000 * 160u32, false),
        (0, 0x8000_0000, false),
        (0, 0u32.wrapping_sub(800), false),
        (0, 0u32.wrapping_sub(8_000_000), false),
        (0, 4_000_000, false),
        (40_000, 1 << 30, true),
    ] {
        let mut listener = Listener::new(Codec::Pcmu, ms(8));
        for number in 0..600u32 {
            let mut packet = sender.packet(number);
            if number >= 100 {
                packet.sequence = packet.sequence.wrapping_add(sequence_step);
                packet.timestamp = packet.timestamp.wrapping_add(timestamp_step);
            }
            if number == 100 && restarts {
                listener.buffer.restart();
            }
            listener.receive(START + ms(20) * number, packet);
        }
        let decoded = sender.decoded();
        let last = &listener.heard[listener.heard.len() - 1_600..];
        assert!(
            decoded.windows(1_600).any(|window| window == last),
            "{sequence_step} {timestamp_step}"
        );
        let delay = listener.buffer.delay();
        assert!(
            delay <= ms(60),
            "{sequence_step} {timestamp_step}: {delay:?}"
        );
    }
}

#[test]
fn whatever_comes_a_frame_comes_out_and_memory_stays_bounded() {
    let mut random = Random::new(77);
    let mut listener = Listener::new(Codec::Pcmu, ms(3));
    let payload = [0x35; 1_499];
    let (mut now, mut sequence, mut timestamp) = (START, 0u16, 0u32);
    for _ in 0..40_000 {
        now += ms((random.unit() * 30.0) as u64);
        sequence = sequence.wrapping_add(1);
        let length = [160, 160, 160, 80, 1, 0, 1_499][(random.unit() * 7.0) as usize];
        timestamp = timestamp.wrapping_add(length as u32);
        match (random.unit() * 60.0) as u32 {
            0 => sequence = (random.unit() * 65_536.0) as u16,
            1 => timestamp = (random.unit() * 4e9) as u32,
            2 => sequence = sequence.wrapping_sub(5),
            3 => timestamp = timestamp.wrapping_sub(900),
            4 => listener.buffer.restart(),
            _ => {}
        }
        let content = match (random.unit() * 12.0) as u32 {
            0 => Content::Nothing,
            1 => Content::Noise,
            2 => Content::Sound(Codec::G722),
            _ => Content::Sound(Codec::Pcmu),
        };
        let packet = Queued {
            sequence,
            timestamp,
            marker: false,
            content,
            payload: &payload[..length],
            missing: 0,
        };
        listener.receive(now, packet);
    }
    assert_eq!(listener.buffer.counts().frames, u64::from(listener.ticks));
}
