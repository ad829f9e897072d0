//! Helper threads that reach an agent: name, TCP, TLS, WebSocket upgrade. What they return is driven by a media thread.
//!
//! Nothing here runs per packet, so these threads may wait. Each step has a time limit, all together have one, and a dial
//! that is no longer wanted stops within `SLICE`.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::event::Timings;
use super::tls::{TlsConfigs, Trust};
use super::transport::Transport;
use crate::wire::AgentUrl;
use crate::wire::upgrade::{Upgrade, UpgradeError};
use steps::{SLICE, StepClock, ask, connect_any, literal, resolve, shake_hands};

mod steps;

/// A thread without work ends after this.
const IDLE: Duration = Duration::from_secs(10);
/// The system keeps at most this much audio on its way to the agent; more would only be late.
const SEND_BUFFER: usize = 64 * 1024;

/// One agent to be reached.
#[derive(Debug)]
pub struct Dial {
    /// Where it is.
    pub url: AgentUrl,
    /// What a `wss` server is judged by.
    pub trust: Trust,
    /// The upgrade request.
    pub request: Vec<u8>,
    /// What judges the answer to it.
    pub upgrade: Upgrade,
    /// The limit of each step.
    pub step: Duration,
    /// The limit of all steps together.
    pub total: Duration,
    /// Set when nobody waits for the outcome any more.
    pub cancelled: Arc<AtomicBool>,
}

/// What became of a dial.
#[derive(Debug)]
pub enum DialOutcome {
    /// The upgrade is done.
    Connected(Box<Connected>),
    /// The server answered the upgrade with something else.
    Refused {
        /// The HTTP status.
        status: u16,
        /// The start of the body, as text.
        body: String,
    },
    /// A step failed.
    Failed {
        /// `dns`, `tcp`, `tls`, `upgrade`, `timeout`, `overloaded` or `cancelled`.
        code: &'static str,
        /// What exactly.
        detail: String,
    },
}

/// An upgraded connection.
#[derive(Debug)]
pub struct Connected {
    /// The stream, non-blocking.
    pub transport: Transport,
    /// What came right behind the answer to the upgrade.
    pub early: Vec<u8>,
    /// The address that was reached.
    pub address: SocketAddr,
    /// The subprotocol that the server chose.
    pub subprotocol: Option<String>,
    /// How long each step took.
    pub timings: Timings,
}

struct Failure {
    code: &'static str,
    detail: String,
}

impl Failure {
    fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
        }
    }
}

type Report = Box<dyn FnOnce(DialOutcome) + Send>;

/// Threads that dial, made when needed and bounded, with a bounded queue before them.
pub struct DialPool {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    work: Condvar,
    max_threads: usize,
    max_queue: usize,
    tls: TlsConfigs,
}

#[derive(Default)]
struct State {
    queue: VecDeque<(Dial, Report)>,
    threads: usize,
    idle: usize,
    closed: bool,
}

impl DialPool {
    /// A pool of up to `max_threads` with up to `max_queue` dials waiting for one of them.
    #[must_use]
    pub fn new(max_threads: usize, max_queue: usize) -> Self {
        let shared = Shared {
            state: Mutex::default(),
            work: Condvar::new(),
            max_threads,
            max_queue,
            tls: TlsConfigs::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Dial on a helper thread and give the outcome to `report` there.
    pub fn submit(&self, dial: Dial, report: Report) {
        let mut state = self.shared.lock();
        if state.closed {
            drop(state);
            return report(DialOutcome::Failed {
                code: "cancelled",
                detail: "the engine is closed".into(),
            });
        }
        if state.idle <= state.queue.len() && state.threads < self.shared.max_threads {
            let shared = Arc::clone(&self.shared);
            match thread::Builder::new()
                .name("offhook-dial".into())
                .spawn(move || shared.run())
            {
                Ok(_) => state.threads += 1,
                Err(error) if state.threads == 0 => {
                    drop(state);
                    let detail = format!("no helper thread could be started: {error}");
                    return report(DialOutcome::Failed {
                        code: "overloaded",
                        detail,
                    });
                }
                Err(_) => {}
            }
        }
        if state.queue.len() >= self.shared.max_queue {
            drop(state);
            let detail = format!(
                "{} dials are waiting for a helper thread",
                self.shared.max_queue
            );
            return report(DialOutcome::Failed {
                code: "overloaded",
                detail,
            });
        }
        state.queue.push_back((dial, report));
        self.shared.work.notify_one();
    }

    /// Take no more work and let the threads end; the outcomes of what waits are reported as cancelled.
    pub fn close(&self) {
        let mut state = self.shared.lock();
        state.closed = true;
        let waiting: Vec<_> = state.queue.drain(..).collect();
        self.shared.work.notify_all();
        drop(state);
        for (_, report) in waiting {
            report(DialOutcome::Failed {
                code: "cancelled",
                detail: "the engine is closed".into(),
            });
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut state = self.lock();
        loop {
            if let Some((mut dial, report)) = state.queue.pop_front() {
                drop(state);
                let outcome =
                    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.dial(&mut dial)));
                report(outcome.unwrap_or_else(|_| DialOutcome::Failed {
                    code: "upgrade",
                    detail: "an internal error ended the dial".into(),
                }));
                state = self.lock();
                continue;
            }
            if state.closed {
                break;
            }
            state.idle += 1;
            let (woken, wait) = self
                .work
                .wait_timeout(state, IDLE)
                .unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if wait.timed_out() && state.queue.is_empty() {
                break;
            }
        }
        state.threads -= 1;
    }

    fn dial(&self, dial: &mut Dial) -> DialOutcome {
        match self.connect(dial) {
            Ok(outcome) => outcome,
            Err(failure) => DialOutcome::Failed {
                code: failure.code,
                detail: failure.detail,
            },
        }
    }

    fn connect(&self, dial: &mut Dial) -> Result<DialOutcome, Failure> {
        let clock = StepClock {
            step: dial.step,
            deadline: Instant::now() + dial.total,
            cancelled: Arc::clone(&dial.cancelled),
        };
        let url = &dial.url;
        let mut timings = Timings::default();
        let (addresses, ms) = clock.step("name look-up", |limit| resolve(url, limit))?;
        timings.dns_ms = if literal(url).is_some() { 0.0 } else { ms };
        let ((stream, address), ms) =
            clock.step("TCP connection", |limit| connect_any(&addresses, limit))?;
        timings.tcp_ms = ms;
        // A short frame every 20 ms must not wait for the acknowledgement of the last one.
        let _ = stream.set_nodelay(true);
        offhook_media_sys::shrink_send_buffer(&stream, SEND_BUFFER);
        let tcp = |error: io::Error| Failure::new("tcp", error.to_string());
        stream
            .set_nonblocking(false)
            .and_then(|()| stream.set_read_timeout(Some(SLICE)))
            .and_then(|()| stream.set_write_timeout(Some(SLICE)))
            .map_err(tcp)?;
        let tls = if url.tls {
            let config = self
                .tls
                .get(&dial.trust)
                .map_err(|why| Failure::new("tls", why))?;
            let (tls, ms) = clock.step("TLS handshake", |limit| {
                shake_hands(&stream, &url.host, config, limit)
            })?;
            timings.tls_ms = ms;
            Some(Box::new(tls))
        } else {
            None
        };
        let mut transport = Transport::new(stream, tls);
        let (request, upgrade) = (&dial.request, &mut dial.upgrade);
        let (answer, ms) = clock.step("WebSocket upgrade", |limit| {
            ask(&mut transport, request, upgrade, &url.host, limit)
        })?;
        timings.upgrade_ms = ms;
        Ok(match answer {
            Ok(upgraded) => {
                transport.stream().set_nonblocking(true).map_err(tcp)?;
                let (early, subprotocol) = (upgraded.leftover, upgraded.subprotocol);
                DialOutcome::Connected(Box::new(Connected {
                    transport,
                    early,
                    address,
                    subprotocol,
                    timings,
                }))
            }
            Err(UpgradeError::Refused {
                status,
                location,
                excerpt,
            }) => {
                let body = match location {
                    Some(location) => {
                        format!("it points to {location}; redirects are not followed")
                    }
                    None => excerpt,
                };
                DialOutcome::Refused { status, body }
            }
            Err(error) => {
                let hint = error.hint();
                let detail = if hint.is_empty() {
                    error.to_string()
                } else {
                    format!("{error}; {hint}")
                };
                DialOutcome::Failed {
                    code: "upgrade",
                    detail,
                }
            }
        })
    }
}
