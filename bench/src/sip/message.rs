//! Reading SIP messages, as far as a caller must.

use std::fmt::Write as _;

/// A message: its first line, header fields in order, and body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Request line or status line.
    pub start: String,
    /// Names as received, values trimmed and unfolded.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

/// How a stretch of a stream reads.
#[derive(Debug, PartialEq, Eq)]
pub enum Framed {
    /// One message and the bytes it took.
    Message(Box<Message>, usize),
    /// Keep-alive bytes to skip.
    Skip(usize),
    /// More bytes are needed.
    More,
    /// No SIP.
    Garbage,
}

fn compact(name: &str) -> Option<&'static str> {
    Some(match name {
        "v" => "Via",
        "f" => "From",
        "t" => "To",
        "i" => "Call-ID",
        "m" => "Contact",
        "l" => "Content-Length",
        "c" => "Content-Type",
        _ => return None,
    })
}

impl Message {
    /// Reads a head (without the empty line) and takes `body` for its body.
    fn from_parts(head: &str, body: &[u8]) -> Option<Self> {
        let mut lines = head.split("\r\n").flat_map(|line| line.split('\n'));
        let start = lines.next()?.to_owned();
        let mut headers: Vec<(String, String)> = Vec::with_capacity(16);
        for line in lines {
            if line.starts_with([' ', '\t']) {
                let (_, value) = headers.last_mut()?;
                let _ = write!(value, " {}", line.trim());
                continue;
            }
            let (name, value) = line.split_once(':')?;
            headers.push((name.trim().to_owned(), value.trim().to_owned()));
        }
        Some(Self {
            start,
            headers,
            body: String::from_utf8_lossy(body).into_owned(),
        })
    }

    /// Reads a datagram.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let end = find(bytes, b"\r\n\r\n")?;
        let head = std::str::from_utf8(&bytes[..end]).ok()?;
        let mut message = Self::from_parts(head, &bytes[end + 4..])?;
        if let Some(length) = message.content_length() {
            message.body.truncate(length.min(message.body.len()));
        }
        Some(message)
    }

    /// Reads the next message of a stream.
    pub fn from_stream(bytes: &[u8]) -> Framed {
        let blank = bytes
            .iter()
            .take_while(|&&byte| byte == b'\r' || byte == b'\n')
            .count();
        if blank > 0 {
            return Framed::Skip(blank);
        }
        let Some(end) = find(bytes, b"\r\n\r\n") else {
            return if bytes.len() > 65_536 {
                Framed::Garbage
            } else {
                Framed::More
            };
        };
        let Ok(head) = std::str::from_utf8(&bytes[..end]) else {
            return Framed::Garbage;
        };
        let Some(message) = Self::from_parts(head, &[]) else {
            return Framed::Garbage;
        };
        let total = end + 4 + message.content_length().unwrap_or(0);
        if bytes.len() < total {
            return Framed::More;
        }
        match Self::from_parts(head, &bytes[end + 4..total]) {
            Some(message) => Framed::Message(Box::new(message), total),
            None => Framed::Garbage,
        }
    }

    fn content_length(&self) -> Option<usize> {
        self.header("Content-Length")?.parse().ok()
    }

    /// All values of a header, one a line, by its long name.
    pub fn headers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(have, _)| {
                have.eq_ignore_ascii_case(name)
                    || compact(&have.to_ascii_lowercase())
                        .is_some_and(|long| long.eq_ignore_ascii_case(name))
            })
            .map(|(_, value)| value.as_str())
    }

    /// The first value of a header.
    pub fn header<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.headers(name).next()
    }

    /// The status code, if this is a response.
    pub fn status(&self) -> Option<u16> {
        self.start.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
    }

    /// The method, if this is a request.
    pub fn method(&self) -> Option<&str> {
        let (method, rest) = self.start.split_once(' ')?;
        rest.ends_with(" SIP/2.0").then_some(method)
    }

    /// CSeq's number and method.
    pub fn cseq(&self) -> Option<(u32, &str)> {
        let (number, method) = self.header("CSeq")?.split_once(' ')?;
        Some((number.parse().ok()?, method.trim()))
    }

    /// The branch of the top Via.
    pub fn branch(&self) -> Option<&str> {
        parameter(self.header("Via")?.split(',').next()?, "branch")
    }

    /// The URI of the first Contact.
    pub fn contact(&self) -> Option<&str> {
        let value = self.header("Contact")?;
        match value.split_once('<') {
            Some((_, rest)) => rest.split('>').next(),
            None => value.split([';', ',']).next(),
        }
    }

    /// The Record-Route values in order, one URI each.
    pub fn record_routes(&self) -> Vec<String> {
        self.headers("Record-Route")
            .flat_map(|line| line.split(','))
            .map(|value| value.trim().to_owned())
            .collect()
    }
}

/// A parameter of a header value, by name.
pub fn parameter<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    let after_uri = value.rsplit_once('>').map_or(value, |(_, rest)| rest);
    after_uri.split(';').skip(1).find_map(|part| {
        let (have, value) = part.split_once('=').unwrap_or((part, ""));
        have.trim()
            .eq_ignore_ascii_case(name)
            .then_some(value.trim())
    })
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESPONSE: &[u8] = b"SIP/2.0 200 OK\r\nv: SIP/2.0/UDP h;branch=z9hG4bK1;rport=5\r\nRecord-Route: <sip:a;lr>, <sip:b;lr>\r\n\
        To: \"A;tag=no\" <sip:x@y>;tag=yes\r\ni: 7.9@h\r\nCSeq: 3 INVITE\r\nContact: \"me\" <sip:u@h:5070>;q=1\r\n\
        Subject: folded\r\n  over\r\nContent-Length: 3\r\n\r\nabcd";

    #[test]
    fn a_response_is_read() {
        let message = Message::parse(RESPONSE).unwrap();
        assert_eq!(message.status(), Some(200));
        assert_eq!(message.method(), None);
        assert_eq!(message.branch(), Some("z9hG4bK1"));
        assert_eq!(message.record_routes(), ["<sip:a;lr>", "<sip:b;lr>"]);
        assert_eq!(parameter(message.header("To").unwrap(), "tag"), Some("yes"));
        assert_eq!(message.header("call-id"), Some("7.9@h"));
        assert_eq!(message.cseq(), Some((3, "INVITE")));
        assert_eq!(message.contact(), Some("sip:u@h:5070"));
        assert_eq!(message.header("Subject"), Some("folded over"));
        assert_eq!(message.body, "abc");
    }

    #[test]
    fn a_stream_is_cut_where_the_length_says() {
        let mut stream = b"\r\n\r\n".to_vec();
        stream.extend_from_slice(RESPONSE);
        assert_eq!(Message::from_stream(&stream), Framed::Skip(4));
        let Framed::Message(message, used) = Message::from_stream(RESPONSE) else {
            panic!("no message")
        };
        assert_eq!((message.body.as_str(), used), ("abc", RESPONSE.len() - 1));
        assert_eq!(
            Message::from_stream(&RESPONSE[..RESPONSE.len() - 2]),
            Framed::More
        );
        assert_eq!(Message::from_stream(b"\x80\x81\r\n\r\n"), Framed::Garbage);
    }

    #[test]
    fn a_request_has_a_method() {
        let message = Message::parse(b"BYE sip:u@h SIP/2.0\r\nCSeq: 4 BYE\r\n\r\n").unwrap();
        assert_eq!(message.method(), Some("BYE"));
        assert_eq!(message.status(), None);
    }
}
