//! Proxies that do not do what they should.

use ringfort_cose::Reason;
use tokio::net::TcpListener;

use super::*;
use crate::proxy::{Proxies, ProxyConfig};

/// A proxy that reads a request and answers with these bytes, a piece a second.
async fn proxy(pieces: Vec<Vec<u8>>) -> (Proxies, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(tcp.read_u8().await.unwrap());
        }
        for piece in pieces {
            if tcp.write_all(&piece).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        String::from_utf8(request).unwrap()
    });
    let config = ProxyConfig { address: Some(address), ..ProxyConfig::default() };
    (config.resolve("agent.toml".as_ref(), |_| None).unwrap(), task)
}

async fn opened(pieces: Vec<Vec<u8>>) -> Result<TcpStream, AgentError> {
    let (proxies, _task) = proxy(pieces).await;
    open(&proxies.route("hub.example", 443).unwrap(), "hub.example", 443).await
}

async fn refused(answer: impl Into<Vec<u8>>) -> (Reason, String) {
    match opened(vec![answer.into()]).await.unwrap_err() {
        AgentError::Proxy { reason, detail, .. } => (reason, detail),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn the_proxy_is_asked_by_name_and_nothing_else() {
    let answer = b"HTTP/1.1 200 Connection established\r\nvia: 1.1 p\r\n\r\n".to_vec();
    let (proxies, task) = proxy(vec![answer]).await;
    let route = proxies.route("hub.example", 8443).unwrap();
    drop(open(&route, "hub.example", 8443).await.unwrap());
    let request = task.await.unwrap();
    let agent = AGENT.replace(' ', "/");
    let expected = format!(
        "CONNECT hub.example:8443 HTTP/1.1\r\nhost: hub.example:8443\r\nuser-agent: {agent}\r\n\r\n"
    );
    assert_eq!(request, expected);
}

#[tokio::test]
async fn an_address_of_version_six_stands_in_brackets() {
    let (proxies, task) = proxy(vec![b"HTTP/1.0 204 x\r\n\r\n".to_vec()]).await;
    drop(open(&proxies.route("fd00::1", 443).unwrap(), "fd00::1", 443).await.unwrap());
    assert!(
        task.await
            .unwrap()
            .starts_with("CONNECT [fd00::1]:443 HTTP/1.1\r\nhost: [fd00::1]:443\r\n")
    );
}

#[tokio::test]
async fn a_host_that_would_write_headers_is_not_asked_for() {
    let (proxies, _task) = proxy(Vec::new()).await;
    let route = proxies.route("x", 443).unwrap();
    let refused = open(&route, "x\r\nproxy-authorization: y", 443).await.unwrap_err();
    assert!(matches!(refused, AgentError::Answer { reason: Reason::UriNotAllowed, .. }));
}

#[tokio::test]
async fn a_proxy_that_asks_for_credentials_is_named_as_such() {
    let (reason, detail) =
        refused("HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 5\r\n\r\nhello")
            .await;
    assert_eq!((reason, detail.as_str()), (Reason::ProxyAuthRequired, "it asks for credentials"));
}

#[tokio::test]
async fn a_proxy_that_refuses_is_quoted_without_what_controls_a_terminal() {
    let (reason, detail) = refused("HTTP/1.1 403 no \x1b[31m\"way\"\r\n\r\n<html>").await;
    assert_eq!(reason, Reason::ProxyRefused);
    assert_eq!(detail, "it answered \"HTTP/1.1 403 no ?[31m?way?\"");
    for status in ["301 Moved", "502 Bad Gateway", "599 x"] {
        assert_eq!(refused(format!("HTTP/1.1 {status}\r\n\r\n")).await.0, Reason::ProxyRefused);
    }
}

#[tokio::test]
async fn what_is_no_http_is_malformed() {
    for answer in [
        "HTTP/2 200\r\n\r\n",
        "HTTP/1.1 2000 x\r\n\r\n",
        "HTTP/1.1 20\r\n\r\n",
        "HTTP/1.1 +20 x\r\n\r\n",
        "HTTP/1.1  200 x\r\n\r\n",
        "SSH-2.0-x\r\n\r\n",
        "\r\n\r\n",
        "\u{16}\u{3}\u{1}\r\n\r\n",
    ] {
        assert_eq!(refused(answer).await.0, Reason::Malformed, "{answer:?}");
    }
}

#[tokio::test]
async fn bytes_that_a_proxy_slips_in_behind_its_answer_are_refused() {
    assert_eq!(refused("HTTP/1.1 200 x\r\n\r\n\u{16}").await.0, Reason::Malformed);
}

#[tokio::test]
async fn endless_headers_end_at_the_bound() {
    let header = format!("x: {}\r\n", "y".repeat(1000)).repeat(40);
    assert_eq!(refused(format!("HTTP/1.1 200 x\r\n{header}")).await.0, Reason::TooLarge);
    assert_eq!(refused("HTTP/1.1 100 Continue\r\n\r\n".repeat(1000)).await.0, Reason::TooLarge);
    let one_interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 x\r\n\r\n";
    assert!(opened(vec![one_interim.into()]).await.is_ok());
}

#[tokio::test]
async fn a_proxy_that_closes_without_an_answer_is_unreachable() {
    let (proxies, task) = proxy(Vec::new()).await;
    let route = proxies.route("hub.example", 443).unwrap();
    let refused = open(&route, "hub.example", 443).await.unwrap_err();
    task.await.unwrap();
    assert!(
        matches!(&refused, AgentError::Unreachable { address, .. } if address.starts_with("the proxy http://127.0.0.1:"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_drips_its_answer_is_given_up() {
    let answer = b"HTTP/1.1 200 Connection established\r\n\r\n";
    let slow = answer.iter().map(|byte| vec![*byte]).collect();
    let refused = opened(slow).await.unwrap_err();
    assert!(
        matches!(&refused, AgentError::Unreachable { problem, .. } if problem == "no answer in time")
    );
}

/// By the clock of the machine: one that runs ahead whenever nobody has anything to do may leave bytes
/// behind that are on their way.
#[tokio::test]
async fn a_proxy_that_answers_in_pieces_is_heard() {
    let answer = b"HTTP/1.1 200 Connection established\r\n\r\n";
    let pieces = answer.chunks(14).map(<[u8]>::to_vec).collect();
    assert!(opened(pieces).await.is_ok());
}

#[test]
fn any_answer_is_judged_without_a_panic() {
    let good =
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 Connection established\r\nvia: x\r\n\r\n";
    for len in 0..good.len() {
        assert_eq!(judge(&good[..len], false), Ok(None), "{len}");
        let mut changed = good.to_vec();
        changed[len] ^= 0x80;
        let _ = judge(&changed, true);
    }
    assert_eq!(judge(good, false), Ok(Some(())));
}
