//! Connections without a hub: TLS and HTTP of the same libraries in the same settings, in a process
//! of its own, which answers everything alike and knows nobody. What it keeps of each connection is
//! what a hub keeps at least.

use std::convert::Infallible;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::cpu;
use crate::hub::certificate;
use crate::load::{Connection, Target};
use crate::seed::Site;
use crate::tls::Identity;

/// Resident memory of such a process, in bytes.
pub struct Memory {
    /// With no connection.
    pub none: f64,
    /// With a few hundred, as the offered load keeps.
    pub some: f64,
    /// With as many as agents keep.
    pub many: f64,
}

impl Memory {
    /// Measures it with devices of the load, which a hub certified.
    pub async fn measure(site: &Site, some: usize, many: usize) -> Result<Memory> {
        let directory = tempfile::tempdir()?;
        let identity = Identity::new()?;
        identity.write(directory.path())?;
        let clients = certificate(&site.directory.join("hub/certs/device-ca.pem"))?;
        fs::write(directory.path().join(CLIENTS), clients)?;
        let server = Server::start(directory.path())?;
        let target = Target { port: server.port, roots: identity.roots()? };
        let none = server.resident()?;
        let (mut open, mut at_some) = (Vec::new(), none);
        for device in site.load.iter().take(many) {
            let mut connection = Connection::open(&target, device).await?;
            connection.get("/").await?;
            open.push(connection);
            if open.len() == some {
                at_some = server.resident()?;
            }
        }
        Ok(Memory { none, some: at_some, many: server.resident()? })
    }
}

/// The process; it ends with this value, or with this process.
struct Server {
    process: Child,
    port: u16,
}

impl Server {
    fn start(directory: &Path) -> Result<Server> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg(COMMAND)
            .arg(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().context("no output")?).read_line(&mut line)?;
        let port = line.trim().parse();
        Ok(Server { process, port: port.context("a bare server does not serve")? })
    }

    fn resident(&self) -> Result<f64> {
        cpu::resident(self.process.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended already is what is wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The other process: serves until its standard input ends.
pub fn serve(directory: &Path) -> Result<()> {
    let clients = fs::read(directory.join(CLIENTS))?;
    let acceptor = TlsAcceptor::from(Identity::read(directory)?.config(&clients)?);
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        println!("{}", socket.local_addr()?.port());
        loop {
            tokio::spawn(answer(socket.accept().await?.0, acceptor.clone()));
        }
    })
}

async fn answer(stream: TcpStream, acceptor: TlsAcceptor) -> Result<()> {
    let stream = acceptor.accept(stream).await?;
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .max_buf_size(HEADER_BYTES);
    let service = service_fn(async |_| {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(&ANSWER))))
    });
    let served = builder.serve_connection(TokioIo::new(stream), service).await;
    served.map_err(|error| anyhow::anyhow!(error))
}

/// The argument that makes this program the other process.
pub const COMMAND: &str = "bare";
/// What a hub's memory stands beside.
pub const BARE: &str = "(bare TLS and HTTP)";
const CLIENTS: &str = "clients";
/// As long as that of a check-in.
const ANSWER: [u8; 400] = [7; 400];
/// The hub's own bounds.
const HEADERS: Duration = Duration::from_secs(60);
const HEADER_BYTES: usize = 16 * 1024;
