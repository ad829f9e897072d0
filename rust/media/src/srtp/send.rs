//! The sending half of a key: which index is next.
use super::keys::{Master, Protocol};
use super::replay::{RTCP_INDICES, RTP_INDICES, Window};
use super::transform::{Place, RTCP_CLEAR, Transform};
use super::{INDEX_LEN, MAX_SOURCES, SrtpError, payload_offset, rtcp_ssrc, rtp_numbers};

/// What we send under one master key. An index is never used twice, so it has to live as long as its key.
pub(super) struct Sender {
    master: Master,
    rtp: Transform,
    rtcp: Transform,
    sources: [Option<Source>; MAX_SOURCES],
}

#[derive(Clone, Copy)]
struct Source {
    ssrc: u32,
    /// What has been used.
    used: Option<Window>,
    next_rtcp: u64,
}

impl Sender {
    pub fn new(master: &Master) -> Self {
        Sender {
            rtp: Transform::new(master, Protocol::Rtp),
            rtcp: Transform::new(master, Protocol::Rtcp),
            sources: [None; MAX_SOURCES],
            master: master.clone(),
        }
    }

    pub fn master(&self) -> &Master {
        &self.master
    }

    /// Seals the RTP packet in the first `len` bytes; its new length.
    pub fn protect_rtp(&mut self, packet: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let whole = packet.get(..len).ok_or(SrtpError::NoRoom)?;
        let clear = payload_offset(whole).ok_or(SrtpError::Malformed)?;
        let (sequence, ssrc) = rtp_numbers(whole).ok_or(SrtpError::Malformed)?;
        if packet.len() - len < self.rtp.tag_len() {
            return Err(SrtpError::NoRoom);
        }
        let source = source(&mut self.sources, ssrc)?;
        // Nothing comes before the first packet; of those after it one may come behind its successors, once.
        let first = Window::beyond(u64::from(sequence));
        let index = source
            .used
            .map_or(first.highest(), |used| used.guess(sequence));
        if source.used.is_some_and(|used| !used.is_new(index)) {
            return Err(SrtpError::IndexUsed);
        }
        if index >= RTP_INDICES {
            return Err(SrtpError::Exhausted);
        }
        source.used.get_or_insert(first).add(index);
        Ok(self.rtp.seal_rtp(packet, len, Place { ssrc, index, clear }))
    }

    /// Seals the RTCP packet in the first `len` bytes; its new length.
    pub fn protect_rtcp(&mut self, packet: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let whole = packet.get(..len).ok_or(SrtpError::NoRoom)?;
        let ssrc = rtcp_ssrc(whole)
            .filter(|_| len >= RTCP_CLEAR)
            .ok_or(SrtpError::Malformed)?;
        if packet.len() - len < self.rtcp.tag_len() + INDEX_LEN {
            return Err(SrtpError::NoRoom);
        }
        let source = source(&mut self.sources, ssrc)?;
        let index = source.next_rtcp;
        if index >= RTCP_INDICES {
            return Err(SrtpError::Exhausted);
        }
        source.next_rtcp += 1;
        Ok(self.rtcp.seal_rtcp(packet, len, ssrc, index as u32))
    }

    #[cfg(test)]
    pub fn begin_at(&mut self, ssrc: u32, newest: u64, next_rtcp: u64) {
        let source = source(&mut self.sources, ssrc).expect("room");
        source.used = Some(Window::beyond(newest));
        source.next_rtcp = next_rtcp;
    }
}

/// None is ever forgotten, since its indices would begin anew.
fn source(sources: &mut [Option<Source>], ssrc: u32) -> Result<&mut Source, SrtpError> {
    let known = |slot: &Option<Source>| slot.is_none_or(|source| source.ssrc == ssrc);
    let slot = sources.iter_mut().find(|slot| known(slot));
    let slot = slot.ok_or(SrtpError::TooManySources)?;
    Ok(slot.get_or_insert(Source {
        ssrc,
        used: None,
        next_rtcp: 0,
    }))
}
