//! The opening handshake (RFC 6455 section 4.1): the request that we send and the judgement of its answer, no I/O.

mod error;
mod excerpt;
#[cfg(test)]
mod tests;

pub use error::{HeaderError, UpgradeError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use super::dialect::is_token;
use super::url::AgentUrl;
use excerpt::excerpt;

/// The longest answer up to its empty line, in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// How much of a refusal's body is read.
const MAX_BODY: usize = 1024;

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
