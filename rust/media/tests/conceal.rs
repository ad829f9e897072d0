//! Lost sound on its way to the agent: what is made in its place is like what was there, has no clicks at its edges, fades when nothing follows, and
//! costs the timeline no sample.
mod support;

use offhook_media::clock::Time;
use offhook_media::codec::{Codec, Decoder, Encoder};
use offhook_media::order::{Content, Queued};
use offhook_media::plc::FADED_MS;
use offhook_media::uplink::{Fill, Uplink, UplinkFrame};
use std::time::Duration;
use support::{Network, Random, edge, level, recording, signal_to_noise, tone, voice};

const START: Time = Time::from_millis(5_000);
/// Packets at the end that come.
const LAST: u32 = 10;
/// Never more than this is made up in one place: 200 ms.
const MOST_MADE_MS: usize = 200;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// What the agent hears.
#[derive(Default)]
struct Heard {
    pcm: Vec<i16>,
    /// Where what was made begins and ends, in samples; neighbours of one kind are one.
    made: Vec<(usize, usize, Fill)>,
}

impl Heard {
    fn take(&mut self, frame: &UplinkFrame<'_>) {
        let (from, ticks) = (self.pcm.len(), self.pcm.len() as u64 * 8_000);
        assert_eq!(frame.position, ticks / u64::from(frame.rate), "no hole");
        self.pcm.extend_from_slice(frame.pcm);
        let to = self.pcm.len();
        match self.made.last_mut() {
            _ if frame.fill == Fill::Heard => {}
            Some((_, end, fill)) if *end == from && *fill == frame.fill => *end = to,
            _ => self.made.push((from, to, frame.fill)),
        }
    }

    fn concealed(&self) -> impl Iterator<Item = (usize, usize)> {
        let made = self.made.iter();
        made.filter(|(_, _, fill)| *fill == Fill::Concealed)
            .map(|&(from, to, _)| (from, to))
    }
}

/// A peer that speaks, and the agent's end of its line.
struct Line {
    codec: Codec,
    payload: Vec<u8>,
    ptime: u32,
    uplink: Uplink,
    heard: Heard,
}

impl Line {
    fn new(codec: Codec, sound: &[i16], ptime: u32) -> Self {
        let mut payload = vec![0; sound.len()];
        let len = Encoder::new(codec).encode(sound, &mut payload);
        payload.truncate(len - len % (ptime as usize * 8));
        let mut uplink = Uplink::new(codec);
        uplink.start(START);
        Line {
            codec,
            payload,
            ptime,
            uplink,
            heard: Heard::default(),
        }
    }

    fn per_ms(&self) -> usize {
        self.codec.sample_rate() as usize / 1_000
    }

    fn count(&self) -> u32 {
        self.payload.len() as u32 / (self.ptime * 8)
    }

    fn run(&mut self, until: Time) {
        let heard = &mut self.heard;
        while let Some(due) = self.uplink.next_timeout().filter(|&due| due <= until) {
            self.uplink
                .handle_timeout(due, &mut |frame| heard.take(&frame));
        }
    }

    /// A packet with this number's sound, numbered and stamped as the `place`th.
    fn receive(&mut self, now: Time, number: u32, sequence: u32, place: u32, marker: bool) {
        let bytes = self.ptime as usize * 8;
        let at = number as usize * bytes;
        let payload = self.payload[at..at + bytes].to_vec();
        let content = Content::Sound(self.codec);
        self.take(now, sequence, place, marker, content, &payload);
    }

    fn take(
        &mut self,
        now: Time,
        sequence: u32,
        place: u32,
        marker: bool,
        content: Content,
        payload: &[u8],
    ) {
        self.run(now);
        let packet = Queued {
            sequence: 65_000u16.wrapping_add(sequence as u16),
            timestamp: (u32::MAX - 20_000).wrapping_add(place * self.ptime * 8),
            marker,
            content,
            payload,
            missing: 0,
        };
        let heard = &mut self.heard;
        self.uplink
            .receive(now, packet, &mut |frame| heard.take(&frame));
    }

    fn at(&self, place: u32) -> Time {
        START + ms(u64::from(place * self.ptime))
    }

    /// All packets but the lost ones, each in its time. The last are not lost, so that all losses are known.
    fn send(&mut self, lost: impl Fn(u32) -> bool) {
        let end = self.count() - LAST;
        for n in (0..self.count()).filter(|&n| n >= end || !lost(n)) {
            self.receive(self.at(n), n, n, n, n == 0);
        }
    }

    /// What is heard if nothing is lost.
    fn clean(&self) -> Vec<i16> {
        let mut out = vec![0; self.codec.samples_in(&self.payload)];
        Decoder::new(self.codec).decode(&self.payload, &mut out);
        out
    }
}

/// Something like a voice, as loud as one.
fn speech(rate: u32, seconds: f64, seed: u64) -> Vec<i16> {
    let sound = voice(rate, seconds, seed);
    let gain = 2_000.0 / level(&sound);
    let louder = sound.iter().map(|&sample| f64::from(sample) * gain);
    louder
        .map(|sample| sample.clamp(-32_768.0, 32_767.0) as i16)
        .collect()
}

/// How much rougher the worst edge of what was made is than the roughest place of the clean sound near it; so many edges were looked at.
fn worst_edge(line: &Line, clean: &[i16]) -> (f64, f64, usize) {
    let near = 40 * line.per_ms();
    let half = 2 * line.per_ms();
    let (mut step, mut energy, mut edges) = (0.0f64, 0.0f64, 0);
    for (from, to) in line.heard.concealed() {
        for at in [from, to] {
            if at < half || at + half > line.heard.pcm.len() {
                continue;
            }
            let (edge_step, edge_energy) = edge(&line.heard.pcm[at - half..at + half]);
            let around = &clean[at.saturating_sub(near)..clean.len().min(at + near)];
            let (most_step, _) = edge(around);
            let most_energy = around
                .windows(2 * half)
                .step_by(half / 2)
                .map(|window| edge(window).1)
                .fold(0.0, f64::max);
            // What is as quiet as the codec's own steps is not heard.
            step = step.max(edge_step / (most_step + 256.0));
            energy = energy.max((edge_energy / (most_energy + 256.0 * 256.0)).sqrt());
            edges += 1;
        }
    }
    (step, energy, edges)
}

/// Whether no edge is heard. G.722 decodes by what it has decoded before, and is a little off right after a loss.
fn is_smooth(codec: Codec, step: f64, energy: f64) -> bool {
    let most = if codec == Codec::G722 { 3.5 } else { 1.3 };
    step < most && energy < most
}

/// Where so many packets at a time are lost, every so many.
fn lost(burst: u32, every: u32) -> impl Fn(u32) -> bool {
    move |n| n > every && n % every < burst
}

#[test]
fn a_tone_goes_on_through_single_losses_and_bursts_in_phase_and_without_clicks() {
    for codec in Codec::BYTE_A_TICK {
        for burst in 1..=3 {
            for hertz in [200.0, 440.0, 1_000.0] {
                let rate = codec.sample_rate();
                let sound = tone(rate, hertz, 8_000.0, 6 * rate as usize);
                let mut line = Line::new(codec, &sound, 20);
                line.send(lost(burst, 13));
                let clean = line.clean();
                assert_eq!(line.heard.pcm.len(), clean.len());
                let noise = signal_to_noise(&clean, &line.heard.pcm);
                let least = if codec == Codec::G722 { 4.0 } else { 9.0 };
                let (step, energy, edges) = worst_edge(&line, &clean);
                let case = format!(
                    "{codec:?} {burst} x 20 ms, {hertz} Hz: {noise:.1} dB, {step:.2}, {energy:.2}"
                );
                assert!(edges >= 40 && noise > least, "{case}");
                assert!(is_smooth(codec, step, energy), "{case}");
            }
        }
    }
}

#[test]
fn speech_has_no_clicks_where_sound_was_made_and_stays_as_loud() {
    for codec in Codec::BYTE_A_TICK {
        let rate = codec.sample_rate();
        let sounds = [
            recording(rate),
            speech(rate, 20.0, 4),
            speech(rate, 20.0, 8),
        ];
        for (n, sound) in sounds.iter().enumerate() {
            for (burst, every) in [(1, 10), (2, 17), (3, 19), (5, 31), (10, 47)] {
                let mut line = Line::new(codec, sound, 20);
                line.send(lost(burst, every));
                let clean = line.clean();
                let (step, energy, edges) = worst_edge(&line, &clean);
                let loud = level(&line.heard.pcm) / level(&clean);
                let case = format!("{codec:?} {burst} x 20 ms: {step:.2}, {energy:.2}, {loud:.2}");
                assert!(edges >= 10, "{case}: {edges}");
                assert!(is_smooth(codec, step, energy), "{case}");
                // What somebody has said, not a tone as pure as none.
                assert!(n > 0 || step < 1.4 && energy < 1.4, "{case}");
                assert!(burst > 3 || loud > 0.85 && loud < 1.2, "{case}");
            }
        }
    }
}

#[test]
fn a_longer_loss_fades_to_silence_and_what_follows_stands_at_its_place() {
    for codec in Codec::BYTE_A_TICK {
        for burst in [4, 5, 10, 30, 200] {
            let rate = codec.sample_rate();
            let sound = tone(rate, 300.0, 8_000.0, 6 * rate as usize);
            let mut line = Line::new(codec, &sound, 20);
            line.send(|n| (50..50 + burst).contains(&n));
            let (clean, per_ms) = (line.clean(), line.per_ms());
            let case = format!("{codec:?} {burst} x 20 ms");
            assert_eq!(line.heard.pcm.len(), clean.len(), "{case}");
            let made: Vec<_> = line.heard.made.clone();
            let (from, end) = (1_000 * per_ms, (1_000 + 20 * burst as usize) * per_ms);
            assert_eq!(made[0], (from, from + FADED_MS * per_ms, Fill::Concealed));
            assert_eq!(made[1], (from + FADED_MS * per_ms, end, Fill::Silence));
            assert_eq!(made.len(), 2, "{case}");
            let gap = &line.heard.pcm[from..end];
            // As loud as it was for a moment, then never louder again, then nothing.
            assert!(level(&gap[..10 * per_ms]) > 0.8 * level(&clean), "{case}");
            let levels: Vec<f64> = gap[..FADED_MS * per_ms]
                .chunks(10 * per_ms)
                .map(level)
                .collect();
            let falls = levels.windows(2).all(|pair| pair[1] < pair[0] * 1.05);
            assert!(falls && levels[5] < 0.2 * levels[0], "{case}: {levels:?}");
            assert!(gap[FADED_MS * per_ms..].iter().all(|&sample| sample == 0));
            // After the join, and a decoder's finding its way, it is what was said.
            let after = end
                + if codec == Codec::G722 {
                    1_600
                } else {
                    10 * per_ms
                };
            let noise = signal_to_noise(&clean[after..], &line.heard.pcm[after..]);
            assert!(noise > 30.0, "{case}: {noise} dB");
        }
    }
}

#[test]
fn when_nothing_comes_any_more_it_fades_in_time_and_the_timeline_goes_on() {
    for codec in Codec::BYTE_A_TICK {
        let rate = codec.sample_rate();
        let sound = tone(rate, 300.0, 8_000.0, rate as usize);
        let mut line = Line::new(codec, &sound, 20);
        line.send(|_| false);
        let (said, per_ms) = (line.heard.pcm.len(), line.per_ms());
        line.run(START + ms(11_000));
        let heard = &line.heard;
        assert_eq!(
            heard.concealed().collect::<Vec<_>>(),
            [(said, said + FADED_MS * per_ms)]
        );
        let rest = &heard.pcm[said + FADED_MS * per_ms..];
        assert!(rest.iter().all(|&sample| sample == 0));
        // It keeps up with the time but for the patience with what may still come.
        let behind = 11_000 - heard.pcm.len() / per_ms;
        assert!(behind <= 80, "{behind} ms");
    }
}

#[test]
fn whatever_is_lost_the_timeline_keeps_its_length_and_what_came_its_place() {
    for codec in Codec::BYTE_A_TICK {
        for ptime in [10, 20, 30, 40, 50, 60] {
            for seed in 1..=4 {
                let mut random = Random::new(seed);
                let network = Network {
                    seed,
                    loss: 0.02 + 0.3 * random.unit(),
                    burst: 1 + (random.unit() * 8.0) as u32,
                    ..Network::default()
                };
                let sound = speech(codec.sample_rate(), 12.0, seed);
                let mut line = Line::new(codec, &sound, ptime);
                let came = network.carry(START, ms(ptime.into()), line.count());
                let came: Vec<u32> = came.iter().map(|arrival| arrival.number).collect();
                line.send(|n| !came.contains(&n));
                let case = format!("{codec:?} {ptime} ms, seed {seed}");
                let (clean, per_ms) = (line.clean(), line.per_ms());
                let heard = &line.heard;
                assert_eq!(heard.pcm.len(), clean.len(), "{case}");
                let most = heard.concealed().map(|(from, to)| to - from).max();
                assert!(most.is_some_and(|most| most <= MOST_MADE_MS * per_ms));
                // G.722 decodes by what it has decoded before: only without a memory it is the same to the bit.
                if codec == Codec::G722 {
                    continue;
                }
                let mut at = 0;
                for &(from, to, _) in &heard.made {
                    let from = from.max(at);
                    assert!(
                        heard.pcm[at..from] == clean[at..from],
                        "{case}: {at}..{from}"
                    );
                    at = (to + 10 * per_ms).min(clean.len());
                }
                assert!(heard.pcm[at..] == clean[at..], "{case}: {at}..");
            }
        }
    }
}

/// A talkspurt of a second, a pause of three without sound, and another: how it is heard, and where the second spurt begins.
fn with_pause(codec: Codec, noise: Option<&[u8]>) -> (Line, usize) {
    let sound = speech(codec.sample_rate(), 2.2, 9);
    let mut line = Line::new(codec, &sound, 20);
    for n in 0..50 {
        line.receive(line.at(n), n, n, n, n == 0);
    }
    let mut sequence = 50;
    // As RFC 3389 has it the noise is described again now and then.
    for place in (50..200).step_by(50) {
        if let Some(payload) = noise {
            let now = line.at(place);
            line.take(now, sequence, place, false, Content::Noise, payload);
            sequence += 1;
        }
    }
    for n in 50..110 {
        let place = n + 150;
        line.receive(line.at(place), n, sequence + n - 50, place, n == 50);
    }
    let spurt = 4_000 * line.per_ms();
    (line, spurt)
}

#[test]
fn a_pause_without_packets_is_silence_of_its_length_and_the_next_word_is_whole() {
    for codec in Codec::BYTE_A_TICK {
        let (line, spurt) = with_pause(codec, None);
        let (clean, heard, per_ms) = (line.clean(), &line.heard.pcm, line.per_ms());
        assert_eq!(heard.len(), clean.len() + 3_000 * per_ms, "{codec:?}");
        let pause = &heard[(1_000 + FADED_MS) * per_ms..spurt];
        assert!(pause.iter().all(|&sample| sample == 0), "{codec:?}");
        // The pause took no word for a loss: the next one begins as it was said.
        assert!(
            heard[spurt..] == clean[spurt - 3_000 * per_ms..],
            "{codec:?}"
        );
    }
}

#[test]
fn a_described_pause_is_noise_of_its_level_and_length_without_an_edge() {
    for codec in Codec::BYTE_A_TICK {
        for dbov in [45, 60] {
            let (line, spurt) = with_pause(codec, Some(&[dbov]));
            let (clean, heard, per_ms) = (line.clean(), &line.heard.pcm, line.per_ms());
            assert_eq!(heard.len(), clean.len() + 3_000 * per_ms, "{codec:?}");
            let noise = &heard[1_200 * per_ms..spurt];
            let expected = 32_768.0 * 10f64.powf(-f64::from(dbov) / 20.0);
            let off = 20.0 * (level(noise) / expected).log10();
            assert!(off.abs() < 1.5, "{codec:?}: {off} dB");
            let levels: Vec<f64> = noise.chunks(100 * per_ms).map(level).collect();
            assert!(
                levels
                    .iter()
                    .all(|&one| one > expected / 2.0 && one < expected * 2.0)
            );
            let made: Vec<Fill> = line.heard.made.iter().map(|made| made.2).collect();
            assert_eq!(made, [Fill::Noise], "{codec:?}");
            assert!(
                heard[spurt..] == clean[spurt - 3_000 * per_ms..],
                "{codec:?}"
            );
        }
    }
}
