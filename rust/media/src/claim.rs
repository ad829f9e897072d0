//! Which source belongs to which leg, and where a leg may send.
//!
//! One [`Intake`] a port. The engine asks it before it hands a packet to a leg, so that a packet of a stranger
//! never reaches a leg's order buffer, digits or agent. What we receive and where we send are two things: the
//! [`ClaimTable`] decides the first, [`send_to`] decides the second.

mod glimpse;
mod host;
mod intake;
mod latch;
mod network;
mod park;
mod policy;
mod table;
mod target;
mod tombstone;

pub use glimpse::{Glimpse, rtcp_ssrc};
pub use intake::{Authenticate, Intake, IntakeCounts, Judged, Waited};
pub use latch::SharedLatch;
pub use network::{Network, plain, plain_address};
pub use policy::Policy;
pub use table::{ClaimTable, Collision, Remote, Verdict};
pub use target::{is_sendable, is_unroutable, send_to};

/// The engine's name for a leg.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub struct LegKey(pub u32);
