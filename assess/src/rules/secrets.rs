//! Group S: tokens, keys and logins by what stands around them, whosever they are.

#![allow(clippy::needless_update, reason = "every rule ends alike")]

use super::{BASE, Capture, Only, Rule, given, valid};
use crate::{
    encoded,
    keys::Kind,
    model::Severity::{High, Medium},
};

pub(super) const FIX: &str = "Revoke it at the service, issue one per device or keep it on your server, and \
                   remove it from the history";
pub(super) const ABOUT: &str = "Whoever has the source or the firmware can act as you at this service; every \
                     device carries the same credential.";
pub(super) const R: &[&str] = &["5.4-3", "5.4-1", "I2.2.1", "I2.1.6"];

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "S-028",
        severity: Medium,
        title: "JSON web token",
        about: "A token in the image works for everyone who holds the image until it expires; many never do.",
        fix: FIX,
        requirements: R,
        keywords: &["eyj"],
        pattern: r"(eyJ[A-Za-z0-9_\-]{10,2000}\.eyJ[A-Za-z0-9_\-]{10,4000}\.[A-Za-z0-9_\-]{20,1000})",
        check: valid::jwt,
        kind: Some(Kind::Token),
        hits: &[(
            "a.c",
            "\"ey·JhbGciOiJIUzI1NiJ9.ey·JzdWIiOiJkZXZpY2UtNyJ9.k9Xq2LmN7pRs4TvW1yZbC3dF5gH8jK1mN4pQ7rS0tV3\"",
        )],
        misses: &[(
            "a.c",
            "\"ey·Jub3RoaW5nIjoxfQ.ey·JzdWIiOiJkZXZpY2UtNyJ9.k9Xq2LmN7pRs4TvW1yZbC3dF5gH8jK1\"",
        )],
        ..BASE
    },
    Rule {
        id: "S-029",
        severity: Medium,
        title: "bearer token in code",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &["bearer ", "authorization:"],
        pattern: r#"(?i)authorization["']?\s{0,3}[:,=]{0,1}\s{0,3}["']?(?:(?:bearer|token)\s{1,3}([A-Za-z0-9_\-.=+/]{20,400})|([A-Za-z0-9_\-.=+/]{32,400}))"#,
        check: valid::mixed,
        kind: Some(Kind::Token),
        hits: &[("a.c", "\"Authorization: Be·arer k9Xq2LmN7pRs4TvW1yZbC3dF5gH8jK1\\r\\n\"")],
        misses: &[("a.c", "\"Authorization: Be·arer %s\\r\\n\"")],
        ..BASE
    },
    Rule {
        id: "S-030",
        severity: Medium,
        title: "HTTP basic credentials in code",
        about: ABOUT,
        fix: FIX,
        requirements: &["5.4-3", "5.1-1", "5.1-3", "I2.1.6"],
        keywords: &["basic "],
        pattern: r#"(?i)authorization["']?\s{0,3}[:,=]{0,1}\s{0,3}["']?basic\s{1,3}([A-Za-z0-9+/]{8,200}={0,2})"#,
        check: basic,
        kind: Some(Kind::Password),
        hits: &[("a.c", "\"Authorization: Ba·sic YWRtaW46aHVudGVyMjAxOQ==\\r\\n\"")],
        misses: &[("a.c", "\"Authorization: Ba·sic realm and so on\"")],
        ..BASE
    },
    Rule {
        id: "S-031",
        severity: High,
        title: "credentials in a URL",
        about: ABOUT,
        fix: FIX,
        requirements: &["5.4-3", "5.1-1", "I2.1.6"],
        keywords: &["://"],
        pattern: r"(?i)(?:https?|mqtts?|ftp|ftps|sftp|ssh|rtsp|amqps?|redis|rediss|postgres|postgresql|mysql|mongodb(?:\+srv)?|wss?|smb|ldaps?|git|influxdb|coaps?)://[A-Za-z0-9_.\-%+]{1,64}:((?:[^\s:@/'\x22<>{}$%\\|*]|%[0-9A-Fa-f]{2}){3,80})@[A-Za-z0-9\[]",
        check: url_password,
        kind: Some(Kind::Password),
        hits: &[
            ("a.conf", "url = mq·tt:/·/gateway:Gw4y!2019@broker.acme.net:18·83"),
            ("db.go", "postgres:/·/svc:t7Kq9zLm@10.0.0.7/fleet"),
            ("a.yml", "source: 'ftp:/·/oc-data:Gw4y%298ae@acme.net/maps/'"),
        ],
        misses: &[
            ("a.conf", "url = mq·tt:/·/us·er:pa·ssword@example.com"),
            ("a.md", "https:/·/github.com/a:b@c"),
            ("a.rs", "ht·tp:/·/us·er:{pa·ss}@host"),
            ("a.html", "ht·tps:/·/mailto:j.doe@acme.net"),
        ],
        ..BASE
    },
    Rule {
        id: "S-037",
        severity: Medium,
        title: "LoRaWAN application or network key",
        about: "With the AppKey anyone can join as this device or read its traffic; a key in source is the same on every device.",
        fix: "Provision one key per device at the factory, outside the source",
        requirements: &["5.4-3", "5.4-4", "I4.2.2", "I2.4.1"],
        keywords: &["appkey", "app_key", "nwkkey", "nwkskey", "appskey", "nwk_key"],
        pattern: r#"(?i)(?:app|nwk)s?_?s?key[a-z_\[\]0-9 ]{0,16}\s{0,3}(?:[:=]|\s[\x22'{])\s{0,3}["'{]?\s{0,3}((?:(?:0x)?[0-9a-f]{2}[,\s:\-]{0,3}){16})"#,
        check: valid::hex_key,
        kind: Some(Kind::Symmetric),
        hits: &[(
            "lora.h",
            "static const u1_t AP·PKEY[16] = { 0x2B, 0x7F, 0x15, 0x16, 0x28, 0xAE, 0xD2, 0xA6, 0xAB, 0xF7, 0x15, 0x88, 0x09, 0xCF, 0x4F, 0x3C };",
        )],
        misses: &[(
            "lora.h",
            "static const u1_t AP·PKEY[16] = { 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00 };",
        )],
        ..BASE
    },
    Rule {
        id: "S-038",
        severity: Medium,
        title: "generic API key or token in code",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &[
            "secret",
            "token",
            "credential",
            "api_key",
            "apikey",
            "api-key",
            "access_key",
            "accesskey",
            "auth_key",
            "authkey",
            "app_key",
            "appkey",
            "encryption_key",
            "encryptionkey",
            "encryption-key",
            "signing_key",
            "signing-key",
            "private_key",
            "master_key",
            "session_key",
            "license_key",
            "client_key",
            "service_key",
            "account_key",
            "storage_key",
            "sas_key",
            "aes_key",
            "hmac_key",
            "crypto_key",
            "device_key",
            "shared_key",
            "auth_code",
            "passkey",
        ],
        pattern: r#"(?i)[a-z0-9_.\-$]{0,40}(?:secret|token|credential|passkey|auth_?code|(?:api|access|auth|app|aes|hmac|crypt|crypto|device|shared|encryption|signing|private|master|session|license|client|service|account|storage|sas)[_\-]?key)[a-z0-9_\-]{0,24}["'`\])]{0,3}\s{0,4}(?:\[[^\]\n]{0,24}\]\s{0,2})?(?::\s{0,2}[&'a-z_<>\[\]\s]{1,24}=|:=|=>|[!=]={1,2}|[=:,(]|\s)[^"'`\n;]{0,48}?["'`]([^"'`\s\\]{8,200})["'`]"#,
        check: given::token,
        kind: Some(Kind::Token),
        only: Only::Text,
        hits: &[
            ("a.py", "ap·i_key = \"k9Xq2LmN7pRs4TvW1yZb\""),
            ("cfg.yml", "cl·ient_se·cret: 'a81f0c2e77d94b3f9e21c0aa5d'"),
            ("a.rs", "const AP·I_KEY: &str = \"k9Xq2LmN7pRs4TvW1yZb\";"),
            ("a.js", "app.use(session({ sec·ret: 'k9Xq2LmN7pRs4TvW1yZb' }));"),
        ],
        misses: &[
            ("p.c", "if (os_strcmp(tok·en, \"akmp=FT-EAP-SHA384\") == 0) {"),
            ("a.py", "ap·i_key = \"your-ap·i-key-goes-here\""),
            ("a.py", "ap·i_key = os.environ[\"AP·I_KEY\"]"),
            ("b.py", "tok·en_url = \"https:/·/login.acme.net/oauth2/tok·en\""),
            ("c.py", "sec·ret = \"123e4567-e89b-12d3-a456-426614174000\""),
            ("d.json", "\"pageTo·ken\": \"k9Xq2LmN7pRs4TvW1yZb\""),
            ("a.c", "#define AP·I_KEY_HEADER \"X-Device-Ap·i-Key\""),
        ],
        ..BASE
    },
    Rule {
        id: "S-039",
        severity: Medium,
        title: "token in a configuration without quotes",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &[
            "secret",
            "token",
            "api_key",
            "apikey",
            "access_key",
            "app_key",
            "auth_key",
            "encryption_key",
            "signing_key",
            "credential",
        ],
        pattern: r"(?i)^[\s;#*/\-]{0,8}(?:(?:fw_)?setenv\s{1,3}[a-z0-9_.\-]{0,40}(?:secret|token|credential|(?:api|access|auth|app|encryption|signing)[_\-.]?key)[a-z0-9_.\-]{0,24}\s{1,3}|(?:export\s{1,3}|set\s{1,3}|ENV\s{1,3}|ARG\s{1,3})?[a-z0-9_.\-]{0,40}(?:secret|token|credential|(?:api|access|auth|app|encryption|signing)[_\-.]?key)[a-z0-9_.\-]{0,24}\s{0,3}[:=]\s{0,3})([A-Za-z0-9_\-+/=~!.%]{12,200})\s{0,8}$",
        check: given::bare_token,
        kind: Some(Kind::Token),
        only: Only::Paths(&[
            ".env",
            ".conf",
            ".cfg",
            ".ini",
            ".properties",
            ".yml",
            ".yaml",
            ".toml",
            ".sh",
            ".config",
            ".prod",
            ".local",
            ".production",
            ".development",
            "/config",
            "env",
            ".bashrc",
            ".profile",
            ".txt",
            "Dockerfile",
            ".envrc",
        ]),
        hits: &[
            ("etc/cloud.conf", "de·vice_token=k9Xq2LmN7pRs4TvW1yZbC3"),
            ("boot/uEnv.txt", "sete·nv de·vice_token k9Xq2LmN7pRs4TvW1yZbC3"),
        ],
        misses: &[("etc/cloud.conf", "de·vice_token=/etc/cloud/token.file")],
        ..BASE
    },
    Rule {
        id: "S-044",
        severity: Medium,
        title: "symmetric key as a hexadecimal constant",
        about: "A key in the program is the same on every device and can be read out of any of them.",
        fix: "Derive or provision one key per device; keep it in the key store",
        requirements: &["5.4-3", "5.4-1", "I2.4.1", "I4.2.2"],
        keywords: &[
            "aes_key",
            "aeskey",
            "aes_iv_key",
            "enc_key",
            "encryption_key",
            "encryptionkey",
            "master_key",
            "masterkey",
            "hmac_key",
            "hmackey",
            "cipher_key",
            "session_key",
            "psk_key",
            "secret_key",
            "private_key",
            "flash_key",
            "ota_key",
            "device_key",
            "shared_key",
            "crypt_key",
            "cryptokey",
            "crypto_key",
            "signing_key",
        ],
        pattern: r#"(?i)(?:aes|enc|encryption|master|hmac|cipher|session|psk|secret|private|flash|ota|device|shared|crypt|crypto|signing)_?key[a-z0-9_]{0,16}(?:\[[^\]]{0,24}\])?["']?\s{0,4}[:=]\s{0,4}(?:b|u8|@|h)?["'{]?\s{0,4}((?:0x)?[0-9a-f]{32,64}["']|(?:(?:0x|\\x)[0-9a-f]{2}[,\s]{0,3}){16,64})"#,
        check: valid::hex_key,
        kind: Some(Kind::Symmetric),
        hits: &[
            ("a.c", "static const char *ae·s_key = \"2b7f151628aed2a6abf7158809cf4f3c\";"),
            (
                "b.c",
                "const uint8_t ma·ster_key[16] = {0x2B,0x7F,0x15,0x16,0x28,0xAE,0xD2,0xA6,0xAB,0xF7,0x15,0x88,0x09,0xCF,0x4F,0x3C};",
            ),
        ],
        misses: &[
            ("a.c", "static const char *ae·s_key = \"00000000000000000000000000000000\";"),
            ("b.c", "uint8_t ma·ster_key[16] = {0};"),
        ],
        ..BASE
    },
    Rule {
        id: "S-045",
        severity: Medium,
        title: "token in a header or an XML, JSON or YAML setting",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &[
            "secret",
            "token",
            "api-key",
            "apikey",
            "api_key",
            "access_key",
            "encryption_key",
            "encryptionkey",
            "signing_key",
            "signingkey",
        ],
        pattern: r#"(?i)(?:(?:name|key|id)["']?\s{0,3}[=:]\s{0,3}["']?[a-z0-9_.\-]{0,32}(?:secret|token|(?:api|access|secret|encryption|signing)_?key)["']?\s{0,4},?\s{0,24}["']?value["']?\s{0,3}[=:]\s{0,3}["']?([^\s"'<>]{12,200})|(?:name|key)=["'][a-z0-9_.\-]{0,32}(?:secret|token|(?:api|access|secret|encryption|signing)_?key)["']\s{0,3}>([^<>\s]{12,200})<|<[a-z0-9_:]{0,24}(?:secret|token|(?:api|access|secret|encryption|signing)_?key)>([^<>\s]{12,200})</|x-[a-z\-]{0,24}(?:token|key|secret):\s{0,3}([a-z0-9_\-.+/=]{16,200}))"#,
        lines: 2,
        only: Only::Text,
        check: valid::mixed,
        kind: Some(Kind::Token),
        hits: &[
            ("a.config", "<add key=\"Ap·iSec·ret\" value=\"k9Xq2LmN7pRs4TvW1yZb\" />"),
            ("a.yaml", "- name: CLOUD_TO·KEN\n  value: k9Xq2LmN7pRs4TvW1yZb"),
        ],
        misses: &[
            ("a.config", "<add key=\"Ap·iSec·ret\" value=\"${AP·I_SEC·RET}\" />"),
            ("a.yaml", "- name: CLOUD_TO·KEN\n  valueFrom: sec·retKeyRef-gw-17-tok·en"),
        ],
        ..BASE
    },
    Rule {
        id: "S-047",
        severity: High,
        title: "value in a Kubernetes secret's manifest",
        about: "Base64 hides nothing: who has the file has the secret.",
        fix: "Change it; let the cluster fetch secrets from a store, or seal the manifest",
        requirements: R,
        keywords: &["data:"],
        pattern: r#"(?i)(?:^|\n)[\s\-]{0,24}(?:string)?data:[ \t\r]{0,4}\n(?:\s{0,24}#[^\n]{0,200}\n)?\s{1,24}["']?[\w.\-]{1,80}["']?:\s{0,3}(?:[>|][+\-]?\s{0,4}\n\s{1,24})?["']?([^\s"'#<>{}$]{4,1500})"#,
        lines: 4,
        check: kubernetes,
        kind: Some(Kind::Token),
        only: Only::Text,
        hits: &[
            (
                "a.yaml",
                "kind: Sec·ret\nmetadata:\n  name: a\ndata:\n  # of the fleet\n  key: R3c0eTIwMTk=\n",
            ),
            (
                "b.yaml",
                "stringData:\n  CAMO_KEY: \"6387829c-5628-4331-a7ac-4196fdf16631\"\nkind: Sec·ret\n",
            ),
        ],
        misses: &[
            ("a.yaml", "kind: ConfigMap\ndata:\n  key: R3c0eTIwMTk=\n"),
            ("b.yaml", "kind: Sec·ret\ndata:\n  key: Y2hhbmdlbWU=\n"),
            ("c.yaml", "kind: Sec·ret\n---\nkind: ConfigMap\ndata:\n  key: R3c0eTIwMTk=\n"),
        ],
        ..BASE
    },
    Rule {
        id: "S-048",
        severity: High,
        title: "secret of a client or role in the form of a UUID",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &["client_secret", "clientsecret", "client-secret", "secret_id", "secretid"],
        pattern: r#"(?i)(?:client[_\-]?secret|secret_?id)["']?\s{0,3}[=:]\s{0,3}["']?([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"#,
        check: valid::hex_key,
        kind: Some(Kind::Token),
        hits: &[
            ("a.sh", "CL·IENT_SEC·RET=\"0557b061-6c3f-47f1-80f7-73ddd11ae2c9\""),
            ("b.yml", "lookup('vault_read', sec·ret_id='dd3cf500-f9f9-4052-a768-1f22ac57d107')"),
        ],
        misses: &[("a.sh", "CL·IENT_SEC·RET=\"00000000-0000-0000-0000-000000000000\"")],
        ..BASE
    },
    Rule {
        id: "S-049",
        severity: High,
        title: "token of a container cluster",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &["swmtkn-", "sha256~"],
        pattern: r"(SWMTKN-1-[0-9a-z]{50}-[0-9a-z]{25}|sha256~[A-Za-z0-9_\-]{43})(?:[^A-Za-z0-9_\-]|$)",
        check: valid::token,
        kind: Some(Kind::Token),
        hits: &[
            (
                "a.sh",
                "docker swarm join --token SWM·TKN-1-3pu6hszjas19xyp7ghgosyx7k8atbfcr8p2is97znpy26u2lkl-4xr7lve30qn7krdtpmusgddkq",
            ),
            ("b.sh", "oc login --token=sha·256~CL9vOGM0koa67eipnogHwP6KmfeAOd6ZwMo88Qo3-Kw"),
        ],
        misses: &[("a.sh", "sha·256~not-a-token")],
        ..BASE
    },
    Rule {
        id: "S-050",
        severity: High,
        title: "OpenVPN static key",
        about: "Whoever has it reads and forges all that goes through the tunnel, past and future.",
        fix: "Use certificates with keys that each device makes; give tls-crypt-v2 keys one by one",
        requirements: R,
        keywords: &["openvpn static key"],
        pattern: r"-----BEGIN OpenVPN Static key V1-----(?:\s|\\n){1,4}((?:[0-9a-fA-F]{32}(?:\s|\\n){1,4}){8,16})",
        lines: 18,
        kind: Some(Kind::Symmetric),
        hits: &[(
            "etc/openvpn/ta.key",
            "-----BE·GIN Open·VPN Static key V1-----\n4f8a0c2e77d94b3f9e21c0aa5d0bd6e1\n1f8a0c2e77d94b3f9e21c0aa5d0bd6e2\n2f8a0c2e77d94b3f9e21c0aa5d0bd6e3\n3f8a0c2e77d94b3f9e21c0aa5d0bd6e4\n5f8a0c2e77d94b3f9e21c0aa5d0bd6e5\n6f8a0c2e77d94b3f9e21c0aa5d0bd6e6\n7f8a0c2e77d94b3f9e21c0aa5d0bd6e7\n8f8a0c2e77d94b3f9e21c0aa5d0bd6e8\n-----EN·D Open·VPN Static key V1-----\n",
        )],
        misses: &[(
            "ssl.c",
            "const char *head = \"-----BE·GIN Open·VPN Static key V1-----\";\nconst char *tail = \"-----EN·D Open·VPN Static key V1-----\";\n",
        )],
        ..BASE
    },
    Rule {
        id: "S-051",
        severity: High,
        title: "symmetric JSON web key",
        about: "Whoever has it signs and reads what only your service and the device should.",
        fix: FIX,
        requirements: R,
        keywords: &["\"kty", "\"k\"", "\"k\\\""],
        pattern: r#"(?:"kty\\?"\s{0,4}:\s{0,4}\\?"oct\\?"[^{}]{0,300}?"k\\?"\s{0,4}:\s{0,4}\\?"([A-Za-z0-9_\-]{22,200})\\?"|"k\\?"\s{0,4}:\s{0,4}\\?"([A-Za-z0-9_\-]{22,200})\\?"[^{}]{0,300}?"kty\\?"\s{0,4}:\s{0,4}\\?"oct)"#,
        lines: 12,
        check: valid::mixed,
        only: Only::Text,
        kind: Some(Kind::Symmetric),
        hits: &[
            (
                "jwk.json",
                "{\"k·ty\":\"o·ct\",\"alg\":\"HS256\",\"k\":\"k9Xq2LmN7pRs4TvW1yZbC3dF5gH8jK1m\"}",
            ),
            ("a.json", "{\"k\": \"k9Xq2LmN7pRs4TvW1yZbC3dF5gH8jK1m\", \"k·ty\": \"o·ct\"}"),
        ],
        misses: &[("jwk.json", "{\"k·ty\":\"EC\",\"k\":\"k9Xq2LmN7pRs4TvW1yZbC3dF5gH8jK1m\"}")],
        ..BASE
    },
];

fn basic(found: &Capture<'_>) -> bool {
    use base64::{Engine, engine::general_purpose::STANDARD};
    STANDARD.decode(found.secret).is_ok_and(|plain| {
        let mut parts = plain.splitn(2, |b| *b == b':');
        let (user, password) = (parts.next().unwrap_or(&[]), parts.next().unwrap_or(&[]));
        let printable = plain.iter().all(|b| (0x20..0x7f).contains(b));
        printable && !user.is_empty() && !password.is_empty() && !valid::placeholder(password)
    })
}

fn url_password(found: &Capture<'_>) -> bool {
    let lower = found.secret.to_ascii_lowercase();
    // `pass%20word` stands for one as `password` does.
    let lower = String::from_utf8_lossy(&lower).replace("%20", "").into_bytes();
    let stand_in: &[&[u8]] = &[
        b"password",
        b"pass",
        b"passwd",
        b"pwd",
        b"secret",
        b"pw",
        b"token",
        b"user",
        b"bar",
        b"hunter2",
        b"xyzzy",
        b"port",
        b"key",
        b"1234",
        b"test",
        b"xxx",
        b"b",
    ];
    valid::password(found)
        && !given::in_a_manual(found)
        && !found.whole.windows(9).any(|w| w.eq_ignore_ascii_case(b"//mailto:"))
        && !stand_in.contains(&&lower[..])
        && !found.whole.ends_with(b"@e")
        && !String::from_utf8_lossy(found.line).contains("@example.")
}

/// The document, between its separators, is a secret's, and the value stands for no other.
fn kubernetes(found: &Capture<'_>) -> bool {
    let near = String::from_utf8_lossy(found.near).to_lowercase();
    let value = String::from_utf8_lossy(found.secret).to_lowercase();
    let mut documents = near.split("\n---");
    let own = documents.find(|document| document.contains(&value)).unwrap_or("");
    let secret = own.split("kind:").skip(1).any(|rest| {
        let rest = rest.trim_start_matches([' ', '"', '\'']);
        rest.strip_prefix("secret").is_some_and(|end| !end.starts_with(char::is_alphanumeric))
    });
    let said = encoded::text(found.secret).unwrap_or_else(|| found.secret.to_vec());
    // The head of a JSON web token alone, an address, and what is too short for a secret.
    let head = said.starts_with(b"{\"alg\"") && !found.secret.contains(&b'.');
    let address = found.secret.windows(3).any(|w| w == b"://");
    secret && said.len() > 5 && !head && !address && !valid::placeholder(found.secret)
}
