//! A leg as Python holds it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::command::{Agreed, Command, DigitMask, LegCommand, Prompt};
use super::error::MediaError;
use super::ports::{Expected, Family, Port, PortId, PortRequest};
use super::shared::{Shared, Thread};
use super::wire_handle::WireHandle;
use crate::barge_in;
use crate::claim::Policy;
use crate::leg::RemoteMedia;
use crate::melody::Melody;
use crate::stats::LegStats;
use crate::telephone_event::{Digit, KeyTiming};
use crate::who_answered::Stage;

/// One RTP leg, seen from Python. Dropping it closes the leg.
pub struct LegHandle {
    pub(super) id: u64,
    pub(super) shared: Arc<Shared>,
    pub(super) thread: Arc<Thread>,
    pub(super) stats: Arc<LegStats>,
    pub(super) place: Mutex<Place>,
    pub(super) closed: AtomicBool,
}

/// Where a leg is, as far as Python has been told.
pub(super) struct Place {
    /// The port that our SDP names by what was agreed last.
    pub current: Spot,
    /// The one that was found since then, and for which remote address.
    pub next: Option<(Spot, SocketAddr)>,
    /// What is known of the far side.
    pub expected: Expected,
}

/// A port, but not its sockets: those close with their legs.
#[derive(Clone, Copy)]
pub(super) struct Spot {
    pub id: PortId,
    pub address: SocketAddr,
}

impl Spot {
    pub fn of(port: &Port) -> Self {
        Self {
            id: port.id,
            address: port.address,
        }
    }
}

impl Place {
    fn named(&self) -> Spot {
        self.next.map_or(self.current, |(next, _)| next)
    }
}

impl LegHandle {
    /// The number of its media thread.
    #[must_use]
    pub fn thread(&self) -> usize {
        self.thread.number
    }

    /// Unique among legs and wires of the engine.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The port that our SDP has to name, and what it is bound to.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.place_now().named().address
    }

    /// The leg's counters.
    #[must_use]
    pub fn stats(&self) -> &LegStats {
        &self.stats
    }

    /// Our SDP is about to name a port again, for a peer whose media is at `remote` now: what it has to name. That is another
    /// port if the leg could be confused with others where it is; it has both then, until it is heard on the new one.
    ///
    /// # Errors
    /// `NoPort` where there is none for it, `NoFamily`, `System`, `Overloaded`.
    pub fn place(&self, remote: SocketAddr) -> Result<SocketAddr, MediaError> {
        let mut place = self.place_now();
        if let Some((next, asked)) = place.next {
            if asked == remote {
                return Ok(next.address);
            }
            self.send(LegCommand::Unplace)?;
            place.next = None;
        }
        let now = self.shared.watch.now();
        let request = PortRequest {
            leg: self.id,
            family: Family::of(remote.ip()),
            expected: Expected {
                remote: Some(remote),
                ..place.expected.clone()
            },
            thread: Some(self.thread.number),
            load: &self.shared.loads(),
        };
        let found = self
            .shared
            .ports()
            .place(place.current.id, request, now.as_nanos())?;
        let Some(placement) = found else {
            return Ok(place.current.address);
        };
        let next = Spot::of(&placement.port);
        if let Err(error) = self.send(LegCommand::Place(placement)) {
            self.shared.leave_port(next.id, self.id, now);
            return Err(error);
        }
        place.next = Some((next, remote));
        Ok(next.address)
    }

    /// Set or change what was negotiated.
    ///
    /// # Errors
    /// `BadConfig` for a value outside its range, `Collision`, `NoFamily`, `Overloaded`.
    pub fn set_remote(&self, mut remote: RemoteMedia, policy: Policy) -> Result<(), MediaError> {
        let types = remote.receive_types.iter().map(|(number, _)| *number);
        let types = types
            .chain([remote.payload_type])
            .chain(remote.dtmf_send)
            .chain(remote.dtmf_receive.iter().copied());
        for number in types {
            if number > 127 {
                return Err(MediaError::BadConfig(format!(
                    "payload type {number} is above 127"
                )));
            }
        }
        if !(10..=60).contains(&remote.ptime_ms) {
            return Err(MediaError::BadConfig("ptime_ms: 10 to 60".to_owned()));
        }
        let mut place = self.place_now();
        let named = place.named();
        if let Some(rtp) = remote.rtp {
            let family = Family::of(rtp.ip());
            if family != Family::of(named.address.ip()) {
                return Err(MediaError::NoFamily(family.name()));
            }
        }
        let expected = Expected {
            remote: remote.rtp.or(place.expected.remote),
            policy: Some(policy.clone()),
        };
        let mut ports = self.shared.ports();
        let is_own = |address: &SocketAddr| ports.is_own(*address);
        // Our own ports as the far side: a circle, and whoever asks for it may not have it.
        if remote.rtp.as_ref().is_some_and(is_own) {
            remote.rtp = None;
            remote.rtcp = None;
        } else if remote.rtcp.as_ref().is_some_and(is_own) {
            remote.rtcp = None;
        }
        if !ports.set_remote(named.id, self.id, expected.clone()) {
            let taken = expected.remote.unwrap_or(named.address);
            return Err(MediaError::Collision(taken));
        }
        drop(ports);
        self.send(LegCommand::SetRemote(Box::new(Agreed {
            remote,
            policy,
            port: named.id,
        })))?;
        place.current = named;
        place.next = None;
        place.expected = expected;
        Ok(())
    }

    /// Let RTP flow; once more when the call is answered after early media.
    ///
    /// # Errors
    /// `Overloaded`, as all commands below.
    pub fn start(&self, release_after: Option<Duration>) -> Result<(), MediaError> {
        self.send(LegCommand::Start { release_after })
    }

    /// Let agent audio leave.
    #[allow(clippy::missing_errors_doc)]
    pub fn release(&self) -> Result<(), MediaError> {
        self.send(LegCommand::Release)
    }

    /// Join with a wire, or part. `deaf`: its agent is heard, and hears nothing before it is joined again without.
    ///
    /// # Errors
    /// `WrongThread`, `Overloaded`.
    pub fn connect(&self, wire: Option<&WireHandle>, deaf: bool) -> Result<(), MediaError> {
        if wire.is_some_and(|wire| wire.thread.number != self.thread.number) {
            return Err(MediaError::WrongThread);
        }
        let wire = wire.map(|wire| wire.id);
        self.send(LegCommand::Connect { wire, deaf })
    }

    /// Play what the caller says back.
    #[allow(clippy::missing_errors_doc)]
    pub fn echo(&self, on: bool) -> Result<(), MediaError> {
        self.send(LegCommand::Echo(on))
    }

    /// What the caller's speech does to what the agent says, unless that says so itself; `None` for the default.
    #[allow(clippy::missing_errors_doc)]
    pub fn barge_in(&self, policy: Option<barge_in::Policy>) -> Result<(), MediaError> {
        self.send(LegCommand::BargeIn(policy))
    }

    /// Listen for who has answered, for `limit_ms` at most; `None` for no longer.
    #[allow(clippy::missing_errors_doc)]
    pub fn detect(&self, stage: Option<Stage>, limit_ms: u32) -> Result<(), MediaError> {
        self.send(LegCommand::Detect(stage, limit_ms))
    }

    /// What the caller hears while we hold it; `None` for silence.
    #[allow(clippy::missing_errors_doc)]
    pub fn hold_music(&self, melody: Option<Arc<Melody>>) -> Result<(), MediaError> {
        self.send(LegCommand::Music(melody))
    }

    /// Append linear audio to the playout queue.
    ///
    /// # Errors
    /// `BadConfig` for an odd number of bytes or another rate, `Overloaded`.
    pub fn play(&self, pcm16: Vec<u8>, rate: u32, mark: Option<String>) -> Result<(), MediaError> {
        if !crate::convert::AudioFormat::pcm16(rate).is_supported() {
            return Err(MediaError::BadConfig(
                "rate: 8000, 16000, 24000 or 48000".to_owned(),
            ));
        }
        if !pcm16.len().is_multiple_of(2) {
            return Err(MediaError::BadConfig(
                "pcm16: a sample has two bytes".to_owned(),
            ));
        }
        self.send(LegCommand::Play(Box::new(Prompt { pcm16, rate, mark })))
    }

    /// Drop what has not left.
    #[allow(clippy::missing_errors_doc)]
    pub fn clear(&self) -> Result<(), MediaError> {
        self.send(LegCommand::Clear)
    }

    /// Tell what the caller says.
    #[allow(clippy::missing_errors_doc)]
    pub fn tap(&self, on: bool) -> Result<(), MediaError> {
        self.send(LegCommand::Tap(on))
    }

    /// A press that signalling has told of: told as others are, once.
    ///
    /// # Errors
    /// `BadConfig` for what is no digit, `Overloaded`.
    pub fn press(&self, digit: char, duration: Duration) -> Result<(), MediaError> {
        let digit = Digit::from_char(digit)
            .ok_or_else(|| MediaError::BadConfig(format!("{digit:?} is no digit")))?;
        self.send(LegCommand::Press(digit, duration))
    }

    /// Who may know from now on which keys the caller presses.
    #[allow(clippy::missing_errors_doc)]
    pub fn mask_digits(&self, mask: DigitMask) -> Result<(), MediaError> {
        self.send(LegCommand::MaskDigits(mask))
    }

    /// [`LegHandle::send_dtmf_timed`] with the usual timing.
    #[allow(clippy::missing_errors_doc)]
    pub fn send_dtmf(&self, digits: &str) -> Result<(), MediaError> {
        self.send_dtmf_timed(digits, KeyTiming::default())
    }

    /// Send digits.
    ///
    /// # Errors
    /// `BadConfig` for what is no digit or beyond [`KeyTiming::POSSIBLE`], `Overloaded`.
    pub fn send_dtmf_timed(&self, digits: &str, timing: KeyTiming) -> Result<(), MediaError> {
        if !(KeyTiming::POSSIBLE.contains(&timing.lasts)
            && KeyTiming::POSSIBLE.contains(&timing.gap))
        {
            return Err(MediaError::BadConfig(
                "digits and gaps last 40 to 8000 ms".to_owned(),
            ));
        }
        if let Some(other) = digits
            .chars()
            .find(|digit| Digit::from_char(*digit).is_none())
        {
            return Err(MediaError::BadConfig(format!("{other:?} is no digit")));
        }
        self.send(LegCommand::SendDtmf(digits.into(), timing))
    }

    /// Tell when all that is queued has left.
    #[allow(clippy::missing_errors_doc)]
    pub fn drain(&self) -> Result<(), MediaError> {
        self.send(LegCommand::Drain)
    }

    /// Stop and free the ports. May be repeated.
    pub fn close(&self) {
        if !self.closed.swap(true, Relaxed) {
            self.thread
                .send_surely(Command::Leg(self.id, LegCommand::Close));
        }
    }

    fn place_now(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn send(&self, command: LegCommand) -> Result<(), MediaError> {
        self.thread.send(Command::Leg(self.id, command))
    }
}

impl Drop for LegHandle {
    fn drop(&mut self) {
        self.close();
    }
}
