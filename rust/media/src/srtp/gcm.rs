//! AES in Galois/counter mode (RFC 7714).
use super::keys::SessionKeys;
use super::transform::{Forged, Place};
use aes_gcm::aead::{AeadInOut, Nonce, Tag};
use aes_gcm::{Aes128Gcm, Aes256Gcm, KeyInit};
use zeroize::Zeroizing;

pub(super) const TAG: usize = 16;
const NONCE: usize = 12;

pub(super) struct Gcm {
    aes: Aes,
    salt: Zeroizing<[u8; NONCE]>,
}

#[expect(clippy::large_enum_variant, reason = "it is boxed as a whole")]
enum Aes {
    Short(Aes128Gcm),
    Long(Aes256Gcm),
}

impl Gcm {
    pub fn new(keys: SessionKeys, key_len: usize) -> Self {
        let key = &keys.key[..key_len];
        let long = "a session key has the length of its suite";
        let aes = if key_len == 16 {
            Aes::Short(Aes128Gcm::new_from_slice(key).expect(long))
        } else {
            Aes::Long(Aes256Gcm::new_from_slice(key).expect(long))
        };
        let mut salt = Zeroizing::new([0; NONCE]);
        salt.copy_from_slice(&keys.salt[..NONCE]);
        Gcm { aes, salt }
    }

    /// Encrypts `text`; the tag is over it and `clear`.
    pub fn seal(&self, place: Place, clear: &[u8], text: &mut [u8]) -> [u8; TAG] {
        let nonce = self.nonce(place);
        match &self.aes {
            Aes::Short(gcm) => gcm.encrypt_inout_detached(&nonce.into(), clear, text.into()),
            Aes::Long(gcm) => gcm.encrypt_inout_detached(&nonce.into(), clear, text.into()),
        }
        .expect("a packet is shorter than 2^36 bytes")
        .into()
    }

    /// Checks `text` and `clear` in constant time, and then decrypts `text`; where they are forged, nothing is changed.
    pub fn open(
        &self,
        place: Place,
        clear: &[u8],
        text: &mut [u8],
        tag: &[u8],
    ) -> Result<(), Forged> {
        let nonce = self.nonce(place);
        let tag: [u8; TAG] = tag.try_into().map_err(|_| Forged)?;
        match &self.aes {
            Aes::Short(gcm) => gcm.decrypt_inout_detached(
                &Nonce::<Aes128Gcm>::from(nonce),
                clear,
                text.into(),
                &Tag::<Aes128Gcm>::from(tag),
            ),
            Aes::Long(gcm) => gcm.decrypt_inout_detached(
                &Nonce::<Aes256Gcm>::from(nonce),
                clear,
                text.into(),
                &Tag::<Aes256Gcm>::from(tag),
            ),
        }
        .map_err(|_| Forged)
    }

    /// Sections 8.1 and 9.1.
    fn nonce(&self, place: Place) -> [u8; NONCE] {
        let mut nonce = *self.salt;
        place.add_to(&mut nonce[2..]);
        nonce
    }
}
