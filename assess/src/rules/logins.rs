//! Group L: files in which programs keep what they log in with. Someone's own end up in a source
//! tree or an image by a copied home or project folder. The place says what a value is, so that
//! even a weak one counts.

#![allow(clippy::needless_update, reason = "every rule ends alike")]

use super::{BASE, Capture, Only, Rule, valid};
use crate::{
    keys::Kind,
    model::Severity::{High, Medium},
};

const ABOUT: &str = "A program's file of logins holds them in clear; whoever has the tree or the image can \
                     log in as the one who worked there.";
const FIX: &str = "Change the password or revoke the token, then take the file out, of the history too, and \
                   let git ignore it";
const R: &[&str] = &["5.1-1", "5.4-3", "I2.1.6"];

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "L-001",
        severity: High,
        title: "login of a package registry in a settings file",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &["_auth", "_password", "npmauth"],
        pattern: r#"(?i)(?:_auth(?:token)?|_password|npmauth(?:token|ident))["']?\s{0,3}[=:]\s{0,3}["']?([^\s"'$#{}]{8,200})"#,
        check: stated,
        only: Only::Paths(&[".npmrc", ".yarnrc", ".yarnrc.yml"]),
        kind: Some(Kind::Token),
        hits: &[
            (".npmrc", "//registry.acme.net/:_au·thToken=26dfe8d8-889b-4380-92ff-9c3c6ea5d930"),
            (".npmrc", "_au·th = b3BlcmF0b3I6R3c0eTIwMTk="),
        ],
        misses: &[
            (".npmrc", "//registry.acme.net/:_au·thToken=${NPM_TOKEN}"),
            (".npmrc", "always-au·th=true"),
        ],
        ..BASE
    },
    Rule {
        id: "L-002",
        severity: High,
        title: "stored login of git",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &["://"],
        pattern: r"(?i)^https?://[^\s:/]{1,100}:(\S{3,200})@[^\s@/]{3,100}",
        check: given,
        only: Only::Paths(&[".git-credentials", "git/credentials"]),
        kind: Some(Kind::Token),
        hits: &[(".git-credentials", "ht·tps:/·/dev@acme.net:Gw4y#@2019@git.acme.net")],
        misses: &[(".git-credentials", "ht·tps:/·/git.acme.net")],
        ..BASE
    },
    Rule {
        id: "L-003",
        severity: High,
        title: "password of a mail or dynamic DNS program",
        about: ABOUT,
        fix: "Let each device have a login of its own with the service",
        requirements: R,
        keywords: &["pass", "]:587", "]:465", "]:25"],
        pattern: r#"(?i)^\s{0,8}(?:(?:set\s{1,3})?(?:password|authpass|(?:imap_|smtp_)?pass)(?:\s{0,3}=\s{0,3}|\s{1,4})["']?([^\s"'#$<>]{4,100})|\[?[a-z0-9.\-]{3,100}\]?(?::\d{1,5})?\s{1,8}[^\s:]{1,80}:(\S{4,100}))"#,
        check: given,
        only: Only::Paths(&[
            "esmtprc",
            ".esmtprc",
            "msmtprc",
            ".msmtprc",
            "mpoprc",
            ".mpoprc",
            "fetchmailrc",
            ".fetchmailrc",
            ".muttrc",
            "ssmtp.conf",
            "sasl_passwd",
            "ddclient.conf",
            "inadyn.conf",
        ]),
        kind: Some(Kind::Password),
        hits: &[
            ("etc/msmtprc", "pa·ssword Gw4y2019"),
            ("etc/ssmtp/ssmtp.conf", "AuthPa·ss=Gw4y2019"),
            ("etc/postfix/sasl_passwd", "[smtp.acme.net]:587 device@acme.net:Gw4y2019"),
        ],
        misses: &[
            ("etc/msmtprc", "pa·sswordeval gpg -d mail.gpg"),
            ("etc/ssmtp/ssmtp.conf", "AuthPa·ss=your-password"),
        ],
        ..BASE
    },
    Rule {
        id: "L-004",
        severity: High,
        title: "password of an upload or deployment tool",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &["\"pass\"", "\"passphrase\"", "\"password\""],
        pattern: r#"(?i)"(?:pass|passphrase|password)"\s{0,3}:\s{0,3}"([^"\s<>{}$]{3,100})""#,
        check: given,
        only: Only::Paths(&[".ftpconfig", ".ftppass"]),
        kind: Some(Kind::Password),
        hits: &[(".ftpconfig", "\"pa·ss\": \"Gw4y2019\",")],
        misses: &[(".ftpconfig", "\"pa·ss\": \"\",\n\"promptForPa·ss\": true")],
        ..BASE
    },
    Rule {
        id: "L-005",
        severity: High,
        title: "password of a tool in a JSON setting",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &["\"pass\""],
        pattern: r#"(?i)"pass"\s{0,3}:\s{0,3}"([^"\s<>{}$]{4,100})""#,
        check: valid::password,
        only: Only::Paths(&[".json", ".json5"]),
        kind: Some(Kind::Password),
        hits: &[("mail.json", "{\"user\": \"device\", \"pa·ss\": \"Gw4y2019\"}")],
        misses: &[
            ("result.json", "{\"pa·ss\": \"true\"}"),
            ("mail.json", "{\"pa·ss\": \"${MAIL_PASS}\"}"),
        ],
        ..BASE
    },
    Rule {
        id: "L-006",
        severity: High,
        title: "server password in a development tool's project",
        about: "The tool writes it in a form that it can read back without any secret: that is an encoding, \
                no encryption.",
        fix: FIX,
        requirements: R,
        keywords: &["password=\""],
        pattern: r#"(?i)\spassword="([0-9a-f]{8,400})""#,
        check: stated,
        only: Only::Paths(&["WebServers.xml", "webServers.xml", "dataSources.local.xml"]),
        kind: Some(Kind::Password),
        hits: &[(
            ".idea/webServers.xml",
            "<fileTransfer pa·ssword=\"dff9dfdfdfdadfcf\" port=\"22\"/>",
        )],
        misses: &[(".idea/webServers.xml", "<fileTransfer pa·ssword=\"\" port=\"22\"/>")],
        ..BASE
    },
    Rule {
        id: "L-007",
        severity: Medium,
        title: "saved logins of a browser",
        about: "The key that opens them lies beside them in the profile, under a master password at best.",
        fix: "Take the profile out, of the history too, and change the passwords in it",
        requirements: R,
        keywords: &["encryptedpassword"],
        pattern: r#""encryptedPassword"\s{0,3}:\s{0,3}"([A-Za-z0-9+/=]{20,400})""#,
        only: Only::Paths(&["logins.json", "logins-backup.json"]),
        kind: Some(Kind::Password),
        hits: &[(
            "profile/logins.json",
            "\"encrypt·edPassword\": \"MDoEEPgQ7xm2Lw9kT4vW8yZbC3dF5gH8jK1mN4pQ\"",
        )],
        misses: &[("profile/logins.json", "\"encrypt·edPassword\": \"\"")],
        ..BASE
    },
    Rule {
        id: "L-008",
        severity: High,
        title: "login of a cloud or registry tool",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &["secret", "token", "api_key", "password", "pass ="],
        pattern: r#"(?i)^\s{0,8}:?["']?(?:(?:aws_|gs_)?secret(?:_access)?_key|access[_\-]token|(?:rubygems_)?api_key|token|password|pass|client_secret)["']?\s{0,3}[=:]\s{0,3}["']?([^\s"'#${}<>]{8,200})"#,
        check: tool_login,
        only: Only::Paths(&[
            "/credentials",
            ".credentials",
            "credentials.toml",
            ".s3cfg",
            ".boto",
            "rclone.conf",
            ".tugboat",
            "doctl/config.yaml",
            ".pypirc",
        ]),
        kind: Some(Kind::Token),
        hits: &[
            (".s3cfg", "secret·_key = yLryKGwcGc3ez9G8YAnjeYMQOc"),
            (".tugboat", "  api·_key: 3b6311afca5bd8aac647b316704e9c6d # of the fleet"),
            ("root/.pypirc", "pa·ssword = Gw4y2019x"),
        ],
        misses: &[
            (".s3cfg", "secret·_key = "),
            (".s3cfg", "secret·_key = %(AWS_SECRET)s"),
            ("root/.pypirc", "pa·ssword = <password>"),
        ],
        ..BASE
    },
    Rule {
        id: "L-009",
        severity: High,
        title: "password of a server in a file transfer program's list",
        about: "At most it is base64, which hides nothing.",
        fix: FIX,
        requirements: R,
        keywords: &["<pass"],
        pattern: r#"(?i)<pass(?:\s{1,3}encoding="[a-z0-9]{1,12}")?>([^<>\s{}$]{3,200})</pass>"#,
        check: stated,
        only: Only::Paths(&[".xml"]),
        kind: Some(Kind::Password),
        hits: &[
            ("sitemanager.xml", "<Pa·ss>Gw4y2019</Pa·ss>"),
            ("recentservers.xml", "<Pa·ss encoding=\"base64\">R3c0eTIwMTk=</Pa·ss>"),
        ],
        misses: &[("sitemanager.xml", "<Pa·ss></Pa·ss>")],
        ..BASE
    },
    Rule {
        id: "L-010",
        severity: High,
        title: "password of a database or server account in an attribute",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &["password=\""],
        pattern: r#"(?i)\spassword="([^"\s<>{}$%]{3,100})""#,
        check: given,
        only: Only::Paths(&[
            "data-sources.xml",
            "-data-sources.xml",
            "connections.xml",
            "tomcat-users.xml",
        ]),
        kind: Some(Kind::Password),
        hits: &[(
            "tomcat-users.xml",
            "<user username=\"dev\" pa·ssword=\"dev\" roles=\"manager\"/>",
        )],
        misses: &[("tomcat-users.xml", "<user username=\"dev\" pa·ssword=\"${dev.pass}\"/>")],
        ..BASE
    },
    Rule {
        id: "L-011",
        severity: High,
        title: "password in an attribute of a setting",
        about: "Shipped settings are the same on every device.",
        fix: "Ship it empty; write it on the device at first start",
        requirements: R,
        keywords: &["password=\"", "passwd=\"", "passphrase=\""],
        pattern: r#"(?i)[\s<]([a-z]{0,16}(?:password|passwd|passphrase)="[^"\s<>{}$%@]{4,64}")"#,
        check: attribute,
        only: Only::Paths(&[".xml", ".config", ".xib"]),
        kind: Some(Kind::Password),
        hits: &[("etc/acs.xml", "<acs user=\"gw\" pa·ssword=\"Gw4y2019\"/>")],
        misses: &[
            ("res/layout.xml", "<EditText pa·ssword=\"true\"/>"),
            ("etc/acs.xml", "<acs pa·ssword=\"pa·ssword\"/>"),
            ("res/strings.xml", "<string hintPa·ssword=\"Enter it\"/>"),
        ],
        ..BASE
    },
    Rule {
        id: "L-012",
        severity: High,
        title: "token or key of a cluster or code host",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &["client-key-data", "token"],
        pattern: r"(?i)^\s{0,12}(?:-\s{1,3})?(?:client-key-data|token|oauth_token)\s{0,3}:\s{0,3}([A-Za-z0-9+/=_\-.]{20,400})",
        check: stated,
        only: Only::Paths(&[".kube/config", "kubeconfig", "kubelet.conf", "gh/hosts.yml", "/hub"]),
        kind: Some(Kind::Token),
        hits: &[(".kube/config", "    token·: Q7xm2Lw9kT4vW8yZbC3dF5gH8jK1mN4p")],
        misses: &[(".kube/config", "    tokenFile: /var/run/token")],
        ..BASE
    },
    Rule {
        id: "L-013",
        severity: High,
        title: "password hash of a Samba account",
        about: "An NT hash is unsalted MD4, and is as good as the password for logging in.",
        fix: "Ship no account; let each device make its own",
        requirements: &["5.1-1", "5.1-3", "5.4-3", "I2.1.6", "I2.4.2"],
        keywords: &[":lct-"],
        pattern: r"(?im)^[^:\s]{1,32}:\d{1,6}:[0-9A-FX]{32}:([0-9A-F]{32}):\[[A-Z ]{1,14}\]:LCT-",
        check: |found| !found.secret.iter().all(|b| *b == found.secret[0]),
        kind: Some(Kind::PasswordHash),
        hits: &[(
            "etc/samba/smbpasswd",
            "gw:0:XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX:8846F7EAEE8FB117AD06BDD830B7586C:[U          ]:L·CT-5F3A:",
        )],
        misses: &[(
            "etc/samba/smbpasswd",
            "gw:0:XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX:XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX:[U          ]:L·CT-5F3A:",
        )],
        ..BASE
    },
    Rule {
        id: "L-014",
        severity: High,
        title: "user and password in a login call",
        about: "It is on every device and in every copy of the source; it cannot be changed per device.",
        fix: "Let each device have its own, kept in its key store or set by its owner",
        requirements: R,
        keywords: &[".login(", ".authenticate(", ".signin(", ".sign_in(", ".logon("],
        pattern: r#"(?i)\.(?:login|authenticate|sign_?in|logon)\s{0,2}\(\s{0,3}["'][^"'\n]{1,64}["']\s{0,2},\s{0,3}["']([^"'\s]{4,64})["']"#,
        check: stated,
        only: Only::Source,
        kind: Some(Kind::Password),
        hits: &[("upload.js", "conn.log·in('device@acme.net', 'fleetpassword', done);")],
        misses: &[
            ("upload.js", "conn.log·in('user', 'password');"),
            ("upload.js", "conn.log·in(user, password);"),
        ],
        ..BASE
    },
    Rule {
        id: "L-015",
        severity: Medium,
        title: "password of a build tool, encrypted with a password that lies beside it",
        about: "Maven encrypts the master password with a word that is in its source; with the master \
                password every other one is read.",
        fix: FIX,
        requirements: R,
        keywords: &["<master>{", "<password>{"],
        pattern: r"(?i)<(?:master|password)>(\{[A-Za-z0-9+/]{20,200}={0,2}\})</",
        check: given,
        only: Only::Paths(&[".xml"]),
        kind: Some(Kind::Password),
        hits: &[(
            ".m2/settings-security.xml",
            "<mas·ter>{L+bX9REL8CAH/EkcFM4NPLUxjaEZ6nQ79feSk+xDxhE=}</mas·ter>",
        )],
        misses: &[("pom.xml", "<pa·ssword>{env.PASS}</pa·ssword>")],
        ..BASE
    },
];

/// In a program's own file of logins even `password` is one.
fn given(found: &Capture<'_>) -> bool {
    !valid::placeholder(found.secret)
}

/// Where the place says that it is a password, only what plainly stands for one is none.
fn stated(found: &Capture<'_>) -> bool {
    let lower = found.secret.to_ascii_lowercase();
    !valid::placeholder(found.secret) && !STAND_INS.contains(&&lower[..])
}

/// The AWS secret key of 40 characters has a rule of its own.
fn tool_login(found: &Capture<'_>) -> bool {
    let whole = found.whole.to_ascii_lowercase();
    let aws = found.secret.len() == 40 && whole.windows(11).any(|w| w == b"secret_acce");
    !aws && stated(found) && valid::entropy(found.secret) >= 2.5 && !found.secret.starts_with(b"%")
}

/// The value of `name="value"`, where the name stands for the password itself.
fn attribute(found: &Capture<'_>) -> bool {
    let text = String::from_utf8_lossy(found.secret);
    let Some((name, value)) = text.split_once('=') else { return false };
    let value = value.trim_matches('"');
    let name = name.to_lowercase();
    let label = ["hint", "label", "show", "is", "has", "reset", "forgot", "confirm"];
    let own = Only::Paths(&["WebServers.xml", "webServers.xml", "dataSources.local.xml"]);
    !label.iter().any(|word| name.starts_with(word))
        && !own.admits(found.path, true)
        && valid::password(&Capture { secret: value.as_bytes(), ..*found })
}

const STAND_INS: &[&[u8]] =
    &[b"pass", b"passwd", b"password", b"pwd", b"secret", b"token", b"true", b"false", b"user"];
