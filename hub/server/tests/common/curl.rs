//! curl as the client: TLS and HTTP by other makers.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use ringfort_cose::Reason;
use ringfort_messages::Problem;

use super::{Identity, text};

#[derive(Clone, Debug)]
pub struct Request {
    folder: PathBuf,
    url: String,
    arguments: Vec<String>,
    body: Vec<u8>,
}

#[derive(Clone, Debug)]
pub struct Answer {
    /// 0 when there was no answer.
    pub status: u16,
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
    /// What curl said about the connection.
    pub error: String,
}

impl Request {
    pub fn new(folder: &Path, port: u16, path: &str) -> Request {
        Request {
            folder: folder.to_path_buf(),
            url: format!("https://127.0.0.1:{port}{path}"),
            arguments: Vec::new(),
            body: Vec::new(),
        }
    }

    pub fn with(self, identity: &Identity) -> Request {
        self.args(&["--cert", text(&identity.certificate), "--key", text(&identity.key)])
    }

    pub fn post(self, media_type: &str, body: Vec<u8>) -> Request {
        self.body("POST", media_type, body)
    }

    pub fn body(self, method: &str, media_type: &str, body: Vec<u8>) -> Request {
        let content_type = format!("content-type: {media_type}");
        let mut request =
            self.args(&["-X", method, "--data-binary", "@-", "-H", &content_type, "-H", "expect:"]);
        request.body = body;
        request
    }

    pub fn header(self, header: &str) -> Request {
        self.args(&["-H", header])
    }

    pub fn args(mut self, arguments: &[&str]) -> Request {
        self.arguments.extend(arguments.iter().map(ToString::to_string));
        self
    }

    pub fn send(self) -> Answer {
        let server_ca = self.folder.join("server-ca.pem");
        let mut command = Command::new("curl");
        command
            .args([
                "-sS",
                "-i",
                "--max-time",
                "120",
                "--noproxy",
                "*",
                "--cacert",
                text(&server_ca),
            ])
            .args(&self.arguments)
            .arg(&self.url);
        let done = run(&mut command, &self.body);
        let error = String::from_utf8_lossy(&done.stderr).into_owned();
        Answer::read(&done.stdout, error)
    }
}

impl Answer {
    /// What a curl with `-i` was answered.
    pub fn of(mut command: Command) -> Answer {
        let done = run(&mut command, &[]);
        Answer::read(&done.stdout, String::from_utf8_lossy(&done.stderr).into_owned())
    }

    fn read(raw: &[u8], error: String) -> Answer {
        let nothing = Answer { status: 0, headers: HashMap::new(), body: Vec::new(), error };
        let Some(end) = raw.windows(4).position(|window| window == b"\r\n\r\n") else {
            return nothing;
        };
        let head = String::from_utf8_lossy(&raw[..end]).into_owned();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        Answer { status, headers, body: raw[end + 4..].to_vec(), ..nothing }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The reason code of a refusal, which has to say the same in every place.
    pub fn reason(&self) -> Reason {
        assert!(self.status >= 202, "no refusal: {self:?}");
        match self.header("content-type") {
            "application/problem+json" => {
                let problem: ringfort_api::model::Problem =
                    serde_json::from_slice(&self.body).unwrap();
                assert_eq!(problem.status, self.status);
                assert_eq!(problem.exchange_id, self.header("exchange-id"));
                Reason::from_code(&problem.reason).unwrap()
            }
            ringfort_messages::PROBLEM_MEDIA_TYPE => {
                let problem = Problem::decode(&self.body).unwrap();
                assert_eq!(problem.exchange.as_str(), self.header("exchange-id"));
                assert_eq!(problem.code.as_str(), self.header("reason"));
                problem.code.reason().unwrap()
            }
            other => panic!("a refusal of type {other}: {self:?}"),
        }
    }
}

/// Runs a program with this standard input.
pub fn run(command: &mut Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // A program that does not read all of it closes its end; that is its business.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}
