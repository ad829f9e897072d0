//! The offer of one call and what its answer says.

use crate::codec::Codec;
use crate::srtp::Keying;
use std::net::{IpAddr, SocketAddr};

/// An offer of one audio stream with telephone events, encrypted if there are `keys`; `version` counts the offers of a
/// call.
pub fn offer(
    local: SocketAddr,
    rtcp_port: u16,
    codec: Codec,
    session: u64,
    version: u32,
    keys: Option<&Keying>,
) -> String {
    let family = if local.is_ipv4() { "IP4" } else { "IP6" };
    let (ip, port, payload_type) = (local.ip(), local.port(), codec.payload_type());
    let (profile, crypto) = match keys {
        Some(keys) => ("RTP/SAVP", format!("a=crypto:{}\r\n", keys.attribute())),
        None => ("RTP/AVP", String::new()),
    };
    format!(
        "v=0\r\no=bench {session} {version} IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\n\
         m=audio {port} {profile} {payload_type} 101\r\na=rtpmap:{payload_type} {}/8000\r\n\
         a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n{crypto}a=ptime:20\r\na=rtcp:{rtcp_port}\r\na=sendrecv\r\n",
        codec.name()
    )
}

/// The first audio stream of a description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Audio {
    /// Where it wants its RTP.
    pub address: SocketAddr,
    /// Its first payload type.
    pub payload_type: u8,
    /// What it encrypts with.
    pub keys: Option<Keying>,
}

impl Audio {
    /// Reads the first audio stream; `None` if there is none, it is refused by port 0, or its address is a name.
    pub fn parse(body: &str) -> Option<Self> {
        let mut address: Option<IpAddr> = None;
        let mut audio: Option<(u16, u8)> = None;
        let mut keys = None;
        let mut in_other = false;
        for line in body.lines() {
            let line = line.trim_end();
            if let Some(media) = line.strip_prefix("m=") {
                if audio.is_some() {
                    break;
                }
                let mut words = media.split_ascii_whitespace();
                in_other = words.next() != Some("audio");
                if !in_other {
                    let port = words.next()?.split('/').next()?.parse().ok()?;
                    audio = Some((port, words.nth(1)?.parse().ok()?));
                }
            } else if let Some(connection) = line.strip_prefix("c=").filter(|_| !in_other) {
                address = connection
                    .split_ascii_whitespace()
                    .nth(2)?
                    .split('/')
                    .next()?
                    .parse()
                    .ok();
            } else if let Some(crypto) = line.strip_prefix("a=crypto:").filter(|_| !in_other) {
                keys = keys.or_else(|| Keying::parse(crypto));
            }
        }
        let (port, payload_type) = audio?;
        (port != 0).then_some(())?;
        Some(Self {
            address: SocketAddr::new(address?, port),
            payload_type,
            keys,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::srtp::Suite;

    #[test]
    fn an_offer_reads_back() {
        for local in ["127.0.0.1:4000", "[::1]:4000"] {
            let local = local.parse().unwrap();
            for keys in [None, Some(Keying::fresh(Suite::Sha1).unwrap())] {
                let offer = offer(local, 4001, Codec::Pcma, 1, 1, keys.as_ref());
                assert_eq!(offer.contains("RTP/SAVP"), keys.is_some());
                assert_eq!(
                    Audio::parse(&offer).unwrap(),
                    Audio {
                        address: local,
                        payload_type: 8,
                        keys
                    }
                );
            }
        }
    }

    #[test]
    fn the_media_level_address_wins_and_video_is_passed_over() {
        let body = "v=0\nc=IN IP4 192.0.2.1\nm=video 9 RTP/AVP 96\nc=IN IP4 192.0.2.9\nm=audio 5004 RTP/AVP 8 0\nc=IN IP4 192.0.2.2\n";
        let audio = Audio::parse(body).unwrap();
        assert_eq!(
            audio,
            Audio {
                address: "192.0.2.2:5004".parse().unwrap(),
                payload_type: 8,
                keys: None
            }
        );
    }

    #[test]
    fn a_refused_stream_is_none() {
        assert!(Audio::parse("v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 0 RTP/AVP 0\r\n").is_none());
        assert!(Audio::parse("garbage").is_none());
    }
}
