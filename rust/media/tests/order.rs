//! The caller's sound on its way to the agent, through a network that loses, delays, doubles and swaps.
use offhook_media::clock::Time;
use offhook_media::codec::{Codec, g711};
use offhook_media::order::{Content, Queued};
use offhook_media::uplink::{Fill, MAX_FILL, Uplink, UplinkFrame};
use proptest::prelude::*;
use std::time::Duration;

const START: Time = Time::from_millis(5_000);

fn at(millis: u64) -> Time {
    START + Duration::from_millis(millis)
}

#[derive(Clone, Debug, PartialEq)]
struct Got {
    at: Time,
    position: u64,
    coded: Option<Vec<u8>>,
    pcm: Vec<i16>,
    fill: Fill,
}

impl Got {
    fn is_filled(&self) -> bool {
        self.fill != Fill::Heard
    }

    /// The first byte as it was received.
    fn number(&self) -> Option<u8> {
        self.coded.as_ref().map(|bytes| bytes[0])
    }
}

struct Agent {
    uplink: Uplink,
    got: Vec<Got>,
}

impl Agent {
    fn new() -> Self {
        let mut uplink = Uplink::new(Codec::Pcmu);
        uplink.start(START);
        Agent {
            uplink,
            got: Vec::new(),
        }
    }

    fn run(&mut self, until: Time) {
        while let Some(due) = self.uplink.next_timeout().filter(|&due| due <= until) {
            self.with(due, |uplink, out| uplink.handle_timeout(due, out));
        }
    }

    fn with(&mut self, now: Time, work: impl FnOnce(&mut Uplink, &mut dyn FnMut(UplinkFrame<'_>))) {
        let got = &mut self.got;
        work(&mut self.uplink, &mut |frame| {
            got.push(Got {
                at: now,
                position: frame.position,
                coded: frame.coded.map(<[u8]>::to_vec),
                pcm: frame.pcm.to_vec(),
                fill: frame.fill,
            });
        });
    }

    fn receive(&mut self, now: Time, sequence: u16, timestamp: u32, payload: &[u8]) {
        self.take(
            now,
            sequence,
            timestamp,
            Content::Sound(Codec::Pcmu),
            payload,
        );
    }

    fn take(&mut self, now: Time, sequence: u16, timestamp: u32, content: Content, payload: &[u8]) {
        self.run(now);
        let packet = Queued {
            sequence,
            timestamp,
            marker: false,
            content,
            payload,
            missing: 0,
        };
        self.with(now, |uplink, out| uplink.receive(now, packet, out));
    }

    /// Sound (not silence) that was received.
    fn sound(&self) -> impl Iterator<Item = &Got> {
        self.got.iter().filter(|got| !got.is_filled())
    }

    /// The timeline has neither hole nor overlap.
    fn assert_whole(&self) {
        let mut position = 0;
        for got in &self.got {
            assert_eq!(got.position, position);
            position += got.pcm.len() as u64;
        }
    }
}

/// 20 ms that are recognised by their number and are not quiet.
fn frame(number: u16) -> Vec<u8> {
    vec![(number % 100) as u8; 160]
}

#[test]
fn packets_in_order_go_on_at_once() {
    let mut agent = Agent::new();
    for n in 0..50u16 {
        agent.receive(at(u64::from(n) * 20), n, u32::from(n) * 160, &frame(n));
        let last = agent.got.last().expect("got");
        assert_eq!(last.coded.as_ref(), Some(&frame(n)));
        assert_eq!(last.pcm, vec![g711::pcmu_to_linear(n as u8); 160]);
        assert_eq!(last.at, at(u64::from(n) * 20));
    }
    agent.assert_whole();
    assert_eq!(agent.sound().count(), 50);
}

#[test]
fn silence_flows_from_the_start_until_the_first_packet() {
    let mut agent = Agent::new();
    agent.run(at(200));
    assert_eq!(agent.got.len(), 10);
    assert!(
        agent
            .got
            .iter()
            .all(|got| got.fill == Fill::Silence && got.pcm == [0; 160])
    );
    agent.receive(at(205), 9_000, 77, &frame(1));
    assert_eq!(
        agent.got.last().map(|got| (got.position, got.fill)),
        Some((1_600, Fill::Heard))
    );
}

#[test]
fn two_swapped_packets_come_in_order_and_nothing_is_filled() {
    let mut agent = Agent::new();
    for (now, n) in [(0, 0), (20, 1), (40, 3), (45, 2), (80, 4)] {
        agent.receive(at(now), n, u32::from(n) * 160, &frame(n));
    }
    let numbers: Vec<Option<u8>> = agent.got.iter().map(Got::number).collect();
    assert_eq!(numbers, [0, 1, 2, 3, 4].map(Some));
}

#[test]
fn a_lost_packet_is_made_up_for_when_later_ones_have_proven_the_loss() {
    let mut agent = Agent::new();
    for n in (0..10).filter(|&n| n != 5) {
        agent.receive(at(u64::from(n) * 20), n, u32::from(n) * 160, &frame(n));
    }
    agent.assert_whole();
    let filled: Vec<(u64, usize, Time, Fill)> = agent
        .got
        .iter()
        .filter(|got| got.is_filled())
        .map(|got| (got.position, got.pcm.len(), got.at, got.fill))
        .collect();
    // Packets 6, 7 and 8 have come.
    assert_eq!(filled, [(800, 160, at(160), Fill::Concealed)]);
    agent.receive(at(201), 5, 800, &frame(5));
    assert_eq!(agent.uplink.counts().late, 1);
    assert_eq!(agent.uplink.counts().concealed_frames, 1);
    // All others went through as they came.
    assert_eq!(agent.sound().filter(|got| got.coded.is_some()).count(), 9);
}

#[test]
fn where_packets_overtake_each_other_a_loss_takes_more_proof() {
    let mut agent = Agent::new();
    // Packet 5 comes behind four later ones: too late. Packet 25, which is as late, is waited for.
    for (base, taken) in [(0, 19), (20, 39)] {
        for (now, n) in [
            (0, 0),
            (20, 1),
            (40, 2),
            (60, 3),
            (80, 4),
            (120, 6),
            (121, 7),
            (122, 8),
            (123, 9),
            (124, 5),
        ] {
            let n = base + n;
            agent.receive(
                at(u64::from(base) * 20 + now),
                n,
                u32::from(n) * 160,
                &frame(n),
            );
        }
        for n in base + 10..base + 20 {
            agent.receive(at(u64::from(n) * 20), n, u32::from(n) * 160, &frame(n));
        }
        assert_eq!(agent.sound().count(), taken);
    }
    assert_eq!(agent.uplink.counts().late, 1);
}

#[test]
fn patience_follows_jitter_up_to_a_limit() {
    for (jitter, patience) in [(5, 60), (40, 120), (500, 200)] {
        let mut agent = Agent::new();
        agent.uplink.set_jitter(Duration::from_millis(jitter));
        agent.receive(at(0), 0, 0, &frame(0));
        agent.receive(at(40), 2, 320, &frame(2));
        agent.run(at(39 + patience));
        assert_eq!(agent.sound().count(), 1);
        agent.run(at(40 + patience));
        assert_eq!(agent.sound().count(), 2);
    }
}

#[test]
fn after_a_pause_of_the_talker_speech_stands_at_its_timestamp() {
    let mut agent = Agent::new();
    for n in 0..5u16 {
        agent.receive(at(u64::from(n) * 20), n, u32::from(n) * 160, &frame(n));
    }
    // 20 s of discontinuous transmission: no packets, timestamps go on.
    let resumed = 1_005u32;
    agent.receive(at(u64::from(resumed) * 20), 5, resumed * 160, &frame(5));
    agent.assert_whole();
    let last = agent.got.last().expect("got");
    assert_eq!(
        (last.position, last.at),
        (u64::from(resumed) * 160, at(20_100))
    );
    // It flowed meanwhile, one frame every 20 ms.
    let silence: Vec<Time> = agent
        .got
        .iter()
        .filter(|got| got.is_filled())
        .map(|got| got.at)
        .collect();
    let at_once = silence.iter().filter(|&&time| time == at(20_100)).count();
    assert!(at_once <= 5, "{at_once} frames at once");
    assert!(
        silence
            .windows(2)
            .all(|pair| pair[1] - pair[0] <= Duration::from_millis(20))
    );
}

#[test]
fn a_network_that_stood_still_costs_no_speech_and_the_time_is_won_back() {
    let mut agent = Agent::new();
    for n in 0..10u16 {
        agent.receive(at(u64::from(n) * 20), n, u32::from(n) * 160, &frame(n));
    }
    // 400 ms late, all at once.
    for n in 10..30u16 {
        agent.receive(at(600), n, u32::from(n) * 160, &frame(n));
    }
    assert_eq!(agent.sound().count(), 30, "nothing said is lost");
    let slip = agent.uplink.position() - 30 * 160;
    assert!(slip > 0 && slip <= 400 * 8);
    // Quiet frames bring the timeline back.
    for n in 30..60u16 {
        agent.receive(
            at(u64::from(n) * 20 + 20),
            n,
            u32::from(n) * 160,
            &[0xff; 160],
        );
    }
    assert_eq!(agent.uplink.position(), 60 * 160);
    agent.assert_whole();
}

#[test]
fn jumps_make_no_burst() {
    // (sequence step, timestamp step) of the packet after a steady start.
    let jumps: [(u16, u32); 8] = [
        (30_000, 30_000 * 160),
        (1, 0x8000_0000),
        (1, 0xffff_0000),
        (1, 3_000_000),
        (1, 0),
        (200, 200 * 160),
        (65_436, 160),
        (2_000, 0x7fff_ffff),
    ];
    for (sequence_step, timestamp_step) in jumps {
        let mut agent = Agent::new();
        for n in 0..10u16 {
            agent.receive(at(u64::from(n) * 20), n, u32::from(n) * 160, &frame(n));
        }
        let before = agent.uplink.position();
        let (sequence, timestamp) = (
            9u16.wrapping_add(sequence_step),
            (9u32 * 160).wrapping_add(timestamp_step),
        );
        for n in 0..10u16 {
            let now = at(200 + u64::from(n) * 20);
            let timestamp = timestamp.wrapping_add(u32::from(n) * 160);
            agent.receive(now, sequence.wrapping_add(n), timestamp, &frame(n));
        }
        agent.run(at(400));
        let grown = agent.uplink.position() - before;
        assert!(
            grown <= u64::from(MAX_FILL) + 11 * 160,
            "{sequence_step} {timestamp_step}: {grown}"
        );
        agent.assert_whole();
    }
}

#[test]
fn the_timeline_runs_through_the_wrap_of_both_counters() {
    let mut agent = Agent::new();
    for n in 0..40u16 {
        let timestamp = (u32::MAX - 2_000).wrapping_add(u32::from(n) * 160);
        agent.receive(
            at(u64::from(n) * 20),
            65_520u16.wrapping_add(n),
            timestamp,
            &frame(n),
        );
    }
    assert_eq!(agent.uplink.position(), 40 * 160);
    assert!(agent.got.iter().all(|got| !got.is_filled()));
}

#[test]
fn packets_of_any_length_are_taken() {
    for ptime in [10u32, 20, 30, 40, 60] {
        let mut agent = Agent::new();
        for n in 0..20u16 {
            agent.receive(
                at(u64::from(n) * u64::from(ptime)),
                n,
                u32::from(n) * ptime * 8,
                &vec![3; ptime as usize * 8],
            );
        }
        assert_eq!(agent.uplink.position(), 20 * u64::from(ptime) * 8);
        assert!(agent.got.iter().all(|got| !got.is_filled()));
    }
}

#[test]
fn packets_without_sound_leave_no_hole_in_the_sequence() {
    let mut agent = Agent::new();
    agent.receive(at(0), 0, 0, &frame(0));
    for n in 1..6u16 {
        let now = at(u64::from(n) * 20);
        agent.take(now, n, 160, Content::Nothing, &[]);
    }
    agent.receive(at(120), 6, 960, &frame(6));
    let last = agent.got.last().expect("got");
    assert_eq!(
        (last.at, last.position, last.is_filled()),
        (at(120), 960, false),
        "at once, at its place"
    );
    agent.assert_whole();
}

#[test]
fn a_pause_of_the_machine_is_not_followed_by_a_burst() {
    let mut agent = Agent::new();
    agent.receive(at(0), 0, 0, &frame(0));
    let late = at(60_000);
    agent.with(late, |uplink, out| uplink.handle_timeout(late, out));
    assert!(agent.got.len() <= 11);
}

/// One packet's fate.
#[derive(Clone, Debug)]
struct Fate {
    lost: bool,
    copies: u8,
    delay_ms: u64,
}

fn fate() -> impl Strategy<Value = Fate> {
    (0..10u8, 0..10u8, 0..40u64).prop_map(|(lost, copies, delay_ms)| Fate {
        lost: lost == 0,
        copies: 1 + u8::from(copies == 0),
        delay_ms,
    })
}

proptest! {
    #[test]
    fn with_delays_within_patience_each_sample_stands_at_its_timestamp(
        fates in proptest::collection::vec(fate(), 2..150), first_sequence: u16, first_timestamp: u32,
    ) {
        let mut arrivals: Vec<(u64, u16)> = Vec::new();
        for (n, fate) in fates.iter().enumerate().filter(|(n, fate)| *n == 0 || !fate.lost) {
            for copy in 0..fate.copies {
                let delay = if n == 0 { 0 } else { fate.delay_ms + u64::from(copy) };
                arrivals.push((n as u64 * 20 + delay, n as u16));
            }
        }
        arrivals.sort_by_key(|&(time, n)| (time, n));
        let mut agent = Agent::new();
        let mut seen = std::collections::HashSet::new();
        for (time, n) in arrivals {
            // Duplicates are told apart before; now and then one slips through in life, so they come here too.
            seen.insert(n);
            agent.receive(at(time), first_sequence.wrapping_add(n), first_timestamp.wrapping_add(u32::from(n) * 160), &frame(n));
        }
        agent.run(at(fates.len() as u64 * 20 + 500));
        agent.assert_whole();
        let sound: Vec<&Got> = agent.sound().collect();
        prop_assert_eq!(sound.len(), seen.len());
        for got in sound {
            prop_assert_eq!(got.position % 160, 0);
            let number = g711::linear_to_pcmu(got.pcm[159]);
            prop_assert_eq!(u64::from(number), got.position / 160 % 100);
        }
    }

    #[test]
    fn nothing_a_peer_sends_breaks_the_timeline_or_makes_a_burst(
        packets in proptest::collection::vec((0u64..300, any::<u16>(), any::<u32>(), 0usize..1_500, 0usize..3), 1..80)
    ) {
        let mut agent = Agent::new();
        let mut now = START;
        for (pause, sequence, timestamp, len, kind) in packets {
            now += Duration::from_millis(pause);
            agent.run(now);
            let before = agent.uplink.position();
            let content = [Content::Nothing, Content::Noise, Content::Sound(Codec::Pcma)][kind];
            agent.take(now, sequence, timestamp, content, &vec![1; len]);
            // What was held may be released too: each with its own bounded gap.
            prop_assert!(agent.uplink.position() - before <= 33 * (u64::from(MAX_FILL) + 1_500));
        }
        agent.run(now + Duration::from_secs(1));
        agent.assert_whole();
    }
}
