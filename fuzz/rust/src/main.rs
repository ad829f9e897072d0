//! Seeded fuzzing of every reader and machine of the media core: `cargo run --profile checked -p offhook-fuzz -- --seconds 5`.
//!
//! A case is made from one 64-bit number alone. A finding prints that number; `--target NAME --case NUMBER` runs it again.
#![forbid(unsafe_code)]

mod mutate;
mod random;
mod target;

use random::Random;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::available_parallelism;
use std::time::{Duration, Instant, SystemTime};
use target::{TARGETS, Target};

/// A case that takes longer, and does so again, is a finding, in milliseconds.
const SLOW: u64 = 250;
/// A case that takes longer hangs.
const HANGS: Duration = Duration::from_secs(20);
/// Findings of one target after which the next target's turn has come.
const ENOUGH: u32 = 3;

const USAGE: &str =
    "offhook-fuzz [--seconds N] [--seed S] [--target NAME]... [--case NUMBER] [--list]
  --seconds N   for each target (5)
  --seed S      start of the random numbers; new each time, and printed
  --target T    only this one; may be repeated
  --case C      run this one case of the target, as a finding names it
  --jobs N      targets at a time; as many as there are processors
  --slow MS     a case that takes longer is a finding (250)
  --list        the names of the targets";

struct Options {
    seconds: f64,
    seed: u64,
    targets: Vec<&'static Target>,
    case: Option<u64>,
    jobs: usize,
    slow: Duration,
}

fn options() -> Result<Option<Options>, String> {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    let mut options = Options {
        seconds: 5.0,
        seed: Random::new(now.as_nanos() as u64).next() >> 32,
        targets: Vec::new(),
        case: None,
        jobs: available_parallelism().map_or(1, usize::from),
        slow: Duration::from_millis(SLOW),
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} wants a value"));
        let wrong = |value: String| format!("{word} {value}: not a number");
        match word.as_str() {
            "--seconds" => {
                let value = value()?;
                options.seconds = value.parse().map_err(|_| wrong(value))?;
            }
            "--seed" => {
                let value = value()?;
                options.seed = value.parse().map_err(|_| wrong(value))?;
            }
            "--jobs" => {
                let value = value()?;
                options.jobs = value.parse().map_err(|_| wrong(value))?;
            }
            "--slow" => {
                let value = value()?;
                let millis = value.parse().map_err(|_| wrong(value))?;
                options.slow = Duration::from_millis(millis);
            }
            "--case" => {
                let value = value()?;
                options.case = Some(value.parse().map_err(|_| wrong(value))?);
            }
            "--target" => {
                let name = value()?;
                let found = TARGETS.iter().find(|target| target.name == name);
                options
                    .targets
                    .push(found.ok_or(format!("no target {name}"))?);
            }
            "--list" => {
                TARGETS
                    .iter()
                    .for_each(|target| println!("{}", target.name));
                return Ok(None);
            }
            _ => return Err(USAGE.into()),
        }
    }
    if options.targets.is_empty() {
        options.targets.extend(TARGETS);
    }
    if options.case.is_some() && options.targets.len() != 1 {
        return Err("--case wants one --target".into());
    }
    Ok(Some(options))
}

/// Ends the process if one case never returns: the only way out of an endless loop.
struct Watchdog {
    case: Arc<AtomicU64>,
    begun: Arc<AtomicU64>,
    epoch: Instant,
}

impl Watchdog {
    fn new(name: &'static str) -> Self {
        let dog = Watchdog {
            case: Arc::default(),
            begun: Arc::new(AtomicU64::new(u64::MAX)),
            epoch: Instant::now(),
        };
        let (case, begun, epoch) = (Arc::clone(&dog.case), Arc::clone(&dog.begun), dog.epoch);
        std::thread::spawn(move || {
            while Arc::strong_count(&begun) > 1 {
                std::thread::sleep(Duration::from_millis(200));
                let since = begun.load(Ordering::Relaxed);
                if since != u64::MAX && epoch.elapsed() > HANGS + Duration::from_millis(since) {
                    let case = case.load(Ordering::Relaxed);
                    println!("{name}: FINDING hangs: --target {name} --case {case}");
                    std::process::exit(1);
                }
            }
        });
        dog
    }

    /// Runs one case; the time it took, or `None` if it panicked.
    fn run(&self, target: &Target, case: u64) -> Option<Duration> {
        self.case.store(case, Ordering::Relaxed);
        let begin = Instant::now();
        let since = self.epoch.elapsed().as_millis() as u64;
        self.begun.store(since, Ordering::Relaxed);
        let done = catch_unwind(AssertUnwindSafe(|| (target.run)(&mut Random::new(case))));
        self.begun.store(u64::MAX, Ordering::Relaxed);
        done.ok().map(|()| begin.elapsed())
    }
}

/// Cases and findings of one target.
fn fuzz(target: &'static Target, options: &Options) -> (u64, u32) {
    let dog = Watchdog::new(target.name);
    let until = Instant::now() + Duration::from_secs_f64(options.seconds);
    let (mut cases, mut findings) = (0, 0);
    while Instant::now() < until && findings < ENOUGH {
        let case = Random::seed_of(options.seed, target.name, cases);
        cases += 1;
        let mut took = dog.run(target, case);
        for _ in 0..2 {
            // A busy machine makes one case slow, but hardly the same one three times.
            if took.is_some_and(|took| took > options.slow) {
                took = took.min(dog.run(target, case));
            }
        }
        let wrong = match took {
            None => "panics".into(),
            Some(took) if took > options.slow => format!("takes {} ms", took.as_millis()),
            Some(_) => continue,
        };
        findings += 1;
        let name = target.name;
        println!("{name}: FINDING {wrong}: --target {name} --case {case}");
    }
    println!("{}: {cases} cases, {findings} findings", target.name);
    (cases, findings)
}

/// Cases and findings of all targets, some at a time.
fn fuzz_all(options: &Options) -> (u64, u32) {
    let next = AtomicUsize::new(0);
    let work = || {
        let (mut cases, mut findings) = (0, 0);
        while let Some(target) = options.targets.get(next.fetch_add(1, Ordering::Relaxed)) {
            let one = fuzz(target, options);
            (cases, findings) = (cases + one.0, findings + one.1);
        }
        (cases, findings)
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..options.jobs.max(1))
            .map(|_| scope.spawn(work))
            .collect();
        let found = workers
            .into_iter()
            .map(|worker| worker.join().expect("findings are caught"));
        found.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    })
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(Some(options)) => options,
        Ok(None) => return ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    if let Some(case) = options.case {
        (options.targets[0].run)(&mut Random::new(case));
        println!("{}: case {case} finds nothing", options.targets[0].name);
        return ExitCode::SUCCESS;
    }
    let (seed, count) = (options.seed, options.targets.len());
    println!("seed {seed}, {count} targets, {} s each", options.seconds);
    let (cases, findings) = fuzz_all(&options);
    println!("seed {seed}: {cases} cases, {findings} findings");
    ExitCode::from(u8::from(findings > 0))
}
