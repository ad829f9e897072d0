//! The address of an agent: `ws:` or `wss:` (RFC 6455 section 3), read strictly.

use std::fmt;
use std::net::Ipv6Addr;

/// Longer URLs are refused.
const MAX_URL: usize = 4096;

/// Where an agent listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentUrl {
    /// `wss:`, so TLS.
    pub tls: bool,
    /// Name or address, without the brackets of IPv6, in lower case.
    pub host: String,
    /// TCP port; 80 or 443 if the URL has none.
    pub port: u16,
    /// Path and query, as they go into the request line; may hold secrets.
    pub target: String,
}

/// Why a URL can't be dialled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlError(&'static str);

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for UrlError {}

impl AgentUrl {
    /// Read a URL.
    pub fn parse(url: &str) -> Result<Self, UrlError> {
        if url.len() > MAX_URL {
            return Err(UrlError("the URL is longer than 4096 characters"));
        }
        if !url.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(UrlError(
                "the URL has a space, a control character or one that is not ASCII: write it percent-encoded",
            ));
        }
        let (scheme, rest) = url
            .split_once("://")
            .ok_or(UrlError("the URL begins with ws:// or wss://"))?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "ws" => false,
            "wss" => true,
            _ => return Err(UrlError("the URL begins with ws:// or wss://")),
        };
        let (rest, fragment) = rest
            .split_once('#')
            .map_or((rest, None), |(rest, fragment)| (rest, Some(fragment)));
        if fragment.is_some() {
            return Err(UrlError(
                "a WebSocket URL has no fragment (RFC 6455 section 3)",
            ));
        }
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(at);
        if authority.contains('@') {
            return Err(UrlError(
                "credentials belong into a header or a token, not into the URL",
            ));
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(literal) => {
                let (address, port) = literal
                    .split_once(']')
                    .ok_or(UrlError("the address lacks its closing bracket"))?;
                let address: Ipv6Addr = address
                    .parse()
                    .map_err(|_| UrlError("the address in brackets is not IPv6"))?;
                let port = match port.strip_prefix(':') {
                    Some(port) => Some(port),
                    None if port.is_empty() => None,
                    None => return Err(UrlError("after the bracket comes a port or nothing")),
                };
                (address.to_string(), port)
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host.to_ascii_lowercase(), Some(port)),
                None => (authority.to_ascii_lowercase(), None),
            },
        };
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
        if host.is_empty() || host.len() > 255 || !host.bytes().all(is_name) {
            return Err(UrlError(
                "the URL has no host, or one that is no name and no address",
            ));
        }
        let port = match port {
            None | Some("") => {
                if tls {
                    443
                } else {
                    80
                }
            }
            Some(port) if port.bytes().all(|digit| digit.is_ascii_digit()) => port
                .parse()
                .ok()
                .filter(|port| *port != 0)
                .ok_or(UrlError("the port is from 1 to 65535"))?,
            Some(_) => return Err(UrlError("the port is a number")),
        };
        let target = if target.starts_with('/') {
            target.to_owned()
        } else {
            format!("/{target}")
        };
        Ok(Self {
            tls,
            host,
            port,
            target,
        })
    }

    /// What the `Host` header says: the port only where it is not the scheme's own (RFC 6455 section 4.1).
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        let default = if self.tls { 443 } else { 80 };
        if self.port == default {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }

    /// The URL for a log: without its query, where tokens hide.
    pub fn redacted(&self) -> String {
        let scheme = if self.tls { "wss" } else { "ws" };
        let (path, query) = self
            .target
            .split_once('?')
            .map_or((self.target.as_str(), ""), |(path, _)| (path, "?…"));
        format!("{scheme}://{}{path}{query}", self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> (bool, String, u16, String) {
        let url = AgentUrl::parse(url).unwrap();
        (url.tls, url.host, url.port, url.target)
    }

    #[test]
    fn urls_are_taken_apart() {
        assert_eq!(
            parse("ws://Bot.example"),
            (false, "bot.example".into(), 80, "/".into())
        );
        assert_eq!(
            parse("WSS://bot.example:8443/ws?x=/a&y"),
            (true, "bot.example".into(), 8443, "/ws?x=/a&y".into())
        );
        assert_eq!(
            parse("wss://bot.example?token=1"),
            (true, "bot.example".into(), 443, "/?token=1".into())
        );
        assert_eq!(
            parse("ws://[2001:DB8::1]:7860/ws"),
            (false, "2001:db8::1".into(), 7860, "/ws".into())
        );
        assert_eq!(
            parse("ws://127.0.0.1:1/"),
            (false, "127.0.0.1".into(), 1, "/".into())
        );
    }

    #[test]
    fn what_is_no_such_url_is_refused_in_words() {
        for (url, word) in [
            ("http://bot", "ws://"),
            ("bot.example", "ws://"),
            ("ws://", "host"),
            ("ws:///x", "host"),
            ("ws://b/#x", "fragment"),
            ("ws://u:p@b/", "credentials"),
            ("ws://b:0/", "port"),
            ("ws://b:99999/", "port"),
            ("ws://b:+80/", "number"),
            ("ws://[::1/", "bracket"),
            ("ws://[bot]/", "IPv6"),
            ("ws://[::1]x/", "bracket"),
            ("ws://b/a b", "space"),
            ("ws://b/a\r\nX: y", "control"),
            ("ws://bücher/", "ASCII"),
            ("ws://b\\c/", "host"),
        ] {
            let error = AgentUrl::parse(url).expect_err(url).to_string();
            assert!(error.contains(word), "{url}: {error}");
        }
        assert!(AgentUrl::parse(&format!("ws://b/{}", "a".repeat(5_000))).is_err());
    }

    #[test]
    fn the_host_header_has_the_port_only_where_it_matters() {
        let authority = |url| AgentUrl::parse(url).unwrap().authority();
        assert_eq!(authority("wss://b:443/"), "b");
        assert_eq!(authority("ws://b:443/"), "b:443");
        assert_eq!(authority("ws://[::1]:80/"), "[::1]");
    }

    #[test]
    fn a_log_never_shows_the_query() {
        assert_eq!(
            AgentUrl::parse("wss://b/ws?token=secret")
                .unwrap()
                .redacted(),
            "wss://b/ws?…"
        );
        assert_eq!(
            AgentUrl::parse("ws://b:81").unwrap().redacted(),
            "ws://b:81/"
        );
    }
}
