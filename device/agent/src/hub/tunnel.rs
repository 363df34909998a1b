//! The way through an HTTP proxy: CONNECT (RFC 9110, section 9.3.6). TLS runs from end to end
//! through it, so the proxy sees a name, a port and how much passes.

use std::time::Duration;

use ringfort_cose::Reason;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::proxy::Proxy;
use crate::{AGENT, AgentError};

/// A connection to `host`, which the proxy looks up, through the proxy.
pub(super) async fn open(proxy: &Proxy, host: &str, port: u16) -> Result<TcpStream, AgentError> {
    let opened = timeout(PROXY_TIMEOUT, connect(proxy, host, port)).await;
    opened.map_err(|_| unreachable(proxy, "no answer in time"))?
}

async fn connect(proxy: &Proxy, host: &str, port: u16) -> Result<TcpStream, AgentError> {
    let gone = |error: std::io::Error| unreachable(proxy, error);
    let mut tcp = TcpStream::connect((proxy.host.as_str(), proxy.port)).await.map_err(gone)?;
    let _ = tcp.set_nodelay(true);
    tcp.write_all(request(proxy, host, port)?.as_bytes()).await.map_err(gone)?;
    let mut head = Vec::new();
    loop {
        match judge(&head, proxy.authorization.is_some()) {
            Ok(Some(())) => return Ok(tcp),
            Ok(None) => {}
            Err((reason, detail)) => {
                return Err(AgentError::Proxy { address: proxy.address(), reason, detail });
            }
        }
        let mut buffer = [0; 1024];
        match tcp.read(&mut buffer).await.map_err(gone)? {
            0 => return Err(unreachable(proxy, "it closed the connection without an answer")),
            read => head.extend_from_slice(&buffer[..read]),
        }
    }
}

fn request(proxy: &Proxy, host: &str, port: u16) -> Result<String, AgentError> {
    if !host.chars().all(|c| c.is_ascii_alphanumeric() || ".-_:".contains(c)) {
        return Err(AgentError::answer(Reason::UriNotAllowed, host));
    }
    let authority = match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    };
    let agent = AGENT.replace(' ', "/");
    let credentials = match &proxy.authorization {
        Some(value) => format!("proxy-authorization: {value}\r\n"),
        None => String::new(),
    };
    Ok(format!(
        "CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\nuser-agent: {agent}\r\n{credentials}\r\n"
    ))
}

/// What the proxy has said so far: the way is open, or more has to come.
fn judge(answer: &[u8], with_credentials: bool) -> Result<Option<()>, (Reason, String)> {
    let mut rest = answer;
    // Interim answers may come before the one that counts (RFC 9110, section 15.2).
    loop {
        let Some(end) = rest.windows(4).position(|four| four == b"\r\n\r\n") else {
            return match answer.len() {
                0..MAX_HEAD => Ok(None),
                _ => Err((Reason::TooLarge, format!("its answer has more than {MAX_HEAD} bytes"))),
            };
        };
        let line = rest.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let status = status_of(line)
            .ok_or_else(|| (Reason::Malformed, format!("\"{}\"", readable(line))))?;
        rest = &rest[end + 4..];
        return match status {
            100..=199 => continue,
            200..=299 if rest.is_empty() => Ok(Some(())),
            // The hub never speaks first: these are not its bytes.
            200..=299 => Err((Reason::Malformed, "it sent more than an answer".to_owned())),
            407 if with_credentials => {
                Err((Reason::ProxyAuthRequired, "it does not take the credentials".to_owned()))
            }
            407 => Err((Reason::ProxyAuthRequired, "it asks for credentials".to_owned())),
            _ => Err((Reason::ProxyRefused, format!("it answered \"{}\"", readable(line)))),
        };
    }
}

/// The code of a status line `HTTP/1.x CODE …` (RFC 9112, section 4).
fn status_of(line: &[u8]) -> Option<u16> {
    let rest = line.strip_prefix(b"HTTP/1.0 ").or_else(|| line.strip_prefix(b"HTTP/1.1 "))?;
    let (code, rest) = rest.split_first_chunk::<3>()?;
    let code = std::str::from_utf8(code).ok()?;
    let whole = rest.first().is_none_or(|next| *next == b' ');
    let digits = code.bytes().all(|byte| byte.is_ascii_digit());
    code.parse().ok().filter(|code| whole && digits && (100..600).contains(code))
}

/// As much of what came as belongs into a log.
fn readable(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(&line[..line.len().min(MAX_SHOWN)]);
    text.chars().map(|c| if c.is_control() || c == '"' { '?' } else { c }).collect()
}

fn unreachable(proxy: &Proxy, problem: impl ToString) -> AgentError {
    AgentError::Unreachable {
        address: format!("the proxy {}", proxy.address()),
        problem: problem.to_string(),
    }
}

const PROXY_TIMEOUT: Duration = Duration::from_secs(15);
/// Of everything that the proxy says before the way is open.
const MAX_HEAD: usize = 16 * 1024;
const MAX_SHOWN: usize = 100;

#[cfg(test)]
#[path = "tunnel_tests.rs"]
mod tests;
