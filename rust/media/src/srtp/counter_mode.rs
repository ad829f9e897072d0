//! AES in counter mode with HMAC-SHA1 (RFC 3711 sections 4.1.1 and 4.2, RFC 6188).
use super::INDEX_LEN;
use super::keys::{MAX_SALT, SessionKeys, key_stream};
use super::transform::{Forged, Place};
use aes::cipher::KeyInit;
use aes::{Aes128Enc, Aes256Enc};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use zeroize::Zeroizing;

/// The whole of an HMAC-SHA1; a packet carries its beginning.
pub(super) const WHOLE_TAG: usize = 20;

pub(super) struct CounterMode {
    aes: Aes,
    hmac: Hmac<Sha1>,
    salt: Zeroizing<[u8; MAX_SALT]>,
}

#[expect(clippy::large_enum_variant, reason = "it is boxed as a whole")]
enum Aes {
    Short(Aes128Enc),
    Long(Aes256Enc),
}

impl CounterMode {
    pub fn new(keys: SessionKeys, key_len: usize) -> Self {
        let key = &keys.key[..key_len];
        let long = "a session key has the length of its suite";
        let aes = if key_len == 16 {
            Aes::Short(Aes128Enc::new_from_slice(key).expect(long))
        } else {
            Aes::Long(Aes256Enc::new_from_slice(key).expect(long))
        };
        CounterMode {
            aes,
            hmac: Hmac::new_from_slice(&*keys.auth).expect("HMAC takes any length"),
            salt: keys.salt,
        }
    }

    /// Encrypts what follows the clear part; the tag is over all of it and `beside`.
    pub fn seal(
        &self,
        packet: &mut [u8],
        place: Place,
        beside: &[u8; INDEX_LEN],
    ) -> [u8; WHOLE_TAG] {
        self.add_key_stream(packet, place);
        self.mac(packet, beside).finalize().into_bytes().into()
    }

    /// Whether `tag` is the beginning of the right one, in constant time. The packet is still encrypted.
    pub fn check(&self, packet: &[u8], beside: &[u8; INDEX_LEN], tag: &[u8]) -> Result<(), Forged> {
        let mac = self.mac(packet, beside);
        mac.verify_truncated_left(tag).map_err(|_| Forged)
    }

    /// Encrypts and decrypts: it is the same.
    pub fn add_key_stream(&self, packet: &mut [u8], place: Place) {
        let mut start = *self.salt;
        place.add_to(&mut start[4..]);
        let text = &mut packet[place.clear..];
        match &self.aes {
            Aes::Short(aes) => key_stream(aes, &start, text),
            Aes::Long(aes) => key_stream(aes, &start, text),
        }
    }

    fn mac(&self, packet: &[u8], beside: &[u8; INDEX_LEN]) -> Hmac<Sha1> {
        self.hmac.clone().chain_update(packet).chain_update(beside)
    }
}
