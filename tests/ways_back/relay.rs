//! What stands between a device and its hub: a relay that cuts a connection at a chosen moment,
//! and an HTTP proxy of the tests' own.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// At which moment a relay cuts. Requests and answers are counted by the turns of a conversation,
/// the turns of a TLS handshake among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before this request reaches the hub.
    Request(usize),
    /// After the hub has answered this request, before the answer arrives.
    Answer(usize),
    Never,
}

/// Passes bytes on between a device and its hub.
pub struct Relay {
    shared: Arc<Shared>,
    address: String,
}

struct Shared {
    target: String,
    moment: Moment,
    /// What to do when it cuts.
    action: Box<dyn Fn() + Send + Sync>,
    requests: AtomicUsize,
    answers: AtomicUsize,
    connections: AtomicUsize,
    has_cut: AtomicBool,
    ended: AtomicBool,
}

impl Relay {
    pub fn start(
        listen: &str,
        target: &str,
        moment: Moment,
        action: impl Fn() + Send + Sync + 'static,
    ) -> Relay {
        let listener = TcpListener::bind(listen).unwrap();
        let shared = Arc::new(Shared {
            target: target.to_owned(),
            moment,
            action: Box::new(action),
            requests: AtomicUsize::new(0),
            answers: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            has_cut: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        });
        let relay = Relay { shared: Arc::clone(&shared), address: listen.to_owned() };
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if shared.ended.load(Ordering::SeqCst) {
                    break;
                }
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(&shared.target)) else {
                    continue;
                };
                shared.connections.fetch_add(1, Ordering::SeqCst);
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || shared.converse(&client, &server));
            }
        });
        relay
    }

    pub fn answers(&self) -> usize {
        self.shared.answers.load(Ordering::SeqCst)
    }

    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    pub fn has_cut(&self) -> bool {
        self.shared.has_cut.load(Ordering::SeqCst)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // Wakes the thread that listens.
        let _ = TcpStream::connect(&self.address);
    }
}

impl Shared {
    fn converse(&self, client: &TcpStream, server: &TcpStream) {
        let client_speaks = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                pump(client, server, || {
                    let is_turn = !client_speaks.swap(true, Ordering::SeqCst);
                    is_turn && self.cuts(&self.requests, Moment::Request)
                });
            });
            pump(server, client, || {
                let is_turn = client_speaks.swap(false, Ordering::SeqCst);
                is_turn && self.cuts(&self.answers, Moment::Answer)
            });
        });
    }

    fn cuts(&self, turns: &AtomicUsize, moment: fn(usize) -> Moment) -> bool {
        let turn = turns.fetch_add(1, Ordering::SeqCst) + 1;
        let cuts = moment(turn) == self.moment;
        if cuts {
            (self.action)();
            self.has_cut.store(true, Ordering::SeqCst);
        }
        cuts
    }
}

/// Passes bytes on until one side ends or `cuts` says so.
fn pump(mut from: &TcpStream, mut to: &TcpStream, cuts: impl Fn() -> bool) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(read) = from.read(&mut buffer) {
        if read == 0 || cuts() || to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

/// An HTTP proxy that answers CONNECT as it is told.
pub struct Proxy {
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// `answer` gets the head of each request and says what to send back, and where the way leads
    /// if it is open.
    pub fn start(
        listen: &str,
        answer: impl Fn(&str) -> (String, Option<String>) + Send + Sync + 'static,
    ) -> Proxy {
        let listener = TcpListener::bind(listen).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let proxy = Proxy { asked: Arc::clone(&asked) };
        let answer = Arc::new(answer);
        // It listens as long as the tests run.
        std::thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                let (asked, answer) = (Arc::clone(&asked), Arc::clone(&answer));
                std::thread::spawn(move || {
                    let mut head = Vec::new();
                    let mut byte = [0];
                    while !head.ends_with(b"\r\n\r\n") {
                        match client.read(&mut byte) {
                            Ok(1) => head.push(byte[0]),
                            _ => return,
                        }
                    }
                    let head = String::from_utf8(head).unwrap();
                    asked.lock().unwrap().push(head.clone());
                    let (said, target) = answer(&head);
                    let _ = client.write_all(said.as_bytes());
                    let Some(server) = target.and_then(|to| TcpStream::connect(to).ok()) else {
                        return;
                    };
                    std::thread::scope(|scope| {
                        scope.spawn(|| pump(&client, &server, || false));
                        pump(&server, &client, || false);
                    });
                });
            }
        });
        proxy
    }

    /// The heads of all requests so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}
