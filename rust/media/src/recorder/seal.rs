//! Encryption of a recording at rest: chunks of AES-256-GCM under a key of its own, in the order in which they are written.
//!
//! A file is its header, which tells in the clear what is needed to find the key, and then chunks of [`CHUNK`] bytes and a tag each; the last one, and it
//! alone, may be shorter. A nonce is a random prefix of the file, the number of the chunk and whether it is the last. The header is authenticated with each
//! chunk. So no chunk can be changed, moved, left out, taken from another file or cut off without notice.
use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit};
use zeroize::Zeroizing;

/// Bytes of sound in a chunk: half a second of telephone sound as it is, some seconds of it compressed.
pub const CHUNK: usize = 16_384;
const PREFIX: usize = 7;

/// The key of one file. Not shown by `Debug`.
#[derive(Clone)]
pub struct SealKey {
    key: Zeroizing<[u8; 32]>,
    prefix: [u8; PREFIX],
    header: Vec<u8>,
}

impl SealKey {
    /// A key of AES-256, what the nonces of its file begin with (7 bytes), and what stands before the first chunk, whole. `None` for other lengths.
    pub fn new(key: &[u8], prefix: &[u8], header: &[u8]) -> Option<Self> {
        Some(SealKey {
            key: Zeroizing::new(key.try_into().ok()?),
            prefix: prefix.try_into().ok()?,
            header: header.to_vec(),
        })
    }
}

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealKey").finish_non_exhaustive()
    }
}

/// Encrypts what is written.
pub struct Sealer {
    gcm: Aes256Gcm,
    prefix: [u8; PREFIX],
    header: Vec<u8>,
    chunks: u32,
    clear: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer").finish_non_exhaustive()
    }
}

impl Sealer {
    /// For a file of this key.
    pub fn new(key: &SealKey) -> Self {
        Sealer {
            gcm: Aes256Gcm::new(&(*key.key).into()),
            prefix: key.prefix,
            header: key.header.clone(),
            chunks: 0,
            clear: Zeroizing::new(Vec::with_capacity(2 * CHUNK)),
        }
    }

    /// What the file begins with.
    pub fn header(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.header);
    }

    /// Takes bytes and appends the chunks that are full. One is held back until it is known not to be the last.
    pub fn write(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        self.clear.extend_from_slice(bytes);
        while self.clear.len() > CHUNK {
            self.seal(CHUNK, false, out);
        }
    }

    /// Appends the last chunk.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.seal(self.clear.len(), true, out);
    }

    fn seal(&mut self, count: usize, last: bool, out: &mut Vec<u8>) {
        let mut nonce = [0; 12];
        nonce[..PREFIX].copy_from_slice(&self.prefix);
        nonce[PREFIX..11].copy_from_slice(&self.chunks.to_be_bytes());
        nonce[11] = u8::from(last);
        self.chunks += 1;
        let chunk = &mut self.clear[..count];
        let tag = self
            .gcm
            .encrypt_inout_detached(&nonce.into(), &self.header, (&mut *chunk).into())
            .expect("a chunk is shorter than 2^36 bytes");
        out.extend_from_slice(chunk);
        out.extend_from_slice(&tag);
        self.clear.drain(..count);
    }
}
