//! Group P: password hashes, accounts and logins of the factory.

#![allow(clippy::needless_update, reason = "every rule ends alike")]

use super::{BASE, Capture, Only, Rule, valid};
use crate::{
    keys::Kind,
    model::Severity::{Critical, High, Low},
};

const HASH: &str = "A hash in the image is the same on every device: one cracked password opens them \
                    all.";
const HASH_FIX: &str = "Ship the account locked; let each device make or be given its own password";
const R: &[&str] = &["5.1-1", "5.4-3", "I2.1.6", "I2.1.7"];
const WEAK: &[&str] = &["5.1-1", "5.1-3", "5.4-3", "I2.1.6", "I2.4.2"];

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "P-001",
        severity: High,
        title: "password hash in MD5-crypt",
        about: HASH,
        fix: HASH_FIX,
        requirements: WEAK,
        keywords: &["$1$", "$md5"],
        pattern: r"(\$1\$[A-Za-z0-9./]{0,8}\$[A-Za-z0-9./]{22}|\$md5(?:,rounds=\d{1,9})?\$[A-Za-z0-9./]{1,16}\$\$?[A-Za-z0-9./]{22})(?:[^A-Za-z0-9./]|$)",
        check: valid::crypt,
        kind: Some(Kind::PasswordHash),
        hits: &[("etc/shadow", "ro·ot:$1·$Q7xm2Lw9$kT4vW8yZbC3dF5gH8jK1m.:18000:0·:9·9999:7:::")],
        misses: &[("etc/shadow", "ro·ot:*·:18000:0·:9·9999:7:::")],
        ..BASE
    },
    Rule {
        id: "P-002",
        severity: High,
        title: "password hash in DES-crypt",
        about: "Eight characters at most and 4096 salts: DES-crypt is searched whole in days.",
        fix: HASH_FIX,
        requirements: WEAK,
        keywords: &[
            "root:",
            "admin:",
            "user:",
            ":0:0:",
            "support:",
            "guest:",
            ":99999:",
            "operator:",
            "default:",
            "service:",
        ],
        pattern: r"(?m)^\s{0,4}[a-z_][a-z0-9_\-]{0,31}:([A-Za-z0-9./]{13}):[0-9]{0,6}:[0-9]{0,6}:",
        check: des,
        kind: Some(Kind::PasswordHash),
        hits: &[("etc/passwd", "ro·ot:kT4vW8yZbC3dF:0·:0·:ro·ot:/ro·ot:/b·in/sh")],
        misses: &[
            ("etc/passwd", "ro·ot:x:0·:0·:ro·ot:/ro·ot:/b·in/sh"),
            ("etc/passwd", "ro·ot:disabledpw·d1:0·:0·:ro·ot:/:"),
        ],
        ..BASE
    },
    Rule {
        id: "P-003",
        severity: High,
        title: "password hash in SHA-256- or SHA-512-crypt",
        about: HASH,
        fix: HASH_FIX,
        requirements: R,
        keywords: &["$5$", "$6$"],
        pattern: r"(\$[56]\$(?:rounds=\d{1,9}\$)?[A-Za-z0-9./]{1,16}\$(?:[A-Za-z0-9./]{86}|[A-Za-z0-9./]{43}))(?:[^A-Za-z0-9./]|$)",
        check: valid::crypt,
        kind: Some(Kind::PasswordHash),
        hits: &[(
            "etc/shadow",
            "ro·ot:$6·$kT4vW8yZ$bC3dF5gH8jK1mN4pQ7rS0tV3wX6yZ9aB2cD5eF8gH1jK4mN7pRs4TvW1yZbC3dF5gH8jK1mN4pQ7rS0tV3wX6/:19000:0·:9·9999:7:::",
        )],
        misses: &[("etc/shadow", "ro·ot:!:19000:0·:9·9999:7:::")],
        ..BASE
    },
    Rule {
        id: "P-004",
        severity: High,
        title: "password hash in bcrypt, scrypt or yescrypt",
        about: HASH,
        fix: HASH_FIX,
        requirements: R,
        keywords: &["$2a$", "$2b$", "$2y$", "$y$", "$7$", "$gy$"],
        pattern: r"(\$2[aby]\$\d\d\$[A-Za-z0-9./]{53}|\$(?:y|gy)\$[A-Za-z0-9./]{1,8}\$[A-Za-z0-9./]{4,86}\$[A-Za-z0-9./]{43}|\$7\$[A-Za-z0-9./]{11}[A-Za-z0-9./]{1,86}\$[A-Za-z0-9./]{43})(?:[^A-Za-z0-9./]|$)",
        check: valid::crypt,
        kind: Some(Kind::PasswordHash),
        hits: &[
            (
                "app/users.yml",
                "ad·min: $2·b$10$kT4vW8yZbC3dF5gH8jK1mN4pQ7rS0tV3wX6yZ9aB2cD5eF8gH1jKu",
            ),
            (
                "etc/shadow",
                "ro·ot:$7·$DU..../....2Q9obwLhin8qvQl6sisAO/$E1HizYWxBmnIH4sdPkd1UOML9t62Gf.wvNTnt5XFzs8:19000::::::",
            ),
        ],
        misses: &[("app/users.yml", "ad·min: $2·b$10$too.short")],
        ..BASE
    },
    Rule {
        id: "P-005",
        severity: High,
        title: "password hash in Apache, PHPass or LDAP form",
        about: HASH,
        fix: HASH_FIX,
        requirements: WEAK,
        keywords: &["$apr1$", "$p$", "$h$", "{sha}", "{ssha}"],
        pattern: r"(\$apr1\$[A-Za-z0-9./]{1,8}\$[A-Za-z0-9./]{22}|\$[PH]\$[A-Za-z0-9./]{31}|\{S?SHA\}[A-Za-z0-9+/]{27,60}={0,2})(?:[^A-Za-z0-9./]|$)",
        check: valid::crypt,
        kind: Some(Kind::PasswordHash),
        hits: &[("www/.htpasswd", "ad·min:$a·pr1$Q7xm2Lw9$kT4vW8yZbC3dF5gH8jK1m.")],
        misses: &[("www/.htpasswd", "ad·min:{S·HA}")],
        ..BASE
    },
    Rule {
        id: "P-006",
        severity: High,
        title: "password hash in PBKDF2, argon2 or scrypt form",
        about: HASH,
        fix: HASH_FIX,
        requirements: R,
        keywords: &["$argon2", "pbkdf2", "$scrypt$", "$7$1"],
        pattern: r"(\$argon2(?:id|i|d)\$v=\d{1,3}\$m=\d{1,9},t=\d{1,4},p=\d{1,3}\$[A-Za-z0-9+/]{11,64}\$[A-Za-z0-9+/]{22,128}|\$?pbkdf2[:_\-](?:sha1|sha256|sha512)[$:]\d{1,8}[$:][A-Za-z0-9+/=.]{4,64}[$:][A-Za-z0-9+/=.]{16,180}|\$7\$\d{3}\$[A-Za-z0-9+/=]{16,24}\$[A-Za-z0-9+/=]{86,90})",
        check: valid::crypt,
        kind: Some(Kind::PasswordHash),
        hits: &[(
            "etc/mosquitto/passwd",
            "gw:$7·$101$kT4vW8yZbC3dF5gH$kT4vW8yZbC3dF5gH8jK1mN4pQ7rS0tV3wX6yZ9aB2cD5eF8gH1jK4mN7pRs4TvW1yZbC3dF5gH8jK1mN4pQ7rQ==",
        )],
        misses: &[("a.c", "derive(pb·kdf2_sha256, 600000)")],
        ..BASE
    },
    Rule {
        id: "P-007",
        severity: Critical,
        title: "account with an empty password",
        about: "Anyone who reaches a login gets in.",
        fix: "Lock the account (`!` or `*` in the password field)",
        requirements: &["5.1-1", "5.6-1", "I2.1.6", "I2.1.3"],
        keywords: &[":0:0:", ":99999:", "::0:"],
        pattern: r"(?m)^([a-z_][a-z0-9_\-]{0,31}::[0-9]{1,6}:[0-9]{1,6}:[^\n]{0,200})$",
        check: shadow_path,
        hits: &[("etc/shadow", "ro·ot::10933:0·:9·9999:7:::")],
        misses: &[("etc/shadow", "ro·ot:*·:10933:0·:9·9999:7:::"), ("etc/group", "ro·ot::·0·:0·:")],
        ..BASE
    },
    Rule {
        id: "P-008",
        severity: Critical,
        title: "second account with user id 0",
        about: "A second name for root is a favourite back door.",
        fix: "Remove the account",
        requirements: &["5.1-1", "5.6-1", "I2.1.7", "I2.2.3"],
        keywords: &[":0:"],
        pattern: r"(?m)^([a-z_][a-z0-9_\-]{0,31}:[^:\n]{0,120}:0:\d{1,6}:[^:\n]{0,80}:[^:\n]{0,80}:/[^\n]{1,40}sh)\s*$",
        check: |c| c.path.ends_with("passwd") && !c.secret.starts_with(b"root:"),
        hits: &[("etc/passwd", "su·pport:x:0·:0·:su·pport:/ro·ot:/b·in/sh")],
        misses: &[("etc/passwd", "ro·ot:x:0·:0·:ro·ot:/ro·ot:/b·in/sh")],
        ..BASE
    },
    Rule {
        id: "P-009",
        severity: Critical,
        title: "default user name and password",
        about: "The pair is in every list that bots try first.",
        fix: "Require a password of the owner's at first start, or one per device",
        requirements: &["5.1-1", "5.1-2", "I2.1.6"],
        keywords: &[
            "admin",
            "root",
            "guest",
            "support",
            "ubnt",
            "telecomadmin",
            "xc3511",
            "vizxv",
            "888888",
            "service",
            "supervisor",
        ],
        pattern: r#"(?i)(?:^|[^A-Za-z0-9])((?:admin|root|guest|support|ubnt|user|service|supervisor|telecomadmin)["']?\s{0,2}(?::|,|/)\s{0,2}["']?(?:admin|root|1234|12345|123456|password|pass|admin123|xc3511|vizxv|888888|666666|ubnt|support|guest|default|service|klv123|anko|zlxx\.|7ujMko0admin|7ujMko0vizxv|system|ikwb|dreambox|juantech|54321|hi3518|jvbzd|supervisor|admintelecom|toor|raspberry))["']?(?:[^A-Za-z0-9_:/.\-]|$)"#,
        check: default_pair,
        kind: Some(Kind::Password),
        hits: &[
            ("main.c", "{ \"ad·min\", \"1234\" },"),
            ("etc/httpd.conf", "/cgi-bin:ad·min:ad·min"),
        ],
        misses: &[
            ("etc/group", "ad·min:x:100:"),
            ("a.c", "role = { \"user\", \"gu·est\" };"),
            ("README.md", "chown ro·ot:ro·ot file"),
        ],
        ..BASE
    },
    Rule {
        id: "P-019",
        severity: Low,
        title: "login shell for a service account",
        about: "A service account that can log in is one more way in.",
        fix: "Give it /sbin/nologin",
        requirements: &["5.6-7", "I2.2.3", "I2.1.7"],
        keywords: &[
            "daemon:",
            "ftp:",
            "nobody:",
            "www-data:",
            "http:",
            "mail:",
            "lp:",
            "uucp:",
            "news:",
        ],
        pattern: r"(?m)^((?:daemon|ftp|nobody|www-data|http|mail|lp|uucp|news):[^:\n]{0,64}:\d{1,6}:\d{1,6}:[^:\n]{0,64}:[^:\n]{0,64}:/bin/(?:ba|a|da)?sh)\s*$",
        only: Only::Paths(&["/passwd", "passwd"]),
        hits: &[("etc/passwd", "no·body:x:99:99:no·body:/:/b·in/sh")],
        misses: &[("etc/passwd", "no·body:x:99:99:no·body:/:/bin/false")],
        ..BASE
    },
    Rule {
        id: "P-026",
        severity: High,
        title: "password verifier of a database, directory, boot loader or network device",
        about: HASH,
        fix: HASH_FIX,
        requirements: R,
        keywords: &[
            "$sha1$",
            "$3$$",
            "scram-sha-",
            "by password",
            "grub.pbkdf2.",
            "secret 8 ",
            "secret 9 ",
            "{sha256}",
            "{sha384}",
            "{sha512}",
            "{ssha256}",
            "{ssha384}",
            "{ssha512}",
            ":lct-",
            "usmuser ",
        ],
        pattern: r"(?:\$sha1\$\d{1,9}\$[./A-Za-z0-9]{1,64}\$[./A-Za-z0-9]{28}|\$3\$\$[0-9a-f]{32}|SCRAM-SHA-(?:1|256)\$\d{3,7}:[A-Za-z0-9+/=]{12,64}\$[A-Za-z0-9+/=]{28,88}:[A-Za-z0-9+/=]{28,88}|(?i:identified\s{1,3}by\s{1,3}password)\s{1,3}'(\*[0-9A-F]{40})'|grub\.pbkdf2\.sha512\.\d{1,8}\.[0-9A-F]{32,512}\.[0-9A-F]{32,512}|\bsecret\s{1,3}[89]\s{1,3}(\$[89]\$[./A-Za-z0-9]{14}\$[./A-Za-z0-9]{43})|\{S?SHA(?:256|384|512)\}[A-Za-z0-9+/]{40,160}={0,2}|:([0-9A-F]{32}):\[[UWDNIX ]{11}\]:LCT-|\busmUser\s[^\n]{1,200}\s0x([0-9a-f]{32,64})\s)",
        check: |c| !valid::placeholder(c.secret),
        only: Only::Text,
        kind: Some(Kind::PasswordHash),
        hits: &[
            ("etc/master.passwd", "ro·ot:$sha·1$40000$jtNX3nZ2$hBNaIXkt4wBI2o5rsi8KejSjNqIq:1::"),
            (
                "users.sql",
                "CREATE US·ER 'x' IDENTI·FIED BY PA·SSWORD '*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19';",
            ),
            (
                "grub.cfg",
                "password_pb·kdf2 root grub.pb·kdf2.sha512.10000.4F8A0C2E77D94B3F9E21C0AA5D0BD6E1.1F8A0C2E77D94B3F9E21C0AA5D0BD6E2",
            ),
            (
                "a.ldif",
                "userPa·ssword: {SS·HA512}9dhMzUnp2gzVJZqFfLKRjYZzFJpNw6sW8E0cQdJZ7m3V9TnJjL1bqgZ4YyqLk2nB",
            ),
            (
                "etc/smbpasswd",
                "ro·ot:0:AAD3B435B51404EEAAD3B435B51404EE:8846F7EAEE8FB117AD06BDD830B7586C:[U          ]:LC·T-5F4DCC3B:",
            ),
        ],
        misses: &[
            ("a.ldif", "userPa·ssword: {SS·HA512}"),
            ("grub.cfg", "password_pb·kdf2 root $HASH"),
            ("users.sql", "CREATE US·ER 'x' IDENTI·FIED BY PA·SSWORD '*';"),
        ],
        ..BASE
    },
];

fn des(found: &Capture<'_>) -> bool {
    let has = |f: fn(&u8) -> bool| found.secret.iter().any(f);
    let base = found.path.rsplit('/').next().unwrap_or("");
    let table = base.contains("passwd") || base.contains("shadow") || base.contains("htpasswd");
    (table
        && valid::entropy(found.secret) >= 3.0
        && has(|b| b.is_ascii_uppercase())
        && has(|b| b.is_ascii_lowercase()))
        || valid::entropy(found.secret) >= 3.2
            && has(|b| b.is_ascii_uppercase())
            && has(|b| b.is_ascii_digit() || matches!(b, b'.' | b'/'))
}

fn shadow_path(found: &Capture<'_>) -> bool {
    let base = found.path.rsplit('/').next().unwrap_or("");
    (base.starts_with("shadow") || base.starts_with("passwd"))
        && !found.secret.ends_with(b"/sbin/nologin")
        && !found.secret.ends_with(b"/bin/false")
}

fn default_pair(found: &Capture<'_>) -> bool {
    // Manuals and change logs tell of owners and of old defaults.
    let prose = [".md", ".txt", ".rst", ".html", ".htm", ".pod", ".po", ".1", ".8", ".xml"];
    let lower = found.path.to_lowercase();
    if prose.iter().any(|e| lower.ends_with(e))
        || lower.contains("/doc/")
        || lower.contains("change")
    {
        return false;
    }
    let text = String::from_utf8_lossy(found.secret).to_lowercase();
    let base = found.path.rsplit('/').next().unwrap_or("");
    // Owner and group of a file, roles side by side, and account tables are no logins.
    let tables = ["group", "passwd", "shadow", "gshadow", "permissions", "device_table.txt"];
    let pair: Vec<&str> =
        text.split([':', ',', '/', '|', '"', '\'', ' ']).filter(|p| !p.is_empty()).collect();
    // Owner and group of a file, two roles, and a name with its secret spelt out.
    let owner = pair.len() == 2
        && (pair[0] == pair[1] && pair[0] == "root"
            || pair.iter().all(|word| ["user", "guest"].contains(word))
            || pair[0] == "user" && pair[1].starts_with("pass"));
    let line = String::from_utf8_lossy(found.line).to_lowercase();
    let role_words: Vec<&str> =
        "root admin guest user support service default system supervisor".split(' ').collect();
    let both_roles =
        pair.len() == 2 && role_words.contains(&pair[0]) && role_words.contains(&pair[1]);
    let quoted_or_config = line.contains("pass")
        || line.contains("login")
        || line.contains("cred")
        || line.contains("auth")
        || base.contains("http")
        || text.contains(':');
    // Without quotes a login has no space in it; a label and its value in code do.
    let quoted = text.contains(['"', '\'']);
    let tight = !text.contains(' ') && !text.contains(',');
    // A database beside its own test.
    let local = line.contains("@localhost") || line.contains("@127.0.0.1");
    (quoted || tight)
        && !local
        && !tables.contains(&base.trim_end_matches('-'))
        && !owner
        && !line.contains("chown")
        && !line.contains("install -")
        && !line.contains("owner")
        && (!both_roles || (quoted_or_config && pair[0] == pair[1]))
}
