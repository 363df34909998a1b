//! Addresses of hubs: what a device may be told to connect to for years.

use std::net::IpAddr;

use ringfort_cose::Reason;

use crate::failure::{Failure, Outcome};

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// A name, or an IP address without brackets.
    pub host: String,
    /// The port; 443 where none was given.
    pub port: u16,
}

impl Address {
    /// Reads `host`, `host:port`, `[v6]:port`, each with or without `https://` before it.
    pub fn parse(text: &str) -> Outcome<Address> {
        let unreadable = || {
            Failure::usage(
                format!("\"{text}\" is not an address"),
                "An address is a host name with an optional port, and https:// before it or not.",
                "Write it like hub.example.com or https://hub.example.com:8443",
            )
        };
        let rest = text.strip_prefix("https://").unwrap_or(text);
        let (host, port) = match rest.strip_prefix('[').and_then(|v6| v6.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, port)) => (host, Some(port.strip_prefix(':').ok_or_else(unreadable)?)),
            None if rest.parse::<IpAddr>().is_ok() => (rest, None),
            None => match rest.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            },
        };
        let port = match port {
            Some(port) => port.parse().map_err(|_| unreadable())?,
            None => HTTPS,
        };
        let letter = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
        let is_name = !host.is_empty() && host.len() <= 253 && host.bytes().all(letter);
        if port == 0 || !(is_name || host.parse::<IpAddr>().is_ok()) {
            return Err(unreadable());
        }
        Ok(Address { host: host.to_ascii_lowercase(), port })
    }

    /// `host:port`, always with the port.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.bracketed(), self.port)
    }

    /// `https://host` or `https://host:port`.
    pub fn url(&self) -> String {
        let host = self.bracketed();
        if self.port == HTTPS {
            format!("https://{host}")
        } else {
            format!("https://{host}:{}", self.port)
        }
    }

    fn bracketed(&self) -> String {
        match self.ip() {
            Some(IpAddr::V6(v6)) => format!("[{v6}]"),
            _ => self.host.clone(),
        }
    }

    /// The address, where the host is one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// Does it lead to this machine only?
    pub fn is_loopback(&self) -> bool {
        let name = self.host.strip_suffix('.').unwrap_or(&self.host);
        name == "localhost"
            || name.ends_with(".localhost")
            || self.ip().is_some_and(|ip| ip.is_loopback())
    }

    /// Refuses what devices could not reach in a year: names of this machine and bare addresses.
    /// A quickstart is the other way round: it must stay on this machine.
    pub fn check_for(&self, quickstart: bool) -> Outcome<()> {
        let refused = |why: &str, next: &str| {
            Failure::refused(
                Reason::UriNotAllowed,
                format!("the address {} is refused", self.url()),
            )
            .why(why)
            .next(next)
        };
        if quickstart && !self.is_loopback() {
            return Err(refused(
                "A PKI named \"quickstart\" is for this machine only.",
                "Use localhost, or make a PKI with another name.",
            ));
        }
        if !quickstart && self.is_loopback() {
            return Err(refused(
                "It leads to whatever machine uses it, so no device would ever find the hub.",
                "Give the host name under which devices reach the hub. To try things out on this \
                 machine, run `ringfort quickstart`.",
            ));
        }
        if !quickstart && self.ip().is_some() {
            return Err(refused(
                "It is a bare IP address, and devices would keep it when the hub moves.",
                "Give a host name that you control.",
            ));
        }
        Ok(())
    }
}

const HTTPS: u16 = 443;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_in_every_usual_form() {
        for (text, url) in [
            ("hub.example.com", "https://hub.example.com"),
            ("https://Hub.Example.com:443", "https://hub.example.com"),
            ("hub.example.com:8443", "https://hub.example.com:8443"),
            ("[::1]:8443", "https://[::1]:8443"),
            ("::1", "https://[::1]"),
            ("127.0.0.1", "https://127.0.0.1"),
        ] {
            assert_eq!(Address::parse(text).unwrap().url(), url, "{text}");
        }
        for bad in ["", "http://a", "a b", "a:0", "a:70000", "a/b", "user@a", "[::1", "https://"] {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_real_hub_is_not_on_localhost_or_a_bare_address() {
        for bad in ["localhost", "a.localhost", "localhost.", "127.0.0.1", "[::1]", "192.0.2.7"] {
            let refused = Address::parse(bad).unwrap().check_for(false).unwrap_err();
            assert_eq!(refused.reason(), Some(Reason::UriNotAllowed), "{bad}");
        }
        Address::parse("hub.example.com").unwrap().check_for(false).unwrap();
    }

    #[test]
    fn a_quickstart_stays_on_this_machine() {
        for good in ["localhost:8443", "127.0.0.1", "[::1]:1"] {
            Address::parse(good).unwrap().check_for(true).unwrap();
        }
        for bad in ["hub.example.com", "192.0.2.7", "localhost.example.com"] {
            assert!(Address::parse(bad).unwrap().check_for(true).is_err(), "{bad}");
        }
    }
}
