//! Group S: API tokens and other credentials of services, by their published shape.

use super::{BASE, Only, Rule, valid};
use crate::{keys::Kind, model::Severity::{Critical, High, Medium}};

const FIX: &str = "Revoke it at the service, issue one per device or keep it on your server, and \
                   remove it from the history";
const ABOUT: &str = "Whoever has the source or the firmware can act as you at this service; every \
                     device carries the same credential.";
const R: &[&str] = &["5.4-3", "5.4-1", "I2.2.1", "I2.1.6"];

pub(super) const RULES: &[Rule] = &[
    Rule { id: "S-001", severity: Critical, title: "AWS access key", about: ABOUT, fix: FIX, requirements: R,
        keywords: &["akia", "asia"], pattern: r"(?:^|[^A-Za-z0-9/+])((?:AKIA|ASIA)[A-Z2-7]{16})(?:[^A-Za-z0-9/+=]|$)",
        check: valid::secret, kind: Some(Kind::Token),
        hits: &[("a.c", "id = \"AKIA·Q3EGRIWM2LPXS7VD\";")], misses: &[("a.c", "id = \"AKIA·IOSFODNN7EXAMPLE\";")], ..BASE },
    Rule { id: "S-002", severity: Critical, title: "AWS secret access key", about: ABOUT, fix: FIX, requirements: R,
        keywords: &["aws_secret", "awssecret", "secret_access_key", "secretaccesskey"], pattern: r#"(?i)(?:aws_?secret|secret_?access)[a-z_]{0,20}["']?\s{0,4}[:=]{1,2}>?\s{0,4}["']?([A-Za-z0-9/+]{40})(?:[^A-Za-z0-9/+=]|$)"#,
        check: valid::mixed, kind: Some(Kind::Token),
        hits: &[("x.env", "aws_secret_access_key=k7Bz·2mQwT9sXc4VnR1yLp8HjD5gFa6KeU3oIiZ0Y")], misses: &[("x.env", "aws_secret_access_key=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")], ..BASE },
    Rule { id: "S-003", severity: High, title: "Google API key", about: ABOUT, fix: FIX, requirements: R,
        keywords: &["aiza"], pattern: r"(AIza[0-9A-Za-z_\-]{35})(?:[^0-9A-Za-z_\-]|$)", check: valid::mixed, kind: Some(Kind::Token),
        hits: &[("a.js", "key: 'AIza·SyB7x2Kq9LmN4pR6sT8vW1yZ3aC5dF0gH2j'")], misses: &[("a.js", "key: 'AIza...your key'")], ..BASE },
    Rule { id: "S-004", severity: High, title: "Google OAuth client secret", about: ABOUT, fix: FIX, requirements: R,
        keywords: &["gocspx-"], pattern: r"(GOCSPX-[0-9A-Za-z_\-]{28})", check: valid::token, kind: Some(Kind::Token),
        hits: &[("a.json", "\"client_secret\":\"GOCSPX·-k2Lm9QxW7bVn3RtYp5ZcH8sJd1Gf\"")], misses: &[("a.json", "GOCSPX-aaaaaaaaaaaaaaaaaaaaaaaaaaaa")], ..BASE },
    Rule { id: "S-005", severity: Critical, title: "Google service account key", about: ABOUT, fix: FIX, requirements: R,
        keywords: &["gserviceaccount.com"], pattern: r#""client_email"\s{0,4}:\s{0,4}"([a-z0-9\-]{3,60}@[a-z0-9\-]{3,60}\.iam\.gserviceaccount\.com)""#,
        hits: &[("key.json", "\"client_email\": \"fleet-writer@plant-7.iam·.gserviceaccount.com\",")], misses: &[("doc.md", "grant it to fleet-writer@plant-7.iam.gserviceaccount.com")], ..BASE },
    Rule { id: "S-006", severity: Critical, title: "Azure storage or IoT Hub account key", about: ABOUT, fix: FIX, requirements: R,
        keywords: &["accountkey=", "sharedaccesskey="], pattern: r"(?:AccountKey|SharedAccessKey)=([A-Za-z0-9/+]{42,86}={0,2})", check: valid::mixed, kind: Some(Kind::Token),
        hits: &[("main.c", "HostName=hub.azure-devices.net;DeviceId=d;SharedAccessKey=q1W2e3R4t5Y6u7I8o9P0·a1S2d3F4g5H6j7K8l9Z0x1C=")], misses: &[("main.c", "SharedAccessKey=<your device key>")], ..BASE },
    Rule { id: "S-007", severity: High, title: "Azure client secret", about: ABOUT, fix: FIX, requirements: R,
        keywords: &["8q~"], pattern: r"(?:^|[^A-Za-z0-9_~.\-])([A-Za-z0-9_~.\-]{3}8Q~[A-Za-z0-9_~.\-]{31,34})(?:[^A-Za-z0-9_~.\-]|$)", check: valid::mixed, kind: Some(Kind::Token),
        hits: &[("a.yml", "secret: 'x7K·8Q~mN2pLq9RsTv4WyZa6BcDe8FgHjKm1NpQr3'")], misses: &[("a.yml", "secret: '8Q~'")], ..BASE },
    Rule { id: "S-008", severity: Critical, title: "GitHub token", about: ABOUT, fix: FIX, requirements: R,
        keywords: &["ghp_", "gho_", "ghu_", "ghs_", "ghr_"], pattern: r"(gh[pousr]_[A-Za-z0-9]{36,251})", check: |c| valid::github(c) || valid::mixed(c), kind: Some(Kind::Token),
        hits: &[("a.sh", "T=ghp_·r4nd0mPartOfATokenOf30Chars0003yVzWa")], misses: &[("a.sh", "T=ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx")], ..BASE },
    Rule { id: "S-009", severity: Critical, title: "GitHub fine-grained token", about: ABOUT, fix: FIX, requirements: R,
        keywords: &["github_pat_"], pattern: r"(github_pat_[0-9A-Za-z]{22}_[0-9A-Za-z]{59})", check: valid::token, kind: Some(Kind::Token),
        hits: &[("a.sh", "github_pat_·11ABCDEFG0hIjKlMnOpQrS_t1U2v3W4x5Y6z7A8b9C0d1E2f3G4h5I6j7K8l9M0n1O2p3Q4r5S6t7U8v9W0")], misses: &[("a.sh", "github_pat_xxx")], ..BASE },
    Rule { id: "S-010", severity: Critical, title: "GitLab token", about: ABOUT, fix: FIX, requirements: R,
        keywords: &["glpat-", "gldt-", "glrt-", "glptt-"], pattern: r"(gl(?:pat|dt|rt|ptt)-[0-9A-Za-z_\-]{20,40})", check: valid::token, kind: Some(Kind::Token),
        hits: &[(".gitlab-ci.yml", "TOKEN: glpat·-x9Kq2LmN7pRs4TvW1yZb")], misses: &[(".gitlab-ci.yml", "TOKEN: glpat-xxxxxxxxxxxxxxxxxxxx")], ..BASE },
    Rule { id: "S-011", severity: High, title: "Slack token", about: ABOUT, fix: FIX, requirements: R,
        keywords: &["xoxb-", "xoxp-", "xoxa-", "xoxr-", "xoxs-", "xapp-"], pattern: r"(xox[baprs]-[0-9]{8,14}-[0-9A-Za-z\-]{16,80}|xapp-1-[A-Z0-9]{9,12}-[0-9]{10,14}-[0-9a-f]{64})", check: valid::token, kind: Some(Kind::Token),
        hits: &[("a.py", "xoxb·-738194620571-9082736451827-kQ2mX7nR4tZ9vB1cL6pW3sYd")], misses: &[("a.py", "xoxb-your-token")], ..BASE },
    Rule { id: "S-012", severity: High, title: "Slack webhook", about: ABOUT, fix: FIX, requirements: R,
        keywords: &["hooks.slack.com"], pattern: r"hooks\.slack\.com/(?:services|workflows)/(T[A-Z0-9]{8,12}/B[A-Z0-9]{8,12}/[A-Za-z0-9]{20,28})", check: valid::token, kind: Some(Kind::Token),
        hits: &[("a.py", "https://hooks.slack.com/services/·T02KQ7M9X/B04RT6W8Z/k9Xq2LmN7pRs4TvW1yZbC3dF")], misses: &[("a.py", "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX")], ..BASE },
    Rule { id: "S-013", severity: High, title: "Stripe secret key", about: ABOUT, fix: FIX, requirements: R,
        keywords: &["sk_live_", "rk_live_"], pattern: r"([sr]k_live_[0-9A-Za-z]{20,100})", check: valid::token, kind: Some(Kind::Token),
        hits: &[("a.rb", "sk_live_·4eC39HqLyjWDarjtT1zdp7dc")], misses: &[("a.rb", "sk_test_4eC39HqLyjWDarjtT1zdp7dc")], ..BASE },
    Rule { id: "S-014", severity: High, title: "Twilio key or token", about: ABOUT, fix: FIX, requirements: R,
        keywords: &["twilio"], pattern: r#"(?i)twilio[a-z_]{0,24}["']?\s{0,3}[:=]\s{0,3}["']?((?:SK)?[0-9a-f]{32})(?:[^0-9a-f]|$)"#, check: valid::mixed, kind: Some(Kind::Token),
        hits: &[("a.env", "TWILIO_AUTH_TOKEN=7f3c9a1e5b·2d8f406c7e9a1b3d5f7082")], misses: &[("a.env", "TWILIO_AUTH_TOKEN=")], ..BASE },
    Rule { id: "S-015", severity: High, title: "SendGrid key", about: ABOUT, fix: FIX, requirements: R,
        keywords: &["sg."], pattern: r"(SG\.[0-9A-Za-z_\-]{22}\.[0-9A-Za-z_\-]{43})", check: valid::token, kind: Some(Kind::Token),
        hits: &[("a.env", "K=SG·.k9Xq2LmN7pRs4TvW1yZbC3.dF5gH8jK1mN4pQ7rS0tV3wX6yZ9aB2cD5eF8gH1jK4m")], misses: &[("a.env", "K=SG.x.y")], ..BASE },
    Rule { id: "S-016", severity: High, title: "Mailgun key", about: ABOUT, fix: FIX, requirements: R,
        keywords: &["mailgun"], pattern: r#"(?i)mailgun[a-z_ .]{0,24}["']?\s{0,3}[:=(]\s{0,3}["']?(key-[0-9a-f]{32}|[0-9a-f]{32}-[0-9a-f]{8}-[0-9a-f]{8})"#, check: valid::token, kind: Some(Kind::Token),
        hits: &[("a.env", "MAILGUN_API_KEY=key-3f7c9a·1e5b2d8f406c7e9a1b3d5f7082")], misses: &[("a.env", "MAILGUN_API_KEY=key-xxx")], ..BASE },
    Rule { id: "S-017", severity: High, title: "npm token", about: ABOUT, fix: FIX, requirements: R,
        keywords: &["npm_"], pattern: r"(npm_[A-Za-z0-9]{36})(?:[^A-Za-z0-9]|$)", check: valid::mixed, kind: Some(Kind::Token),
        hits: &[(".npmrc", "//r/:_authToken=npm_·k9Xq2LmN7pRs4TvW1yZbC3dF5gH8jK1mN4pQ")], misses: &[("a.c", "npm_config_user_agent")], ..BASE },
    Rule { id: "S-018", severity: High, title: "PyPI token", about: ABOUT, fix: FIX, requirements: R,
        keywords: &["pypi-age"], pattern: r"(pypi-AgEIcHlwaS5vcmc[A-Za-z0-9_\-]{50,200})", check: valid::token, kind: Some(Kind::Token),
        hits: &[(".pypirc", "password = pypi-·AgEIcHlwaS5vcmcCJDg3NmY5YzQxLTJkN2UtNGI4Zi05YTFjLTNlNWQ3ZjlhMWIzYwACKlszLCI4")], misses: &[(".pypirc", "password = pypi-AgEIcHlwaS5vcmc")], ..BASE },
    Rule { id: "S-019", severity: High, title: "Docker Hub token", about: ABOUT, fix: FIX, requirements: R,
        keywords: &["dckr_pat_"], pattern: r"(dckr_pat_[0-9A-Za-z_\-]{27})", check: valid::token, kind: Some(Kind::Token),
        hits: &[("ci.sh", "dckr_pat_·k9Xq2LmN7pRs4TvW1yZbC3dF5gH")], misses: &[("ci.sh", "dckr_pat_")], ..BASE },
    Rule { id: "S-020", severity: High, title: "registry login in a Docker configuration", about: ABOUT, fix: FIX, requirements: R,
        keywords: &["\"auth\""], pattern: r#""auth"\s{0,4}:\s{0,4}"([A-Za-z0-9+/]{16,200}={0,2})""#, check: valid::mixed, kind: Some(Kind::Token), only: Only::Paths(&["config.json", ".dockercfg", ".dockerconfigjson"]),
        hits: &[("root/.docker/config.json", "{\"auths\":{\"r.io\":{\"auth\":\"ZGV2aWNl·OnMzY3IzdC1wdWxsLTIwMjQ=\"}}}")], misses: &[("a.json", "{\"auth\": \"bearer\"}")], ..BASE },
    Rule { id: "S-021", severity: High, title: "Telegram bot token", about: ABOUT, fix: FIX, requirements: R,
        keywords: &["telegram", "bot", "tgram"], pattern: r"(?:^|[^0-9A-Za-z])([0-9]{8,10}:AA[0-9A-Za-z_\-]{33})(?:[^0-9A-Za-z_\-]|$)", check: valid::token, kind: Some(Kind::Token),
        hits: &[("a.ino", "#define BOT \"5839201746:·AAk9Xq2LmN7pRs4TvW1yZbC3dF5gH8jK1mN\"")], misses: &[("a.ino", "#define BOT \"123:ABC\"")], ..BASE },
    Rule { id: "S-022", severity: High, title: "Discord bot token or webhook", about: ABOUT, fix: FIX, requirements: R,
        keywords: &["discord"], pattern: r"(?i)discord(?:app)?\.com/api/webhooks/([0-9]{17,20}/[0-9A-Za-z_\-]{60,70})", check: valid::token, kind: Some(Kind::Token),
        hits: &[("a.py", "https://discord.com/api/webhooks/·829301746582910374/k9Xq2LmN7pRs4TvW1yZbC3dF5gH8jK1mN4pQ7rS0tV3wX6yZ9aB2cD5eF8gH1jK4mN7p")], misses: &[("a.py", "https://discord.com/api/webhooks/1/abc")], ..BASE },
    Rule { id: "S-023", severity: High, title: "OpenAI or Anthropic API key", about: ABOUT, fix: FIX, requirements: R,
        keywords: &["sk-proj-", "sk-ant-", "t3blbkfj"], pattern: r"(sk-(?:proj|ant|svcacct)-[0-9A-Za-z_\-]{40,200}|sk-[0-9A-Za-z]{20}T3BlbkFJ[0-9A-Za-z]{20})", check: valid::token, kind: Some(Kind::Token),
        hits: &[("a.py", "sk-ant-·api03-k9Xq2LmN7pRs4TvW1yZbC3dF5gH8jK1mN4pQ7rS0tV3w")], misses: &[("a.py", "sk-ant-key")], ..BASE },
    Rule { id: "S-024", severity: High, title: "Hugging Face token", about: ABOUT, fix: FIX, requirements: R,
        keywords: &["hf_"], pattern: r"(?:^|[^A-Za-z0-9_])(hf_[A-Za-z]{34})(?:[^A-Za-z0-9]|$)", check: valid::token, kind: Some(Kind::Token),
        hits: &[("a.py", "t='hf_·kXqLmNpRsTvWyZbCdFgHjKmNpQrStVwXyZ'")], misses: &[("a.py", "hf_hub_download")], ..BASE },
    Rule { id: "S-025", severity: High, title: "DigitalOcean token", about: ABOUT, fix: FIX, requirements: R,
        keywords: &["dop_v1_", "doo_v1_", "dor_v1_"], pattern: r"(do[opr]_v1_[0-9a-f]{64})", check: valid::token, kind: Some(Kind::Token),
        hits: &[("a.tf", "dop_v1_·7f3c9a1e5b2d8f406c7e9a1b3d5f7082e4c6a8b0d2f4163857a9cbed0f214365")], misses: &[("a.tf", "dop_v1_token")], ..BASE },
    Rule { id: "S-026", severity: High, title: "Cloudflare token", about: ABOUT, fix: FIX, requirements: R,
        keywords: &["cloudflare", "cf_api"], pattern: r#"(?i)(?:cloudflare|cf)_?(?:api_?)?(?:token|key)["']?\s{0,3}[:=]\s{0,3}["']?([0-9A-Za-z_\-]{40}|[0-9a-f]{37})(?:[^0-9A-Za-z_\-]|$)"#, check: valid::mixed, kind: Some(Kind::Token),
        hits: &[("ddns.conf", "CF_API_TOKEN=k9Xq2LmN7pRs4·TvW1yZbC3dF5gH8jK1mN4pQ7rS0")], misses: &[("ddns.conf", "CF_API_TOKEN=$TOKEN")], ..BASE },
    Rule { id: "S-027", severity: High, title: "HashiCorp Vault token", about: ABOUT, fix: FIX, requirements: R,
        keywords: &["hvs.", "hvb."], pattern: r"(hv[sb]\.[0-9A-Za-z_\-]{24,200})", check: valid::token, kind: Some(Kind::Token),
        hits: &[("a.sh", "VAULT_TOKEN=hvs·.CAESIK9Xq2LmN7pRs4TvW1yZbC3dF5gH")], misses: &[("a.c", "hvs.width = 10;")], ..BASE },
    Rule { id: "S-028", severity: Medium, title: "JSON web token", about: "A token in the image works for everyone who holds the image until it expires; many never do.", fix: FIX, requirements: R,
        keywords: &["eyj"], pattern: r"(eyJ[A-Za-z0-9_\-]{10,2000}\.eyJ[A-Za-z0-9_\-]{10,4000}\.[A-Za-z0-9_\-]{20,1000})", check: valid::jwt, kind: Some(Kind::Token),
        hits: &[("a.c", "\"eyJ·hbGciOiJIUzI1NiJ9.eyJzdWIiOiJkZXZpY2UtNyJ9.k9Xq2LmN7pRs4TvW1yZbC3dF5gH8jK1mN4pQ7rS0tV3\"")], misses: &[("a.c", "\"eyJub3RoaW5nIjoxfQ.eyJzdWIiOiJkZXZpY2UtNyJ9.k9Xq2LmN7pRs4TvW1yZbC3dF5gH8jK1\"")], ..BASE },
    Rule { id: "S-029", severity: Medium, title: "bearer token in code", about: ABOUT, fix: FIX, requirements: R,
        keywords: &["bearer "], pattern: r#"(?i)authorization["']?\s{0,3}[:,=]{0,1}\s{0,3}["']?bearer\s{1,3}([A-Za-z0-9_\-.=+/]{20,400})"#, check: valid::mixed, kind: Some(Kind::Token),
        hits: &[("a.c", "\"Authorization: Bearer k9Xq2LmN7pRs4·TvW1yZbC3dF5gH8jK1\\r\\n\"")], misses: &[("a.c", "\"Authorization: Bearer %s\\r\\n\"")], ..BASE },
    Rule { id: "S-030", severity: Medium, title: "HTTP basic credentials in code", about: ABOUT, fix: FIX, requirements: &["5.4-3", "5.1-1", "5.1-3", "I2.1.6"],
        keywords: &["basic "], pattern: r#"(?i)authorization["']?\s{0,3}[:,=]{0,1}\s{0,3}["']?basic\s{1,3}([A-Za-z0-9+/]{8,200}={0,2})"#, check: basic, kind: Some(Kind::Password),
        hits: &[("a.c", "\"Authorization: Basic YWRtaW46·aHVudGVyMjAxOQ==\\r\\n\"")], misses: &[("a.c", "\"Authorization: Basic realm and so on\"")], ..BASE },
    Rule { id: "S-031", severity: High, title: "credentials in a URL", about: ABOUT, fix: FIX, requirements: &["5.4-3", "5.1-1", "I2.1.6"],
        keywords: &["://"], pattern: r"(?i)(?:https?|mqtts?|ftp|ftps|sftp|ssh|rtsp|amqps?|redis|rediss|postgres|postgresql|mysql|mongodb(?:\+srv)?|wss?|smb|ldaps?|git|influxdb|coaps?)://[A-Za-z0-9_.\-%+]{1,64}:([^\s:@/'\x22<>{}$%\\|*]{3,80})@[A-Za-z0-9\[]", check: url_password, kind: Some(Kind::Password),
        hits: &[("a.conf", "url = mqtt://gateway:Gw4y·!2019@broker.acme.net:1883"), ("db.go", "postgres://svc:t7Kq9z·Lm@10.0.0.7/fleet")], misses: &[("a.conf", "url = mqtt://user:password@example.com"), ("a.md", "https://github.com/a:b@c"), ("a.rs", "http://user:{pass}@host")], ..BASE },
    Rule { id: "S-032", severity: High, title: "Firebase Cloud Messaging server key", about: ABOUT, fix: FIX, requirements: R,
        keywords: &["aaaa"], pattern: r"(?:^|[^A-Za-z0-9_\-])(AAAA[A-Za-z0-9_\-]{7}:APA91b[A-Za-z0-9_\-]{134})", check: valid::token, kind: Some(Kind::Token),
        hits: &[("a.xml", "AAAA·k9Xq2Lm:APA91bN7pRs4TvW1yZbC3dF5gH8jK1mN4pQ7rS0tV3wX6yZ9aB2cD5eF8gH1jK4mN7pRs4TvW1yZbC3dF5gH8jK1mN4pQ7rS0tV3wX6yZ9aB2cD5eF8gH1jK4mN7pRs4TvW1yZbC3dF5")], misses: &[("a.xml", "AAAAB3NzaC1yc2E")], ..BASE },
    Rule { id: "S-033", severity: Medium, title: "Mapbox, Algolia or similar secret key", about: ABOUT, fix: FIX, requirements: R,
        keywords: &["sk.eyj"], pattern: r"(sk\.eyJ[A-Za-z0-9_\-]{20,200}\.[A-Za-z0-9_\-]{20,40})", check: valid::token, kind: Some(Kind::Token),
        hits: &[("a.js", "sk.·eyJ1IjoiYWNtZSIsImEiOiJja2FiYzEyMyJ9.k9Xq2LmN7pRs4TvW1yZbC3")], misses: &[("a.js", "pk.eyJ1IjoiYWNtZSIsImEiOiJja2FiYzEyMyJ9.k9Xq2LmN7pRs4TvW1yZbC3")], ..BASE },
    Rule { id: "S-034", severity: High, title: "Grafana token", about: ABOUT, fix: FIX, requirements: R,
        keywords: &["glsa_", "glc_ey"], pattern: r"(glsa_[A-Za-z0-9]{32}_[0-9a-f]{8}|glc_eyJ[A-Za-z0-9+/]{40,400}={0,2})", check: valid::token, kind: Some(Kind::Token),
        hits: &[("a.yml", "glsa_·k9Xq2LmN7pRs4TvW1yZbC3dF5gH8jK1m_7f3c9a1e")], misses: &[("a.yml", "glsa_token")], ..BASE },
    Rule { id: "S-035", severity: High, title: "InfluxDB token", about: ABOUT, fix: FIX, requirements: R,
        keywords: &["influx"], pattern: r#"(?i)influx[a-z_]{0,20}["']?\s{0,3}[:=( ]\s{0,3}["']?([A-Za-z0-9_\-]{86}==)"#, check: valid::token, kind: Some(Kind::Token),
        hits: &[("a.ino", "#define INFLUXDB_TOKEN \"k9Xq2LmN7pRs4·TvW1yZbC3dF5gH8jK1mN4pQ7rS0tV3wX6yZ9aB2cD5eF8gH1jK4mN7pRs4TvW1yZbC3dF5gHx==\"")], misses: &[("a.ino", "#define INFLUXDB_TOKEN \"token\"")], ..BASE },
    Rule { id: "S-036", severity: Medium, title: "ThingSpeak, Blynk, Ubidots or Adafruit IO key", about: ABOUT, fix: FIX, requirements: R,
        keywords: &["blynk_auth", "aio_key", "ubidots", "bbff-", "write_api_key", "writeapikey"], pattern: r#"(?i)(?:blynk_auth_token|aio_key|ubidots_token|writeapikey|write_api_key)["']?\s{0,3}[:= ]\s{0,3}["']?((?:aio_|BBFF-)?[0-9A-Za-z_\-]{16,48})["']"#, check: valid::mixed, kind: Some(Kind::Token),
        hits: &[("a.ino", "#define BLYNK_AUTH_TOKEN \"k9Xq2LmN7p·Rs4TvW1yZbC3dF5gH8jK1m\"")], misses: &[("a.ino", "#define BLYNK_AUTH_TOKEN \"YourAuthToken\"")], ..BASE },
    Rule { id: "S-037", severity: Medium, title: "LoRaWAN application or network key", about: "With the AppKey anyone can join as this device or read its traffic; a key in source is the same on every device.", fix: "Provision one key per device at the factory, outside the source", requirements: &["5.4-3", "5.4-4", "I4.2.2", "I2.4.1"],
        keywords: &["appkey", "app_key", "nwkkey", "nwkskey", "appskey", "nwk_key"], pattern: r#"(?i)(?:app|nwk)s?_?s?key[a-z_\[\]0-9 ]{0,16}\s{0,3}[:=]\s{0,3}["'{]?\s{0,3}((?:(?:0x)?[0-9a-f]{2}[,\s:\-]{0,3}){16})"#, check: valid::hex_key, kind: Some(Kind::Symmetric),
        hits: &[("lora.h", "static const u1_t APPKEY[16] = { 0x2B·, 0x7F, 0x15, 0x16, 0x28, 0xAE, 0xD2, 0xA6, 0xAB, 0xF7, 0x15, 0x88, 0x09, 0xCF, 0x4F, 0x3C };")], misses: &[("lora.h", "static const u1_t APPKEY[16] = { 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00 };")], ..BASE },
    Rule { id: "S-038", severity: Medium, title: "generic API key or token in code", about: ABOUT, fix: FIX, requirements: R,
        keywords: &["api_key", "apikey", "api-key", "access_token", "accesstoken", "auth_token", "authtoken", "secret_key", "secretkey", "client_secret", "clientsecret", "app_secret", "appsecret", "device_token", "private_token", "api_secret", "apisecret", "access_key", "accesskey", "api_token", "apitoken", "app_key", "auth_key", "authkey", "encryption_key", "secret_token", "bot_token", "user_token", "bearer_token", "secret_id", "shared_secret"],
        pattern: r#"(?i)(?:api|access|auth|secret|client|app|device|private|bot|user|bearer|encryption|shared)[_\-]?(?:api[_\-]?)?(?:key|token|secret|id)(?:[_\-]?(?:key|token|id|value|prod|live|dev|v\d))?(?:\[\d{0,4}\])?["']?\]?\)?\s{0,4}(?::=|=>|[:=]|,|\s|\()\s{0,4}(?:b|u|r|f|@|String::from\(|std::string\()?["'`]([A-Za-z0-9_\-.+/=~!]{12,200})["'`]"#, check: generic_token, kind: Some(Kind::Token),
        hits: &[("a.py", "api_key = \"k9Xq2LmN7p·Rs4TvW1yZb\""), ("cfg.yml", "client_secret: 'a81f0c2e77·d94b3f9e21c0aa5d'")], misses: &[("a.py", "api_key = \"your-api-key-goes-here\""), ("a.py", "api_key = os.environ[\"API_KEY\"]"), ("a.c", "#define API_KEY_HEADER \"X-Device-Api-Key\"")], ..BASE },
    Rule { id: "S-039", severity: Medium, title: "token in a configuration without quotes", about: ABOUT, fix: FIX, requirements: R,
        keywords: &["api_key", "apikey", "access_token", "auth_token", "secret_key", "client_secret", "app_secret", "device_token", "api_secret", "access_key", "api_token", "auth_key"],
        pattern: r"(?i)^[\s;#*/\-]{0,8}(?:export\s{1,3}|set\s{1,3}|ENV\s{1,3})?[a-z0-9_.\-]{0,40}(?:api|access|auth|secret|client|app|device)[_\-.]?(?:key|token|secret)\s{0,3}[:=]\s{0,3}([A-Za-z0-9_\-+/=~]{16,200})\s{0,8}$", check: valid::mixed, kind: Some(Kind::Token),
        only: Only::Paths(&[".env", ".conf", ".cfg", ".ini", ".properties", ".yml", ".yaml", ".toml", ".sh", ".config", ".prod", ".local", ".production", ".development", "/config", ".txt", "Dockerfile", ".envrc"]),
        hits: &[("etc/cloud.conf", "device_token=k9Xq2LmN7p·Rs4TvW1yZbC3")], misses: &[("etc/cloud.conf", "device_token=/etc/cloud/token.file")], ..BASE },
    Rule { id: "S-041", severity: Medium, title: "Sentry, New Relic or Datadog secret", about: ABOUT, fix: FIX, requirements: R,
        keywords: &["nrak-", "dd_api_key", "sntrys_", "nrjs-"], pattern: r"(NRAK-[A-Z0-9]{27}|sntrys_[A-Za-z0-9+/=_]{40,400}|(?i:dd_api_key)\s{0,3}[:=]\s{0,3}[\x22']?[0-9a-f]{32})", check: valid::token, kind: Some(Kind::Token),
        hits: &[("a.env", "DD_API_KEY·=7f3c9a1e5b2d8f406c7e9a1b3d5f7082")], misses: &[("a.env", "DD_API_KEY=${DD_API_KEY}")], ..BASE },
    Rule { id: "S-042", severity: High, title: "JFrog, Artifactory or Nexus token", about: ABOUT, fix: FIX, requirements: R,
        keywords: &["akcp", "cmvm"], pattern: r"(?:^|[^A-Za-z0-9+/])(AKCp[0-9A-Za-z]{69}|cmVmd[A-Za-z0-9]{59})(?:[^A-Za-z0-9+/]|$)", check: valid::token, kind: Some(Kind::Token),
        hits: &[("pip.conf", "AKCp·8k9Xq2LmN7pRs4TvW1yZbC3dF5gH8jK1mN4pQ7rS0tV3wX6yZ9aB2cD5eF8gH1jK4mN7p")], misses: &[("pip.conf", "AKCp")], ..BASE },
    Rule { id: "S-043", severity: Medium, title: "webhook of a chat or automation service", about: ABOUT, fix: FIX, requirements: R,
        keywords: &["maker.ifttt.com", "webhook.office.com", "oapi.dingtalk.com", "qyapi.weixin"], pattern: r"(maker\.ifttt\.com/trigger/[A-Za-z0-9_\-]{1,60}/(?:json/)?with/key/[A-Za-z0-9_\-]{20,60}|webhook\.office\.com/webhookb2/[0-9a-f\-]{36}@[0-9a-f\-]{36}/IncomingWebhook/[0-9a-f]{32}|oapi\.dingtalk\.com/robot/send\?access_token=[0-9a-f]{64}|qyapi\.weixin\.qq\.com/cgi-bin/webhook/send\?key=[0-9a-f\-]{36})", check: valid::token, kind: Some(Kind::Token),
        hits: &[("a.ino", "https://maker.ifttt.com/trigger/door/with/key/·k9Xq2LmN7pRs4TvW1yZbC3")], misses: &[("a.ino", "https://maker.ifttt.com/trigger/door/with/key/KEY")], ..BASE },
    Rule { id: "S-044", severity: Medium, title: "symmetric key as a hexadecimal constant", about: "A key in the program is the same on every device and can be read out of any of them.", fix: "Derive or provision one key per device; keep it in the key store", requirements: &["5.4-3", "5.4-1", "I2.4.1", "I4.2.2"],
        keywords: &["aes_key", "aeskey", "aes_iv_key", "enc_key", "encryption_key", "encryptionkey", "master_key", "masterkey", "hmac_key", "hmackey", "cipher_key", "session_key", "psk_key", "secret_key", "private_key", "flash_key", "ota_key", "device_key", "shared_key", "crypt_key", "cryptokey", "crypto_key", "signing_key"],
        pattern: r#"(?i)(?:aes|enc|encryption|master|hmac|cipher|session|psk|secret|private|flash|ota|device|shared|crypt|crypto|signing)_?key[a-z0-9_]{0,16}(?:\[[^\]]{0,24}\])?["']?\s{0,4}[:=]\s{0,4}(?:b|u8|@|h)?["'{]?\s{0,4}((?:0x)?[0-9a-f]{32,64}["']|(?:(?:0x|\\x)[0-9a-f]{2}[,\s]{0,3}){16,64})"#, check: valid::hex_key, kind: Some(Kind::Symmetric),
        hits: &[("a.c", "static const char *aes_key = \"2b7f1516·28aed2a6abf7158809cf4f3c\";"), ("b.c", "const uint8_t master_key[16] = {0x2B·,0x7F,0x15,0x16,0x28,0xAE,0xD2,0xA6,0xAB,0xF7,0x15,0x88,0x09,0xCF,0x4F,0x3C};")], misses: &[("a.c", "static const char *aes_key = \"00000000000000000000000000000000\";"), ("b.c", "uint8_t master_key[16] = {0};")], ..BASE },
];

fn basic(found: &super::Capture<'_>) -> bool {
    use base64::{Engine, engine::general_purpose::STANDARD};
    STANDARD.decode(found.secret).is_ok_and(|plain| {
        let mut parts = plain.splitn(2, |b| *b == b':');
        let (user, password) = (parts.next().unwrap_or(&[]), parts.next().unwrap_or(&[]));
        let printable = plain.iter().all(|b| (0x20..0x7f).contains(b));
        printable && !user.is_empty() && !password.is_empty() && !valid::placeholder(password)
    })
}

fn url_password(found: &super::Capture<'_>) -> bool {
    let lower = found.secret.to_ascii_lowercase();
    let stand_in: &[&[u8]] = &[
        b"password", b"pass", b"passwd", b"pwd", b"secret", b"pw", b"token", b"user", b"bar",
        b"hunter2", b"port", b"key", b"1234", b"test", b"xxx", b"b",
    ];
    valid::password(found)
        && !stand_in.contains(&&lower[..])
        && !found.whole.ends_with(b"@e")
        && !String::from_utf8_lossy(found.line).contains("@example.")
}

fn generic_token(found: &super::Capture<'_>) -> bool {
    let text = String::from_utf8_lossy(found.secret);
    let has_digit = found.secret.iter().any(u8::is_ascii_digit);
    // Header names and other dashed words are random to no one.
    let wordy = text.split(['-', '_', '.', '/']).all(|w| w.bytes().all(|b| b.is_ascii_alphabetic()));
    has_digit && !wordy && valid::token(found)
}
