//! The spare address: any static file host, with a certificate that nobody has to trust.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::world::{SPARE, World};

/// Serves `anchors/N.cbor` out of a directory of the scene.
pub struct Spare {
    folder: PathBuf,
}

impl Spare {
    pub fn serve(world: &World) -> Spare {
        let folder = world.path("spare");
        fs::create_dir_all(folder.join("anchors")).unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["files.example".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind((world.ip(SPARE).as_str(), 8445)).unwrap();
        let served = folder.clone();
        // It listens as long as the tests run.
        std::thread::spawn(move || {
            for tcp in listener.incoming().flatten() {
                let (config, folder) = (Arc::clone(&config), served.clone());
                std::thread::spawn(move || {
                    let connection = ServerConnection::new(config).unwrap();
                    answer(StreamOwned::new(connection, tcp), &folder);
                });
            }
        });
        Spare { folder }
    }

    /// Copies every version of the anchors there.
    pub fn put(&self, world: &World, anchors: &str) {
        for entry in fs::read_dir(world.path(anchors)).unwrap().flatten() {
            fs::copy(entry.path(), self.folder.join("anchors").join(entry.file_name())).unwrap();
        }
    }
}

fn answer(mut stream: StreamOwned<ServerConnection, std::net::TcpStream>, folder: &Path) {
    loop {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read(&mut byte) {
                Ok(1) => head.push(byte[0]),
                _ => return,
            }
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let name = head.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
        assert!(!name.contains(".."), "{name}");
        let (status, body) = match fs::read(folder.join(name)) {
            Ok(body) => ("200 OK", body),
            Err(_) => ("404 Not Found", Vec::new()),
        };
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", body.len());
        if stream.write_all(&[head.as_bytes(), &body].concat()).is_err() {
            return;
        }
    }
}
