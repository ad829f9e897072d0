//! What the gateway's processes cost, read from `/proc`.

use crate::sys;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// One reading of a set of processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Sample {
    /// Monotonic nanoseconds of the reading.
    pub at: u64,
    /// User time so far, in milliseconds (ticks of 10 ms).
    pub user_ms: u64,
    /// System time so far, in milliseconds (ticks of 10 ms).
    pub system_ms: u64,
    /// Time on a processor of the threads now alive, in nanoseconds: exact, and the figure to use for short windows.
    pub running_ns: u64,
    /// Context switches that threads asked for by waiting.
    pub voluntary_switches: u64,
    /// Context switches forced upon them.
    pub forced_switches: u64,
    /// Resident memory in KiB.
    pub rss_kib: u64,
    /// Proportional share of memory in KiB; 0 where it was not asked for.
    pub pss_kib: u64,
    /// Threads.
    pub threads: u64,
    /// Open descriptors.
    pub descriptors: u64,
}

impl Sample {
    /// User and system milliseconds.
    pub fn cpu_ms(&self) -> u64 {
        self.user_ms + self.system_ms
    }
}

/// Some processes and all their children.
#[derive(Clone, Debug)]
pub struct Processes {
    roots: Vec<u32>,
}

fn number_after(text: &str, label: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix(label))
        .and_then(|rest| rest.split_ascii_whitespace().next())
        .and_then(|word| word.parse().ok())
        .unwrap_or(0)
}

/// User and system ticks of a `/proc/PID/stat` line; the name in it may hold spaces and parentheses.
fn ticks(stat: &str) -> Option<(u64, u64)> {
    let mut words = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

impl Processes {
    /// The processes with these numbers.
    pub fn new(roots: &[u32]) -> Self {
        Self {
            roots: roots.to_vec(),
        }
    }

    fn members(&self) -> BTreeSet<u32> {
        let mut members = BTreeSet::new();
        let mut waiting = self.roots.clone();
        while let Some(process) = waiting.pop() {
            if !members.insert(process) {
                continue;
            }
            for thread in numbers(&format!("/proc/{process}/task")) {
                let children =
                    fs::read_to_string(format!("/proc/{process}/task/{thread}/children"));
                let children = children.unwrap_or_default();
                waiting.extend(
                    children
                        .split_ascii_whitespace()
                        .filter_map(|word| word.parse::<u32>().ok()),
                );
            }
        }
        members
    }

    /// Reads them now; `detailed` adds PSS, which takes the kernel a millisecond or two and holds the process up.
    pub fn sample(&self, detailed: bool) -> Sample {
        let mut sample = Sample {
            at: sys::now(),
            ..Sample::default()
        };
        let tick_ms = 1_000 / sys::clock_ticks();
        for process in self.members() {
            let read = |name: &str| {
                fs::read_to_string(format!("/proc/{process}/{name}")).unwrap_or_default()
            };
            let Some((user, system)) = ticks(&read("stat")) else {
                continue;
            };
            sample.user_ms += user * tick_ms;
            sample.system_ms += system * tick_ms;
            for thread in numbers(&format!("/proc/{process}/task")) {
                let schedule = read(&format!("task/{thread}/schedstat"));
                sample.running_ns += schedule
                    .split(' ')
                    .next()
                    .and_then(|word| word.parse().ok())
                    .unwrap_or(0);
                let status = read(&format!("task/{thread}/status"));
                sample.voluntary_switches += number_after(&status, "voluntary_ctxt_switches:");
                sample.forced_switches += number_after(&status, "nonvoluntary_ctxt_switches:");
                sample.threads += 1;
            }
            let statm = read("statm");
            let pages: u64 = statm
                .split(' ')
                .nth(1)
                .and_then(|word| word.parse().ok())
                .unwrap_or(0);
            sample.rss_kib += pages * sys::page_size() / 1024;
            if detailed {
                sample.pss_kib += number_after(&read("smaps_rollup"), "Pss:");
                sample.descriptors += numbers(&format!("/proc/{process}/fd")).len() as u64;
            }
        }
        sample
    }
}

fn numbers(directory: &str) -> Vec<u32> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// Idle and stolen time of the whole machine. What is busy is what is not idle: the kernel samples busy time at its own
/// ticks and misses work that is done between them, but it measures idle time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine {
    at: u64,
    idle_ticks: u64,
    stolen_ticks: u64,
    cores: u64,
}

impl Machine {
    /// Reads `/proc/stat`.
    pub fn sample() -> Self {
        Self::parse(
            &fs::read_to_string("/proc/stat").unwrap_or_default(),
            sys::now(),
        )
    }

    fn parse(text: &str, at: u64) -> Self {
        let first = text.lines().next().unwrap_or_default();
        let words: Vec<u64> = first
            .split_ascii_whitespace()
            .skip(1)
            .filter_map(|word| word.parse().ok())
            .collect();
        let column = |index: usize| words.get(index).copied().unwrap_or(0);
        let is_core = |line: &&str| {
            line.strip_prefix("cpu")
                .is_some_and(|rest| !rest.starts_with(' '))
        };
        let cores = text.lines().filter(is_core).count() as u64;
        Self {
            at,
            idle_ticks: column(3) + column(4),
            stolen_ticks: column(7),
            cores,
        }
    }

    /// Since `before`, in percent of one core: what was busy, what of it `known_percent` does not explain, what other
    /// guests of the host took away.
    pub fn to_json(self, before: Self, known_percent: f64) -> Value {
        let seconds = self.at.saturating_sub(before.at) as f64 / 1e9;
        let percent =
            |ticks: u64| ticks as f64 * 100.0 / sys::clock_ticks() as f64 / seconds.max(1e-9);
        let busy =
            self.cores as f64 * 100.0 - percent(self.idle_ticks.saturating_sub(before.idle_ticks));
        let stolen = percent(self.stolen_ticks.saturating_sub(before.stolen_ticks));
        let round = |value: f64| (value * 10.0).round() / 10.0;
        json!({
            "cores": self.cores,
            "busy_core_percent": round(busy.max(0.0)),
            "others_core_percent": round((busy - known_percent).max(0.0)),
            "stolen_core_percent": round(stolen),
        })
    }
}

/// Reads a set of processes every second on a thread of its own, so that no reading delays a packet.
pub struct Watch {
    stop: Sender<()>,
    thread: JoinHandle<Vec<Sample>>,
}

impl Watch {
    /// Starts reading.
    pub fn start(processes: Processes) -> Self {
        let (stop, stopped): (Sender<()>, Receiver<()>) = channel();
        let thread = std::thread::spawn(move || {
            let mut samples = vec![processes.sample(false)];
            while stopped.recv_timeout(Duration::from_secs(1)).is_err() {
                samples.push(processes.sample(false));
            }
            samples.push(processes.sample(true));
            samples
        });
        Self { stop, thread }
    }

    /// Has a last reading made, with PSS; waits for nothing.
    pub fn stop(&mut self) {
        let _ = self.stop.send(());
    }

    /// All readings; waits for the last, so `stop` comes before.
    pub fn finish(self) -> Vec<Sample> {
        drop(self.stop);
        self.thread.join().unwrap_or_default()
    }
}

/// What a window of readings cost: in all, per call-second of `calls`, and the readings themselves.
pub fn cost(samples: &[Sample], calls: u64) -> Value {
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else {
        return Value::Null;
    };
    let seconds = (last.at - first.at) as f64 / 1e9;
    let call_seconds = seconds * calls as f64;
    let cpu_ms = last.cpu_ms().saturating_sub(first.cpu_ms()) as f64;
    let running_ms = last.running_ns.saturating_sub(first.running_ns) as f64 / 1e6;
    let per = |value: f64, by: f64| {
        if by > 0.0 {
            json!((value / by * 1_000.0).round() / 1_000.0)
        } else {
            Value::Null
        }
    };
    let series: Vec<Value> = samples
        .windows(2)
        .map(|pair| {
            json!({
                "second": ((pair[1].at - first.at) as f64 / 1e8).round() / 10.0,
                "running_ms": pair[1].running_ns.saturating_sub(pair[0].running_ns) / 1_000_000,
                "rss_kib": pair[1].rss_kib,
            })
        })
        .collect();
    json!({
        "seconds": (seconds * 1e3).round() / 1e3,
        "user_ms": last.user_ms.saturating_sub(first.user_ms),
        "system_ms": last.system_ms.saturating_sub(first.system_ms),
        "running_ms": running_ms.round(),
        "core_percent": per(running_ms / 10.0, seconds),
        "cpu_ms_per_call_second": per(cpu_ms, call_seconds),
        "running_ms_per_call_second": per(running_ms, call_seconds),
        "switches_per_second": per((last.voluntary_switches.saturating_sub(first.voluntary_switches)) as f64, seconds),
        "forced_switches_per_second": per((last.forced_switches.saturating_sub(first.forced_switches)) as f64, seconds),
        "threads": last.threads,
        "descriptors": last.descriptors,
        "rss_kib": last.rss_kib,
        "pss_kib": last.pss_kib,
        "samples": series,
    })
}

/// What the calls added to the memory of an idle process.
pub fn growth(idle: &Sample, loaded: Option<&Sample>, calls: u64) -> Value {
    let Some(loaded) = loaded else {
        return Value::Null;
    };
    let per_call = |before: u64, after: u64| {
        ((after as f64 - before as f64) / calls.max(1) as f64 * 10.0).round() / 10.0
    };
    json!({
        "idle_rss_kib": idle.rss_kib,
        "idle_pss_kib": idle.pss_kib,
        "loaded_rss_kib": loaded.rss_kib,
        "loaded_pss_kib": loaded.pss_kib,
        "rss_kib_per_call": per_call(idle.rss_kib, loaded.rss_kib),
        "pss_kib_per_call": per_call(idle.pss_kib, loaded.pss_kib),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_columns() {
        let stat =
            "42 (py (x) y) S 1 42 42 0 -1 4194560 100 0 0 0 123 45 0 0 20 0 3 0 100 1000 200";
        assert_eq!(ticks(stat), Some((123, 45)));
        assert_eq!(ticks("nonsense"), None);
    }

    #[test]
    fn our_own_process_has_used_memory_and_has_a_thread() {
        let sample = Processes::new(&[std::process::id()]).sample(true);
        assert!(
            sample.rss_kib > 0
                && sample.pss_kib > 0
                && sample.threads >= 1
                && sample.descriptors > 2
        );
    }

    #[test]
    fn a_process_that_is_gone_costs_nothing() {
        let sample = Processes::new(&[u32::MAX]).sample(true);
        assert_eq!(Sample { at: 0, ..sample }, Sample::default());
    }

    #[test]
    fn the_cost_is_per_call_second() {
        let first = Sample {
            at: 0,
            user_ms: 100,
            system_ms: 100,
            running_ns: 200_000_000,
            ..Sample::default()
        };
        let last = Sample {
            at: 10_000_000_000,
            user_ms: 500,
            system_ms: 600,
            running_ns: 1_100_000_000,
            ..Sample::default()
        };
        let cost = cost(&[first, last], 100);
        assert_eq!(cost["cpu_ms_per_call_second"], 0.9);
        assert_eq!(cost["running_ms_per_call_second"], 0.9);
        assert_eq!(cost["core_percent"], 9.0);
    }

    #[test]
    fn the_machine_is_busy_where_it_is_not_idle() {
        let ticks = sys::clock_ticks();
        let before = Machine::parse("cpu  0 0 0 0 0 0 0 0 0 0\ncpu0 0\ncpu1 0\n", 0);
        let text = format!(
            "cpu  3 0 3 {} {ticks} 0 0 {ticks} 0 0\ncpu0 1\ncpu1 1\nintr 5\n",
            ticks * 5
        );
        let after = Machine::parse(&text, 10_000_000_000);
        let expected = json!({
            "cores": 2, "busy_core_percent": 140.0, "others_core_percent": 100.0, "stolen_core_percent": 10.0,
        });
        assert_eq!(after.to_json(before, 40.0), expected);
    }
}
