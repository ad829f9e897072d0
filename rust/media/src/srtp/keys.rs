//! Master keys, and the session keys that are derived from them (RFC 3711 section 4.3, RFC 6188 section 3, RFC 7714 section 11).
use super::Suite;
use aes::cipher::{BlockCipherEncrypt, BlockSizeUser, InnerIvInit, KeyInit, StreamCipherCore};
use aes::cipher::{array::Array, consts::U16};
use aes::{Aes128Enc, Aes256Enc};
use ctr::{CtrCore, flavors::Ctr128BE};
use std::fmt;
use zeroize::Zeroizing;

/// The longest key with its salt.
const MAX_MASTER: usize = 46;
/// The longest session key.
const MAX_KEY: usize = 32;
/// Bytes of the session key of HMAC-SHA1.
const AUTH_KEY: usize = 20;
/// Bytes of the longest salt; shorter ones are filled up with zeroes.
pub(super) const MAX_SALT: usize = 14;

/// A key does not have the length of its suite.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyLength {
    /// Bytes of key and salt together that the suite has.
    pub need: usize,
    /// Bytes that there are.
    pub have: usize,
}

impl fmt::Display for KeyLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "key and salt have {} bytes, the suite needs {}",
            self.have, self.need
        )
    }
}

/// A master key and its salt. Overwritten when it is dropped, and shown to nobody.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Master {
    bytes: Zeroizing<[u8; MAX_MASTER]>,
    suite: Suite,
}

impl Master {
    fn new(suite: Suite, key_and_salt: &[u8]) -> Result<Self, KeyLength> {
        let (need, have) = (suite.key_len() + suite.salt_len(), key_and_salt.len());
        if have != need {
            return Err(KeyLength { need, have });
        }
        let mut bytes = Zeroizing::new([0; MAX_MASTER]);
        bytes[..have].copy_from_slice(key_and_salt);
        Ok(Master { bytes, suite })
    }

    pub fn suite(&self) -> Suite {
        self.suite
    }

    fn key(&self) -> &[u8] {
        &self.bytes[..self.suite.key_len()]
    }

    fn salt(&self) -> [u8; MAX_SALT] {
        let mut salt = [0; MAX_SALT];
        let (start, len) = (self.suite.key_len(), self.suite.salt_len());
        salt[..len].copy_from_slice(&self.bytes[start..start + len]);
        salt
    }

    /// The session keys for RTP or RTCP. The key derivation rate is 0: they are derived once.
    pub fn session(&self, protocol: Protocol) -> SessionKeys {
        let first = match protocol {
            Protocol::Rtp => 0,
            Protocol::Rtcp => 3,
        };
        let mut keys = SessionKeys {
            key: Zeroizing::new([0; MAX_KEY]),
            auth: Zeroizing::new([0; AUTH_KEY]),
            salt: Zeroizing::new([0; MAX_SALT]),
        };
        self.derive(first, &mut keys.key[..self.suite.key_len()]);
        self.derive(first + 1, &mut *keys.auth);
        self.derive(first + 2, &mut keys.salt[..self.suite.salt_len()]);
        keys
    }

    /// The pseudo-random function of section 4.3.3: the key stream of AES in counter mode, from the salt with the label in it.
    fn derive(&self, label: u8, out: &mut [u8]) {
        let mut start = self.salt();
        start[7] ^= label;
        out.fill(0);
        if self.suite.key_len() == 16 {
            let aes = Aes128Enc::new_from_slice(self.key()).expect("the length was checked");
            key_stream(&aes, &start, out);
        } else {
            let aes = Aes256Enc::new_from_slice(self.key()).expect("the length was checked");
            key_stream(&aes, &start, out);
        }
    }
}

/// Adds the key stream that begins with the block `start`, filled up with zeroes (section 4.1.1).
pub(super) fn key_stream<C>(aes: &C, start: &[u8; MAX_SALT], data: &mut [u8])
where
    C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16>,
{
    let mut block = Array::<u8, U16>::default();
    block[..MAX_SALT].copy_from_slice(start);
    CtrCore::<&C, Ctr128BE>::inner_iv_init(aes, &block).apply_keystream_partial(data.into());
}

/// Which of the two protocols keys and packets are of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    /// The media itself.
    Rtp,
    /// The reports about it.
    Rtcp,
}

/// What one protocol of one direction works with.
pub(super) struct SessionKeys {
    pub key: Zeroizing<[u8; MAX_KEY]>,
    pub auth: Zeroizing<[u8; AUTH_KEY]>,
    pub salt: Zeroizing<[u8; MAX_SALT]>,
}

/// The keys of both directions, as offer and answer exchanged them (RFC 4568).
///
/// They are overwritten when dropped, and `Debug` shows the suite alone.
#[derive(Clone, PartialEq, Eq)]
pub struct SrtpKeys {
    pub(super) send: Master,
    pub(super) receive: Master,
}

impl SrtpKeys {
    /// Keys for what we send and what we receive, each the master key followed by its salt.
    ///
    /// # Errors
    /// When either has not the length of the suite.
    pub fn new(suite: Suite, send: &[u8], receive: &[u8]) -> Result<Self, KeyLength> {
        Ok(SrtpKeys {
            send: Master::new(suite, send)?,
            receive: Master::new(suite, receive)?,
        })
    }

    /// The suite of both directions.
    pub fn suite(&self) -> Suite {
        self.send.suite
    }
}

impl fmt::Debug for SrtpKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SrtpKeys({})", self.suite().name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::srtp::testing::hex;

    fn master(suite: Suite, key: &str, salt: &str) -> Master {
        Master::new(suite, &[hex(key), hex(salt)].concat()).expect("long enough")
    }

    /// RFC 3711 appendix B.2 and RFC 6188 section 7.1: the key stream from a session key and salt.
    #[test]
    fn the_key_stream_of_the_rfcs() {
        let mut start = [0; MAX_SALT];
        start.copy_from_slice(&hex("f0f1f2f3f4f5f6f7f8f9fafbfcfd"));
        let aes = Aes128Enc::new_from_slice(&hex("2b7e151628aed2a6abf7158809cf4f3c")).expect("16");
        let mut stream = vec![0; 16 * 0xff02];
        key_stream(&aes, &start, &mut stream);
        let first = "e03ead0935c95e80e166b16dd92b4eb4 d23513162b02d0f72a43a2fe4a5f97ab 41e95b3bb0a2e8dd477901e4fca894c0";
        assert_eq!(stream[..48], hex(first));
        let last = "ec8cdf7398607cb0f2d21675ea9ea1e4 362b7c3c6773516318a077d7fc5073ae 6a2cc3787889374fbeb4c81b17ba6c44";
        assert_eq!(stream[16 * 0xfeff..], hex(last));

        let key = hex("57f82fe3613fd170a85ec93c40b1f0922ec4cb0dc025b58272147cc438944a98");
        let aes = Aes256Enc::new_from_slice(&key).expect("32");
        let mut stream = [0; 48];
        key_stream(&aes, &start, &mut stream);
        let first = "92bdd28a93c3f52511c677d08b5515a4 9da71b2378a854f67050756ded165bac 63c4868b7096d88421b563b8c94c9a31";
        assert_eq!(stream[..], hex(first));
    }

    /// RFC 3711 appendix B.3.
    #[test]
    fn session_keys_of_aes_128() {
        let keys = master(
            Suite::AesCm128HmacSha1_80,
            "e1f97a0d3e018be0d64fa32c06de4139",
            "0ec675ad498afeebb6960b3aabe6",
        );
        let session = keys.session(Protocol::Rtp);
        assert_eq!(session.key[..16], hex("c61e7a93744f39ee10734afe3ff7a087"));
        assert_eq!(session.salt[..], hex("30cbbc08863d8c85d49db34a9ae1"));
        assert_eq!(
            session.auth[..],
            hex("cebe321f6ff7716b6fd4ab49af256a156d38baa4")
        );
        // The RFC derives 94 bytes here, over the edge of blocks.
        let mut long = [0xff; 94];
        keys.derive(1, &mut long);
        let expected = "cebe321f6ff7716b6fd4ab49af256a156d38baa48f0a0acf3c34e2359e6cdbce
            e049646c43d9327ad175578ef72270986371c10c9a369ac2f94a8c5fbcdddc25
            6d6e919a48b610ef17c2041e474035766b68642c59bbfc2f34db60dbdfb2";
        assert_eq!(long[..], hex(expected));
    }

    /// RFC 6188 section 7.2.
    #[test]
    fn session_keys_of_aes_256() {
        let keys = master(
            Suite::Aes256CmHmacSha1_80,
            "f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6",
            "3b04803de51ee7c96423ab5b78d2",
        );
        let session = keys.session(Protocol::Rtp);
        let key = "5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4";
        assert_eq!(session.key[..], hex(key));
        assert_eq!(session.salt[..], hex("fa31791685ca444a9e07c6c64e93"));
        assert_eq!(
            session.auth[..],
            hex("fd9c32d39ed5fbb5a9dc96b30818454d1313dc05")
        );
    }

    #[test]
    fn a_key_of_another_length_is_refused() {
        let key = |len| vec![1; len];
        for suite in Suite::ALL {
            let need = suite.key_len() + suite.salt_len();
            assert!(SrtpKeys::new(suite, &key(need), &key(need)).is_ok());
            for have in [0, need - 1, need + 1, 100] {
                let refused = Err(KeyLength { need, have });
                assert_eq!(SrtpKeys::new(suite, &key(need), &key(have)), refused);
                assert_eq!(SrtpKeys::new(suite, &key(have), &key(need)), refused);
            }
        }
    }

    #[test]
    fn a_key_is_not_shown() {
        let keys = SrtpKeys::new(Suite::AesCm128HmacSha1_80, &[0x41; 30], &[0x42; 30]);
        assert_eq!(format!("{keys:?}"), "Ok(SrtpKeys(AES_CM_128_HMAC_SHA1_80))");
    }
}
