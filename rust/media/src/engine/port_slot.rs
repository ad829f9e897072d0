//! One port of a media thread: its sockets, and whose the packets are that come there.

use std::sync::Arc;

use super::ports::Port;
use crate::claim::{Intake, IntakeCounts};

/// With more legs than these a port is read many datagrams at a time.
const MANY_LEGS: usize = 4;

/// One port.
pub(super) struct PortSlot {
    pub port: Arc<Port>,
    pub intake: Intake,
    /// What each socket said last of the datagrams that it has dropped: RTP, RTCP.
    overflow: [u32; 2],
    told: IntakeCounts,
}

impl PortSlot {
    pub fn new(port: Arc<Port>) -> Self {
        Self {
            port,
            intake: Intake::new(),
            overflow: [0; 2],
            told: IntakeCounts::default(),
        }
    }

    /// Whether many calls share it.
    pub fn is_crowded(&self) -> bool {
        self.intake.claims().len() > MANY_LEGS
    }

    /// How many datagrams were dropped since the socket's running count was looked at last.
    pub fn dropped_since(&mut self, rtcp: bool, count: u32) -> u64 {
        let seen = &mut self.overflow[usize::from(rtcp)];
        u64::from(count.wrapping_sub(std::mem::replace(seen, count)))
    }

    /// What the intake has counted since this was asked last.
    pub fn counted(&mut self) -> IntakeCounts {
        let now = self.intake.counts();
        let before = std::mem::replace(&mut self.told, now);
        IntakeCounts {
            parked: now.parked - before.parked,
            unclaimed: now.unclaimed - before.unclaimed,
            stragglers: now.stragglers - before.stragglers,
            refused: now.refused - before.refused,
        }
    }
}
