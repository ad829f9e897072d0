//! The opening handshake (RFC 6455 section 4.1): the request that we send and the judgement of its answer, no I/O.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use super::dialect::is_token;
use super::url::AgentUrl;

/// The longest answer up to its empty line, in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// How much of a refusal's body is read.
const MAX_BODY: usize = 1024;

/// How much of a refusal's body is told, in characters.
const MAX_EXCERPT: usize = 200;

/// Headers in an answer; more are refused.
const MAX_HEADERS: usize = 100;

/// The number that makes an answer one to a WebSocket request (section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Headers that are ours to write.
const RESERVED: [&str; 9] = [
    "host",
    "upgrade",
    "connection",
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-protocol",
    "sec-websocket-extensions",
    "content-length",
    "transfer-encoding",
];

/// What the opening request is made of.
#[derive(Debug, Clone, Copy)]
pub struct UpgradeRequest<'a> {
    /// Where the agent is.
    pub url: &'a AgentUrl,
    /// Sixteen random bytes, different each time (section 4.1).
    pub key: [u8; 16],
    /// Subprotocols that we offer, best first.
    pub subprotocols: &'a [&'a str],
    /// The subprotocol that the agent must choose, one of those offered.
    pub required_subprotocol: Option<&'a str>,
    /// Some servers want an `Origin`, although we are no browser.
    pub origin: Option<&'a str>,
    /// Further headers, such as `Authorization`.
    pub headers: &'a [(&'a str, &'a str)],
    /// What `User-Agent` says, unless a header does.
    pub user_agent: &'a str,
}

/// A header that may not be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderError {
    /// The name is no token of RFC 9110.
    BadName(String),
    /// The value has a line end or another control character, or is not ASCII. It may be a secret, so it isn't shown.
    BadValue(String),
    /// The handshake writes this header itself.
    Reserved(String),
    /// A subprotocol is no token.
    BadSubprotocol(String),
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadName(name) => write!(f, "`{}` is no name of a header", name.escape_debug()),
            Self::BadValue(name) => write!(
                f,
                "the value of header `{name}` has a line end, a control character or one that is not ASCII"
            ),
            Self::Reserved(name) => write!(f, "header `{name}` is written by the handshake itself"),
            Self::BadSubprotocol(name) => {
                write!(f, "`{}` is no name of a subprotocol", name.escape_debug())
            }
        }
    }
}

impl std::error::Error for HeaderError {}

/// Why the agent's answer makes no WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpgradeError {
    /// The agent answered with another status than 101.
    Refused {
        /// The HTTP status.
        status: u16,
        /// Where a redirect points; it is not followed.
        location: Option<String>,
        /// The start of the body, on one line and without markup.
        excerpt: String,
    },
    /// The answer is not HTTP.
    NotHttp {
        /// Its start, printable.
        excerpt: String,
    },
    /// The answer breaks RFC 6455 section 4.1.
    BadAnswer(&'static str),
    /// The answer's head is longer than 16 KiB or has more than 100 headers.
    TooLong,
    /// The connection ended before the answer was whole.
    Ended,
    /// The agent didn't choose the subprotocol that it must choose.
    NoSubprotocol {
        /// What it must choose.
        required: String,
        /// What it chose.
        chosen: Option<String>,
    },
}

impl UpgradeError {
    /// The HTTP status of a refusal.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// What to look at, in one sentence; empty if there is nothing to add.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Refused { status, .. } => match status {
                200..=299 => "an ordinary web page is served there: look at the path of the URL",
                300..=399 => "redirects are not followed: use the address that it points to",
                401 | 407 => "the agent wants credentials: set its token",
                403 => {
                    "the agent doesn't let us in: look at the token, and at the origins that it allows"
                }
                404 | 405 => "no WebSocket is served at this path: look at the path of the URL",
                400 | 426 => {
                    "the server there didn't take the request as a WebSocket upgrade: look at proxies in between"
                }
                429 => "the agent has too many connections",
                502..=504 => "a proxy answered, but the agent behind it didn't",
                _ => "",
            },
            Self::NotHttp { .. } => {
                "the port speaks another protocol; is it ws: where it should be wss:, or the reverse?"
            }
            Self::Ended => {
                "the server closed the connection instead of answering; is it wss: where it should be ws:?"
            }
            Self::NoSubprotocol { .. } => {
                "the agent speaks another protocol: a Twilio Media Streams bot is dialled with twilio+ws: or twilio+wss:"
            }
            Self::BadAnswer(_) | Self::TooLong => "",
        }
    }
}

impl fmt::Display for UpgradeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused {
                status,
                location,
                excerpt,
            } => {
                write!(f, "the agent answered {status}")?;
                if let Some(location) = location {
                    write!(f, " and points to {location}")?;
                }
                if excerpt.is_empty() {
                    Ok(())
                } else {
                    write!(f, ": {excerpt}")
                }
            }
            Self::NotHttp { excerpt } => write!(f, "the answer is not HTTP: {excerpt}"),
            Self::BadAnswer(what) => write!(f, "the answer to the upgrade is wrong: {what}"),
            Self::TooLong => f.write_str("the answer to the upgrade is too long"),
            Self::Ended => f.write_str("the connection ended before the upgrade was answered"),
            Self::NoSubprotocol {
                required,
                chosen: None,
            } => write!(f, "the agent did not choose the subprotocol {required}"),
            Self::NoSubprotocol {
                required,
                chosen: Some(chosen),
            } => {
                write!(
                    f,
                    "the agent chose the subprotocol {chosen} instead of {required}"
                )
            }
        }
    }
}

impl std::error::Error for UpgradeError {}

/// A handshake that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgraded {
    /// The subprotocol that the agent chose.
    pub subprotocol: Option<String>,
    /// The first bytes of the WebSocket, if some came with the answer.
    pub leftover: Vec<u8>,
}

/// Waits for the answer to one request.
#[derive(Debug)]
pub struct Upgrade {
    accept: String,
    offered: Vec<String>,
    required: Option<String>,
    received: Vec<u8>,
}

impl Upgrade {
    /// Write the request, and return it with what will judge its answer.
    pub fn request(request: &UpgradeRequest<'_>) -> Result<(Vec<u8>, Self), HeaderError> {
        for name in request
            .subprotocols
            .iter()
            .chain(&request.required_subprotocol)
        {
            if !is_token(name) {
                return Err(HeaderError::BadSubprotocol((*name).into()));
            }
        }
        let key = STANDARD.encode(request.key);
        let mut head = String::with_capacity(512);
        head.push_str(&format!("GET {} HTTP/1.1\r\n", request.url.target));
        let mut line = |name: &str, value: &str| head.push_str(&format!("{name}: {value}\r\n"));
        line("Host", &request.url.authority());
        line("Upgrade", "websocket");
        line("Connection", "Upgrade");
        line("Sec-WebSocket-Key", &key);
        line("Sec-WebSocket-Version", "13");
        if !request.subprotocols.is_empty() {
            line("Sec-WebSocket-Protocol", &request.subprotocols.join(", "));
        }
        if !request
            .headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("user-agent"))
        {
            line("User-Agent", checked("User-Agent", request.user_agent)?);
        }
        if let Some(origin) = request.origin {
            line("Origin", checked("Origin", origin)?);
        }
        for (name, value) in request.headers {
            if !is_token(name) {
                return Err(HeaderError::BadName((*name).into()));
            }
            if RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
                return Err(HeaderError::Reserved((*name).into()));
            }
            line(name, checked(name, value)?);
        }
        head.push_str("\r\n");
        let offered = request
            .subprotocols
            .iter()
            .map(|name| (*name).to_owned())
            .collect();
        let required = request.required_subprotocol.map(str::to_owned);
        Ok((
            head.into_bytes(),
            Self {
                accept: accept_of(&key),
                offered,
                required,
                received: Vec::new(),
            },
        ))
    }

    /// Bytes of the answer; `None` means that more are needed. Of a refusal some of the body is waited for.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Option<Upgraded>, UpgradeError> {
        self.received.extend_from_slice(bytes);
        if !b"HTTP/1.".starts_with(&self.received[..self.received.len().min(7)]) {
            return Err(UpgradeError::NotHttp {
                excerpt: excerpt(&self.received),
            });
        }
        self.judge(false)
    }

    /// No more bytes will come, or we don't wait for them any longer.
    pub fn give_up(&mut self) -> UpgradeError {
        match self.judge(true) {
            Err(error) => error,
            Ok(_) => UpgradeError::Ended,
        }
    }

    fn judge(&mut self, last: bool) -> Result<Option<Upgraded>, UpgradeError> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let length = match response.parse(&self.received) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if self.received.len() > MAX_HEAD => {
                return Err(UpgradeError::TooLong);
            }
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(UpgradeError::TooLong),
            Err(_) => {
                return Err(UpgradeError::NotHttp {
                    excerpt: excerpt(&self.received),
                });
            }
        };
        if length > MAX_HEAD {
            return Err(UpgradeError::TooLong);
        }
        let all = |wanted: &'static str| {
            response
                .headers
                .iter()
                .filter(move |header| header.name.eq_ignore_ascii_case(wanted))
                .map(|header| header.value)
        };
        let status = response.code.unwrap_or(0);
        if status != 101 {
            let body = &self.received[length..];
            let announced = all("content-length")
                .next()
                .and_then(|value| std::str::from_utf8(value).ok()?.trim().parse().ok());
            let enough = announced.unwrap_or(MAX_BODY).min(MAX_BODY);
            if body.len() < enough && !last {
                return Ok(None);
            }
            let location = all("location").next().map(excerpt);
            return Err(UpgradeError::Refused {
                status,
                location,
                excerpt: excerpt(&body[..body.len().min(MAX_BODY)]),
            });
        }
        let has_word = |name, word: &str| {
            all(name).any(|value| {
                value
                    .split(|byte| *byte == b',')
                    .any(|part| part.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
            })
        };
        if !has_word("upgrade", "websocket") {
            return Err(UpgradeError::BadAnswer("it doesn't say Upgrade: websocket"));
        }
        if !has_word("connection", "upgrade") {
            return Err(UpgradeError::BadAnswer(
                "it doesn't say Connection: Upgrade",
            ));
        }
        let mut accepts = all("sec-websocket-accept");
        match (accepts.next(), accepts.next()) {
            (None, _) => return Err(UpgradeError::BadAnswer("it has no Sec-WebSocket-Accept")),
            (Some(accept), None) if accept.trim_ascii() == self.accept.as_bytes() => {}
            _ => {
                return Err(UpgradeError::BadAnswer(
                    "its Sec-WebSocket-Accept is not the one to our key",
                ));
            }
        }
        if all("sec-websocket-extensions").any(|value| !value.trim_ascii().is_empty()) {
            return Err(UpgradeError::BadAnswer(
                "it has an extension that we did not offer",
            ));
        }
        let mut chosen = all("sec-websocket-protocol");
        let subprotocol = match (chosen.next(), chosen.next()) {
            (None, _) => None,
            (Some(_), Some(_)) => return Err(UpgradeError::BadAnswer("it has two subprotocols")),
            (Some(name), None) => {
                let name = excerpt(name);
                if !self.offered.contains(&name) && self.required.is_none() {
                    return Err(UpgradeError::BadAnswer(
                        "it has a subprotocol that we did not offer",
                    ));
                }
                Some(name)
            }
        };
        if let Some(required) = self
            .required
            .as_ref()
            .filter(|required| subprotocol.as_ref() != Some(required))
        {
            return Err(UpgradeError::NoSubprotocol {
                required: required.clone(),
                chosen: subprotocol,
            });
        }
        let leftover = self.received[length..].to_vec();
        Ok(Some(Upgraded {
            subprotocol,
            leftover,
        }))
    }
}

fn checked<'a>(name: &str, value: &'a str) -> Result<&'a str, HeaderError> {
    if value
        .bytes()
        .all(|byte| byte == b'\t' || (0x20..0x7F).contains(&byte))
    {
        Ok(value.trim())
    } else {
        Err(HeaderError::BadValue(name.into()))
    }
}

/// The answer that proves that a key was read (section 4.2.2 step 5.4).
fn accept_of(key: &str) -> String {
    STANDARD.encode(
        Sha1::new()
            .chain_update(key.as_bytes())
            .chain_update(GUID)
            .finalize(),
    )
}

/// Foreign bytes as one short printable line; the tags of HTML are left out.
fn excerpt(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut line = String::new();
    let mut in_tag = false;
    let mut gap = false;
    let mut count = 0;
    for character in text.chars() {
        match character {
            '<' => in_tag = true,
            '>' if in_tag => {
                in_tag = false;
                gap = true;
            }
            _ if in_tag => {}
            _ if character.is_whitespace() || character.is_control() => gap = true,
            _ => {
                if gap && !line.is_empty() {
                    line.push(' ');
                }
                gap = false;
                line.push(character);
                count += 1;
                if count == MAX_EXCERPT {
                    line.push('…');
                    break;
                }
            }
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
        let page = "<html>\n<head><title>Not Found</title></head>\u{7}<body>no <b>bot</b> here</body></html>";
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
}
