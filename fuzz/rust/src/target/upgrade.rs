//! The agent's answer to a WebSocket upgrade, and the URL that it is dialled with.
use crate::mutate::{mutate, pieces};
use crate::random::Random;
use offhook_media::wire::AgentUrl;
use offhook_media::wire::upgrade::{Upgrade, UpgradeError, UpgradeRequest, Upgraded};

const KEY: [u8; 16] = *b"the sample nonce";
/// The accept value of that key, which is RFC 6455's own example.
const ACCEPTED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: offhook.v1\r\n\r\n\x01\x02";
const OTHERS: [&str; 4] = [
    "HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\nContent-Length: 31\r\n\r\n<html><b>go\r\naway</b> now</html>",
    "HTTP/1.0 302 Found\r\nLocation: https://elsewhere.example/?t=1\r\n\r\n",
    "HTTP/1.1 502 Bad Gateway\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nsorry\r\n0\r\n\r\n",
    "SSH-2.0-OpenSSH_9.6\r\n",
];
const URLS: [&str; 4] = [
    "wss://bot.example/ws?token=secret",
    "ws://[2001:db8::1]:8080/a/b",
    "WS://127.0.0.1",
    "wss://user:word@bot.example:443/#part",
];

fn upgrade() -> Upgrade {
    let url = AgentUrl::parse("ws://bot.example/ws").expect("a URL");
    let request = UpgradeRequest {
        url: &url,
        key: KEY,
        subprotocols: &["offhook.v1"],
        required_subprotocol: Some("offhook.v1"),
        origin: None,
        headers: &[],
        user_agent: "fuzz",
    };
    Upgrade::request(&request).expect("a proper request").1
}

fn judge(chunks: &[&[u8]]) -> (Result<Upgraded, UpgradeError>, usize) {
    let mut upgrade = upgrade();
    let mut used = 0;
    for chunk in chunks {
        used += chunk.len();
        match upgrade.receive(chunk) {
            Ok(Some(upgraded)) => return (Ok(upgraded), used),
            Ok(None) => {}
            Err(error) => return (Err(error), used),
        }
    }
    (Err(upgrade.give_up()), used)
}

/// The same verdict whole and in pieces; a proper answer is taken, with the bytes behind it; what is shown is printable.
pub fn answer(random: &mut Random) {
    let proper = judge(&pieces(ACCEPTED.as_bytes(), random)).0;
    assert!(proper.is_ok(), "{proper:?}");
    let seed = if random.once_in(2) {
        ACCEPTED
    } else {
        random.pick(&OTHERS)
    };
    let words: [&[u8]; 7] = [
        b"\r\n",
        b"\r\n\r\n",
        b": ",
        b"\x00",
        b"Sec-WebSocket-Extensions: x\r\n",
        b"X: y\r\n",
        b"Content-Length: 99999999999\r\n",
    ];
    let bytes = mutate(seed.as_bytes(), &words, random, 40_000);
    let (whole, _) = judge(&[&bytes]);
    let (parts, used) = judge(&pieces(&bytes, random));
    match (whole, parts) {
        (Ok(mut whole), Ok(parts)) => {
            // What comes after the answer goes to the WebSocket's reader, by this way or by the next read.
            whole
                .leftover
                .truncate(whole.leftover.len() - (bytes.len() - used));
            assert_eq!(whole, parts);
        }
        (Err(whole), Err(parts)) => {
            let kind = |error: &UpgradeError| (std::mem::discriminant(error), error.status());
            // A head that never ends is given up by its length or by the connection's end, as the pieces fall.
            let open = |error: &UpgradeError| {
                matches!(error, UpgradeError::TooLong | UpgradeError::NotHttp { .. })
            };
            assert!(
                kind(&whole) == kind(&parts) || open(&whole) && open(&parts),
                "{whole:?} and {parts:?}"
            );
            for error in [whole, parts] {
                let shown = error.to_string();
                assert!(!shown.contains(char::is_control), "{shown:?}");
                assert!(
                    shown.chars().count() < 1_000,
                    "{} characters",
                    shown.chars().count()
                );
                let _ = error.hint();
            }
        }
        (whole, parts) => panic!("{whole:?} whole, {parts:?} in pieces"),
    }
}

/// No URL puts a line or a space into the request, or its query into a log.
pub fn url(random: &mut Random) {
    let seed = *random.pick(&URLS);
    let words: [&[u8]; 8] = [b"://", b"[", b"]", b":", b"@", b"%0d%0a", b"\r\n", b"?"];
    let bytes = mutate(seed.as_bytes(), &words, random, 5_000);
    let Ok(url) = AgentUrl::parse(&String::from_utf8_lossy(&bytes)) else {
        return;
    };
    for text in [url.authority(), url.target.clone(), url.redacted()] {
        assert!(
            text.chars()
                .all(|character| character.is_ascii_graphic() || character == '…'),
            "{text:?}"
        );
    }
    assert!(url.target.starts_with('/'));
    assert!(url.port != 0);
    let shown = url.redacted();
    assert!(
        shown.split_once('?').is_none_or(|(_, query)| query == "…"),
        "a query is shown: {shown}"
    );
    let scheme = if url.tls { "wss" } else { "ws" };
    let again = AgentUrl::parse(&format!("{scheme}://{}{}", url.authority(), url.target));
    assert_eq!(
        again.as_ref(),
        Ok(&url),
        "what was read reads the same again"
    );
}
