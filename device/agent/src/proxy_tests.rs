use super::*;

fn resolve(config: &ProxyConfig, environment: &[(&str, &str)]) -> Result<Proxies, AgentError> {
    config.resolve(Path::new("agent.toml"), |name| {
        environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    })
}

fn environment(environment: &[(&str, &str)]) -> Proxies {
    resolve(&ProxyConfig::default(), environment).unwrap()
}

fn way(proxies: &Proxies, host: &str, port: u16) -> String {
    proxies.route(host, port).map_or("direct".to_owned(), |proxy| proxy.address())
}

#[test]
fn the_environment_counts_in_its_usual_order_and_never_for_this_machine() {
    assert_eq!(way(&environment(&[]), "hub.example", 443), "direct");
    let both = [("https_proxy", "http://small:3128"), ("HTTPS_PROXY", "http://large:3128")];
    assert_eq!(way(&environment(&both), "hub.example", 443), "http://small:3128");
    let empty = [("https_proxy", ""), ("HTTPS_PROXY", "large:3128")];
    let proxies = environment(&empty);
    assert_eq!(way(&proxies, "hub.example", 443), "http://large:3128");
    for local in ["localhost", "127.0.0.1", "127.8.8.8", "::1", "LOCALHOST."] {
        assert_eq!(way(&proxies, local, 443), "direct", "{local}");
    }
    // Other schemes have variables of their own.
    assert_eq!(way(&environment(&[("http_proxy", "http://x:1")]), "hub.example", 443), "direct");
}

#[test]
fn no_proxy_names_hosts_domains_networks_and_ports() {
    let through = |no_proxy: &str, host: &str, port: u16| {
        let proxies = environment(&[("HTTPS_PROXY", "http://p:1"), ("NO_PROXY", no_proxy)]);
        proxies.route(host, port).is_some()
    };
    for (no_proxy, host, port) in [
        ("*", "anything.example", 443),
        ("hub.example", "hub.example", 443),
        ("hub.example", "HUB.example.", 443),
        ("example", "hub.example", 443),
        (".example", "hub.example", 443),
        (".example", "example", 443),
        ("other, hub.example ", "hub.example", 443),
        ("other hub.example", "hub.example", 443),
        ("hub.example:8443", "hub.example", 8443),
        ("10.0.0.0/8", "10.1.2.3", 443),
        ("0.0.0.0/0", "192.0.2.1", 443),
        ("192.0.2.7", "192.0.2.7", 443),
        ("192.0.2.7:8443", "192.0.2.7", 8443),
        ("fd00::/8", "fd12::1", 443),
        ("fd12::1", "fd12:0::1", 443),
        ("[fd12::1]:8443", "fd12::1", 8443),
    ] {
        assert!(!through(no_proxy, host, port), "{no_proxy} {host}:{port}");
    }
    for (no_proxy, host, port) in [
        ("", "hub.example", 443),
        ("hub.example", "myhub.example", 443),
        ("hub.example", "example", 443),
        ("hub.example:8443", "hub.example", 443),
        ("10.0.0.0/8", "11.1.2.3", 443),
        ("10.0.0.0/8", "10.example", 443),
        ("10.0.0.0/99", "10.1.2.3", 443),
        ("0.0.0.0/0", "fd12::1", 443),
        ("192.0.2.7:8443", "192.0.2.7", 443),
        // No name is resolved to find out.
        ("127.0.0.1", "hub.example", 443),
        ("2.7", "192.0.2.7", 443),
    ] {
        assert!(through(no_proxy, host, port), "{no_proxy} {host}:{port}");
    }
}

#[test]
fn the_setting_wins_over_the_environment_and_an_empty_one_means_no_proxy() {
    let around = [("HTTPS_PROXY", "http://around:1"), ("NO_PROXY", "hub.example")];
    let config = |address: &str, direct: &[&str]| ProxyConfig {
        address: Some(address.to_owned()),
        credentials_file: None,
        direct: direct.iter().map(|text| (*text).to_owned()).collect(),
    };
    let set = resolve(&config("http://set:3128", &["spare.example"]), &around).unwrap();
    assert_eq!(way(&set, "hub.example", 443), "http://set:3128");
    assert_eq!(way(&set, "spare.example", 443), "direct");
    // Whoever writes it into the device's own file means this machine too.
    assert_eq!(way(&set, "localhost", 443), "http://set:3128");
    let none = resolve(&config("", &[]), &around).unwrap();
    assert_eq!(way(&none, "elsewhere.example", 443), "direct");
}

#[test]
fn what_cannot_be_used_is_named_and_no_way_around_the_proxy_is_taken() {
    let refused = |config: &ProxyConfig, around: &[(&str, &str)], named: &str| {
        let error = resolve(config, around).unwrap_err();
        assert!(
            matches!(&error, AgentError::Setting { setting, .. } if setting == named),
            "{named}: {error}"
        );
        error.to_string()
    };
    for address in ["https://p:1", "socks5://p:1"] {
        let said = refused(
            &ProxyConfig::default(),
            &[("HTTPS_PROXY", address)],
            "environment HTTPS_PROXY",
        );
        assert!(said.contains("is not spoken here"), "{said}");
    }
    for address in [
        "http://",
        "http://p:x",
        "http://p q:1",
        "http://[::1",
        "http://p:1/path",
        "http://u%zz:w@p:1",
    ] {
        refused(&ProxyConfig::default(), &[("https_proxy", address)], "environment https_proxy");
        let config = ProxyConfig { address: Some(address.to_owned()), ..ProxyConfig::default() };
        refused(&config, &[], "proxy.address");
    }
    let secret = ProxyConfig {
        address: Some("http://user:password@p:1".to_owned()),
        ..ProxyConfig::default()
    };
    refused(&secret, &[], "proxy.address");
    let alone = ProxyConfig { direct: vec!["x".to_owned()], ..ProxyConfig::default() };
    refused(&alone, &[], "proxy.address");
    let rule = ProxyConfig {
        address: Some("http://p:1".to_owned()),
        direct: vec!["10.0.0.0/99".to_owned()],
        ..ProxyConfig::default()
    };
    refused(&rule, &[], "proxy.direct");
}

#[test]
fn credentials_come_from_a_private_file_or_the_environment_and_are_never_shown() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("credentials");
    std::fs::write(&file, "user:pass word\n").unwrap();
    let config = ProxyConfig {
        address: Some("http://p:1".to_owned()),
        credentials_file: Some(file.clone()),
        direct: Vec::new(),
    };
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(resolve(&config, &[]), Err(AgentError::KeyStore(_))));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let proxies = resolve(&config, &[]).unwrap();
    let proxy = proxies.route("hub.example", 443).unwrap();
    assert_eq!(proxy.authorization.as_deref(), Some("Basic dXNlcjpwYXNzIHdvcmQ="));
    assert!(!format!("{proxies:?}").contains("dXNlcjp"));
    std::fs::write(&file, "no colon\n").unwrap();
    assert!(resolve(&config, &[]).is_err());
    let around = environment(&[("HTTPS_PROXY", "http://user:pass%20word@p:1")]);
    assert_eq!(around.route("hub.example", 443).unwrap().authorization, proxy.authorization);
}
