//! How a leg is opened: its port with an immediate answer, its random values, its place on a media thread; and what records it.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::command::{Command, LegCommand, NewLeg};
use super::leg_handle::{LegHandle, Place, Spot};
use super::ports::{Expected, PortRequest};
use super::recording_handle::{RecordingHandle, RecordingSettings};
use super::settings::LegSettings;
use super::{Engine, MediaError, recorder};
use crate::claim::Policy;
use crate::leg::{Leg, LegConfig};
use crate::playout::PlayoutConfig;
use crate::recorder::{Recording, RecordingConfig};

/// After the last frame of a drained queue the peer's own buffer plays for about so long.
const DRAIN_LINGER: Duration = Duration::from_millis(100);
/// Seconds from 1900, where NTP begins, to 1970.
const NTP_TO_UNIX: u64 = 2_208_988_800;

impl Engine {
    /// Give a leg a port on which it can be told apart, on the least busy media thread or that of `beside`.
    ///
    /// # Errors
    /// `NoPort`, `NoFamily`, `TooMany`, `Closed`, `Overloaded` or `System`.
    pub fn open_leg(
        &self,
        settings: &LegSettings,
        beside: Option<&LegHandle>,
    ) -> Result<LegHandle, MediaError> {
        self.check_open()?;
        let slot = self.take_slot(&self.shared.counters.legs, self.settings.max_legs, "legs")?;
        let now = self.shared.watch.now();
        let id = self.next_id.fetch_add(1, Relaxed);
        let leg = Leg::new(self.leg_config(settings, now.as_nanos())?, now);
        let stats = leg.shared_stats();
        let expected = Expected {
            remote: settings.remote,
            policy: settings.policy.clone(),
        };
        let request = PortRequest {
            leg: id,
            family: settings.family(&self.settings.addresses),
            expected: expected.clone(),
            thread: beside.map(|leg| leg.thread.number),
            load: &self.shared.loads(),
        };
        let mut ports = self.shared.ports();
        if let Some(own) = settings.sdp_address {
            ports.tell_own(own);
        }
        let placement = ports.open(request, now.as_nanos())?;
        drop(ports);
        let thread = Arc::clone(&self.workers[placement.port.thread]);
        let current = Spot::of(&placement.port);
        let new = NewLeg {
            id,
            placement,
            policy: settings.policy.clone().unwrap_or_else(Policy::nobody),
            source: settings.source(),
            leg,
        };
        self.shared.load[thread.number].fetch_add(1, Relaxed);
        if let Err(error) = thread.send(Command::OpenLeg(Box::new(new))) {
            self.shared.load[thread.number].fetch_sub(1, Relaxed);
            self.shared.leave_port(current.id, id, now);
            return Err(error);
        }
        std::mem::forget(slot);
        Ok(LegHandle {
            id,
            shared: Arc::clone(&self.shared),
            thread,
            stats,
            place: Mutex::new(Place {
                current,
                next: None,
                expected,
            }),
            closed: AtomicBool::new(false),
        })
    }

    /// Begin to record what a leg hears and sends, to a file that another thread writes; events tell the rest.
    ///
    /// # Errors
    /// `BadConfig`, `Closed`, `Overloaded` or `System`.
    pub fn record(
        &self,
        settings: &RecordingSettings,
        leg: &LegHandle,
    ) -> Result<RecordingHandle, MediaError> {
        self.check_open()?;
        settings.check()?;
        let id = self.next_id.fetch_add(1, Relaxed);
        let (tap, recording) = Recording::new(&RecordingConfig {
            format: settings.format,
            rate: settings.rate,
            seal: settings.seal.clone(),
        });
        // First the leg, which may have no room for the command: a tap that is let go of ends its recording.
        leg.thread
            .send(Command::Leg(leg.id, LegCommand::Record(id, Box::new(tap))))?;
        let new = recorder::New {
            id,
            path: settings.path.clone(),
            recording,
        };
        self.recorder
            .add(new, &self.shared)
            .map_err(|error| MediaError::System {
                doing: "starting the recorder's thread",
                error,
            })?;
        Ok(RecordingHandle {
            id,
            leg: leg.id,
            thread: Arc::clone(&leg.thread),
        })
    }

    fn leg_config(&self, settings: &LegSettings, now_ns: u64) -> Result<LegConfig, MediaError> {
        let random: [u8; 34] = self.random_bytes()?;
        let word = |at: usize| {
            u32::from_be_bytes([random[at], random[at + 1], random[at + 2], random[at + 3]])
        };
        let long = |at: usize| u64::from(word(at)) << 32 | u64::from(word(at + 4));
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let zero = wall.saturating_sub(Duration::from_nanos(now_ns));
        let fraction = (u64::from(zero.subsec_nanos()) << 32) / 1_000_000_000;
        Ok(LegConfig {
            ssrc: word(0),
            // In the lower half: the first rollover is far, and SRTP counts them (RFC 3711 section 3.3.1).
            first_sequence: u16::from_be_bytes([random[4], random[5]]) & 0x7fff,
            first_timestamp: word(6),
            seed: long(10),
            // 96 random bits, which RFC 7022 section 4.2 wants of a short-lived name.
            cname: if settings.cname.is_empty() {
                format!("{:016x}{:08x}", long(18), word(26))
            } else {
                settings.cname.clone()
            },
            ntp_at_zero: (zero.as_secs() + NTP_TO_UNIX) << 32 | fraction,
            media_timeout: settings.media_timeout,
            drain_linger: DRAIN_LINGER,
            policy: settings.policy.clone().unwrap_or_else(Policy::nobody),
            playout: PlayoutConfig {
                capacity: settings.playout_limit,
                ..PlayoutConfig::default()
            },
        })
    }
}
