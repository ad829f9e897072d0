//! The recorder's thread: the only one of the engine that touches a disk. It looks at the rings of all recordings every so often.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::event::{Event, Subject, What};
use super::shared::Shared;
use crate::clock::Time;
use crate::recorder::{Outcome, Recording};

/// How often the rings are looked at; each holds some seconds.
const TURN: Duration = Duration::from_millis(50);

/// The thread, once there is something to record, and what it is given.
#[derive(Default)]
pub(super) struct Recorder {
    inbox: Arc<Inbox>,
    join: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Inbox {
    waiting: Mutex<Waiting>,
    rung: Condvar,
}

#[derive(Default)]
struct Waiting {
    new: Vec<New>,
    closed: bool,
}

/// A recording to be written, and where.
pub(super) struct New {
    pub id: u64,
    pub path: PathBuf,
    pub recording: Recording<File>,
}

impl Inbox {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recorder {
    /// Write this one too.
    ///
    /// # Errors
    /// As the system says where the thread can't be started.
    pub fn add(&self, new: New, shared: &Arc<Shared>) -> io::Result<()> {
        let mut join = self.join.lock().unwrap_or_else(PoisonError::into_inner);
        if join.is_none() {
            let (inbox, shared) = (Arc::clone(&self.inbox), Arc::clone(shared));
            let work = move || run(&inbox, &shared);
            let thread = thread::Builder::new().name("offhook-recorder".to_owned());
            *join = Some(thread.spawn(work)?);
        }
        self.inbox.waiting().new.push(new);
        self.inbox.rung.notify_one();
        Ok(())
    }

    /// Write what the rings still hold, and end. To be called when the media threads have ended.
    pub fn close(&self) {
        self.inbox.waiting().closed = true;
        self.inbox.rung.notify_one();
        let mut join = self.join.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(join) = join.take() {
            // One that panicked has left files behind that are whole up to there.
            let _ = join.join();
        }
    }
}

fn run(inbox: &Inbox, shared: &Shared) {
    let mut active: Vec<(u64, Recording<File>)> = Vec::new();
    loop {
        let mut waiting = inbox.waiting();
        while waiting.new.is_empty() && active.is_empty() && !waiting.closed {
            waiting = inbox
                .rung
                .wait(waiting)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if waiting.new.is_empty() && !waiting.closed {
            let waited = inbox.rung.wait_timeout(waiting, TURN);
            waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let new = std::mem::take(&mut waiting.new);
        let closed = waiting.closed;
        drop(waiting);
        for mut new in new {
            // Nobody else may read it, and nothing that is there is written over.
            let file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&new.path);
            new.recording.open(file);
            active.push((new.id, new.recording));
        }
        let mut events = Vec::new();
        active.retain_mut(|(id, recording)| match recording.turn() {
            Some(outcome) => {
                events.push(recorded(*id, outcome, shared.watch.now()));
                false
            }
            // Its leg is gone without a word if the engine has ended.
            None => !closed,
        });
        shared.events.append(&mut events);
        if closed {
            return;
        }
    }
}

fn recorded(id: u64, outcome: Outcome, at: Time) -> Event {
    Event {
        at,
        subject: Subject::Recording(id),
        what: What::Recorded {
            samples: outcome.samples,
            dropped_frames: outcome.dropped_frames,
            file_bytes: outcome.bytes,
            error: outcome.error.map(|error| error.to_string()),
        },
        weight: None,
    }
}
