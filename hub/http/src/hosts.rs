use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::HOST;
use http::uri::Authority;
use ringfort_cose::Reason;

use crate::Refused;

/// The names and ports under which a listener is known.
///
/// A request for any other name is misdirected (RFC 9110, section 15.5.20): it was meant for
/// someone else, or its sender was led here by a name that is not ours (DNS rebinding).
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    /// Host names in lower case, addresses without brackets.
    pub names: Vec<String>,
    /// Ports; a request that names none is not judged by it.
    pub ports: Vec<u16>,
}

/// The name that the client asked for in the TLS handshake (RFC 6066, section 3).
#[derive(Clone, Debug)]
pub struct ServerNameIndication(pub Option<Arc<str>>);

impl Hosts {
    /// Whether a host, with or without a port, is one of ours.
    pub fn has(&self, authority: &str) -> bool {
        let Ok(authority) = authority.parse::<Authority>() else { return false };
        // User information has no place in a host, so what is left behind the host is the port.
        let Some(rest) = authority.as_str().strip_prefix(authority.host()) else { return false };
        let port_fits = match rest.strip_prefix(':') {
            None | Some("") => true,
            Some(port) => port.parse().is_ok_and(|port| self.ports.contains(&port)),
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        port_fits && self.has_name(host)
    }

    /// Whether a name or an address is one of ours.
    pub fn has_name(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        self.names.iter().any(|name| name.eq_ignore_ascii_case(host))
    }
}

/// Middleware: refuses requests for other names, in the handshake or in the request.
pub async fn own_host(State(hosts): State<Arc<Hosts>>, request: Request, next: Next) -> Response {
    let indicated = request.extensions().get::<ServerNameIndication>();
    let indication_fits = indicated
        .and_then(|indication| indication.0.as_deref())
        .is_none_or(|name| hosts.has_name(name));
    // HTTP/2 has it in the URI, HTTP/1.1 in exactly one header; if both are there both must fit.
    let in_uri = request.uri().authority().map(|authority| hosts.has(authority.as_str()));
    let mut headers = request.headers().get_all(HOST).iter();
    let in_header = headers.next().map(|host| host.to_str().is_ok_and(|host| hosts.has(host)));
    let stated = in_uri.is_some() || in_header.is_some();
    let fits = in_uri.unwrap_or(true) && in_header.unwrap_or(true) && headers.next().is_none();
    if indication_fits && stated && fits {
        next.run(request).await
    } else {
        Refused::from(Reason::MisdirectedRequest).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::Hosts;

    #[test]
    fn own_names_fit_and_others_do_not() {
        let hosts = Hosts {
            names: vec!["hub.example".into(), "127.0.0.1".into(), "::1".into()],
            ports: vec![443, 8443],
        };
        for own in [
            "hub.example",
            "HUB.example",
            "hub.example.",
            "hub.example:8443",
            "127.0.0.1:443",
            "[::1]:8443",
            "[::1]",
        ] {
            assert!(hosts.has(own), "{own}");
        }
        for other in [
            "",
            "other.example",
            "hub.example.evil",
            "hub.example:8444",
            "127.0.0.2",
            "x@hub.example",
            "hub.example:99999",
            "hub .example",
            "127.0.0.1/x",
        ] {
            assert!(!hosts.has(other), "{other}");
        }
    }
}
