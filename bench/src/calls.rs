//! `offhook-bench calls`: calls with real paced audio, held for a while and judged frame by frame.

use crate::codec::Codec;
use crate::endpoint::Endpoint;
use crate::mark::Alphabet;
use crate::media::line::{Line, Speech, Totals};
use crate::pace::{Arrivals, Wheel};
use crate::process::{self, Machine, Processes, Watch};
use crate::sdp;
use crate::sip::call::Event;
use crate::sip::exchange::Exchange;
use crate::srtp::{Keying, Suite};
use crate::sys::{self, Epoll, Ready};
use serde_json::{Value, json};
use std::io;
use std::ops::Range;

const SECOND: u64 = 1_000_000_000;
/// After the last frame is sent, what is on its way may still arrive for this long.
const LINGER: u64 = SECOND;
/// After the last BYE, answers may still arrive for this long.
const CLOSING: u64 = 5 * SECOND;
/// How long the last call placed may take to be answered.
const ANSWERING: u64 = 40 * SECOND;
const SIP_TOKEN: u64 = 0;

/// What to place.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    #[command(flatten)]
    pub endpoint: Endpoint,
    /// How many calls are held at once
    #[arg(long, default_value_t = 100)]
    pub calls: u32,
    /// Calls placed, and later hung up, a second
    #[arg(long, default_value_t = 50.0)]
    pub rate: f64,
    /// Length of the steady window, in which all calls are up
    #[arg(long, default_value_t = 20.0)]
    pub seconds: f64,
    /// Seconds between the last answer and the steady window
    #[arg(long, default_value_t = 2.0)]
    pub settle: f64,
    /// Codec of all calls
    #[arg(long, value_enum, default_value_t = Codec::Pcmu)]
    pub codec: Codec,
    /// Encrypt the media, with keys in SDP
    #[arg(long, value_enum)]
    pub srtp: Option<Suite>,
    /// Milliseconds of a talkspurt; counts only with --pause-ms
    #[arg(long, default_value_t = 1_000)]
    pub talk_ms: u32,
    /// Milliseconds of silence after each talkspurt; 0 speaks without end
    #[arg(long, default_value_t = 0)]
    pub pause_ms: u32,
    /// Ports for RTP (even) and RTCP (odd)
    #[arg(long, default_value = "16384-32766", value_parser = port_range)]
    pub rtp_ports: Range<u16>,
    /// Microseconds between our wake-ups: how finely the calls' frames are spread over 20 ms
    #[arg(long, default_value_t = 250)]
    pub tick_us: u64,
    /// Send no RTCP sender reports
    #[arg(long)]
    pub no_rtcp: bool,
    /// Longest gap between two packets of the far end before it counts as a violation
    #[arg(long, default_value_t = 40.0)]
    pub max_gap_ms: f64,
    /// The far end is no echo: do not count frames that never come back as violations
    #[arg(long)]
    pub no_echo: bool,
}

fn port_range(text: &str) -> Result<Range<u16>, String> {
    let (from, to) = text.split_once('-').ok_or("give it as FROM-TO")?;
    let parse = |word: &str| word.parse::<u16>().map_err(|error| error.to_string());
    let (from, to) = (parse(from)?.next_multiple_of(2), parse(to)?);
    if from < to {
        Ok(from..to)
    } else {
        Err("the range is empty".into())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Placing,
    Answering { until: u64 },
    Settling { until: u64 },
    Steady { until: u64 },
    Lingering { until: u64 },
    HangingUp,
    Closing { until: u64 },
    Done,
}

struct Run<'a> {
    options: &'a Options,
    speech: Speech,
    alphabet: Alphabet,
    exchange: Exchange,
    epoll: Epoll,
    ports: Range<u16>,
    lines: Vec<Line>,
    wheel: Wheel,
    arrivals: Arrivals,
    stage: Stage,
    to_hang_up: u32,
    totals: Totals,
    wall_offset: u64,
    wall_offset_read: u64,
    events: Vec<(u32, Event)>,
    window: Option<Window>,
}

/// What is read at the start and the end of the steady window.
struct Window {
    watches: Vec<(String, Watch)>,
    calls: u64,
    own_cpu: u64,
    machine: Machine,
    started: u64,
    own: Value,
    machine_after: Machine,
}

/// Places the calls, holds them, hangs up; everything measured.
pub fn run(options: &Options) -> io::Result<Value> {
    sys::raise_descriptor_limit();
    sys::exact_timers();
    sys::note_interruptions();
    let groups = options.endpoint.groups();
    let before: Vec<_> = groups
        .iter()
        .map(|(_, pids)| Processes::new(pids).sample(true))
        .collect();
    let exchange = options.endpoint.open(false)?;
    let epoll = Epoll::new(1_024)?;
    exchange.register(&epoll, SIP_TOKEN)?;
    let start = sys::now();
    let frames = |milliseconds: u32| milliseconds.div_ceil(20);
    let mut run = Run {
        speech: Speech {
            codec: options.codec,
            talk: frames(options.talk_ms).max(1),
            pause: frames(options.pause_ms),
            reports: !options.no_rtcp,
        },
        alphabet: Alphabet::new(options.codec.law()),
        ports: options.rtp_ports.clone(),
        lines: Vec::new(),
        wheel: Wheel::new(options.tick_us.max(20) * 1_000, start),
        arrivals: Arrivals::new(start + SECOND / 100, options.rate, exchange.session),
        stage: Stage::Placing,
        to_hang_up: 0,
        totals: Totals::default(),
        wall_offset: sys::wall_offset(),
        wall_offset_read: start,
        events: Vec::new(),
        window: None,
        options,
        exchange,
        epoll,
    };
    let mut ready = Vec::new();
    while run.stage != Stage::Done {
        sys::sleep_until(run.wheel.next());
        run.tick(&mut ready)?;
    }
    Ok(run.report(&groups, &before))
}

impl Run<'_> {
    fn tick(&mut self, ready: &mut Vec<Ready>) -> io::Result<()> {
        self.receive(ready)?;
        let now = sys::now();
        if now - self.wall_offset_read > SECOND {
            (self.wall_offset, self.wall_offset_read) = (sys::wall_offset(), now);
        }
        while let Some((due, calls)) = self.wheel.due(now) {
            for &call in calls {
                let line = &mut self.lines[call as usize];
                line.send(
                    &self.speech,
                    &self.alphabet,
                    due,
                    self.wall_offset,
                    &mut self.totals,
                );
            }
        }
        self.exchange.handle_timeouts(now, &mut self.events)?;
        self.handle_events();
        self.advance(sys::now())
    }

    fn receive(&mut self, ready: &mut Vec<Ready>) -> io::Result<()> {
        let steady = matches!(self.stage, Stage::Steady { .. });
        self.epoll.wait(0, ready)?;
        for one in ready.iter() {
            if one.token == SIP_TOKEN {
                self.exchange
                    .receive(0, self.wall_offset, &mut self.events)?;
                continue;
            }
            let line = &mut self.lines[(one.token as usize - 2) / 2];
            if one.token % 2 == 0 {
                line.receive(
                    &self.speech,
                    &self.alphabet,
                    self.wall_offset,
                    steady,
                    &mut self.totals,
                );
            } else {
                line.receive_rtcp(&mut self.totals);
            }
        }
        Ok(())
    }

    fn handle_events(&mut self) {
        for (index, event) in self.events.drain(..) {
            let line = &mut self.lines[index as usize];
            match event {
                Event::Answered(Some(audio)) => {
                    let codec = self.options.codec.payload_type();
                    self.totals.wrong_answers += u64::from(audio.payload_type != codec);
                    line.answered(&audio, self.exchange.calls[index as usize].steps.answered);
                    self.wheel.add(index);
                }
                Event::Reinvited(Some(audio)) => line.moved(audio.address),
                Event::FarHungUp => line.stop(),
                Event::Answered(None) => self.totals.silent_answers += 1,
                Event::Reinvited(None) | Event::Refused(_) | Event::TimedOut | Event::HungUp => {}
            }
        }
    }

    fn place(&mut self, now: u64) -> io::Result<()> {
        let index = self.lines.len() as u32;
        let line = Line::open(
            index,
            self.exchange.party.local.ip(),
            &mut self.ports,
            &self.epoll,
        )?;
        let session = self.exchange.session.wrapping_add(u64::from(index)) >> 16;
        let keys = self.options.srtp.map(Keying::fresh).transpose()?;
        let offer = sdp::offer(
            line.local,
            line.rtcp_port(),
            self.options.codec,
            session,
            1,
            keys.as_ref(),
        );
        let line = line.speaking(self.options.codec, keys.as_ref());
        self.lines.push(line);
        self.exchange.place(offer, now)?;
        self.arrivals.advance();
        Ok(())
    }

    fn advance(&mut self, now: u64) -> io::Result<()> {
        let seconds = |value: f64| (value * SECOND as f64) as u64;
        if sys::interrupted() {
            self.leave(now);
        }
        let decided = self.exchange.counts.answered + self.exchange.counts.failed();
        match self.stage {
            Stage::Placing => {
                if self.lines.len() as u32 == self.options.calls {
                    self.stage = Stage::Answering {
                        until: now + ANSWERING,
                    };
                } else if now >= self.arrivals.next() {
                    self.place(sys::now())?;
                }
            }
            Stage::Answering { until } => {
                if decided == u64::from(self.options.calls) || now >= until {
                    self.stage = Stage::Settling {
                        until: now + seconds(self.options.settle),
                    };
                }
            }
            Stage::Settling { until } if now >= until => {
                self.open_window(now);
                self.stage = Stage::Steady {
                    until: now + seconds(self.options.seconds),
                };
            }
            Stage::Steady { until } if now >= until => {
                self.close_window(now);
                self.lines.iter_mut().for_each(Line::fall_silent);
                self.stage = Stage::Lingering {
                    until: now + LINGER,
                };
            }
            Stage::Lingering { until } if now >= until => {
                self.arrivals = Arrivals::new(now, self.options.rate, self.exchange.session ^ 1);
                self.stage = Stage::HangingUp;
            }
            Stage::HangingUp => {
                if self.to_hang_up as usize == self.lines.len() {
                    self.stage = Stage::Closing {
                        until: now + CLOSING,
                    };
                } else if now >= self.arrivals.next() {
                    self.exchange.hang_up(self.to_hang_up, sys::now())?;
                    self.lines[self.to_hang_up as usize].stop();
                    self.to_hang_up += 1;
                    self.arrivals.advance();
                }
            }
            Stage::Closing { until } if self.exchange.open() == 0 || now >= until => {
                self.stage = Stage::Done
            }
            Stage::Settling { .. }
            | Stage::Steady { .. }
            | Stage::Lingering { .. }
            | Stage::Closing { .. }
            | Stage::Done => {}
        }
        Ok(())
    }

    /// Told to end early: nobody's calls are left behind.
    fn leave(&mut self, now: u64) {
        let hangs_up = matches!(
            self.stage,
            Stage::HangingUp | Stage::Closing { .. } | Stage::Done
        );
        if !hangs_up {
            self.lines.iter_mut().for_each(Line::fall_silent);
            self.arrivals = Arrivals::new(now, self.options.rate, self.exchange.session ^ 1);
            self.window = None;
            self.stage = Stage::HangingUp;
        }
    }

    fn open_window(&mut self, now: u64) {
        let groups = self.options.endpoint.groups();
        let watches = groups
            .into_iter()
            .map(|(name, pids)| (name, Watch::start(Processes::new(&pids))))
            .collect();
        self.window = Some(Window {
            watches,
            calls: self.lines.iter().filter(|line| line.is_sending()).count() as u64,
            own_cpu: sys::own_cpu(),
            machine: Machine::sample(),
            started: now,
            own: Value::Null,
            machine_after: Machine::default(),
        });
    }

    fn close_window(&mut self, now: u64) {
        let Some(window) = &mut self.window else {
            return;
        };
        window
            .watches
            .iter_mut()
            .for_each(|(_, watch)| watch.stop());
        let cpu_ms = (sys::own_cpu() - window.own_cpu) as f64 / 1e6;
        let seconds = (now - window.started) as f64 / 1e9;
        let round = |value: f64| (value * 1_000.0).round() / 1_000.0;
        window.own = json!({
            "cpu_ms_per_call_second": round(cpu_ms / seconds / window.calls.max(1) as f64),
            "core_percent": round(cpu_ms / seconds / 10.0),
        });
        window.machine_after = Machine::sample();
    }

    fn report(mut self, groups: &[(String, Vec<u32>)], before: &[process::Sample]) -> Value {
        let totals = &mut self.totals;
        let tallies: Vec<_> = self
            .lines
            .iter_mut()
            .map(|line| line.close(totals))
            .collect();
        let mut report = json!({
            "tool": "offhook-bench calls",
            "target": self.options.endpoint.target.to_string(),
            "transport": self.exchange.party.transport,
            "codec": self.options.codec.name(),
            "srtp": self.options.srtp.map(Suite::name),
            "calls": self.options.calls,
            "rate": self.options.rate,
            "seconds": self.options.seconds,
            "talk_ms": self.options.talk_ms,
            "pause_ms": self.options.pause_ms,
            "tick_us": self.options.tick_us,
            "sip": self.exchange.to_json(),
            "media": self.totals.to_json(&tallies),
        });
        if let Some(window) = self.window.take() {
            let mut known = window.own["core_percent"].as_f64().unwrap_or(0.0);
            report["own"] = window.own;
            report["calls_in_window"] = json!(window.calls);
            for (((name, watch), first), (_, pids)) in
                window.watches.into_iter().zip(before).zip(groups)
            {
                let samples = watch.finish();
                report["processes"][&name] = process::cost(&samples, window.calls);
                known += report["processes"][&name]["core_percent"]
                    .as_f64()
                    .unwrap_or(0.0);
                report["processes"][&name]["pids"] = json!(pids);
                report["processes"][&name]["memory"] =
                    process::growth(first, samples.last(), window.calls);
            }
            report["machine"] = window.machine_after.to_json(window.machine, known);
        }
        report["violations"] = json!(violations(&report, self.options));
        report
    }
}

/// What a run that must be flawless got wrong, in words.
fn violations(report: &Value, options: &Options) -> Vec<String> {
    let mut found = Vec::new();
    let number = |path: &str| report.pointer(path).and_then(Value::as_f64).unwrap_or(0.0);
    let mut at_most = |path: &str, limit: f64, words: &str| {
        if number(path) > limit {
            found.push(format!("{words}: {}", number(path)));
        }
    };
    at_most(
        "/media/far_end_rtp/longest_gap_ms",
        options.max_gap_ms,
        "longest gap in ms",
    );
    for (path, words) in [
        ("/media/echo/of_another_call", "frames of another call"),
        (
            "/media/far_end_rtp/missing_sequence_numbers",
            "sequence numbers passed over",
        ),
        (
            "/media/far_end_rtp/wrong_payload_type",
            "packets of a payload type not negotiated",
        ),
        (
            "/media/far_end_rtp/wrong_source",
            "packets from an address not in the answer",
        ),
        (
            "/media/far_end_rtp/unauthentic",
            "packets that are not of the negotiated key",
        ),
        ("/media/answers_without_audio", "answers without audio"),
        (
            "/media/answers_of_another_codec",
            "answers of another codec",
        ),
        ("/sip/hung_up_by_far_end", "calls hung up by the far end"),
        ("/sip/still_open", "calls never ended"),
    ] {
        at_most(path, 0.0, words);
    }
    if !options.no_echo {
        for (path, words) in [
            ("/media/echo/lost", "frames lost"),
            ("/media/echo/duplicates", "frames heard twice"),
            (
                "/media/echo/calls_without_any_echo",
                "calls without any echo",
            ),
        ] {
            at_most(path, 0.0, words);
        }
    }
    let answered = number("/sip/answered");
    if answered < f64::from(options.calls) {
        found.push(format!("calls answered: {answered} of {}", options.calls));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_start_even() {
        assert_eq!(port_range("1001-2000"), Ok(1_002..2_000));
        assert!(port_range("5-5").is_err());
        assert!(port_range("70000-70002").is_err());
        assert!(port_range("77").is_err());
    }
}
