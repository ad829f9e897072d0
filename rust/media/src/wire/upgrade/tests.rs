use proptest::prelude::*;

use super::excerpt::MAX_EXCERPT;
use super::*;

const KEY: [u8; 16] = *b"the sample nonce";
/// The answer to the sample key of RFC 6455 section 1.3.
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

fn url() -> AgentUrl {
    AgentUrl::parse("ws://server.example.com:8080/chat?id=7").unwrap()
}

fn request<'a>(
    url: &'a AgentUrl,
    subprotocols: &'a [&'a str],
    headers: &'a [(&'a str, &'a str)],
) -> UpgradeRequest<'a> {
    UpgradeRequest {
        url,
        key: KEY,
        subprotocols,
        required_subprotocol: None,
        origin: None,
        headers,
        user_agent: "offhook/1",
    }
}

fn judge(
    answer: &str,
    subprotocols: &[&str],
    required: Option<&str>,
) -> Result<Option<Upgraded>, UpgradeError> {
    let url = url();
    let request = UpgradeRequest {
        required_subprotocol: required,
        ..request(&url, subprotocols, &[])
    };
    let (_, mut upgrade) = Upgrade::request(&request).unwrap();
    match upgrade.receive(answer.as_bytes()) {
        Ok(None) => Err(upgrade.give_up()),
        judged => judged,
    }
}

fn good(extra: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Accept: {ACCEPT}\r\n{extra}\r\n"
    )
}

#[test]
fn the_key_and_answer_of_section_1_3_belong_together() {
    assert_eq!(STANDARD.encode(KEY), "dGhlIHNhbXBsZSBub25jZQ==");
    assert_eq!(accept_of("dGhlIHNhbXBsZSBub25jZQ=="), ACCEPT);
}

#[test]
fn the_request_is_what_section_4_1_asks_for() {
    let url = url();
    let headers = [("Authorization", "Bearer abc"), ("X-Note", " a\tb ")];
    let request = UpgradeRequest {
        origin: Some("https://offhook.example"),
        ..request(&url, &["offhook.v1", "b"], &headers)
    };
    let (bytes, _) = Upgrade::request(&request).unwrap();
    assert_eq!(
        String::from_utf8(bytes).unwrap(),
        "GET /chat?id=7 HTTP/1.1\r\nHost: server.example.com:8080\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: offhook.v1, b\r\n\
         User-Agent: offhook/1\r\nOrigin: https://offhook.example\r\nAuthorization: Bearer abc\r\nX-Note: a\tb\r\n\r\n"
    );
}

#[test]
fn nothing_can_be_smuggled_into_the_request() {
    let url = url();
    let refused = |name: &str, value: &str| {
        Upgrade::request(&request(&url, &[], &[(name, value)])).unwrap_err()
    };
    assert_eq!(
        refused("X-A", "1\r\nX-B: 2"),
        HeaderError::BadValue("X-A".into())
    );
    assert_eq!(refused("X-A", "1\0"), HeaderError::BadValue("X-A".into()));
    assert_eq!(refused("X-A", "é"), HeaderError::BadValue("X-A".into()));
    assert_eq!(
        refused("X-A: 1\r\nX-B", "2"),
        HeaderError::BadName("X-A: 1\r\nX-B".into())
    );
    assert_eq!(refused("", "2"), HeaderError::BadName(String::new()));
    for name in [
        "Host",
        "SEC-WEBSOCKET-KEY",
        "Connection",
        "transfer-encoding",
    ] {
        assert_eq!(refused(name, "x"), HeaderError::Reserved(name.into()));
    }
    let secret = refused("Authorization", "Bearer hunter2\n").to_string();
    assert!(!secret.contains("hunter2"), "{secret}");
    assert!(matches!(
        Upgrade::request(&request(&url, &["a,b"], &[])),
        Err(HeaderError::BadSubprotocol(_))
    ));
    let origin = UpgradeRequest {
        origin: Some("x\r\n"),
        ..request(&url, &[], &[])
    };
    assert!(Upgrade::request(&origin).is_err());
}

#[test]
fn a_right_answer_gives_the_subprotocol_and_the_first_bytes() {
    let answer = good("Sec-WebSocket-Protocol: offhook.v1\r\n") + "\u{1}xyz";
    let upgraded = judge(&answer, &["offhook.v1"], Some("offhook.v1"))
        .unwrap()
        .unwrap();
    assert_eq!(
        upgraded,
        Upgraded {
            subprotocol: Some("offhook.v1".into()),
            leftover: b"\x01xyz".to_vec()
        }
    );
    assert_eq!(
        judge(&good(""), &[], None).unwrap().unwrap().subprotocol,
        None
    );
}

#[test]
fn an_answer_may_come_byte_by_byte() {
    let url = url();
    let (_, mut upgrade) = Upgrade::request(&request(&url, &[], &[])).unwrap();
    let answer = good("");
    let (last, first) = answer.as_bytes().split_last().unwrap();
    assert!(
        first
            .iter()
            .all(|byte| upgrade.receive(&[*byte]) == Ok(None))
    );
    assert!(upgrade.receive(&[*last]).unwrap().is_some());
}

#[test]
fn answers_that_only_look_right_are_refused() {
    for (answer, word) in [
        (good("").replace("WebSocket", "h2c"), "Upgrade: websocket"),
        (
            good("").replace("keep-alive, Upgrade", "keep-alive"),
            "Connection",
        ),
        (good("").replace("s3pP", "S3pP"), "not the one"),
        (
            good(&format!("Sec-WebSocket-Accept: {ACCEPT}\r\n")),
            "not the one",
        ),
        (
            good("").replace("Sec-WebSocket-Accept", "X"),
            "no Sec-WebSocket-Accept",
        ),
        (
            good("Sec-WebSocket-Extensions: permessage-deflate\r\n"),
            "extension",
        ),
        (
            good("Sec-WebSocket-Protocol: graphql-ws\r\n"),
            "did not offer",
        ),
    ] {
        let error = judge(&answer, &["a"], None).unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
    }
}

#[test]
fn an_agent_that_ignores_the_required_subprotocol_gets_the_hint_about_twilio() {
    let error = judge(&good(""), &["offhook.v1"], Some("offhook.v1")).unwrap_err();
    assert_eq!(
        error,
        UpgradeError::NoSubprotocol {
            required: "offhook.v1".into(),
            chosen: None
        }
    );
    assert!(error.hint().contains("twilio+ws"));
    let error = judge(
        &good("Sec-WebSocket-Protocol: chat\r\n"),
        &["offhook.v1"],
        Some("offhook.v1"),
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the agent chose the subprotocol chat instead of offhook.v1"
    );
}

#[test]
fn refusals_tell_status_place_and_the_start_of_the_body() {
    let page =
        "<html>\n<head><title>Not Found</title></head>\u{7}<body>no <b>bot</b> here</body></html>";
    let answer = format!(
        "HTTP/1.1 404 Not Found\r\nContent-Length: {}\r\n\r\n{page}",
        page.len()
    );
    let error = judge(&answer, &[], None).unwrap_err();
    assert_eq!(
        error,
        UpgradeError::Refused {
            status: 404,
            location: None,
            excerpt: "Not Found no bot here".into()
        }
    );
    assert!(error.hint().contains("path"));
    let error = judge(
        "HTTP/1.1 302 Found\r\nLocation: https://x/\r\nContent-Length: 0\r\n\r\n",
        &[],
        None,
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the agent answered 302 and points to https://x/"
    );
    for (status, word) in [
        (200, "web page"),
        (401, "token"),
        (403, "origins"),
        (426, "proxies"),
        (429, "too many"),
        (503, "proxy"),
    ] {
        let error = judge(&format!("HTTP/1.1 {status} X\r\n\r\n"), &[], None).unwrap_err();
        assert_eq!(error.status(), Some(status));
        assert!(error.hint().contains(word), "{status}: {}", error.hint());
    }
    let long = judge(
        &format!("HTTP/1.1 500 X\r\n\r\n{}", "x".repeat(5_000)),
        &[],
        None,
    )
    .unwrap_err();
    assert!(
        matches!(long, UpgradeError::Refused { excerpt, .. } if excerpt.chars().count() == MAX_EXCERPT + 1)
    );
}

#[test]
fn what_is_no_http_is_told_at_once() {
    let error = judge("SSH-2.0-OpenSSH_9.6\r\n", &[], None).unwrap_err();
    assert_eq!(
        error,
        UpgradeError::NotHttp {
            excerpt: "SSH-2.0-OpenSSH_9.6".into()
        }
    );
    assert!(matches!(
        judge("\u{15}\u{3}\u{1}", &[], None),
        Err(UpgradeError::NotHttp { .. })
    ));
    assert_eq!(
        judge("HTTP/1.1 101 Swi", &[], None),
        Err(UpgradeError::Ended)
    );
    assert_eq!(judge("", &[], None), Err(UpgradeError::Ended));
}

#[test]
fn an_answer_without_end_is_cut_off() {
    let url = url();
    let (_, mut upgrade) = Upgrade::request(&request(&url, &[], &[])).unwrap();
    assert_eq!(upgrade.receive(b"HTTP/1.1 101 Switching\r\n"), Ok(None));
    let error = (0..MAX_HEAD)
        .find_map(|_| upgrade.receive(b"X: yyyyyyyyyyyy\r\n").err())
        .unwrap();
    assert_eq!(error, UpgradeError::TooLong);
}

proptest! {
    #[test]
    fn no_answer_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), tail in "[ -~\\r\\n]{0,300}") {
        for answer in [bytes.clone(), [b"HTTP/1.1 ".as_slice(), &bytes].concat(), [b"HTTP/1.1 101 X\r\n", tail.as_bytes()].concat()] {
            let url = url();
            let (_, mut upgrade) = Upgrade::request(&request(&url, &["a"], &[])).unwrap();
            let _ = upgrade.receive(&answer);
            let _ = upgrade.give_up();
        }
    }
}
