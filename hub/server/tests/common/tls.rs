//! A client that can be slow, silent, and look at the handshake.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Identity, World};

/// A configuration; connections made with the same one resume each other's sessions.
pub fn config(world: &World, identity: Option<&Identity>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(world.server_ca.clone())).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    Arc::new(match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let chain = vec![CertificateDer::from_pem_file(&identity.certificate).unwrap()];
            let key = PrivateKeyDer::from_pem_file(&identity.key).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    })
}

/// Connects; fails when the server does not want to.
pub async fn connect(
    config: &Arc<ClientConfig>,
    port: u16,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(config.clone()).connect(name, stream).await
}

/// One whole request in HTTP/1.1.
pub fn request(port: u16, method: &str, path: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = head(port, method, path, body.len()).into_bytes();
    bytes.extend(body);
    bytes
}

pub fn head(port: u16, method: &str, path: &str, length: usize) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost:{port}\r\ncontent-type: application/cbor\r\n\
         content-length: {length}\r\n\r\n"
    )
}

/// Sends a request and reads the answer's head and as much of its body as is told.
pub async fn exchange(stream: &mut TlsStream<TcpStream>, request: &[u8]) -> (u16, String) {
    stream.write_all(request).await.unwrap();
    answer(stream).await
}

/// The status and head of an answer; its body is read and dropped.
pub async fn answer(stream: &mut TlsStream<TcpStream>) -> (u16, String) {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        let read = stream.read_buf(&mut bytes).await.unwrap();
        assert!(read > 0, "closed before an answer: {:?}", String::from_utf8_lossy(&bytes));
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_ascii_lowercase();
    let length: usize = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().unwrap());
    while bytes.len() < end + 4 + length {
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0);
    }
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head)
}

/// Whether the server closes the connection: waits until it does.
pub async fn closed(stream: &mut TlsStream<TcpStream>) {
    let mut rest = Vec::new();
    // An abrupt end is an end too.
    let _ = stream.read_to_end(&mut rest).await;
}
