//! What is done to one packet under the session keys of one protocol: sealed and opened, in place.
use super::counter_mode::CounterMode;
use super::gcm::Gcm;
use super::keys::{Master, Protocol};
use super::{INDEX_LEN, MAX_PACKET};

/// The bit of an RTCP packet's index word that says that it is encrypted (RFC 3711 section 3.4).
const ENCRYPTED: u32 = 1 << 31;
/// The part of an RTCP packet that stays readable: the first header with its SSRC.
pub(super) const RTCP_CLEAR: usize = 8;

/// The tag does not fit the packet and the keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Forged;

/// Where a packet stands in its stream, and how many of its bytes are not encrypted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub ssrc: u32,
    pub index: u64,
    pub clear: usize,
}

impl Place {
    /// Mixes SSRC and index into a salt, in the ten bytes that both modes have them in.
    pub fn add_to(&self, salt: &mut [u8]) {
        let ssrc = self.ssrc.to_be_bytes();
        let index = &self.index.to_be_bytes()[2..];
        for (byte, what) in salt.iter_mut().zip(ssrc.iter().chain(index)) {
            *byte ^= what;
        }
    }
}

/// The session keys of one protocol in one direction, ready for use. Each part overwrites itself when dropped.
pub(super) struct Transform {
    mode: Mode,
    tag_len: usize,
}

enum Mode {
    Counter(Box<CounterMode>),
    Gcm(Box<Gcm>),
}

impl Transform {
    pub fn new(master: &Master, protocol: Protocol) -> Self {
        let suite = master.suite();
        let keys = master.session(protocol);
        Transform {
            mode: if suite.is_aead() {
                Mode::Gcm(Box::new(Gcm::new(keys, suite.key_len())))
            } else {
                Mode::Counter(Box::new(CounterMode::new(keys, suite.key_len())))
            },
            tag_len: match protocol {
                Protocol::Rtp => suite.rtp_tag_len(),
                Protocol::Rtcp => suite.rtcp_tag_len(),
            },
        }
    }

    #[cfg(test)]
    pub fn of_gcm(gcm: Gcm) -> Self {
        Transform {
            mode: Mode::Gcm(Box::new(gcm)),
            tag_len: super::gcm::TAG,
        }
    }

    /// Bytes of the tag.
    pub fn tag_len(&self) -> usize {
        self.tag_len
    }

    /// Encrypts an RTP packet of `len` bytes and adds the tag, for which there is room behind it. Its new length.
    pub fn seal_rtp(&self, packet: &mut [u8], len: usize, place: Place) -> usize {
        let (packet, behind) = packet.split_at_mut(len);
        let tag = &mut behind[..self.tag_len];
        match &self.mode {
            Mode::Counter(mode) => {
                let whole = mode.seal(packet, place, &rollovers(place.index));
                tag.copy_from_slice(&whole[..self.tag_len]);
            }
            Mode::Gcm(mode) => {
                let (clear, text) = packet.split_at_mut(place.clear);
                tag.copy_from_slice(&mode.seal(place, clear, text));
            }
        }
        len + self.tag_len
    }

    /// Checks an RTP packet and then decrypts it; a forged one is left as it came. Its length without the tag.
    pub fn open_rtp(&self, packet: &mut [u8], place: Place) -> Result<usize, Forged> {
        let len = packet.len().checked_sub(self.tag_len).ok_or(Forged)?;
        if len < place.clear {
            return Err(Forged);
        }
        let (packet, tag) = packet.split_at_mut(len);
        match &self.mode {
            Mode::Counter(mode) => {
                mode.check(packet, &rollovers(place.index), tag)?;
                mode.add_key_stream(packet, place);
            }
            Mode::Gcm(mode) => {
                let (clear, text) = packet.split_at_mut(place.clear);
                mode.open(place, clear, text, tag)?;
            }
        }
        Ok(len)
    }

    /// Encrypts an RTCP packet of `len` bytes and adds index and tag, for which there is room behind it. Its new length.
    pub fn seal_rtcp(&self, packet: &mut [u8], len: usize, ssrc: u32, index: u32) -> usize {
        let place = rtcp_place(ssrc, index);
        let word = (ENCRYPTED | index).to_be_bytes();
        let (packet, behind) = packet.split_at_mut(len);
        match &self.mode {
            Mode::Counter(mode) => {
                let whole = mode.seal(packet, place, &word);
                let (index, tag) = behind.split_at_mut(INDEX_LEN);
                index.copy_from_slice(&word);
                tag[..self.tag_len].copy_from_slice(&whole[..self.tag_len]);
            }
            Mode::Gcm(mode) => {
                let (clear, text) = packet.split_at_mut(RTCP_CLEAR);
                let (tag, index) = behind.split_at_mut(self.tag_len);
                tag.copy_from_slice(&mode.seal(place, &rtcp_clear(clear, &word), text));
                index[..INDEX_LEN].copy_from_slice(&word);
            }
        }
        len + self.tag_len + INDEX_LEN
    }

    /// The index that an RTCP packet names; `None` if the packet is too short to have one.
    pub fn rtcp_index(&self, packet: &[u8]) -> Option<u32> {
        let (_, word, _) = self.take_apart(packet)?;
        Some(u32::from_be_bytes(word) & !ENCRYPTED)
    }

    /// Checks an RTCP packet and then decrypts it, if its index says that it is encrypted. Its length without index and tag.
    pub fn open_rtcp(&self, packet: &mut [u8], ssrc: u32) -> Result<usize, Forged> {
        let (len, word, tag) = self.take_apart(packet).ok_or(Forged)?;
        let number = u32::from_be_bytes(word);
        let place = rtcp_place(ssrc, number & !ENCRYPTED);
        let encrypted = number & ENCRYPTED != 0;
        let (packet, behind) = packet.split_at_mut(len);
        let tag = &behind[tag..tag + self.tag_len];
        match &self.mode {
            Mode::Counter(mode) => {
                mode.check(packet, &word, tag)?;
                if encrypted {
                    mode.add_key_stream(packet, place);
                }
            }
            Mode::Gcm(mode) if encrypted => {
                let (clear, text) = packet.split_at_mut(RTCP_CLEAR);
                mode.open(place, &rtcp_clear(clear, &word), text, tag)?;
            }
            Mode::Gcm(mode) => {
                // RFC 7714 section 9.3: all of it is clear, with the index behind it.
                let mut clear = [0; MAX_PACKET + INDEX_LEN];
                let clear = clear.get_mut(..len + INDEX_LEN).ok_or(Forged)?;
                clear[..len].copy_from_slice(packet);
                clear[len..].copy_from_slice(&word);
                mode.open(place, clear, &mut [], tag)?;
            }
        }
        Ok(len)
    }

    /// The length of an RTCP packet without index and tag, its index word, and where behind it the tag begins.
    fn take_apart(&self, packet: &[u8]) -> Option<(usize, [u8; INDEX_LEN], usize)> {
        let len = packet.len().checked_sub(self.tag_len + INDEX_LEN)?;
        if len < RTCP_CLEAR {
            return None;
        }
        let (word, tag) = match &self.mode {
            Mode::Counter(_) => (len, INDEX_LEN),
            Mode::Gcm(_) => (len + self.tag_len, 0),
        };
        Some((len, *packet[word..].first_chunk()?, tag))
    }
}

fn rtcp_place(ssrc: u32, index: u32) -> Place {
    Place {
        ssrc,
        index: u64::from(index),
        clear: RTCP_CLEAR,
    }
}

/// The rollover counter, which no packet carries and every tag is over.
fn rollovers(index: u64) -> [u8; INDEX_LEN] {
    ((index >> 16) as u32).to_be_bytes()
}

/// What of an encrypted RTCP packet GCM only authenticates (RFC 7714 section 9.2).
fn rtcp_clear(clear: &[u8], word: &[u8; INDEX_LEN]) -> [u8; RTCP_CLEAR + INDEX_LEN] {
    let mut both = [0; RTCP_CLEAR + INDEX_LEN];
    both[..RTCP_CLEAR].copy_from_slice(clear);
    both[RTCP_CLEAR..].copy_from_slice(word);
    both
}
