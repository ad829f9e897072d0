//! The receiving half of a key: what is authentic and new.
use super::keys::{Master, Protocol};
use super::replay::{RTP_INDICES, Window};
use super::transform::{Place, Transform};
use super::{MAX_SOURCES, SrtpError, payload_offset, rtcp_ssrc, rtp_numbers};
use crate::clock::Time;

/// Sources that are remembered by their newest index alone.
const MAX_RETIRED: usize = 16;
/// No peer sends packets faster than each 10 ms.
const PACKET_MS: u128 = 10;
/// Rollovers that a peer may have gone through while nothing of it came: nearly six hours of packets of 20 ms.
const MAX_UNHEARD: u64 = 16;

/// What we receive under one master key. Nothing is remembered of a packet that is not authentic.
pub(super) struct Receiver {
    master: Master,
    rtp: Transform,
    rtcp: Transform,
    sources: [Option<Source>; MAX_SOURCES],
    /// Those that gave way to newer ones, so that nobody can play them again; the oldest is overwritten first.
    retired: [Option<Source>; MAX_RETIRED],
    next_retired: usize,
    clock: u64,
}

#[derive(Clone, Copy)]
struct Source {
    ssrc: u32,
    rtp: Option<Window>,
    rtcp: Option<Window>,
    used: u64,
    /// When the last authentic RTP packet came.
    heard: Time,
}

impl Receiver {
    pub fn new(master: &Master) -> Self {
        Receiver {
            rtp: Transform::new(master, Protocol::Rtp),
            rtcp: Transform::new(master, Protocol::Rtcp),
            sources: [None; MAX_SOURCES],
            retired: [None; MAX_RETIRED],
            next_retired: 0,
            clock: 0,
            master: master.clone(),
        }
    }

    pub fn master(&self) -> &Master {
        &self.master
    }

    /// Opens an RTP packet in place; its length without the tag. `rollovers` is what the peer may have counted to under an earlier key:
    /// some go on counting.
    pub fn unprotect_rtp(
        &mut self,
        now: Time,
        packet: &mut [u8],
        rollovers: u64,
    ) -> Result<usize, SrtpError> {
        let clear = payload_offset(packet).ok_or(SrtpError::Malformed)?;
        let (sequence, ssrc) = rtp_numbers(packet).ok_or(SrtpError::Malformed)?;
        let known = self.find(ssrc);
        let place = |index| Place { ssrc, index, clear };
        let (index, len) = match known.and_then(|source| Some((source.rtp?, source.heard))) {
            Some((window, heard)) => {
                let index = window.guess(sequence);
                let opened = if window.is_new(index) {
                    self.open(packet, place(index))
                } else {
                    Err(SrtpError::Replayed)
                };
                // The guess is right only for a peer of which nothing was lost for half a rollover: on hold a network may carry nothing for longer.
                let mut further =
                    (1..=rollovers_since(heard, now)).map(|more| index + (more << 16));
                let mut later = || {
                    further.find_map(|index| Some((index, self.open(packet, place(index)).ok()?)))
                };
                match opened {
                    Ok(len) => (index, len),
                    Err(error) => later().ok_or(error)?,
                }
            }
            None => {
                // Nothing says how often the number has rolled over. It has not, by section 3.3.1 (the sender begins in the lower half), or
                // has just done so, with the packets before it lost.
                let early = sequence < 0x8000;
                let tries = [
                    Some(0),
                    early.then_some(1),
                    (rollovers > 1).then_some(rollovers),
                ];
                let mut opened = Err(SrtpError::Forged);
                for rollovers in tries.into_iter().flatten() {
                    let index = rollovers << 16 | u64::from(sequence);
                    if let Ok(len) = self.open(packet, place(index)) {
                        opened = Ok((index, len));
                        break;
                    }
                }
                opened?
            }
        };
        let source = self.touch(ssrc);
        source.heard = now;
        match &mut source.rtp {
            Some(window) => window.add(index),
            none => *none = Some(Window::new(index)),
        }
        Ok(len)
    }

    /// Opens an RTCP packet in place; its length without index and tag.
    pub fn unprotect_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let ssrc = rtcp_ssrc(packet).ok_or(SrtpError::Malformed)?;
        let index = self.rtcp.rtcp_index(packet).ok_or(SrtpError::Malformed)?;
        let index = u64::from(index);
        let window = self.find(ssrc).and_then(|source| source.rtcp);
        if window.is_some_and(|window| !window.is_new(index)) {
            return Err(SrtpError::Replayed);
        }
        let opened = self.rtcp.open_rtcp(packet, ssrc);
        let len = opened.map_err(|_| SrtpError::Forged)?;
        match &mut self.touch(ssrc).rtcp {
            Some(window) => window.add(index),
            none => *none = Some(Window::new(index)),
        }
        Ok(len)
    }

    /// How often the sequence number of the source that was heard last has rolled over.
    pub fn rollovers(&self) -> u64 {
        let sources = self.sources.iter().flatten();
        let newest = sources
            .filter(|source| source.rtp.is_some())
            .max_by_key(|source| source.used);
        newest
            .and_then(|source| source.rtp)
            .map_or(0, |window| window.highest() >> 16)
    }

    #[cfg(test)]
    pub fn known(&self) -> (usize, usize) {
        let count = |slots: &[Option<Source>]| slots.iter().flatten().count();
        (count(&self.sources), count(&self.retired))
    }

    fn open(&self, packet: &mut [u8], place: Place) -> Result<usize, SrtpError> {
        if place.index >= RTP_INDICES {
            return Err(SrtpError::Exhausted);
        }
        let opened = self.rtp.open_rtp(packet, place);
        opened.map_err(|_| SrtpError::Forged)
    }

    fn find(&self, ssrc: u32) -> Option<Source> {
        let mut all = self.sources.iter().chain(&self.retired).flatten();
        all.find(|source| source.ssrc == ssrc).copied()
    }

    /// The entry of a source that has just proved itself; the one unheard for longest gives way to a new one.
    fn touch(&mut self, ssrc: u32) -> &mut Source {
        self.clock += 1;
        let known = self
            .sources
            .iter()
            .position(|slot| slot.is_some_and(|source| source.ssrc == ssrc));
        let at = known.unwrap_or_else(|| self.admit(ssrc));
        let source = self.sources[at].as_mut().expect("known or just admitted");
        source.used = self.clock;
        source
    }

    fn admit(&mut self, ssrc: u32) -> usize {
        let back = self
            .retired
            .iter_mut()
            .find(|slot| slot.is_some_and(|source| source.ssrc == ssrc));
        let source = back.and_then(Option::take).unwrap_or(Source {
            ssrc,
            rtp: None,
            rtcp: None,
            used: 0,
            heard: Time::ZERO,
        });
        let age = |slot: &Option<Source>| slot.map_or(0, |source| source.used);
        let oldest = (0..MAX_SOURCES).min_by_key(|&at| age(&self.sources[at]));
        let at = oldest.expect("there are some");
        if let Some(mut old) = self.sources[at].replace(source) {
            let beyond = |window: Window| Window::beyond(window.highest());
            old.rtp = old.rtp.map(beyond);
            old.rtcp = old.rtcp.map(beyond);
            self.retired[self.next_retired] = Some(old);
            self.next_retired = (self.next_retired + 1) % MAX_RETIRED;
        }
        at
    }
}

/// How many rollovers more than its newest packet tells a peer may have gone through that was heard last at `heard`.
fn rollovers_since(heard: Time, now: Time) -> u64 {
    let packets = (now - heard).as_millis() / PACKET_MS;
    // A guess is never further off than half a rollover.
    ((packets + 0x8000) >> 16).min(MAX_UNHEARD.into()) as u64
}
