//! Whom a `wss` server has to satisfy: the system's roots, a file of certificates, or nobody; and its failures in plain words.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error,
    PeerIncompatible, RootCertStore, SignatureScheme,
};

/// What a `wss` server's certificate is judged by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Trust {
    /// The certificates of the system.
    #[default]
    System,
    /// Those of a PEM file: CAs, or the server's own.
    File(PathBuf),
    /// Nothing: any certificate will do.
    Anybody,
}

/// Configurations that are kept: each agent has one trust of its own.
const KEPT: usize = 64;

struct Kept {
    trust: Trust,
    /// When the file was last written, as it was read.
    written: Option<SystemTime>,
    config: Arc<ClientConfig>,
}

/// The configurations of all trusts that were asked for, each read once; a file again when it has changed.
#[derive(Default)]
pub struct TlsConfigs {
    kept: Mutex<Vec<Kept>>,
}

impl fmt::Debug for TlsConfigs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TlsConfigs")
    }
}

impl TlsConfigs {
    /// The configuration of a trust. It may read from the disk.
    ///
    /// # Errors
    /// In words, when no certificate can be had to judge by.
    pub fn get(&self, trust: &Trust) -> Result<Arc<ClientConfig>, String> {
        let written = match trust {
            Trust::File(path) => modified(path),
            Trust::System | Trust::Anybody => None,
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = kept.iter().find(|kept| kept.trust == *trust)
            && found.written == written
        {
            return Ok(Arc::clone(&found.config));
        }
        let config = Arc::new(make(trust)?);
        kept.retain(|kept| kept.trust != *trust);
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        kept.push(Kept {
            trust: trust.clone(),
            written,
            config: Arc::clone(&config),
        });
        Ok(config)
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().and_then(|found| found.modified()).ok()
}

fn make(trust: &Trust) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let mut config = match trust {
        Trust::System => builder
            .with_root_certificates(system_roots()?)
            .with_no_client_auth(),
        Trust::File(path) => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Judge::by_file(path, provider)?))
            .with_no_client_auth(),
        Trust::Anybody => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Judge::of_nothing(provider)))
            .with_no_client_auth(),
    };
    // RFC 6455 is HTTP/1.1; a server that would rather speak HTTP/2 must not choose it.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// SSL_CERT_FILE and SSL_CERT_DIR, else the system's.
fn system_roots() -> Result<RootCertStore, String> {
    let loaded = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(loaded.certs);
    if !roots.is_empty() {
        return Ok(roots);
    }
    let why = loaded
        .errors
        .first()
        .map(|error| format!(": {error}"))
        .unwrap_or_default();
    Err(format!(
        "no trusted certificates were found on this system{why}"
    ))
}

/// Whose certificates are taken.
#[derive(Debug)]
enum Trusted {
    /// Those of a file: its CAs', and the server's own as it is.
    Named {
        own: Vec<CertificateDer<'static>>,
        chains: Option<Arc<WebPkiServerVerifier>>,
    },
    /// Anybody's: the connection is encrypted, and nobody knows with whom.
    Anybody,
}

/// Judges a server's certificate by something else than the system's roots.
#[derive(Debug)]
struct Judge {
    trust: Trusted,
    provider: Arc<CryptoProvider>,
}

impl Judge {
    fn by_file(path: &Path, provider: Arc<CryptoProvider>) -> Result<Self, String> {
        let unusable = |why: String| format!("tls_ca {} can't be used: {why}", path.display());
        let own: Vec<_> = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect)
            .map_err(|error| unusable(error.to_string()))?;
        if own.is_empty() {
            return Err(unusable("there is no certificate in it".to_owned()));
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(own.iter().cloned());
        let chains =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .ok();
        let trust = Trusted::Named { own, chains };
        Ok(Self { trust, provider })
    }

    fn of_nothing(provider: Arc<CryptoProvider>) -> Self {
        let trust = Trusted::Anybody;
        Self { trust, provider }
    }
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Trusted::Named { own, chains } = &self.trust else {
            return Ok(ServerCertVerified::assertion());
        };
        if own.iter().any(|own| own == end_entity) {
            // A self-signed one is no CA to anybody else; who names it trusts it.
            verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
            return Ok(ServerCertVerified::assertion());
        }
        let Some(chains) = chains else {
            return Err(CertificateError::UnknownIssuer.into());
        };
        chains.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// Why a server's TLS came to nothing, in plain words, its cause in brackets. The causes are those of SIP over TLS.
#[must_use]
pub fn in_words(error: &Error, host: &str) -> String {
    let (words, cause) = explained(error, host);
    format!("{words} ({cause})")
}

/// What a server is that answers a ClientHello with these bytes; `None` if it speaks TLS.
#[must_use]
pub fn not_tls(first: &[u8]) -> Option<String> {
    match first {
        [b'H', b'T', b'T', b'P', ..] => Some(
            "plain HTTP is spoken on that port, not TLS: the URL has to begin with ws:// (plain_http)"
                .to_owned(),
        ),
        [0x15 | 0x16, ..] | [] => None,
        _ => Some("what is spoken on that port is not TLS (not_tls)".to_owned()),
    }
}

fn explained(error: &Error, host: &str) -> (String, &'static str) {
    let plain = |words: &str, cause| (words.to_owned(), cause);
    match error {
        Error::InvalidCertificate(wrong) => of_certificate(wrong, host),
        Error::AlertReceived(AlertDescription::ProtocolVersion)
        | Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => plain(
            "the server speaks no TLS version of today (1.2 or 1.3)",
            "old_version",
        ),
        Error::AlertReceived(
            AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity,
        )
        | Error::PeerIncompatible(
            PeerIncompatible::NoCipherSuitesInCommon | PeerIncompatible::NoKxGroupsInCommon,
        ) => plain(
            "the server has no cipher suite in common with us (ECDHE with AES-GCM or ChaCha20)",
            "no_common_cipher",
        ),
        Error::AlertReceived(AlertDescription::UnrecognisedName) => (
            format!("the server does not know the name {host}"),
            "wrong_name",
        ),
        Error::AlertReceived(AlertDescription::CertificateRequired) => plain(
            "the server asks for a client certificate, which agents are not shown",
            "our_certificate_missing",
        ),
        Error::AlertReceived(alert) => (
            format!("the server broke off the handshake: {alert:?}"),
            "peer_alert",
        ),
        Error::InvalidMessage(_) => plain("what is spoken on that port is not TLS", "not_tls"),
        other => (other.to_string(), "protocol_error"),
    }
}

fn of_certificate(wrong: &CertificateError, host: &str) -> (String, &'static str) {
    let plain = |words: &str, cause| (words.to_owned(), cause);
    match wrong {
        CertificateError::Expired => plain(
            "the server's certificate has expired",
            "certificate_expired",
        ),
        CertificateError::ExpiredContext { time, not_after } => {
            let days = time.as_secs().saturating_sub(not_after.as_secs()) / 86_400;
            let when = match days {
                0 => "today".to_owned(),
                1 => "yesterday".to_owned(),
                days => format!("{days} days ago"),
            };
            (
                format!("the server's certificate has expired {when}"),
                "certificate_expired",
            )
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => plain(
            "the server's certificate is not valid yet: compare the clocks",
            "certificate_not_yet_valid",
        ),
        CertificateError::UnknownIssuer => plain(
            "the server's certificate was issued by nobody that we trust; tls_ca of the [[agent]] names its CA",
            "unknown_issuer",
        ),
        CertificateError::NotValidForName => (
            format!("the server's certificate is not for {host}"),
            "wrong_name",
        ),
        CertificateError::NotValidForNameContext { presented, .. } => {
            let names: Vec<String> = presented.iter().take(3).map(|name| bare(name)).collect();
            let names = if names.is_empty() {
                "no name".to_owned()
            } else {
                names.join(", ")
            };
            (
                format!("the server's certificate is for {names}, not for {host}"),
                "wrong_name",
            )
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => plain(
            "the server's certificate is not made for servers",
            "wrong_purpose",
        ),
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => plain(
            "the server's certificate is its own CA; tls_ca of the [[agent]] has to name it",
            "unknown_issuer",
        ),
        other => (
            format!("the server's certificate can't be used: {other}"),
            "bad_certificate",
        ),
    }
}

/// A name as webpki quotes it (`DnsName("example.com")`), without the quotes around it.
fn bare(name: &str) -> String {
    let inside = name.split('"').nth(1).unwrap_or(name);
    inside
        .chars()
        .filter(|character| !character.is_control())
        .take(80)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_tell_plain_http() {
        assert!(not_tls(b"HTTP/1.1 400").is_some_and(|words| words.contains("ws://")));
        assert!(not_tls(b"SSH-2.0").is_some_and(|words| words.contains("not_tls")));
        assert_eq!(not_tls(&[0x16, 3, 3]), None);
        assert_eq!(not_tls(&[0x15, 3, 3]), None);
        assert_eq!(not_tls(b""), None);
    }

    #[test]
    fn names_are_told_without_their_quoting() {
        assert_eq!(bare("DnsName(\"bot.example\")"), "bot.example");
        assert_eq!(bare("plain\u{1b}[2J"), "plain[2J");
    }

    #[test]
    fn what_can_not_judge_is_told() {
        let configs = TlsConfigs::default();
        let missing = Trust::File("/nowhere/ca.pem".into());
        assert!(
            configs
                .get(&missing)
                .is_err_and(|why| why.contains("/nowhere/ca.pem"))
        );
        assert!(configs.get(&Trust::Anybody).is_ok());
    }

    #[test]
    fn a_configuration_is_made_once() {
        let configs = TlsConfigs::default();
        let first = configs.get(&Trust::Anybody).expect("made");
        assert!(Arc::ptr_eq(
            &first,
            &configs.get(&Trust::Anybody).expect("kept")
        ));
    }
}
