//! `offhook-bench signalling`: calls set up and torn down at a rate, without audio of ours.

use crate::codec::Codec;
use crate::endpoint::Endpoint;
use crate::histogram::milliseconds;
use crate::pace::Arrivals;
use crate::process::{self, Machine, Processes};
use crate::sdp;
use crate::sip::call::Event;
use crate::sip::exchange::Exchange;
use crate::sys::{self, Epoll};
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::{SocketAddr, UdpSocket};

const SECOND: u64 = 1_000_000_000;
const CLOSING: u64 = 5 * SECOND;
const TICK: u64 = 500_000;
/// Sockets that take in, unread, what the far end sends of audio.
const SINKS: usize = 64;

/// What to place.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    #[command(flatten)]
    pub endpoint: Endpoint,
    /// Calls placed a second; with --ramp the first rate tried
    #[arg(long, default_value_t = 50.0)]
    pub rate: f64,
    /// Seconds for which calls are placed, at each rate
    #[arg(long, default_value_t = 20.0)]
    pub seconds: f64,
    /// Milliseconds from the answer to our BYE
    #[arg(long, default_value_t = 0)]
    pub hold_ms: u64,
    /// Make a connection for each call, over TCP or TLS; its making counts as part of INVITE to 100 and 200
    #[arg(long)]
    pub connect_each: bool,
    /// Raise the rate until a call fails or --limit-ms is passed, and tell the last that held
    #[arg(long)]
    pub ramp: bool,
    /// Factor between two rates of a ramp
    #[arg(long, default_value_t = 1.2)]
    pub factor: f64,
    /// The p99 of INVITE to 100 that a rate must stay under
    #[arg(long, default_value_t = 50.0)]
    pub limit_ms: f64,
    /// The highest rate that a ramp tries
    #[arg(long, default_value_t = 2_000.0)]
    pub rate_max: f64,
}

/// Places calls at one rate, or at rising ones; everything measured.
pub fn run(options: &Options) -> io::Result<Value> {
    sys::raise_descriptor_limit();
    sys::exact_timers();
    sys::note_interruptions();
    let mut rate = options.rate;
    let mut steps: Vec<Value> = Vec::new();
    let mut best = Value::Null;
    let mut held = true;
    while held && rate <= options.rate_max && !sys::interrupted() {
        let step = Step::open(options, rate)?.run()?;
        held = step["violations"].as_array().is_some_and(Vec::is_empty);
        if held {
            best = json!(rate);
        }
        if !options.ramp {
            return Ok(step);
        }
        steps.push(step);
        rate = (rate * options.factor).round();
    }
    Ok(json!({
        "tool": "offhook-bench signalling --ramp",
        "target": options.endpoint.target.to_string(),
        "limit_ms": options.limit_ms,
        "highest_rate": best,
        "steps": steps,
    }))
}

struct Step<'a> {
    options: &'a Options,
    rate: f64,
    exchange: Exchange,
    epoll: Epoll,
    sinks: Vec<UdpSocket>,
    /// Calls to be hung up, the next first.
    hang_ups: BinaryHeap<Reverse<(u64, u32)>>,
    events: Vec<(u32, Event)>,
    latest_placing: u64,
}

impl<'a> Step<'a> {
    fn open(options: &'a Options, rate: f64) -> io::Result<Self> {
        let exchange = options.endpoint.open(options.connect_each)?;
        let epoll = Epoll::new(16)?;
        exchange.register(&epoll, 0)?;
        let address = SocketAddr::new(exchange.party.local.ip(), 0);
        let sinks = (0..SINKS)
            .map(|_| {
                let sink = UdpSocket::bind(address)?;
                sys::set_receive_buffer(&sink, 4_096)?;
                Ok(sink)
            })
            .collect::<io::Result<_>>()?;
        Ok(Self {
            options,
            rate,
            exchange,
            epoll,
            sinks,
            hang_ups: BinaryHeap::new(),
            events: Vec::new(),
            latest_placing: 0,
        })
    }

    fn run(mut self) -> io::Result<Value> {
        let groups = self.options.endpoint.groups();
        let read = || {
            groups
                .iter()
                .map(|(_, pids)| Processes::new(pids).sample(true))
                .collect::<Vec<_>>()
        };
        let (before, machine, own) = (read(), Machine::sample(), sys::own_cpu());
        let start = sys::now();
        let mut placing_ends = start + (self.options.seconds * SECOND as f64) as u64;
        let mut arrivals = Arrivals::new(start, self.rate, self.exchange.session);
        let mut wake = start;
        let mut now = start;
        let mut ready = Vec::new();
        while now < placing_ends || (self.exchange.open() > 0 && now < placing_ends + CLOSING) {
            wake = (wake + TICK).max(now);
            sys::sleep_until(wake);
            if sys::interrupted() {
                placing_ends = placing_ends.min(now);
            }
            self.epoll.wait(0, &mut ready)?;
            for one in &ready {
                self.exchange
                    .receive(one.token as usize, sys::wall_offset(), &mut self.events)?;
            }
            now = sys::now();
            self.exchange.handle_timeouts(now, &mut self.events)?;
            self.schedule_hang_ups(now);
            while let Some(&Reverse((due, index))) = self.hang_ups.peek()
                && due <= now
            {
                self.hang_ups.pop();
                self.exchange.hang_up(index, sys::now())?;
            }
            while now < placing_ends && now >= arrivals.next() {
                self.latest_placing = self.latest_placing.max(now - arrivals.next());
                self.place()?;
                arrivals.advance();
            }
        }
        let own_ms = (sys::own_cpu() - own) as f64 / 1e6;
        let after = read();
        let mut report = self.report(own_ms);
        let machine_after = Machine::sample();
        let seconds = (now - start) as f64 / 1e9;
        let mut known = own_ms / seconds / 10.0;
        for (((name, _), first), last) in groups.iter().zip(&before).zip(&after) {
            // The cost is per call here: one call for one second, so to say, divided by all.
            let calls = self.exchange.counts.placed.max(1) as f64;
            let per_call = |value: f64| (value / calls * 1_000.0).round() / 1_000.0;
            let mut cost = process::cost(&[*first, *last], 0);
            cost["cpu_ms_per_call"] = json!(per_call((last.cpu_ms() - first.cpu_ms()) as f64));
            cost["running_ms_per_call"] = json!(per_call(
                last.running_ns.saturating_sub(first.running_ns) as f64 / 1e6
            ));
            known += cost["core_percent"].as_f64().unwrap_or(0.0);
            report["processes"][name] = cost;
        }
        report["machine"] = machine_after.to_json(machine, known);
        Ok(report)
    }

    fn place(&mut self) -> io::Result<()> {
        let index = self.exchange.calls.len();
        let local = self.sinks[index % SINKS].local_addr()?;
        let offer = sdp::offer(local, local.port(), Codec::Pcmu, index as u64 + 1, 1, None);
        let now = sys::now();
        self.exchange.connect(&self.epoll)?;
        self.exchange.place(offer, now)?;
        Ok(())
    }

    fn schedule_hang_ups(&mut self, now: u64) {
        for (index, event) in self.events.drain(..) {
            if matches!(event, Event::Answered(_)) {
                self.hang_ups
                    .push(Reverse((now + self.options.hold_ms * 1_000_000, index)));
            }
        }
    }

    fn report(&self, own_ms: f64) -> Value {
        let counts = &self.exchange.counts;
        let mut violations = Vec::new();
        if counts.failed() > 0 {
            violations.push(format!("calls failed: {}", counts.failed()));
        }
        if self.exchange.open() > 0 {
            violations.push(format!("calls never ended: {}", self.exchange.open()));
        }
        let trying = milliseconds(counts.trying.quantile(0.99));
        if trying >= self.options.limit_ms {
            violations.push(format!("p99 of INVITE to 100 in ms: {trying}"));
        }
        json!({
            "tool": "offhook-bench signalling",
            "target": self.options.endpoint.target.to_string(),
            "transport": self.exchange.party.transport,
            "rate": self.rate,
            "seconds": self.options.seconds,
            "hold_ms": self.options.hold_ms,
            "connect_each": self.options.connect_each,
            "sip": self.exchange.to_json(),
            "own": {
                "cpu_ms_per_call": (own_ms / counts.placed.max(1) as f64 * 1_000.0).round() / 1_000.0,
                "latest_placing_ms": milliseconds(self.latest_placing),
            },
            "violations": violations,
        })
    }
}
