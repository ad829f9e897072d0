//! The agent's sound on its way to the caller, on a virtual clock.
use offhook_media::clock::Time;
use offhook_media::codec::Codec;
use offhook_media::convert::{AudioFormat, Converter};
use offhook_media::playout::{
    Frame, FrameKind, MAX_FRAME, MAX_MARKS, MarkId, Playout, PlayoutConfig,
};
use proptest::prelude::*;
use std::time::{Duration, Instant};

const START: Time = Time::from_millis(1_000);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn at(millis: u64) -> Time {
    START + ms(millis)
}

/// A small generator of our own: a failing seed is in the assertion.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

struct Left {
    at: Time,
    frame: Frame,
    bytes: Vec<u8>,
    marks: Vec<MarkId>,
}

/// A started, open playout and everything that has left it.
struct Line {
    playout: Playout,
    left: Vec<Left>,
}

impl Line {
    fn new(config: PlayoutConfig) -> Self {
        let mut playout = Playout::new(config);
        playout.start(START);
        playout.set_open(true);
        Line {
            playout,
            left: Vec::new(),
        }
    }

    fn poll(&mut self, now: Time) {
        let mut out = [0; MAX_FRAME];
        while let Some(frame) = self.playout.poll(now, &mut out) {
            let marks = std::iter::from_fn(|| self.playout.fired_mark()).collect();
            self.left.push(Left {
                at: now,
                frame,
                bytes: out[..frame.len].to_vec(),
                marks,
            });
        }
        let marks: Vec<MarkId> = std::iter::from_fn(|| self.playout.fired_mark()).collect();
        if let Some(last) = self.left.last_mut() {
            last.marks.extend(marks);
        }
    }

    /// Runs the clock to `until`, doing what is due on time.
    fn run(&mut self, until: Time) {
        while let Some(due) = self.playout.next_timeout().filter(|&due| due <= until) {
            let now = due.max(self.left.last().map_or(START, |left| left.at));
            self.poll(now);
        }
    }

    fn push(&mut self, now: Time, bytes: &[u8]) {
        self.run(now);
        self.playout.push(now, bytes);
        self.poll(now);
    }

    fn sound(&self) -> impl Iterator<Item = &Left> {
        self.left
            .iter()
            .filter(|left| left.frame.kind == FrameKind::Audio)
    }

    fn marks(&self) -> usize {
        self.left.iter().map(|left| left.marks.len()).sum()
    }

    fn heard(&self) -> Vec<u8> {
        self.sound()
            .flat_map(|left| left.bytes.iter().copied())
            .collect()
    }
}

/// Sound that is recognised: never the byte of silence.
fn speech(samples: usize) -> Vec<u8> {
    (0..samples).map(|n| (n % 251) as u8).collect()
}

#[test]
fn silence_leaves_every_packet_time_from_the_start() {
    for ptime_ms in [10, 20, 30, 60] {
        let mut line = Line::new(PlayoutConfig {
            ptime_ms,
            ..PlayoutConfig::default()
        });
        line.run(at(600));
        assert_eq!(line.left.len() as u32, 600 / ptime_ms + 1);
        for (index, left) in line.left.iter().enumerate() {
            assert_eq!(left.at, at(index as u64 * u64::from(ptime_ms)));
            assert_eq!(left.frame.step, ptime_ms * 8);
            assert!(!left.frame.marker);
            assert_eq!(left.bytes, vec![0xff; ptime_ms as usize * 8]);
        }
    }
}

#[test]
fn the_first_frame_of_a_talkspurt_leaves_at_once_and_the_next_follow_evenly() {
    let mut line = Line::new(PlayoutConfig::default());
    line.push(at(107), &speech(160));
    line.push(at(108), &speech(800)[160..]);
    line.run(at(400));
    let times: Vec<Time> = line.sound().map(|left| left.at).collect();
    assert_eq!(times, [at(108), at(128), at(148), at(168), at(188)]);
    assert_eq!(line.heard(), speech(800));
    let steps: Vec<u32> = line.sound().map(|left| left.frame.step).collect();
    assert_eq!(steps, [160; 5], "the silence before it holds 20 ms");
    assert!(line.sound().next().expect("left").frame.marker);
    // The silence after it leaves a little later until the 12 ms are made up for.
    let silence: Vec<Time> = line.left.iter().map(|left| left.at).collect();
    let after = silence
        .iter()
        .position(|&time| time == at(188))
        .expect("the last sound");
    // The last frame is followed by silence once nothing came in time.
    let gaps: Vec<Duration> = silence[after..]
        .windows(2)
        .map(|pair| pair[1] - pair[0])
        .collect();
    assert!(gaps[0] <= ms(40) && gaps[1..].iter().all(|&gap| gap <= ms(22)));
}

/// A source that speaks in real time: chunks of 20 ms with up to `jitter` µs either way, in spurts.
fn speak(line: &mut Line, random: &mut Random, from: u64, chunks: u64, jitter: u64) -> Vec<u8> {
    let mut sent = Vec::new();
    for chunk in 0..chunks {
        let arrives = at(from + chunk * 20) + Duration::from_micros(random.below(2 * jitter + 1));
        line.push(arrives, &speech(160));
        sent.extend(speech(160));
    }
    sent
}

#[test]
fn a_steady_source_is_known_after_a_spurt_and_is_never_held_back_again() {
    let mut line = Line::new(PlayoutConfig::default());
    let mut random = Random(1);
    for spurt in 0..10 {
        let before = line.left.len();
        let from = 200 + spurt * 1_507;
        speak(&mut line, &mut random, from, 50, 0);
        line.run(at(from + 1_400));
        let first = &line.left[before..]
            .iter()
            .position(|left| left.frame.marker)
            .expect("speech");
        let left = &line.left[before + first..];
        let held = left[0].at - at(from);
        assert_eq!(held, if spurt == 0 { ms(12) } else { ms(0) }, "{spurt}");
        assert!(
            left[..50]
                .iter()
                .all(|left| left.frame.kind == FrameKind::Audio)
        );
        // No hole after the first frame, and the cushion comes in steps that nobody hears.
        let longest = left[..50]
            .windows(2)
            .map(|pair| pair[1].at - pair[0].at)
            .max();
        assert!(longest <= Some(ms(21)), "{spurt}: {longest:?}");
    }
    // Where nothing follows a spurt, silence waits a moment for what might.
    let gaps = line.left.windows(2).map(|pair| pair[1].at - pair[0].at);
    assert_eq!(gaps.clone().filter(|&gap| gap > ms(22)).count(), 10);
    assert!(gaps.max() <= Some(ms(38)));
}

#[test]
fn an_agent_with_fifteen_milliseconds_of_jitter_causes_no_underrun_and_no_hole() {
    for seed in 0..200 {
        let mut random = Random(seed);
        let mut line = Line::new(PlayoutConfig::default());
        let mut sent = Vec::new();
        for spurt in 0..4 {
            let from = 200 + spurt * 3_000 + random.below(20);
            sent.extend(speak(&mut line, &mut random, from, 100, 15_000));
            line.run(at(200 + spurt * 3_000 + 2_900));
        }
        assert_eq!(line.playout.counts().underruns, 0, "seed {seed}");
        assert_eq!(line.heard(), sent, "seed {seed}");
        let longest = line
            .left
            .windows(2)
            .map(|pair| pair[1].at - pair[0].at)
            .max();
        assert!(longest <= Some(ms(40)), "seed {seed}: {longest:?}");
        // Once it is known, a first frame waits for what the patience with the others leaves open, and no longer.
        for spurt in 1..4 {
            let from = at(200 + spurt * 3_000);
            let first = line
                .left
                .iter()
                .find(|left| left.frame.marker && left.at >= from)
                .expect("a talkspurt");
            // The chunk itself comes up to 30 ms late.
            assert!(first.at - from <= ms(20 + 30 + 20), "seed {seed}");
        }
        let uneven = line
            .left
            .windows(2)
            .filter(|pair| {
                pair[0].frame.kind == FrameKind::Audio && pair[1].frame.kind == FrameKind::Audio
            })
            .filter(|pair| pair[1].at - pair[0].at > ms(22))
            .count();
        assert!(uneven <= 12, "seed {seed}: {uneven}");
    }
}

/// An agent that echoes every packet of 20 ms within 30 ms, on a machine on which now and then everything stands still: chunks come late and
/// then at once, and playout itself is looked at late.
fn echo_on_a_busy_machine(seed: u64) -> (u64, Duration) {
    let mut random = Random(seed);
    let mut standstills = Vec::new();
    let mut from = 500;
    while from < 10_000 {
        let lasts = 5 + random.below(40);
        standstills.push((at(from), at(from + lasts)));
        from += lasts + random.below(1_000);
    }
    let awake = |time: Time| {
        standstills
            .iter()
            .find(|(from, until)| (*from..*until).contains(&time))
            .map_or(time, |(_, until)| *until)
    };
    let mut line = Line::new(PlayoutConfig::default());
    let (mut last, mut longest) = (START, Duration::ZERO);
    for chunk in 0..500 {
        let heard = awake(at(100 + 20 * chunk));
        let answered = (heard + Duration::from_micros(300 + random.below(30_000))).max(last);
        last = answered;
        let comes = awake(answered);
        while let Some(due) = line
            .playout
            .next_timeout()
            .filter(|&due| awake(due) < comes)
        {
            let now = awake(due).max(line.left.last().map_or(START, |left| left.at));
            line.poll(now);
        }
        line.playout.push(comes, &speech(160));
        line.poll(comes);
        longest = longest.max(comes - at(100 + 20 * chunk));
    }
    line.run(at(12_000));
    assert_eq!(line.sound().count(), 500);
    (line.playout.counts().underruns, longest)
}

#[test]
fn an_echo_on_a_busy_machine_is_rarely_interrupted() {
    let (mut underruns, mut late) = (0, Duration::ZERO);
    for seed in 0..100 {
        let (count, longest) = echo_on_a_busy_machine(seed);
        underruns += count;
        late = late.max(longest);
    }
    // Each call has some 18 standstills of up to 45 ms, chunks come up to 75 ms late, and three calls of four are never interrupted.
    assert!(late > ms(70), "{late:?}");
    assert!(underruns <= 25, "{underruns} underruns in 100 calls");
}

#[test]
fn who_oversleeps_gives_the_agent_its_time_anew() {
    let mut line = Line::new(PlayoutConfig::default());
    for chunk in 0..100 {
        line.push(at(100 + 20 * chunk), &speech(160));
    }
    // Everything stands still for 60 ms; the agent wakes up a moment after us.
    line.poll(at(2_160));
    line.push(at(2_163), &speech(480));
    line.run(at(2_500));
    assert_eq!(line.playout.counts().underruns, 0);
    assert_eq!(line.sound().count(), 103);
    // An agent that has really stopped costs no more than that.
    line.poll(at(2_700));
    line.run(at(3_000));
    assert_eq!(
        line.left.last().expect("left").frame.kind,
        FrameKind::Silence
    );
}

#[test]
fn what_a_late_chunk_has_cost_is_made_up_for_by_leaving_earlier() {
    let mut line = Line::new(PlayoutConfig::default());
    for chunk in 0..500u64 {
        // Once 25 ms late, in speech without a pause.
        let late = if chunk == 100 { 25 } else { 0 };
        line.push(at(100 + 20 * chunk + late), &LOUD);
    }
    let delay = |number: u64| {
        let left = line.sound().nth(number as usize).expect("sound");
        left.at - at(100 + 20 * number)
    };
    assert_eq!(
        delay(90),
        ms(12),
        "what a source that nobody knows is held back"
    );
    assert!(delay(130) > ms(25));
    // The first frame ran 8 ms ahead of the clock, so that is as far as it goes.
    assert!(delay(480) <= ms(20), "{:?}", delay(480));
    line.run(at(11_000));
    assert_eq!(line.sound().count(), 500, "and no sound is left out");
    for pair in line.left.windows(2).filter(|pair| !pair[1].frame.marker) {
        let gap = pair[1].at - pair[0].at;
        assert!(gap >= Duration::from_micros(19_500) && gap <= ms(38));
        assert_eq!(pair[1].frame.step, 160);
    }
}

#[test]
fn what_was_missing_once_is_cushioned_next_time() {
    let mut line = Line::new(PlayoutConfig::default());
    let mut random = Random(7);
    let mut underruns = Vec::new();
    for spurt in 0..12 {
        let before = line.playout.counts().underruns;
        for chunk in 0..50 {
            // Chunks of 40 ms that come up to 60 ms late.
            let arrives = at(200 + spurt * 4_000 + chunk * 40 + random.below(60));
            let arrives = arrives.max(line.left.last().map_or(START, |left| left.at));
            line.push(arrives, &speech(320));
        }
        line.run(at(200 + spurt * 4_000 + 3_900));
        underruns.push(line.playout.counts().underruns - before);
    }
    assert!(underruns[8..].iter().sum::<u64>() == 0, "{underruns:?}");
    assert!(line.playout.cushion() > ms(15) && line.playout.cushion() <= ms(60));
}

#[test]
fn no_two_packets_are_further_apart_than_a_frame_and_the_elastic_wait() {
    for seed in 0..50 {
        let mut random = Random(seed);
        let mut line = Line::new(PlayoutConfig::default());
        let mut now = 100;
        for _ in 0..40 {
            now += random.below(700);
            line.push(at(now), &speech(random.below(4_000) as usize));
        }
        line.run(at(now + 2_000));
        for pair in line.left.windows(2) {
            assert!(
                pair[1].at - pair[0].at <= ms(38),
                "seed {seed}: {:?} {:?}",
                pair[0].at,
                pair[1].at
            );
        }
    }
}

#[test]
fn timestamps_never_overlap_and_stay_with_the_clock() {
    let mut random = Random(3);
    let mut line = Line::new(PlayoutConfig::default());
    let mut now = 100;
    for _ in 0..300 {
        now += random.below(900);
        line.push(at(now), &speech(random.below(6_000) as usize));
    }
    line.run(at(now + 2_000));
    let mut timestamp = 0u64;
    for left in &line.left {
        assert!(left.frame.step >= 160);
        assert!(left.frame.marker || left.frame.step == 160);
        timestamp += u64::from(left.frame.step);
    }
    let elapsed = (line.left.last().expect("left").at - START).as_millis() as u64 * 8;
    assert!(
        timestamp.abs_diff(elapsed) < 800,
        "{timestamp} samples in {elapsed}"
    );
}

#[test]
fn a_mark_fires_with_the_frame_that_holds_the_last_sound_before_it() {
    let mut line = Line::new(PlayoutConfig::default());
    line.run(at(100));
    assert!(line.playout.push_mark(MarkId(1)));
    line.run(at(100));
    assert_eq!(
        line.left.last().expect("left").marks,
        [MarkId(1)],
        "nothing before it: at once"
    );
    line.playout.push(at(110), &speech(400));
    line.playout.push_mark(MarkId(2));
    line.playout.push(at(110), &speech(80));
    line.playout.push_mark(MarkId(3));
    line.poll(at(110));
    line.run(at(400));
    let marks: Vec<&[MarkId]> = line.sound().map(|left| left.marks.as_slice()).collect();
    assert_eq!(marks, [&[][..], &[], &[MarkId(2), MarkId(3)]]);
}

#[test]
fn it_is_at_rest_between_talkspurts_but_not_in_an_underrun() {
    let mut line = Line::new(PlayoutConfig::default());
    assert!(line.playout.is_at_rest(at(0)));
    line.push(at(100), &speech(320));
    assert!(!line.playout.is_at_rest(at(110)), "it waits or is played");
    line.run(at(300));
    assert!(
        !line.playout.is_at_rest(at(300)),
        "what comes now is the rest"
    );
    line.run(at(400));
    assert!(line.playout.is_at_rest(at(400)));
}

#[test]
fn marks_are_bounded() {
    let mut line = Line::new(PlayoutConfig::default());
    line.playout.push(at(0), &speech(160));
    assert!((0..MAX_MARKS as u64).all(|mark| line.playout.push_mark(MarkId(mark))));
    assert!(!line.playout.push_mark(MarkId(9_999)));
}

#[test]
fn clear_drops_what_has_not_left_and_tells_exactly_what_has() {
    let mut line = Line::new(PlayoutConfig::default());
    line.playout.push(at(100), &speech(1_600));
    line.playout.push_mark(MarkId(1));
    line.playout.push(at(100), &speech(1_600));
    line.playout.push_mark(MarkId(2));
    line.run(at(100));
    // 100: frames 0 and on from 135 every 20 ms: six have left by 220.
    line.run(at(220));
    let sent = line.sound().count() as u64;
    let mut dropped = Vec::new();
    let cleared = line.playout.clear(at(225), |mark| dropped.push(mark));
    assert_eq!(cleared.generation, 1);
    assert_eq!(cleared.played_ms, sent * 20);
    assert_eq!(cleared.spurt_played_ms, sent * 20);
    assert_eq!(cleared.dropped_ms, 400 - sent * 20);
    assert_eq!(dropped, [MarkId(1), MarkId(2)]);
    line.run(at(500));
    assert_eq!(
        line.sound().count() as u64,
        sent,
        "nothing leaves after clear"
    );
    // The next generation counts from zero, and sound made for the old one is stale.
    assert_eq!(line.playout.push_for(0, at(500), &speech(160)), 0);
    assert_eq!(line.playout.push_for(1, at(500), &speech(160)), 160);
    line.run(at(700));
    let cleared = line.playout.clear(at(700), |_| unreachable!("no marks"));
    assert_eq!(
        (
            cleared.played_ms,
            cleared.dropped_ms,
            cleared.spurt_played_ms
        ),
        (20, 0, 0)
    );
}

#[test]
fn the_queue_ends_at_its_capacity_and_counts_what_it_drops() {
    let mut line = Line::new(PlayoutConfig {
        capacity: Duration::from_secs(1),
        ..PlayoutConfig::default()
    });
    assert_eq!(line.playout.push(at(0), &speech(9_000)), 8_000);
    assert_eq!(line.playout.push(at(0), &speech(10)), 0);
    assert_eq!(line.playout.counts().dropped_bytes, 1_010);
    line.run(at(3_000));
    assert_eq!(
        line.heard(),
        speech(9_000)[..8_000],
        "the newest was dropped"
    );
}

#[test]
fn the_last_words_leave_though_they_fill_no_frame() {
    let mut line = Line::new(PlayoutConfig::default());
    line.push(at(100), &speech(500));
    line.run(at(1_000));
    let last = line.sound().last().expect("left");
    assert_eq!(last.bytes[..20], speech(500)[480..]);
    assert!(
        last.bytes[20..].iter().all(|&byte| byte == 0xff),
        "padded with silence"
    );
    // Less than a frame and nothing else: waits for more, but not for long.
    line.push(at(1_005), &speech(50));
    line.run(at(1_200));
    assert_eq!(line.playout.waiting_samples(), 0);
    assert_eq!(line.playout.played_samples(), 550);
}

#[test]
fn chunks_of_any_size_make_whole_frames() {
    let mut line = Line::new(PlayoutConfig::default());
    let bytes = speech(8_000);
    let mut now = 100_000;
    for chunk in bytes.chunks(333) {
        line.push(START + Duration::from_micros(now), chunk);
        now += 41_625;
    }
    line.run(at(3_000));
    assert_eq!(line.heard(), bytes);
    assert_eq!(line.playout.counts().underruns, 0);
}

#[test]
fn draining_ends_when_all_has_left() {
    let mut line = Line::new(PlayoutConfig::default());
    line.push(at(100), &speech(330));
    line.playout.drain();
    assert_eq!(line.playout.drained_at(), None);
    line.run(at(139));
    assert_eq!(line.playout.drained_at(), None);
    line.run(at(300));
    assert_eq!(line.playout.drained_at(), Some(at(160)));
    assert_eq!(line.playout.played_samples(), 330);
}

#[test]
fn while_closed_silence_leaves_and_sound_waits() {
    let mut line = Line::new(PlayoutConfig::default());
    line.playout.set_open(false);
    line.push(at(100), &speech(320));
    line.playout.push_mark(MarkId(1));
    line.run(at(300));
    assert_eq!(line.sound().count(), 0);
    line.playout.set_open(true);
    line.poll(at(307));
    line.run(at(500));
    assert_eq!(
        line.sound().map(|left| left.at).collect::<Vec<_>>()[0],
        at(307)
    );
    assert_eq!(line.heard(), speech(320));
}

#[test]
fn a_pause_of_the_machine_is_not_followed_by_a_burst() {
    for speaking in [false, true] {
        let mut line = Line::new(PlayoutConfig::default());
        if speaking {
            line.push(at(90), &speech(40_000));
        }
        line.run(at(200));
        let before = line.left.len();
        line.poll(at(1_500));
        assert_eq!(line.left.len(), before + 1);
        line.run(at(1_600));
        assert!(line.left.len() <= before + 6);
    }
}

/// A frame in which nobody speaks, yet not that of digital silence.
const QUIET: [u8; 160] = [0xfe; 160];
const LOUD: [u8; 160] = [0x85; 160];

#[test]
fn continuous_speech_of_an_echo_is_never_cut() {
    // The first two packets come at once, so a frame waits for ever; or all stands still for 400 ms in the middle.
    for stands_still in [false, true] {
        let mut line = Line::new(PlayoutConfig::default());
        line.playout.set_live(true);
        for chunk in 0..600u64 {
            let comes = match chunk {
                0 => 120,
                200..220 if stands_still => 4_500,
                _ => 100 + chunk * 20,
            };
            line.push(at(comes), &LOUD);
        }
        line.run(at(20_000));
        assert_eq!(line.playout.counts().trimmed_frames, 0);
        assert_eq!(line.sound().count(), 600);
    }
}

/// Real-time speech of 20 s with a quiet frame now and then; `late` says how much later than even a chunk comes.
fn talk(line: &mut Line, late: impl Fn(u64) -> u64) -> u64 {
    let mut loud = 0;
    for chunk in 0..1_000u64 {
        let quiet = chunk % 20 == 0;
        loud += u64::from(!quiet);
        line.push(
            at(100 + chunk * 20 + late(chunk)),
            if quiet { &QUIET } else { &LOUD },
        );
    }
    loud
}

/// 100 ms of standstill after 2 s, then all that waited comes at once.
fn standstill(chunk: u64) -> u64 {
    if (100..105).contains(&chunk) {
        (105 - chunk) * 20
    } else {
        0
    }
}

#[test]
fn a_delay_left_by_a_standstill_is_won_back_from_quiet_frames_alone() {
    for live in [true, false] {
        let mut line = Line::new(PlayoutConfig::default());
        line.playout.set_live(live);
        let loud = talk(&mut line, standstill);
        let waiting = line.playout.waiting_samples();
        assert!(waiting < 3 * 160, "live {live}: {waiting} samples wait");
        line.run(at(30_000));
        let heard = line.sound().filter(|left| left.bytes == LOUD).count() as u64;
        assert_eq!(heard, loud, "live {live}");
        let trimmed = line.playout.counts().trimmed_frames;
        assert!((3..=5).contains(&trimmed), "live {live}: {trimmed}");
    }
}

#[test]
fn what_a_person_says_while_digits_are_keyed_is_a_delay_and_what_an_agent_says_is_not() {
    for live in [true, false] {
        let mut line = Line::new(PlayoutConfig::default());
        line.playout.set_live(live);
        talk(&mut line, |_| 0);
        let end = 100 + 1_000 * 20;
        for chunk in 0..30 {
            line.playout.set_open(false);
            line.push(at(end + chunk * 20), &LOUD);
        }
        line.playout.set_open(true);
        for chunk in 30..1_030 {
            let quiet = chunk % 20 == 0;
            line.push(at(end + chunk * 20), if quiet { &QUIET } else { &LOUD });
        }
        let (waiting, trimmed) = (
            line.playout.waiting_samples(),
            line.playout.counts().trimmed_frames,
        );
        assert_eq!(
            waiting < 8 * 160,
            live,
            "live {live}: {waiting} samples wait"
        );
        assert_eq!(trimmed > 20, live, "live {live}: {trimmed}");
    }
}

#[test]
fn sound_that_an_agent_sent_ahead_is_played_whole() {
    // Real time after 150 ms sent ahead, and the same with a standstill that the queue covers.
    for late in [|_| 0, standstill] {
        let mut line = Line::new(PlayoutConfig::default());
        line.push(at(100), &[&LOUD[..]; 8].concat());
        talk(&mut line, late);
        line.run(at(30_000));
        assert_eq!(line.playout.counts().trimmed_frames, 0);
        assert_eq!(line.sound().count(), 1_008);
    }
    // A speech of its own length, quiet parts and all.
    let mut line = Line::new(PlayoutConfig::default());
    line.push(at(100), &[&LOUD[..], &QUIET, &QUIET].concat().repeat(500));
    line.run(at(40_000));
    assert_eq!(line.sound().count(), 1_500);
}

#[test]
fn timestamps_of_many_short_spurts_do_not_run_away_from_the_clock() {
    let mut line = Line::new(PlayoutConfig::default());
    let mut random = Random(5);
    let mut now = 100;
    for _ in 0..500 {
        // Always sent ahead, so that nothing is awaited at the end, and with a short pause.
        line.push(at(now), &speech(480));
        now += 61 + random.below(60);
    }
    line.run(at(now));
    let mut timestamp = 0u64;
    for left in &line.left {
        timestamp += u64::from(left.frame.step);
        let elapsed = (left.at - START).as_millis() as u64 * 8 + 160;
        assert!(timestamp <= elapsed + 40 * 8, "{timestamp} {elapsed}");
        assert!(timestamp + 100 * 8 >= elapsed, "{timestamp} {elapsed}");
    }
    let longest = line
        .left
        .windows(2)
        .map(|pair| pair[1].at - pair[0].at)
        .max();
    assert!(longest <= Some(ms(38)), "{longest:?}");
}

#[test]
fn a_change_of_codec_rewrites_what_waits() {
    let mut line = Line::new(PlayoutConfig::default());
    line.playout.push(at(0), &[0x80; 480]);
    line.playout.set_format(Codec::Pcma, 30);
    line.run(at(100));
    assert_eq!(
        line.heard()[..240],
        [0xaa; 240],
        "the loudest value of both laws"
    );
}

#[test]
fn a_change_of_codec_rewrites_what_waits_as_it_leaves_and_not_at_once() {
    let sound = tone(Codec::Pcmu, 120_000);
    let wide = AudioFormat::of_line(Codec::G722);
    let mut all = Vec::new();
    let mut converter = Converter::new(AudioFormat::PCMU, wide);
    let begin = Instant::now();
    converter.convert(&sound, &mut all);
    let at_once = begin.elapsed();
    let mut line = Line::new(PlayoutConfig {
        capacity: Duration::from_secs(120),
        ..PlayoutConfig::default()
    });
    line.playout.push(at(0), &sound);
    line.playout.push_mark(MarkId(1));
    let begin = Instant::now();
    line.playout.set_format(Codec::G722, 20);
    let took = begin.elapsed();
    // Which of the two it is, is no matter of a machine's moods.
    assert!(took < at_once / 5, "{took:?} of {at_once:?}");
    assert_eq!(line.playout.waiting_samples(), 120 * 16_000);
    line.run(at(121_000));
    assert!(
        line.heard()[..all.len()] == all[..],
        "and is the same sound"
    );
    assert_eq!(line.playout.played_samples(), 120 * 16_000);
    assert_eq!(line.marks(), 1);
}

#[test]
fn however_often_the_codec_changes_what_waits_keeps_its_length_and_order() {
    let mut line = Line::new(PlayoutConfig::default());
    let mut said = 0;
    for n in 0..40u64 {
        let codec = [
            Codec::G722,
            Codec::Pcma,
            Codec::Pcmu,
            Codec::G722,
            Codec::Pcmu,
        ][n as usize % 5];
        line.playout.set_format(codec, 20);
        line.playout.push(at(20 * n), &tone(codec, 500));
        line.playout.push_mark(MarkId(n));
        said += 500;
        line.run(at(20 * n));
    }
    assert_eq!(line.playout.format(), AudioFormat::PCMU);
    line.run(at(said + 1_000));
    assert_eq!(line.playout.played_samples(), said * 8);
    assert_eq!(line.marks(), 40);
    // Half a sample is none, and none is counted.
    for n in 0..20 {
        let codec = [Codec::G722, Codec::Pcmu][n % 2];
        line.playout.set_format(codec, 20);
        let format = AudioFormat::of_line(codec);
        line.playout.push(
            at(said + 900),
            &vec![0x31; 321 * format.encoding.sample_bytes()],
        );
    }
    let (played, waiting) = (
        line.playout.played_samples(),
        line.playout.waiting_samples(),
    );
    assert!((4_700..=4_830).contains(&waiting), "{waiting}");
    line.run(at(said + 3_000));
    assert_eq!(line.playout.played_samples(), played + waiting);
    let said = said + 3_000;
    // Cleared is all of it, whatever it was in.
    line.playout
        .push(at(said + 1_000), &tone(Codec::Pcmu, 1_000));
    line.playout.set_format(Codec::G722, 20);
    let cleared = line.playout.clear(at(said + 1_000), drop);
    assert_eq!(cleared.dropped_ms, 1_000);
    assert_eq!(line.playout.waiting_samples(), 0);
}

/// A tone as loud as speech, as the line's codec wants it to wait.
fn tone(codec: Codec, millis: u32) -> Vec<u8> {
    let format = AudioFormat::of_line(codec);
    let pcm: Vec<i16> = (0..format.rate * millis / 1_000)
        .map(|n| {
            let angle = std::f64::consts::TAU * 440.0 * f64::from(n) / f64::from(format.rate);
            (12_000.0 * angle.sin()) as i16
        })
        .collect();
    let mut bytes = Vec::new();
    format.encoding.write(&pcm, &mut bytes);
    bytes
}

/// All that has left as samples.
fn listen(line: &Line) -> Vec<i16> {
    let encoding = line.playout.format().encoding;
    line.left
        .iter()
        .flat_map(|left| {
            let mut pcm = vec![0; left.bytes.len() / encoding.sample_bytes()];
            encoding.read(&left.bytes, &mut pcm);
            pcm
        })
        .collect()
}

/// The largest step from one sample to the next, and how many samples are no silence.
fn steps_and_sound(pcm: &[i16]) -> (u16, usize) {
    let largest = pcm.windows(2).map(|pair| pair[1].abs_diff(pair[0])).max();
    let sounds = pcm.iter().filter(|sample| sample.unsigned_abs() > 8);
    (largest.expect("sound"), sounds.count())
}

#[test]
fn where_loud_sound_is_cut_off_it_fades_and_no_click_is_sent() {
    for codec in Codec::BYTE_A_TICK {
        let rate = AudioFormat::of_line(codec).rate as usize;
        // A whole tone has steps of its own: 440 Hz as loud as this moves by so much, and G.711 rounds by as much again.
        let own = (12_000.0 * std::f64::consts::TAU * 440.0 / rate as f64) as u16 + 600;
        let config = PlayoutConfig {
            codec,
            ..PlayoutConfig::default()
        };
        // By clear, in the middle of the queue and at its end; by an underrun; at the end of what does not fill a frame.
        for case in 0..4 {
            let mut line = Line::new(config);
            let heard = match case {
                0 => {
                    line.push(at(100), &tone(codec, 500));
                    line.run(at(203));
                    line.playout.clear(at(203), drop);
                    120
                }
                1 => {
                    // 101 ms are cut where the tone is loud, and the rest of a frame is gone.
                    line.push(at(100), &tone(codec, 121));
                    line.run(at(203));
                    line.playout.clear(at(203), drop);
                    120
                }
                2 => {
                    line.push(at(100), &tone(codec, 321)[..]);
                    line.run(at(1_000));
                    321
                }
                _ => {
                    line.push(at(100), &tone(codec, 133));
                    line.run(at(1_000));
                    133
                }
            };
            line.run(at(1_000));
            let (step, sounds) = steps_and_sound(&listen(&line));
            assert!(step < own, "{codec:?} {case}: a step of {step}");
            // It is over after 4 ms.
            let most = rate * (heard + 4) / 1_000;
            assert!(sounds <= most, "{codec:?} {case}: {sounds} of {most}");
            assert_eq!(
                line.playout.played_samples() as usize,
                rate * heard / 1_000,
                "{codec:?} {case}: a fade is not counted as played"
            );
        }
    }
}

#[test]
fn clear_is_not_delayed_by_its_fade_and_silence_is_left_alone() {
    for sound in [LOUD, QUIET] {
        let mut line = Line::new(PlayoutConfig::default());
        line.push(at(100), &sound.repeat(20));
        line.run(at(203));
        let before = line.left.len();
        line.playout.clear(at(203), drop);
        line.run(at(400));
        let first = &line.left[before];
        assert_eq!(first.frame.kind, FrameKind::Silence);
        // As it was due: at most the 2 ms later by which silence makes up for a first frame that left early.
        assert!(first.at - line.left[before - 1].at <= ms(22));
        assert!(first.bytes[32..].iter().all(|&byte| byte == 0xff));
        let fades = first.bytes[..32].iter().any(|&byte| byte != 0xff);
        assert_eq!(fades, sound == LOUD);
        for later in &line.left[before + 1..] {
            assert_eq!(later.bytes, [0xff; 160]);
        }
    }
}

#[derive(Clone, Debug)]
enum Action {
    Push(usize),
    Mark,
    Clear,
    Wait(u64),
    Gate(bool),
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => (0usize..1_000).prop_map(Action::Push),
        1 => Just(Action::Mark),
        1 => Just(Action::Clear),
        5 => (0u64..90_000).prop_map(Action::Wait),
        1 => any::<bool>().prop_map(Action::Gate),
    ]
}

proptest! {
    #[test]
    fn every_sample_is_played_dropped_or_waiting(
        actions in proptest::collection::vec(action(), 1..120), live: bool, ptime_ms in prop::sample::select(vec![10u32, 20, 30, 60]),
    ) {
        let config = PlayoutConfig { ptime_ms, capacity: Duration::from_millis(500), ..PlayoutConfig::default() };
        let mut line = Line::new(config);
        line.playout.set_live(live);
        let (mut now, mut pushed, mut cleared, mut marks, mut lost_marks) = (START, 0u64, 0u64, 0u64, Vec::new());
        for action in actions {
            match action {
                Action::Push(len) => {
                    pushed += len as u64;
                    line.push(now, &speech(len));
                }
                Action::Mark => {
                    if line.playout.push_mark(MarkId(marks)) {
                        marks += 1;
                    }
                }
                Action::Clear => cleared += line.playout.clear(now, |mark| lost_marks.push(mark)).dropped_samples,
                Action::Wait(micros) => {
                    now += Duration::from_micros(micros);
                    line.run(now);
                }
                Action::Gate(open) => line.playout.set_open(open),
            }
        }
        let counts = line.playout.counts();
        let trimmed = counts.trimmed_frames * u64::from(ptime_ms) * 8;
        let accounted = line.playout.played_samples() + cleared + counts.dropped_bytes + trimmed + line.playout.waiting_samples();
        prop_assert_eq!(pushed, accounted);
        line.playout.set_open(true);
        line.run(now + Duration::from_secs(2));
        line.poll(now + Duration::from_secs(2));
        prop_assert_eq!(line.playout.waiting_samples(), 0);
        let mut fired: Vec<MarkId> = line.left.iter().flat_map(|left| left.marks.iter().copied()).collect();
        prop_assert!(fired.is_sorted());
        fired.extend(lost_marks);
        fired.sort();
        prop_assert_eq!(fired, (0..marks).map(MarkId).collect::<Vec<_>>());
        for pair in line.left.windows(2) {
            prop_assert!(pair[0].at <= pair[1].at);
            prop_assert!(pair[1].frame.step as usize >= pair[1].frame.len);
        }
    }
}
