//! Group S: credentials of clouds, device platforms and monitoring, by their published shape.

#![allow(clippy::needless_update, reason = "every rule ends alike")]

use super::{
    BASE, Capture, Rule,
    secrets::{ABOUT, FIX, R},
    valid,
};
use crate::{
    keys::Kind,
    model::Severity::{Critical, High, Medium},
};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "S-001",
        severity: Critical,
        title: "AWS access key",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &["akia", "asia"],
        pattern: r"(?:^|[^A-Za-z0-9/+])((?:AKIA|ASIA)[A-Z2-7]{16})(?:[^A-Za-z0-9/+=]|$)",
        check: valid::secret,
        kind: Some(Kind::Token),
        hits: &[("a.c", "id = \"AK·IAQ3EGRIWM2LPXS7VD\";")],
        misses: &[("a.c", "id = \"AK·IAIOSFODNN7EXAMPLE\";")],
        ..BASE
    },
    Rule {
        id: "S-002",
        severity: Critical,
        title: "AWS secret access key",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &["aws_secret", "awssecret", "secret_access_key", "secretaccesskey"],
        pattern: r#"(?i)(?:aws_?secret|secret_?access)[a-z_]{0,20}["']?\s{0,4}[:=]{1,2}>?\s{0,4}["']?([A-Za-z0-9/+]{40})(?:[^A-Za-z0-9/+=]|$)"#,
        check: valid::mixed,
        kind: Some(Kind::Token),
        hits: &[("x.env", "aw·s_se·cret_ac·cess_key=k7Bz2mQwT9sXc4VnR1yLp8HjD5gFa6KeU3oIiZ0Y")],
        misses: &[("x.env", "aw·s_se·cret_ac·cess_key=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")],
        ..BASE
    },
    Rule {
        id: "S-003",
        severity: High,
        title: "Google API key",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &["aiza"],
        pattern: r"(AIza[0-9A-Za-z_\-]{35})(?:[^0-9A-Za-z_\-]|$)",
        check: valid::mixed,
        kind: Some(Kind::Token),
        hits: &[("a.js", "key: 'AI·zaSyB7x2Kq9LmN4pR6sT8vW1yZ3aC5dF0gH2j'")],
        misses: &[("a.js", "key: 'AI·za...your key'")],
        ..BASE
    },
    Rule {
        id: "S-004",
        severity: High,
        title: "Google OAuth client secret",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &["gocspx-"],
        pattern: r"(GOCSPX-[0-9A-Za-z_\-]{28})",
        check: valid::token,
        kind: Some(Kind::Token),
        hits: &[("a.json", "\"cl·ient_se·cret\":\"GO·CSPX-k2Lm9QxW7bVn3RtYp5ZcH8sJd1Gf\"")],
        misses: &[("a.json", "GO·CSPX-aa·a·a·a·a·a·a·a·a·a·a·a·a·a·a·a·a·a·a·a·a·a·a·a·a·aa")],
        ..BASE
    },
    Rule {
        id: "S-005",
        severity: Critical,
        title: "Google service account key",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &["gserviceaccount.com"],
        pattern: r#""client_email"\s{0,4}:\s{0,4}"([a-z0-9\-]{3,60}@[a-z0-9\-]{3,60}\.iam\.gserviceaccount\.com)""#,
        check: beside_a_key,
        hits: &[(
            "key.json",
            "\"private·_key\": \"-----BEGIN PRIV·ATE KEY-----\\nMIIEvQIBADANBgkqhkiG9w0BAQEF\",\n\"client_email\": \"fleet-writer@plant-7.iam.gs·e·rviceaccount.com\",",
        )],
        misses: &[
            ("doc.json", "\"client_email\": \"fleet-writer@plant-7.iam.gs·e·rviceaccount.com\","),
            ("doc.md", "grant it to fleet-writer@plant-7.iam.gs·e·rviceaccount.com"),
        ],
        ..BASE
    },
    Rule {
        id: "S-006",
        severity: Critical,
        title: "Azure storage or IoT Hub account key",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &["accountkey=", "sharedaccesskey="],
        pattern: r"(?:AccountKey|SharedAccessKey)=([A-Za-z0-9/+]{42,86}={0,2})",
        check: valid::mixed,
        kind: Some(Kind::Token),
        hits: &[(
            "main.c",
            "HostName=hub.azure-devices.net;DeviceId=d;Sh·aredAc·cessKey=q1W2e3R4t5Y6u7I8o9P0a1S2d3F4g5H6j7K8l9Z0x1C=",
        )],
        misses: &[("main.c", "Sh·aredAc·cessKey=<your device key>")],
        ..BASE
    },
    Rule {
        id: "S-007",
        severity: High,
        title: "Azure client secret",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &["8q~"],
        pattern: r"(?:^|[^A-Za-z0-9_~.\-])([A-Za-z0-9_~.\-]{3}8Q~[A-Za-z0-9_~.\-]{31,34})(?:[^A-Za-z0-9_~.\-]|$)",
        check: valid::mixed,
        kind: Some(Kind::Token),
        hits: &[("a.yml", "se·cret: 'x7K8Q·~mN2pLq9RsTv4WyZa6BcDe8FgHjKm1NpQr3'")],
        misses: &[("a.yml", "se·cret: '8Q·~'")],
        ..BASE
    },
    Rule {
        id: "S-025",
        severity: High,
        title: "DigitalOcean token",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &["dop_v1_", "doo_v1_", "dor_v1_"],
        pattern: r"(do[opr]_v1_[0-9a-f]{64})",
        check: valid::token,
        kind: Some(Kind::Token),
        hits: &[(
            "a.tf",
            "do·p_v1_7f3c9a1e5b2d8f406c7e9a1b3d5f7082e4c6a8b0d2f4163857a9cbed0f214365",
        )],
        misses: &[("a.tf", "do·p_v1_token")],
        ..BASE
    },
    Rule {
        id: "S-026",
        severity: High,
        title: "Cloudflare token",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &["cloudflare", "cf_api"],
        pattern: r#"(?i)(?:cloudflare|cf)_?(?:api_?)?(?:token|key)["']?\s{0,3}[:=]\s{0,3}["']?([0-9A-Za-z_\-]{40}|[0-9a-f]{37})(?:[^0-9A-Za-z_\-]|$)"#,
        check: valid::mixed,
        kind: Some(Kind::Token),
        hits: &[("ddns.conf", "CF·_AP·I_TOKEN=k9Xq2LmN7pRs4TvW1yZbC3dF5gH8jK1mN4pQ7rS0")],
        misses: &[("ddns.conf", "CF·_AP·I_TOKEN=$TOKEN")],
        ..BASE
    },
    Rule {
        id: "S-027",
        severity: High,
        title: "HashiCorp Vault token",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &["hvs.", "hvb."],
        pattern: r"(hv[sb]\.[0-9A-Za-z_\-]{24,200})",
        check: valid::token,
        kind: Some(Kind::Token),
        hits: &[("a.sh", "VAULT_TOKEN=hv·s.CAESIK9Xq2LmN7pRs4TvW1yZbC3dF5gH")],
        misses: &[("a.c", "hv·s.width = 10;")],
        ..BASE
    },
    Rule {
        id: "S-032",
        severity: High,
        title: "Firebase Cloud Messaging server key",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &["aaaa"],
        pattern: r"(?:^|[^A-Za-z0-9_\-])(AAAA[A-Za-z0-9_\-]{7}:APA91b[A-Za-z0-9_\-]{134})",
        check: valid::token,
        kind: Some(Kind::Token),
        hits: &[(
            "a.xml",
            "AA·AAk9Xq2Lm:APA91bN7pRs4TvW1yZbC3dF5gH8jK1mN4pQ7rS0tV3wX6yZ9aB2cD5eF8gH1jK4mN7pRs4TvW1yZbC3dF5gH8jK1mN4pQ7rS0tV3wX6yZ9aB2cD5eF8gH1jK4mN7pRs4TvW1yZbC3dF5",
        )],
        misses: &[("a.xml", "AA·AAB3NzaC1yc2E")],
        ..BASE
    },
    Rule {
        id: "S-033",
        severity: Medium,
        title: "Mapbox, Algolia or similar secret key",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &["sk.eyj"],
        pattern: r"(sk\.eyJ[A-Za-z0-9_\-]{20,200}\.[A-Za-z0-9_\-]{20,40})",
        check: valid::token,
        kind: Some(Kind::Token),
        hits: &[("a.js", "sk·.ey·J1IjoiYWNtZSIsImEiOiJja2FiYzEyMyJ9.k9Xq2LmN7pRs4TvW1yZbC3")],
        misses: &[("a.js", "pk.ey·J1IjoiYWNtZSIsImEiOiJja2FiYzEyMyJ9.k9Xq2LmN7pRs4TvW1yZbC3")],
        ..BASE
    },
    Rule {
        id: "S-034",
        severity: High,
        title: "Grafana token",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &["glsa_", "glc_ey"],
        pattern: r"(glsa_[A-Za-z0-9]{32}_[0-9a-f]{8}|glc_eyJ[A-Za-z0-9+/]{40,400}={0,2})",
        check: valid::token,
        kind: Some(Kind::Token),
        hits: &[("a.yml", "gl·sa_k9Xq2LmN7pRs4TvW1yZbC3dF5gH8jK1m_7f3c9a1e")],
        misses: &[("a.yml", "gl·sa_token")],
        ..BASE
    },
    Rule {
        id: "S-035",
        severity: High,
        title: "InfluxDB token",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &["influx"],
        pattern: r#"(?i)influx[a-z_]{0,20}["']?\s{0,3}[:=( ]\s{0,3}["']?([A-Za-z0-9_\-]{86}==)"#,
        check: valid::token,
        kind: Some(Kind::Token),
        hits: &[(
            "a.ino",
            "#define IN·FLUXDB_TOKEN \"k9Xq2LmN7pRs4TvW1yZbC3dF5gH8jK1mN4pQ7rS0tV3wX6yZ9aB2cD5eF8gH1jK4mN7pRs4TvW1yZbC3dF5gHx==\"",
        )],
        misses: &[("a.ino", "#define IN·FLUXDB_TOKEN \"token\"")],
        ..BASE
    },
    Rule {
        id: "S-036",
        severity: Medium,
        title: "ThingSpeak, Blynk, Ubidots or Adafruit IO key",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &["blynk_auth", "aio_key", "ubidots", "bbff-", "write_api_key", "writeapikey"],
        pattern: r#"(?i)(?:blynk_auth_token|aio_key|ubidots_token|writeapikey|write_api_key)["']?\s{0,3}[:= ]\s{0,3}["']?((?:aio_|BBFF-)?[0-9A-Za-z_\-]{16,48})["']"#,
        check: valid::mixed,
        kind: Some(Kind::Token),
        hits: &[("a.ino", "#define BL·YNK_AU·TH_TOKEN \"k9Xq2LmN7pRs4TvW1yZbC3dF5gH8jK1m\"")],
        misses: &[("a.ino", "#define BL·YNK_AU·TH_TOKEN \"YourAu·thToken\"")],
        ..BASE
    },
    Rule {
        id: "S-041",
        severity: Medium,
        title: "Sentry, New Relic or Datadog secret",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &["nrak-", "dd_api_key", "sntrys_", "nrjs-"],
        pattern: r"(NRAK-[A-Z0-9]{27}|sntrys_[A-Za-z0-9+/=_]{40,400}|(?i:dd_api_key)\s{0,3}[:=]\s{0,3}[\x22']?[0-9a-f]{32})",
        check: valid::token,
        kind: Some(Kind::Token),
        hits: &[("a.env", "DD·_AP·I_KEY=7f3c9a1e5b2d8f406c7e9a1b3d5f7082")],
        misses: &[("a.env", "DD·_AP·I_KEY=${DD·_AP·I_KEY}")],
        ..BASE
    },
];

/// The account's name alone opens nothing.
fn beside_a_key(found: &Capture<'_>) -> bool {
    let text = String::from_utf8_lossy(found.near);
    text.split("PRIVATE KEY-----").skip(1).any(|rest| {
        let body = rest.trim_start_matches(['\\', 'n', 'r', '\n', '\r']);
        body.bytes().take(20).filter(u8::is_ascii_alphanumeric).count() >= 18
    })
}
