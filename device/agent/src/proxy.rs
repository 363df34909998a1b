//! Which connections go through an HTTP proxy: `[proxy]` of `agent.toml`, or else the environment.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::AgentError;

/// The proxy on the way to the hub. What is written here wins over the environment
/// (`https_proxy`, `HTTPS_PROXY`, `no_proxy`, `NO_PROXY`), which counts only where `address` is
/// left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyConfig {
    /// `http://HOST:PORT`; empty for no proxy, whatever the environment says.
    pub address: Option<String>,
    /// A file (0600) with one line, `user:password`, for a proxy that asks for it.
    pub credentials_file: Option<PathBuf>,
    /// What is reached without the proxy, written as in `NO_PROXY`.
    #[serde(default)]
    pub direct: Vec<String>,
}

/// The way to each host: through the proxy, or direct.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxies {
    proxy: Option<Arc<Proxy>>,
    direct: Vec<Rule>,
    /// Programs on this machine are not behind the proxy that the environment names.
    loopback_is_direct: bool,
}

/// An HTTP proxy.
#[derive(PartialEq, Eq)]
pub(crate) struct Proxy {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The value of `proxy-authorization`.
    pub(crate) authorization: Option<String>,
}

impl ProxyConfig {
    /// What applies, given the environment.
    pub(crate) fn resolve(
        &self,
        file: &Path,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Proxies, AgentError> {
        let refuse = |setting: &str, problem: String| AgentError::Setting {
            file: file.to_owned(),
            setting: setting.to_owned(),
            problem,
        };
        let Some(address) = &self.address else {
            if self.credentials_file.is_some() || !self.direct.is_empty() {
                return Err(refuse("proxy.address", "is missing beside the others".to_owned()));
            }
            return Proxies::of_environment(environment)
                .map_err(|(name, problem)| refuse(&format!("environment {name}"), problem));
        };
        let direct = self.direct.iter().map(|text| {
            Rule::parse(text).ok_or_else(|| {
                refuse("proxy.direct", format!("\"{text}\" is no host, domain or network"))
            })
        });
        let direct = direct.collect::<Result<_, _>>()?;
        if address.is_empty() {
            return Ok(Proxies { direct, ..Proxies::default() });
        }
        let mut proxy = Proxy::parse(address).map_err(|why| refuse("proxy.address", why))?;
        if proxy.authorization.is_some() {
            let problem = "holds a password; put user:password into proxy.credentials_file";
            return Err(refuse("proxy.address", problem.to_owned()));
        }
        if let Some(path) = &self.credentials_file {
            let line = ringfort_keystore::read_private(path, MAX_CREDENTIALS)?;
            let line = std::str::from_utf8(&line).ok().map(str::trim_end);
            let line = line.filter(|line| line.contains(':') && !line.contains(char::is_control));
            let line = line.ok_or_else(|| {
                refuse("proxy.credentials_file", "has to hold one line, user:password".to_owned())
            })?;
            proxy.authorization = Some(basic(line));
        }
        Ok(Proxies { proxy: Some(Arc::new(proxy)), direct, loopback_is_direct: false })
    }
}

impl Proxies {
    /// What the usual variables say; the name of one that cannot be used, and why.
    fn of_environment(
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Proxies, (&'static str, String)> {
        let first = |names: [&'static str; 2]| {
            let given = names.into_iter().filter_map(|name| Some((name, environment(name)?)));
            given.into_iter().find(|(_, value)| !value.is_empty())
        };
        let Some((name, address)) = first(["https_proxy", "HTTPS_PROXY"]) else {
            return Ok(Proxies::default());
        };
        let proxy = Proxy::parse(&address).map_err(|why| (name, why))?;
        let exceptions = first(["no_proxy", "NO_PROXY"]).map(|(_, value)| value);
        let exceptions = exceptions.unwrap_or_default();
        // What other programs made of an entry that says nothing to this one is not known.
        let direct = exceptions
            .split(|c: char| c == ',' || c.is_whitespace())
            .filter_map(Rule::parse)
            .collect();
        Ok(Proxies { proxy: Some(Arc::new(proxy)), direct, loopback_is_direct: true })
    }

    /// The proxy on the way to this host; none where the way is direct.
    pub(crate) fn route(&self, host: &str, port: u16) -> Option<Arc<Proxy>> {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let address: Option<IpAddr> = host.parse().ok();
        let is_local = host == "localhost" || address.is_some_and(|address| address.is_loopback());
        let is_direct = (self.loopback_is_direct && is_local)
            || self.direct.iter().any(|rule| rule.names(&host, address, port));
        self.proxy.clone().filter(|_| !is_direct)
    }

    /// The address of the proxy on the way to `https://HOST[:PORT]`.
    pub(crate) fn on_the_way_to(&self, address: &str) -> Option<String> {
        let (host, port) = split_port(address.strip_prefix("https://")?)?;
        self.route(host, port.unwrap_or(HTTPS_PORT)).map(|proxy| proxy.address())
    }
}

impl Proxy {
    /// From `http://HOST:PORT`, with or without `http://` and `user:password@`.
    fn parse(text: &str) -> Result<Proxy, String> {
        let rest = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some((scheme, _)) => {
                return Err(format!(
                    "\"{scheme}://\" is not spoken here; write http://HOST:PORT (what passes is encrypted to the hub all the same)"
                ));
            }
            None => text,
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (credentials, authority) = match rest.rsplit_once('@') {
            Some((credentials, authority)) => (Some(credentials), authority),
            None => (None, rest),
        };
        let bad = || "has to be http://HOST:PORT".to_owned();
        let (host, port) = split_port(authority).ok_or_else(bad)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:".contains(c);
        if host.is_empty() || !host.chars().all(plain) {
            return Err(bad());
        }
        let authorization = match credentials {
            Some(credentials) => Some(basic(&unescape(credentials).ok_or_else(bad)?)),
            None => None,
        };
        Ok(Proxy { host: host.to_owned(), port: port.unwrap_or(HTTP_PORT), authorization })
    }

    /// Its address, as people write it; without what is secret.
    pub(crate) fn address(&self) -> String {
        match self.host.contains(':') {
            true => format!("http://[{}]:{}", self.host, self.port),
            false => format!("http://{}:{}", self.host, self.port),
        }
    }
}

/// Shows no password.
impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.address())
    }
}

/// One entry of `NO_PROXY`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    /// `*`
    Everything,
    /// `example.com`, `.example.com`, `example.com:8443`: the domain and all below.
    Domain { name: String, port: Option<u16> },
    /// `10.0.0.0/8`, `fd00::/8`, `192.0.2.7`, `192.0.2.7:8443`.
    Network { address: IpAddr, bits: u8, port: Option<u16> },
}

impl Rule {
    fn parse(text: &str) -> Option<Rule> {
        let text = text.trim();
        if text == "*" {
            return Some(Rule::Everything);
        }
        if let Some((address, bits)) = text.split_once('/') {
            let address: IpAddr = address.parse().ok()?;
            let bits = bits.parse().ok().filter(|bits| *bits <= width(address))?;
            return Some(Rule::Network { address, bits, port: None });
        }
        if let Ok(address) = text.parse() {
            return Some(Rule::Network { address, bits: width(address), port: None });
        }
        let (host, port) = split_port(text)?;
        if let Ok(address) = host.parse() {
            return Some(Rule::Network { address, bits: width(address), port });
        }
        let name = host.trim_matches('.').to_ascii_lowercase();
        (!name.is_empty()).then_some(Rule::Domain { name, port })
    }

    fn names(&self, host: &str, host_address: Option<IpAddr>, host_port: u16) -> bool {
        let at_port = |port: &Option<u16>| port.is_none_or(|port| port == host_port);
        match self {
            Rule::Everything => true,
            Rule::Domain { name, port } => {
                let below = host.strip_suffix(name.as_str());
                let below = below.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
                below && host_address.is_none() && at_port(port)
            }
            Rule::Network { address, bits, port } => {
                host_address.is_some_and(|host| within(host, *address, *bits)) && at_port(port)
            }
        }
    }
}

/// Host and port of `HOST`, `HOST:PORT`, `[V6]` or `[V6]:PORT`.
fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        host.parse::<Ipv6Addr>().ok()?;
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, Some(port.parse().ok()?))),
            None => rest.is_empty().then_some((host, None)),
        };
    }
    match text.split_once(':') {
        Some((host, port)) => Some((host, Some(port.parse().ok()?))),
        None => Some((text, None)),
    }
}

fn within(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let shift = |width: u8| u32::from(width - bits);
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            let differing = Ipv4Addr::to_bits(address) ^ Ipv4Addr::to_bits(network);
            differing.checked_shr(shift(32)).unwrap_or(0) == 0
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => {
            let differing = Ipv6Addr::to_bits(address) ^ Ipv6Addr::to_bits(network);
            differing.checked_shr(shift(128)).unwrap_or(0) == 0
        }
        _ => false,
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// Basic credentials (RFC 7617).
fn basic(user_and_password: &str) -> String {
    format!("Basic {}", STANDARD.encode(user_and_password))
}

/// Undoes the percent-encoding of an address's user part (RFC 3986, section 2.1).
fn unescape(text: &str) -> Option<String> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    loop {
        rest = match rest {
            [] => break,
            [b'%', high, low, tail @ ..] => {
                bytes.push(u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()?);
                tail
            }
            [b'%', ..] => return None,
            [byte, tail @ ..] => {
                bytes.push(*byte);
                tail
            }
        };
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains(char::is_control))
}

const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;
const MAX_CREDENTIALS: usize = 1024;

#[cfg(test)]
#[path = "proxy_tests.rs"]
mod tests;
