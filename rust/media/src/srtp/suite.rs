//! The crypto suites of SRTP by the names that SDP gives them (RFC 4568 section 6.2, RFC 6188 section 4, RFC 7714 section 14.1).

/// How the packets of a stream are encrypted and authenticated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Suite {
    /// AES-128 in counter mode, HMAC-SHA1 cut to 80 bits.
    AesCm128HmacSha1_80,
    /// The same with 32 bits on RTP; RTCP keeps its 80.
    AesCm128HmacSha1_32,
    /// AES-256 in counter mode, HMAC-SHA1 cut to 80 bits.
    Aes256CmHmacSha1_80,
    /// The same with 32 bits on RTP; RTCP keeps its 80.
    Aes256CmHmacSha1_32,
    /// AES-128 in Galois/counter mode, 128 bits of tag.
    AeadAes128Gcm,
    /// AES-256 in Galois/counter mode, 128 bits of tag.
    AeadAes256Gcm,
}

impl Suite {
    /// All of them.
    pub const ALL: [Suite; 6] = [
        Suite::AesCm128HmacSha1_80,
        Suite::AesCm128HmacSha1_32,
        Suite::Aes256CmHmacSha1_80,
        Suite::Aes256CmHmacSha1_32,
        Suite::AeadAes128Gcm,
        Suite::AeadAes256Gcm,
    ];

    /// The name in SDP.
    pub const fn name(self) -> &'static str {
        match self {
            Suite::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Suite::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
            Suite::Aes256CmHmacSha1_80 => "AES_256_CM_HMAC_SHA1_80",
            Suite::Aes256CmHmacSha1_32 => "AES_256_CM_HMAC_SHA1_32",
            Suite::AeadAes128Gcm => "AEAD_AES_128_GCM",
            Suite::AeadAes256Gcm => "AEAD_AES_256_GCM",
        }
    }

    /// The suite of that name, if it is one that is spoken here.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.name() == name)
    }

    /// Whether encryption and authentication are one (RFC 7714).
    pub const fn is_aead(self) -> bool {
        matches!(self, Suite::AeadAes128Gcm | Suite::AeadAes256Gcm)
    }

    /// Bytes of the master key.
    pub const fn key_len(self) -> usize {
        match self {
            Suite::AesCm128HmacSha1_80 | Suite::AesCm128HmacSha1_32 | Suite::AeadAes128Gcm => 16,
            Suite::Aes256CmHmacSha1_80 | Suite::Aes256CmHmacSha1_32 | Suite::AeadAes256Gcm => 32,
        }
    }

    /// Bytes of the master salt, which follows the key in SDP.
    pub const fn salt_len(self) -> usize {
        if self.is_aead() { 12 } else { 14 }
    }

    /// Bytes that a packet grows by: what has to be free behind it.
    pub const fn rtp_tag_len(self) -> usize {
        match self {
            Suite::AesCm128HmacSha1_80 | Suite::Aes256CmHmacSha1_80 => 10,
            Suite::AesCm128HmacSha1_32 | Suite::Aes256CmHmacSha1_32 => 4,
            Suite::AeadAes128Gcm | Suite::AeadAes256Gcm => 16,
        }
    }

    /// Bytes of an RTCP packet's tag, beside the four of its index.
    pub const fn rtcp_tag_len(self) -> usize {
        if self.is_aead() { 16 } else { 10 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_their_suites() {
        for suite in Suite::ALL {
            assert_eq!(Suite::from_name(suite.name()), Some(suite));
        }
        for name in [
            "",
            "aes_cm_128_hmac_sha1_80",
            "F8_128_HMAC_SHA1_80",
            "NULL_HMAC_SHA1_80",
        ] {
            assert_eq!(Suite::from_name(name), None, "{name}");
        }
    }

    #[test]
    fn keys_and_salts_are_as_long_as_the_rfcs_say() {
        let lengths = Suite::ALL.map(|suite| suite.key_len() + suite.salt_len());
        assert_eq!(lengths, [30, 30, 46, 46, 28, 44]);
    }
}
