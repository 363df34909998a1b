//! Connections of devices: HTTP/1.1 over TLS, as little of it as the load needs.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail, ensure};
use ringfort_messages::{CheckInAnswer, ClassId};
use rustls::RootCertStore;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::device::{Device, Key};

/// Where devices connect, and what they trust.
#[derive(Clone)]
pub struct Target {
    /// The device listener's port on 127.0.0.1.
    pub port: u16,
    /// The Server CA.
    pub roots: Arc<RootCertStore>,
}

/// One device's connection.
pub struct Connection {
    stream: TlsStream<TcpStream>,
    port: u16,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects and shakes hands. The sources are spread over addresses of this machine, for a hub
    /// takes only so many connections from one.
    pub async fn open(target: &Target, device: &Device) -> Result<Connection> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let source = 2 + (NEXT.fetch_add(1, Ordering::Relaxed) % SOURCES) as u8;
        let socket = TcpSocket::new_v4()?;
        socket.bind((Ipv4Addr::new(127, 0, 0, source), 0).into())?;
        let stream = socket.connect((Ipv4Addr::LOCALHOST, target.port).into()).await?;
        stream.set_nodelay(true)?;
        let connector = TlsConnector::from(device.tls(&target.roots)?);
        let stream = connector.connect(ServerName::try_from("localhost")?, stream).await?;
        Ok(Connection { stream, port: target.port, buffer: Vec::new() })
    }

    /// Checks in, and keeps the link.
    pub async fn check_in(&mut self, device: &mut Device, class: ClassId) -> Result<()> {
        let body = device.check_in(class)?.encode().map_err(|e| anyhow::anyhow!("{e:?}"))?;
        let answer = self.post("/v1/check-in", "application/cbor", &body).await?;
        let answer = CheckInAnswer::decode(&answer).map_err(|e| anyhow::anyhow!("{e:?}"))?;
        device.link = Some(answer.link);
        Ok(())
    }

    /// Enrols a key; the base64 of the request was made beforehand.
    pub async fn enrol(&mut self, request: &[u8]) -> Result<()> {
        self.post("/.well-known/est/simpleenroll", "application/pkcs10", request).await?;
        Ok(())
    }

    /// Gets a path, as bytes.
    pub async fn get(&mut self, path: &str) -> Result<Vec<u8>> {
        let head = format!("GET {path} HTTP/1.1\r\nhost: localhost:{}\r\n\r\n", self.port);
        self.exchange(head.into_bytes()).await
    }

    async fn post(&mut self, path: &str, media_type: &str, body: &[u8]) -> Result<Vec<u8>> {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost:{}\r\ncontent-type: {media_type}\r\n\
             content-length: {}\r\n\r\n",
            self.port,
            body.len()
        );
        self.exchange([head.as_bytes(), body].concat()).await
    }

    async fn exchange(&mut self, request: Vec<u8>) -> Result<Vec<u8>> {
        self.stream.write_all(&request).await?;
        self.stream.flush().await?;
        self.buffer.clear();
        loop {
            let read = self.stream.read_buf(&mut self.buffer).await?;
            ensure!(read > 0, "the hub closed the connection");
            let Some(end) = find(&self.buffer, b"\r\n\r\n") else { continue };
            let head = std::str::from_utf8(&self.buffer[..end])?.to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.context("an answer without a length")?.parse()?;
            while self.buffer.len() < end + 4 + length {
                ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "a cut answer");
            }
            let body = self.buffer[end + 4..].to_vec();
            if !head.starts_with("http/1.1 200 ") {
                bail!("{}: {}", head, String::from_utf8_lossy(&body));
            }
            return Ok(body);
        }
    }
}

/// The body of an enrolment for a new key.
pub fn enrolment() -> Result<Vec<u8>> {
    let request = Key::generate()?.request()?;
    Ok(base64(&request).into_bytes())
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let number = three.iter().fold(0_u32, |n, byte| n << 8 | u32::from(*byte));
        let number = number << (8 * (3 - three.len()));
        for digit in 0..4 {
            match digit <= three.len() {
                true => out.push(char::from(DIGITS[(number >> (18 - 6 * digit)) as usize & 63])),
                false => out.push('='),
            }
        }
    }
    out
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// Addresses that the load comes from.
const SOURCES: u32 = 16;
