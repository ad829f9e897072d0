//! The names behind the marks of a playout queue.

use std::collections::VecDeque;

use crate::playout::MarkId;

/// Marks that have not left yet.
#[derive(Default)]
pub(super) struct Marks {
    last: u64,
    waiting: VecDeque<Mark>,
}

/// One of them.
pub(super) struct Mark {
    id: MarkId,
    /// The wire that set it, or Python.
    pub wire: Option<u64>,
    pub name: String,
}

impl Marks {
    /// Keep a name; its number goes into the queue.
    pub fn add(&mut self, wire: Option<u64>, name: &str) -> MarkId {
        self.last += 1;
        let id = MarkId(self.last);
        self.waiting.push_back(Mark {
            id,
            wire,
            name: name.to_owned(),
        });
        id
    }

    /// Let go of the one that has left. They leave in order, so the one asked for is at the front unless others were dropped.
    pub fn take(&mut self, id: MarkId) -> Option<Mark> {
        let index = self.waiting.iter().position(|mark| mark.id == id)?;
        self.waiting.remove(index)
    }
}
