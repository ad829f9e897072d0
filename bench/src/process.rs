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

/// Ticks of the whole machine since it started.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine {
    busy: u64,
    idle: u64,
    steal: u64,
}

impl Machine {
    /// Reads `/proc/stat`.
    pub fn sample() -> Self {
        Self::parse(&fs::read_to_string("/proc/stat").unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        let words: Vec<u64> = text
            .lines()
            .next()
            .unwrap_or_default()
            .split_ascii_whitespace()
            .skip(1)
            .filter_map(|word| word.parse().ok())
            .collect();
        let at = |index: usize| words.get(index).copied().unwrap_or(0);
        Self {
            busy: at(0) + at(1) + at(2) + at(5) + at(6),
            idle: at(3) + at(4),
            steal: at(7),
        }
    }

    /// Shares of all cores since `before`: busy, and stolen by other guests of the host.
    pub fn to_json(self, before: Self) -> Value {
        let (busy, idle, steal) = (
            self.busy - before.busy,
            self.idle - before.idle,
            self.steal - before.steal,
        );
        let percent = |part: u64| {
            (part as f64 * 1_000.0 / (busy + idle + steal).max(1) as f64).round() / 10.0
        };
        json!({ "busy_percent": percent(busy), "stolen_percent": percent(steal) })
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
    fn the_machine_is_busy_by_share() {
        let before = Machine::parse("cpu  0 0 0 0 0 0 0 0 0 0\n");
        let after = Machine::parse("cpu  10 0 10 70 5 0 0 5 0 0\ncpu0 1 1 1\n");
        assert_eq!(
            after.to_json(before),
            json!({"busy_percent": 20.0, "stolen_percent": 5.0})
        );
    }
}
