//! What the media threads tell, in one queue behind one descriptor.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use offhook_media_sys::{Driver, Wake};

use crate::clock::Time;
use crate::who_answered::{Facts, Who, Why};

/// Something that happened to one leg, wire, recording or connection of a worker.
#[derive(Debug)]
pub struct Event {
    /// When.
    pub at: Time,
    /// Whose.
    pub subject: Subject,
    /// What.
    pub what: What,
    /// What the event weighs in its wire's backlog, given back once Python has taken it.
    pub weight: Option<Weight>,
}

/// The leg, wire, recording or connection that an event belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A leg by its id.
    Leg(u64),
    /// A wire by its id.
    Wire(u64),
    /// A recording by its id.
    Recording(u64),
    /// A worker's connection by its id.
    Mux(u64),
}

/// What may happen. The Python side documents each kind in `_media.pyi`, under the name that `kind` gives.
#[derive(Debug, PartialEq)]
#[allow(
    missing_docs,
    reason = "each field has the name and meaning that `MediaEvent` documents"
)]
pub enum What {
    FirstPacket {
        source: SocketAddr,
    },
    SourceChanged {
        source: SocketAddr,
    },
    Digit {
        digit: Option<char>,
        duration_ms: u32,
        by: &'static str,
    },
    KeyByInfo {
        digit: char,
        duration_ms: u32,
    },
    SpeechStarted {
        position: u64,
    },
    SpeechEnded {
        position: u64,
        duration_ms: u32,
    },
    Mark {
        name: String,
        played: bool,
    },
    Cleared {
        played_ms: u64,
        dropped_ms: u64,
    },
    Interrupted {
        utterance: String,
        played_ms: u64,
        dropped_ms: u64,
        text: String,
        by: &'static str,
    },
    BargeIn {
        utterance: String,
    },
    Backchannel {
        utterance: String,
    },
    AnsweredBy {
        who: Who,
        why: Why,
        confidence: u8,
        at_ms: u32,
        facts: Facts,
    },
    GreetingOver {
        at_ms: u32,
        beep: Option<(u32, u32)>,
    },
    DetectionOver,
    Drained,
    MediaTimeout,
    Unauthentic {
        packets: u64,
    },
    KeyUsedUp,
    FirstAgentAudioSent,
    HangUpRequested,
    Unreachable {
        destination: SocketAddr,
    },
    Audio {
        pcm16: Vec<u8>,
        position: u64,
    },
    InternalError {
        place: String,
    },
    Connected {
        address: SocketAddr,
        subprotocol: Option<String>,
        timings: Timings,
    },
    Refused {
        status: u16,
        body: String,
    },
    Failed {
        code: &'static str,
        detail: String,
    },
    Text {
        text: String,
    },
    Stalled,
    Recovered,
    FirstAudioReceived,
    FirstCallerAudioSent,
    ProtocolError {
        code: &'static str,
        detail: String,
    },
    Closed {
        status: u16,
        reason: String,
        clean: bool,
        code: Option<&'static str>,
    },
    RecordingStarted,
    RecordingPaused {
        position_ms: u64,
    },
    RecordingResumed {
        position_ms: u64,
    },
    Recorded {
        samples: u64,
        dropped_frames: u64,
        file_bytes: u64,
        error: Option<String>,
    },
}

/// How long each step of a dial took.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Timings {
    /// Name resolution, 0 for an address.
    pub dns_ms: f64,
    /// TCP, over all addresses tried.
    pub tcp_ms: f64,
    /// TLS, 0 for `ws`.
    pub tls_ms: f64,
    /// The WebSocket upgrade.
    pub upgrade_ms: f64,
}

impl What {
    /// The name of the kind in Python.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::FirstPacket { .. } => "first_packet",
            Self::SourceChanged { .. } => "source_changed",
            Self::Digit { .. } => "digit",
            Self::KeyByInfo { .. } => "key_by_info",
            Self::SpeechStarted { .. } => "speech_started",
            Self::SpeechEnded { .. } => "speech_ended",
            Self::Mark { .. } => "mark",
            Self::Cleared { .. } => "cleared",
            Self::Interrupted { .. } => "interrupted",
            Self::BargeIn { .. } => "barge_in",
            Self::Backchannel { .. } => "backchannel",
            Self::AnsweredBy { .. } => "answered_by",
            Self::GreetingOver { .. } => "greeting_over",
            Self::DetectionOver => "detection_over",
            Self::Drained => "drained",
            Self::MediaTimeout => "media_timeout",
            Self::Unauthentic { .. } => "unauthentic",
            Self::KeyUsedUp => "key_used_up",
            Self::FirstAgentAudioSent => "first_agent_audio_sent",
            Self::HangUpRequested => "hang_up_requested",
            Self::Unreachable { .. } => "unreachable",
            Self::Audio { .. } => "audio",
            Self::InternalError { .. } => "internal_error",
            Self::Connected { .. } => "connected",
            Self::Refused { .. } => "refused",
            Self::Failed { .. } => "failed",
            Self::Text { .. } => "text",
            Self::Stalled => "stalled",
            Self::Recovered => "recovered",
            Self::FirstAudioReceived => "first_audio_received",
            Self::FirstCallerAudioSent => "first_caller_audio_sent",
            Self::ProtocolError { .. } => "protocol_error",
            Self::Closed { .. } => "closed",
            Self::RecordingStarted => "recording_started",
            Self::RecordingPaused { .. } => "recording_paused",
            Self::RecordingResumed { .. } => "recording_resumed",
            Self::Recorded { .. } => "recorded",
        }
    }

    /// Whether it may be dropped when Python is slow.
    #[must_use]
    pub fn is_droppable(&self) -> bool {
        matches!(self, Self::Audio { .. })
    }
}

/// Bytes of one wire's messages that wait for Python.
pub type Backlog = Arc<AtomicUsize>;

/// A share of a backlog that lasts as long as its event.
#[derive(Debug)]
pub struct Weight {
    backlog: Backlog,
    bytes: usize,
}

impl Weight {
    /// Add `bytes` to the backlog until this is dropped.
    #[must_use]
    pub fn new(backlog: &Backlog, bytes: usize) -> Self {
        backlog.fetch_add(bytes, Relaxed);
        Self {
            backlog: Arc::clone(backlog),
            bytes,
        }
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.backlog.fetch_sub(self.bytes, Relaxed);
    }
}

/// Droppable events that may wait a little, where somebody asks whether there is news: a tenth of a second of sound.
const FEW: usize = 5;

/// The queue between the media threads and Python.
///
/// Droppable events are limited in number; the newest is dropped and counted. The others are never dropped: their number is
/// limited where they come from, since a wire whose backlog grows too long is closed.
#[derive(Debug)]
pub struct EventQueue {
    inner: Mutex<Inner>,
    wake: Wake,
    limit: usize,
}

#[derive(Debug, Default)]
struct Inner {
    events: VecDeque<Event>,
    droppable: usize,
    dropped: u64,
    signalled: bool,
}

impl EventQueue {
    /// An empty queue for `limit` droppable events.
    ///
    /// # Errors
    /// When the process is out of descriptors.
    pub fn new(limit: usize, driver: Driver) -> io::Result<Self> {
        Ok(Self {
            inner: Mutex::default(),
            wake: Wake::new(driver)?,
            limit,
        })
    }

    /// Readable while events wait.
    #[must_use]
    pub fn descriptor(&self) -> RawFd {
        self.wake.descriptor()
    }

    /// Move all of `events` into the queue and wake the reader once.
    pub fn append(&self, events: &mut Vec<Event>) {
        if events.is_empty() {
            return;
        }
        let mut inner = self.lock();
        for event in events.drain(..) {
            if event.what.is_droppable() {
                if inner.droppable >= self.limit {
                    inner.dropped += 1;
                    continue;
                }
                inner.droppable += 1;
            }
            inner.events.push_back(event);
        }
        if !inner.signalled && !inner.events.is_empty() {
            inner.signalled = true;
            self.wake.wake();
        }
    }

    /// Take up to `max` events, oldest first; the descriptor is quiet once none is left.
    #[must_use]
    pub fn drain(&self, max: usize) -> Vec<Event> {
        let mut inner = self.lock();
        let count = max.min(inner.events.len());
        let taken: Vec<Event> = inner.events.drain(..count).collect();
        inner.droppable -= taken
            .iter()
            .filter(|event| event.what.is_droppable())
            .count();
        if inner.events.is_empty() && inner.signalled {
            inner.signalled = false;
            self.wake.reset();
        }
        taken
    }

    /// Whether more waits than a few droppable events.
    #[must_use]
    pub fn has_news(&self) -> bool {
        let inner = self.lock();
        inner.events.len() > inner.droppable || inner.droppable > FEW
    }

    /// Droppable events dropped so far.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    /// A thread that panicked while it held the lock has left whole events behind, so the queue stays usable.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(what: What) -> Event {
        Event {
            at: Time::ZERO,
            subject: Subject::Leg(1),
            what,
            weight: None,
        }
    }

    fn audio() -> Event {
        event(What::Audio {
            pcm16: Vec::new(),
            position: 0,
        })
    }

    #[test]
    fn audio_is_dropped_and_counted_and_nothing_else_is() {
        let queue = EventQueue::new(2, Driver::pick()).expect("a queue");
        for _ in 0..5 {
            queue.append(&mut vec![audio(), event(What::Drained)]);
        }
        let kinds: Vec<&str> = queue
            .drain(100)
            .iter()
            .map(|event| event.what.kind())
            .collect();
        assert_eq!(
            kinds,
            [
                "audio", "drained", "audio", "drained", "drained", "drained", "drained"
            ]
        );
        assert_eq!(queue.dropped(), 3);
        queue.append(&mut vec![audio()]);
        assert_eq!(queue.drain(100).len(), 1, "room again");
    }

    #[test]
    fn a_backlog_weighs_until_its_events_are_taken() {
        let queue = EventQueue::new(2, Driver::pick()).expect("a queue");
        let backlog = Backlog::default();
        for _ in 0..3 {
            let weight = Some(Weight::new(&backlog, 100));
            queue.append(&mut vec![Event {
                weight,
                ..event(What::Text { text: "x".into() })
            }]);
        }
        assert_eq!(backlog.load(Relaxed), 300);
        drop(queue.drain(2));
        assert_eq!(backlog.load(Relaxed), 100);
    }
}
