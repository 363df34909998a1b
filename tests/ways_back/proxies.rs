//! Networks that let nothing out but port 443 through a proxy (thin-edge.io#3228 and #3037).
//!
//! The hub serves devices and people on the one port 443 and tells them apart by the name in the TLS
//! greeting. That port is an ordinary user's in a network of his own: [`c31_only_443_leads_out`] runs the
//! scenes there.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::pages::Section;
use crate::process::{Process, until};
use crate::relay::Proxy;
use crate::world::{Conditions, HUB, World};

const PROXY: u8 = 9;

#[test]
fn c31_only_443_leads_out() {
    let script = r#"
        PATH="$PATH:/usr/sbin:/sbin" ip link set lo up
        exec "$1" --ignored --nocapture --test-threads 2 proxies::"#;
    let program = std::env::current_exe().unwrap();
    let output = crate::namespaces::unshare()
        .args(["--net", "sh", "-e", "-c", script, "sh"])
        .arg(program)
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("test result: ok. 4 passed"), "{said}");
}

/// A fleet whose hub is met at port 443 alone.
fn world() -> World {
    assert!(
        std::env::var_os(INSIDE).is_some(),
        "run `c31_only_443_leads_out`: it brings the network"
    );
    World::on_one_port()
}

/// Debian's tinyproxy looks up the hub's name; the device cannot.
#[test]
#[ignore = "in a network of its own: c31_only_443_leads_out runs it"]
fn only_a_proxy_leads_out_and_it_alone_knows_the_hubs_name() {
    let world = world();
    let hub = world.open_hub();
    let proxy = tinyproxy(&world, "ConnectPort 443\n");
    nothing_is_known(&world, "dev-1");
    let agent = world.agent("dev-1", &through(&world));
    world.update("1.0", "dev-1", "operator");
    assert_eq!(world.history("dev-1", "operator").matches("alarm-raised").count(), 0);
    let said = fs::read_to_string(world.path("tinyproxy.log")).unwrap();
    assert!(said.contains("CONNECT hub.acme.example:443"), "{said}");
    assert!(said.contains("CONNECT spare.acme.example:443"), "{said}");
    agent.stop();
    proxy.stop();
    hub.stop();
}

#[test]
#[ignore = "in a network of its own: c31_only_443_leads_out runs it"]
fn a_proxy_that_asks_for_credentials_is_named_and_gets_them_from_their_file() {
    let world = world();
    let hub = world.open_hub();
    let proxy = tinyproxy(&world, "ConnectPort 443\nBasicAuth acme open-sesame\n");
    nothing_is_known(&world, "dev-1");
    let agent = world.agent("dev-1", &through(&world));
    agent.says("proxy-auth-required");
    agent.stop();

    let file = world.path("dev-1/proxy-credentials");
    fs::write(&file, "acme:open-sesame\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    // The runbook's settings; the proxy's name is all that the device can look up.
    let settings = Section::of("operate.md", "Only a proxy leads out").next().text;
    let toml = fs::read_to_string(world.path("dev-1/agent.toml")).unwrap();
    fs::write(world.path("dev-1/agent.toml"), toml + &settings).unwrap();
    fs::write(world.path("dev-1/hosts"), format!("{} proxy.example\n", world.ip(PROXY))).unwrap();
    assert_eq!(world.status("dev-1")["proxy"], "http://proxy.example:3128");
    // What stands in the device's own file wins over the environment.
    let elsewhere = ("HTTPS_PROXY", "http://127.0.0.1:9".to_owned());
    let agent =
        world.agent("dev-1", &Conditions { environment: vec![elsewhere], ..Conditions::default() });
    world.update("1.0", "dev-1", "operator");
    assert!(!agent.said().contains("open-sesame"));
    agent.stop();
    proxy.stop();
    hub.stop();
}

#[test]
#[ignore = "in a network of its own: c31_only_443_leads_out runs it"]
fn a_proxy_that_refuses_the_port_is_quoted_and_an_exception_goes_around_it() {
    let world = world();
    let hub = world.open_hub();
    let proxy = tinyproxy(&world, "ConnectPort 8443\n");
    let agent = world.agent("dev-1", &through(&world));
    agent.says("proxy-refused");
    agent.stop();
    let mut around = through(&world);
    around.environment.push(("NO_PROXY", "other.example, .acme.example".to_owned()));
    let agent = world.agent("dev-1", &around);
    world.update("1.0", "dev-1", "operator");
    agent.stop();
    proxy.stop();
    hub.stop();
}

#[test]
#[ignore = "in a network of its own: c31_only_443_leads_out runs it"]
fn a_proxy_that_lies_and_then_mends_its_ways_holds_a_device_up_and_no_more() {
    let world = world();
    let hub = world.open_hub();
    let turn = std::sync::atomic::AtomicUsize::new(0);
    let target = format!("{}:443", world.ip(HUB));
    let proxy = Proxy::start(&format!("{}:3128", world.ip(PROXY)), move |head| {
        if !head.starts_with("CONNECT hub.acme.example:443 ") {
            return ("HTTP/1.1 404 no\r\n\r\n".to_owned(), None);
        }
        let good = || ("HTTP/1.1 200 OK\r\n\r\n".to_owned(), Some(target.clone()));
        match turn.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => (format!("HTTP/1.1 200 OK\r\nx: {}\r\n", "y".repeat(40_000)), None),
            1 => ("HTTP/1.1 200 OK\r\n\r\n<html>log in first</html>".to_owned(), None),
            2 => {
                ("HTTP/1.1 302 Found\r\nlocation: http://portal.example/\r\n\r\n".to_owned(), None)
            }
            _ => good(),
        }
    });
    nothing_is_known(&world, "dev-1");
    let agent = world.agent("dev-1", &through(&world));
    world.update("1.0", "dev-1", "operator");
    for reason in ["too-large", "malformed", "proxy-refused"] {
        assert!(agent.said().contains(reason), "{reason}: {}", agent.said());
    }
    // No secret and nothing of the device goes to the proxy itself.
    for head in proxy.asked() {
        assert!(!head.contains("dev-1") && !head.contains("authorization"), "{head}");
    }
    agent.stop();
    hub.stop();
}

fn through(world: &World) -> Conditions {
    let address = format!("http://{}:3128", world.ip(PROXY));
    Conditions { environment: vec![("HTTPS_PROXY", address)], ..Conditions::default() }
}

/// The device itself can look up no name at all.
fn nothing_is_known(world: &World, device: &str) {
    fs::write(world.path(&format!("{device}/hosts")), "").unwrap();
}

fn tinyproxy(world: &World, settings: &str) -> Process {
    let (place, ip) = (world.path("tinyproxy"), world.ip(PROXY));
    let text = format!(
        "Port 3128\nListen {ip}\nTimeout 600\nLogFile \"{}.log\"\nLogLevel Connect\n\
         MaxClients 50\nDisableViaHeader Yes\n{settings}",
        place.display()
    );
    fs::write(world.path("tinyproxy.conf"), text).unwrap();
    let mut command = Command::new(crate::world::system_program("tinyproxy"));
    command.arg("-d").arg("-c").arg(world.path("tinyproxy.conf"));
    command.env("LD_PRELOAD", "libnss_wrapper.so").env("NSS_WRAPPER_HOSTS", world.path("hosts"));
    let process = Process::start(command, world.path("tinyproxy.err"));
    until("tinyproxy listens", || std::net::TcpStream::connect((ip.as_str(), 3128)).is_ok());
    process
}

/// Set where the scenes run.
const INSIDE: &str = "RINGFORT_TEST_INSIDE";
