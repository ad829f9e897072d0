//! Which leg gets which port: an even one for RTP and the odd one above it for RTCP (RFC 3550 section 11).
//!
//! A port belongs to one media thread and may carry many legs, which its claims tell apart. [`PortAllocator`] gives each leg
//! the port on which it can be confused with the fewest others: one of its own while there are any, so that a wide range is
//! one call a port by the same rules.

mod allocator;
mod own;
mod port;
mod range;
mod tenant;
#[cfg(test)]
mod tests;

pub use allocator::{Left, Placement, PortAllocator, PortError, PortRequest, PortStats};
pub use own::is_of_this_host;
pub use port::{Port, PortId};
pub use range::{Family, PortRange};
pub use tenant::Expected;
