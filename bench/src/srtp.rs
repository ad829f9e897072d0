//! SRTP with keys in SDP: RFC 3711 with AES-CM and HMAC-SHA1, RFC 7714 with AES-GCM, and their `a=crypto` (RFC 4568).

use crate::rtp::{self, HEADER};
use aes::Aes128;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use std::io;

const KEY: usize = 16;
/// Bytes of HMAC-SHA1 that a packet carries.
const TAG: usize = 10;
/// What the header of an RTCP packet leaves in the clear.
const RTCP_HEADER: usize = 8;
/// The labels of RFC 3711 section 4.3.1 and 4.3.2: encryption, authentication, salt.
const RTP_LABELS: [u8; 3] = [0, 1, 2];
const RTCP_LABELS: [u8; 3] = [3, 4, 5];

/// How packets are encrypted and proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Suite {
    /// AES_CM_128_HMAC_SHA1_80
    Sha1,
    /// AEAD_AES_128_GCM
    Gcm,
}

impl Suite {
    /// The name in SDP.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "AES_CM_128_HMAC_SHA1_80",
            Self::Gcm => "AEAD_AES_128_GCM",
        }
    }

    fn salt(self) -> usize {
        match self {
            Self::Sha1 => 14,
            Self::Gcm => 12,
        }
    }
}

/// A suite with its master key and salt: what one side of a call sends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keying {
    suite: Suite,
    key: [u8; KEY],
    /// A shorter salt has zeros behind it, as key derivation wants it (RFC 7714 section 11).
    salt: [u8; 14],
}

impl Keying {
    /// A key that nobody else has.
    pub fn fresh(suite: Suite) -> io::Result<Self> {
        let (mut key, mut salt) = ([0; KEY], [0; 14]);
        let random = SystemRandom::new();
        random
            .fill(&mut key)
            .and_then(|()| random.fill(&mut salt[..suite.salt()]))
            .map_err(|_| io::Error::other("the system has no random numbers"))?;
        Ok(Self { suite, key, salt })
    }

    /// The value of an `a=crypto` with tag 1.
    pub fn attribute(&self) -> String {
        let material = [&self.key[..], &self.salt[..self.suite.salt()]].concat();
        format!(
            "1 {} inline:{}",
            self.suite.name(),
            STANDARD.encode(material)
        )
    }

    /// Reads the value of an `a=crypto`; `None` if it is none of the suites here.
    pub fn parse(value: &str) -> Option<Self> {
        let mut words = value.split_ascii_whitespace().skip(1);
        let name = words.next()?;
        let suite = [Suite::Sha1, Suite::Gcm]
            .into_iter()
            .find(|suite| suite.name() == name)?;
        let text = words.next()?.strip_prefix("inline:")?.split('|').next()?;
        let material = STANDARD_NO_PAD.decode(text.trim_end_matches('=')).ok()?;
        let (key, given) = material.split_at_checked(KEY)?;
        let mut salt = [0; 14];
        salt.get_mut(..given.len())
            .filter(|salt| salt.len() == suite.salt())?
            .copy_from_slice(given);
        Some(Self {
            suite,
            key: key.try_into().ok()?,
            salt,
        })
    }

    fn derive(&self, label: u8, out: &mut [u8]) {
        let mut start = [0; 16];
        start[..14].copy_from_slice(&self.salt);
        start[7] ^= label;
        out.fill(0);
        Ctr128BE::<Aes128>::new(&self.key.into(), &start.into()).apply_keystream(out);
    }

    fn session(&self, labels: [u8; 3]) -> Session {
        let (mut key, mut proof, mut salt) = ([0; KEY], [0; 20], [0; 14]);
        self.derive(labels[0], &mut key);
        self.derive(labels[1], &mut proof);
        self.derive(labels[2], &mut salt[..self.suite.salt()]);
        match self.suite {
            Suite::Sha1 => Session::Sha1 {
                key,
                salt,
                proof: hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &proof),
            },
            Suite::Gcm => Session::Gcm {
                key: Box::new(LessSafeKey::new(
                    UnboundKey::new(&AES_128_GCM, &key).expect("the key has 16 bytes"),
                )),
                salt: std::array::from_fn(|index| salt[index]),
            },
        }
    }
}

/// What was derived of a master key, for RTP or for RTCP.
enum Session {
    Sha1 {
        key: [u8; KEY],
        salt: [u8; 14],
        proof: hmac::Key,
    },
    Gcm {
        key: Box<LessSafeKey>,
        salt: [u8; 12],
    },
}

/// AES in counter mode over `bytes` (RFC 3711 section 4.1.1).
fn count(key: &[u8; KEY], salt: &[u8; 14], ssrc: u32, index: u64, bytes: &mut [u8]) {
    let mut start = [0; 16];
    start[..14].copy_from_slice(salt);
    for (byte, add) in start[4..8].iter_mut().zip(ssrc.to_be_bytes()) {
        *byte ^= add;
    }
    for (byte, add) in start[8..14].iter_mut().zip(&index.to_be_bytes()[2..]) {
        *byte ^= add;
    }
    Ctr128BE::<Aes128>::new(key.into(), &start.into()).apply_keystream(bytes);
}

/// The nonce of RFC 7714 sections 8.1 and 9.1, which both are these bytes.
fn nonce(salt: &[u8; 12], ssrc: u32, index: u64) -> Nonce {
    let mut bytes = *salt;
    for (byte, add) in bytes[2..6].iter_mut().zip(ssrc.to_be_bytes()) {
        *byte ^= add;
    }
    for (byte, add) in bytes[6..].iter_mut().zip(&index.to_be_bytes()[2..]) {
        *byte ^= add;
    }
    Nonce::assume_unique_for_key(bytes)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Encrypts what one side of a call sends.
pub struct Sealer {
    rtp: Session,
    rtcp: Session,
    rollovers: u32,
    last: Option<u16>,
    reports: u32,
}

impl Sealer {
    /// Sends with this key.
    pub fn new(keying: &Keying) -> Self {
        Self {
            rtp: keying.session(RTP_LABELS),
            rtcp: keying.session(RTCP_LABELS),
            rollovers: 0,
            last: None,
            reports: 0,
        }
    }

    /// Encrypts an RTP packet without contributors and extension; packets come in order.
    pub fn rtp(&mut self, packet: &mut Vec<u8>) {
        let sequence = u16::from_be_bytes([packet[2], packet[3]]);
        self.rollovers += u32::from(self.last.is_some_and(|last| last > sequence));
        self.last = Some(sequence);
        let ssrc = word(packet, 8);
        let index = u64::from(self.rollovers) << 16 | u64::from(sequence);
        match &self.rtp {
            Session::Sha1 { key, salt, proof } => {
                count(key, salt, ssrc, index, &mut packet[HEADER..]);
                let mut signing = hmac::Context::with_key(proof);
                signing.update(packet);
                signing.update(&self.rollovers.to_be_bytes());
                packet.extend_from_slice(&signing.sign().as_ref()[..TAG]);
            }
            Session::Gcm { key, salt } => {
                let (header, payload) = packet.split_at_mut(HEADER);
                let tag = key
                    .seal_in_place_separate_tag(
                        nonce(salt, ssrc, index),
                        Aad::from(header),
                        payload,
                    )
                    .expect("a packet is short enough");
                packet.extend_from_slice(tag.as_ref());
            }
        }
    }

    /// Encrypts an RTCP packet.
    pub fn rtcp(&mut self, packet: &mut Vec<u8>) {
        let index = self.reports & 0x7fff_ffff;
        self.reports = self.reports.wrapping_add(1);
        let ssrc = word(packet, 4);
        let trailer = (1 << 31 | index).to_be_bytes();
        match &self.rtcp {
            Session::Sha1 { key, salt, proof } => {
                count(key, salt, ssrc, index.into(), &mut packet[RTCP_HEADER..]);
                packet.extend_from_slice(&trailer);
                let tag = hmac::sign(proof, packet);
                packet.extend_from_slice(&tag.as_ref()[..TAG]);
            }
            Session::Gcm { key, salt } => {
                let (header, payload) = packet.split_at_mut(RTCP_HEADER);
                let known = [&*header, &trailer].concat();
                let tag = key
                    .seal_in_place_separate_tag(
                        nonce(salt, ssrc, index.into()),
                        Aad::from(known),
                        payload,
                    )
                    .expect("a packet is short enough");
                packet.extend_from_slice(tag.as_ref());
                packet.extend_from_slice(&trailer);
            }
        }
    }
}

/// Decrypts one far end's RTP. Replay is no matter here: a packet heard twice is to be seen.
pub struct Opener {
    rtp: Session,
    rollovers: u32,
    highest: Option<u16>,
}

impl Opener {
    /// Hears with this key.
    pub fn new(keying: &Keying) -> Self {
        Self {
            rtp: keying.session(RTP_LABELS),
            rollovers: 0,
            highest: None,
        }
    }

    /// The rollovers of a packet, by the nearest place to the highest one heard (RFC 3711 section 3.3.1).
    fn rollovers(&self, sequence: u16) -> u32 {
        let Some(highest) = self.highest else {
            return self.rollovers;
        };
        if sequence < highest && highest - sequence > 1 << 15 {
            self.rollovers.wrapping_add(1)
        } else if sequence > highest && sequence - highest > 1 << 15 {
            self.rollovers.wrapping_sub(1)
        } else {
            self.rollovers
        }
    }

    /// Decrypts an RTP packet in its place; the bytes of it that count, or `None` if it is not of this key.
    pub fn rtp<'a>(&mut self, packet: &'a mut [u8]) -> Option<&'a [u8]> {
        let header = rtp::header_length(packet)?;
        let sequence = u16::from_be_bytes([packet[2], packet[3]]);
        let rollovers = self.rollovers(sequence);
        let ssrc = word(packet, 8);
        let index = u64::from(rollovers) << 16 | u64::from(sequence);
        let end = match &self.rtp {
            Session::Sha1 { key, salt, proof } => {
                let end = packet.len().checked_sub(TAG).filter(|&end| end >= header)?;
                let mut signing = hmac::Context::with_key(proof);
                signing.update(&packet[..end]);
                signing.update(&rollovers.to_be_bytes());
                (signing.sign().as_ref()[..TAG] == packet[end..]).then_some(())?;
                count(key, salt, ssrc, index, &mut packet[header..end]);
                end
            }
            Session::Gcm { key, salt } => {
                let (known, sealed) = packet.split_at_mut(header);
                let plain = key
                    .open_in_place(nonce(salt, ssrc, index), Aad::from(known), sealed)
                    .ok()?;
                header + plain.len()
            }
        };
        if self
            .highest
            .is_none_or(|highest| index >= u64::from(self.rollovers) << 16 | u64::from(highest))
        {
            (self.rollovers, self.highest) = (rollovers, Some(sequence));
        }
        Some(&packet[..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What SRTCP puts behind a packet: whether it is encrypted, and its number.
    const INDEX: usize = 4;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len() / 2)
            .map(|index| u8::from_str_radix(&hex[2 * index..2 * index + 2], 16).unwrap())
            .collect()
    }

    /// The key of RFC 3711 appendix B.3.
    fn keying(suite: Suite) -> Keying {
        Keying {
            suite,
            key: bytes("E1F97A0D3E018BE0D64FA32C06DE4139")
                .try_into()
                .unwrap(),
            salt: bytes("0EC675AD498AFEEBB6960B3AABE6").try_into().unwrap(),
        }
    }

    fn packet(sequence: u16) -> Vec<u8> {
        let mut packet = vec![7; HEADER + 160];
        rtp::write_header(&mut packet, 0, false, sequence, 160, 0xbe00_0001);
        packet
    }

    #[test]
    fn keys_are_derived_as_the_rfc_does() {
        let keying = keying(Suite::Sha1);
        let (mut key, mut salt, mut proof) = ([0; 16], [0; 14], [0; 20]);
        keying.derive(0, &mut key);
        keying.derive(2, &mut salt);
        keying.derive(1, &mut proof);
        assert_eq!(key[..], bytes("C61E7A93744F39EE10734AFE3FF7A087"));
        assert_eq!(salt[..], bytes("30CBBC08863D8C85D49DB34A9AE1"));
        assert_eq!(proof[..], bytes("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"));
    }

    #[test]
    fn the_key_stream_is_that_of_the_rfc() {
        // RFC 3711 appendix B.2: SSRC and index are 0.
        let key = bytes("2B7E151628AED2A6ABF7158809CF4F3C")
            .try_into()
            .unwrap();
        let salt = bytes("F0F1F2F3F4F5F6F7F8F9FAFBFCFD").try_into().unwrap();
        let mut stream = [0; 32];
        count(&key, &salt, 0, 0, &mut stream);
        assert_eq!(stream[..16], bytes("E03EAD0935C95E80E166B16DD92B4EB4"));
        assert_eq!(stream[16..], bytes("D23513162B02D0F72A43A2FE4A5F97AB"));
    }

    #[test]
    fn a_packet_of_gcm_is_that_of_the_rfc() {
        // RFC 7714 section 16.1.1, whose key and salt are those of the session.
        let mut sealer = Sealer::new(&keying(Suite::Gcm));
        let key = bytes("000102030405060708090a0b0c0d0e0f");
        sealer.rtp = Session::Gcm {
            key: Box::new(LessSafeKey::new(
                UnboundKey::new(&AES_128_GCM, &key).unwrap(),
            )),
            salt: bytes("517569642070726f2071756f").try_into().unwrap(),
        };
        let mut packet = bytes("8040f17b8041f8d35501a0b2");
        packet.extend_from_slice(b"Gallia est omnis divisa in partes tres");
        sealer.rtp(&mut packet);
        assert_eq!(
            packet[HEADER..],
            bytes(
                "f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833899d7f27beb16a9152cf765ee4390cce"
            )
        );
    }

    #[test]
    fn what_is_sealed_is_opened_around_the_wrap_and_nothing_else_is() {
        for suite in [Suite::Sha1, Suite::Gcm] {
            let keying = Keying::fresh(suite).unwrap();
            let (mut sealer, mut opener) = (Sealer::new(&keying), Opener::new(&keying));
            for number in 65_530..65_550u32 {
                let plain = packet(number as u16);
                let mut sealed = plain.clone();
                sealer.rtp(&mut sealed);
                assert_ne!(sealed[HEADER..plain.len()], plain[HEADER..]);
                let mut altered = sealed.clone();
                altered[40] ^= 1;
                assert_eq!(opener.rtp(&mut altered), None);
                assert_eq!(opener.rtp(&mut sealed.clone()), Some(&plain[..]));
                assert_eq!(
                    opener.rtp(&mut sealed),
                    Some(&plain[..]),
                    "again, to be counted as heard twice"
                );
            }
            let mut strange = packet(65_551u32 as u16);
            Sealer::new(&Keying::fresh(suite).unwrap()).rtp(&mut strange);
            assert_eq!(opener.rtp(&mut strange), None);
        }
    }

    #[test]
    fn a_report_hides_its_words_and_grows_by_index_and_tag() {
        for (suite, tag) in [(Suite::Sha1, TAG), (Suite::Gcm, 16)] {
            let mut sealer = Sealer::new(&keying(suite));
            let plain = rtp::sender_report(1, 2, 3, 4, "bench");
            for index in 0..3u8 {
                let mut sealed = plain.clone();
                sealer.rtcp(&mut sealed);
                assert_eq!(sealed.len(), plain.len() + INDEX + tag);
                assert_eq!(sealed[..RTCP_HEADER], plain[..RTCP_HEADER]);
                assert_ne!(sealed[RTCP_HEADER..plain.len()], plain[RTCP_HEADER..]);
                let at = if suite == Suite::Gcm {
                    sealed.len()
                } else {
                    sealed.len() - TAG
                } - INDEX;
                assert_eq!(sealed[at..at + INDEX], [0x80, 0, 0, index]);
            }
        }
    }

    #[test]
    fn keys_are_read_as_they_are_written() {
        for suite in [Suite::Sha1, Suite::Gcm] {
            let keying = Keying::fresh(suite).unwrap();
            assert_eq!(Keying::parse(&keying.attribute()), Some(keying));
        }
        let long = format!("{}|2^31", keying(Suite::Sha1).attribute());
        assert_eq!(Keying::parse(&long), Some(keying(Suite::Sha1)));
        for broken in [
            "",
            "1",
            "1 F8_128_HMAC_SHA1_80 inline:AAAA",
            "1 AES_CM_128_HMAC_SHA1_80 inline:AAAA",
        ] {
            assert_eq!(Keying::parse(broken), None);
        }
    }
}
