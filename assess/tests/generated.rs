//! Precision and recall on generated files: a name, a value and a way in which some language
//! gives the one to the other, in every combination that chance picks. The parts are two
//! disjoint sets; the rules were mended on the first, the second was only measured.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop")]

use std::collections::BTreeMap;

use ringfort_assess::{Input, Options, run};

#[test]
fn on_the_parts_that_the_rules_were_mended_on() {
    measure(0, 0x2545_f491_4f6c_dd1d);
}

#[test]
fn on_parts_and_a_seed_that_were_held_out() {
    measure(1, 0x9e37_79b9_7f4a_7c15);
}

fn measure(half: usize, seed: u64) {
    let mut random = Random(seed);
    let mut by_language: BTreeMap<&str, [u32; 4]> = BTreeMap::new();
    let mut all = [0u32; 4];
    let mut wrong: Vec<String> = Vec::new();
    let rounds = std::env::var("RINGFORT_ROUNDS").ok().and_then(|r| r.parse().ok()).unwrap_or(3);
    for language in LANGUAGES {
        for _ in 0..rounds {
            for kind in KINDS {
                let Some(line) = line(language, *kind, half, &mut random) else { continue };
                let case = format!("{}{line}\n{}", language.before, language.after);
                let secret = matches!(kind, Kind::Password | Kind::Token | Kind::Connection);
                let input = Input::Bytes(language.path.to_owned(), case.into_bytes());
                let options = Options { today: "2026-11-22".into(), ..Options::default() };
                let found = run(&[input], &options, &mut ());
                let rules: Vec<&str> = found.findings.iter().map(|f| f.rule).collect();
                let reported = rules.iter().any(|r| r.starts_with(['S', 'P', 'K']));
                let slot = usize::from(!secret) * 2 + usize::from(!reported);
                by_language.entry(language.path).or_default()[slot] += 1;
                all[slot] += 1;
                if secret != reported {
                    wrong.push(format!("{kind:?} {} {rules:?} {}", language.path, line.trim()));
                }
            }
        }
    }
    for (path, [hit, missed, wrong, right]) in &by_language {
        println!("{path:>24}: found {hit}, missed {missed}, wrong {wrong}, right {right}");
    }
    wrong.sort();
    for line in &wrong {
        println!("{line}");
    }
    let [hit, missed, false_alarm, right] = all.map(f64::from);
    let (recall, precision) = (hit / (hit + missed), hit / (hit + false_alarm));
    println!(
        "half {half}: recall {recall:.3} precision {precision:.3} of {} cases",
        hit + missed + false_alarm + right
    );
    assert!(hit + missed > 100.0 && false_alarm + right > 100.0);
    assert!(recall >= 0.75 && precision >= 0.75, "{recall:.2} {precision:.2}");
}

/// What a case is about. The first three are credentials.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// A password that someone chose.
    Password,
    /// A token that a machine made.
    Token,
    /// A connection string with a login.
    Connection,
    /// A name of a secret with a word that stands for one.
    Placeholder,
    /// A name of a secret with a value that is filled in later.
    Template,
    /// A name of a secret that is read from somewhere.
    Lookup,
    /// A name that only speaks of a secret, with a label, a size or a place.
    Speaks,
    /// A random value that is none: a checksum, an identifier, a version.
    Digest,
    /// A connection string without a login, or with a placeholder.
    Address,
}

const KINDS: &[Kind] = &[
    Kind::Password,
    Kind::Token,
    Kind::Connection,
    Kind::Placeholder,
    Kind::Template,
    Kind::Lookup,
    Kind::Speaks,
    Kind::Digest,
    Kind::Address,
];

/// A language: how it gives `VALUE` to `NAME`, how it looks a value up, and what its names
/// look like.
struct Language {
    path: &'static str,
    style: Style,
    ways: &'static [&'static str],
    lookups: &'static [&'static str],
    before: &'static str,
    after: &'static str,
}

#[derive(Clone, Copy)]
enum Style {
    Snake,
    Camel,
    Upper,
    Kebab,
}

/// The line or lines that a case is about.
fn line(language: &Language, kind: Kind, half: usize, random: &mut Random) -> Option<String> {
    let name = |random: &mut Random, list: &[&str]| styled(random.half(list, half), language.style);
    let (name, value) = match kind {
        Kind::Password => (name(random, PASSWORD_NAMES), random.password(half)),
        Kind::Token => (name(random, TOKEN_NAMES), random.token(half)),
        Kind::Placeholder => {
            (name(random, PASSWORD_NAMES), random.half(PLACEHOLDERS, half).to_owned())
        }
        Kind::Template => {
            (name(random, PASSWORD_NAMES), random.half(FILLED_LATER, half).to_owned())
        }
        Kind::Lookup => (name(random, PASSWORD_NAMES), String::new()),
        Kind::Speaks => {
            let (about, value) = SPEAKS[random.index(SPEAKS.len(), half)];
            (styled(about, language.style), value.to_owned())
        }
        Kind::Digest => {
            let (about, shape) = DIGESTS[random.index(DIGESTS.len(), half)];
            (styled(about, language.style), random.digest(shape))
        }
        Kind::Connection => {
            let (user, word) = (random.half(USERS, half), random.password(half));
            let word = word.replace(['!', '@', '#', '%', '/', ':', '&', '$', ' '], "-");
            let text = random.half(CONNECTIONS, half).replace("USER", user);
            (name(random, ADDRESS_NAMES), text.replace("WORD", &word))
        }
        Kind::Address => (name(random, ADDRESS_NAMES), random.half(ADDRESSES, half).to_owned()),
    };
    let line = if kind == Kind::Lookup {
        if language.lookups.is_empty() {
            return None;
        }
        random.half(language.lookups, half).replace("NAME", &name)
    } else {
        random.half(language.ways, half).replace("NAME", &name).replace("VALUE", &value)
    };
    let upper = styled(&words(&name), Style::Upper);
    Some(line.replace("UPPER", &upper))
}

/// A styled name as words again.
fn words(name: &str) -> String {
    let spaced: String = name
        .chars()
        .flat_map(|c| match c {
            '_' | '-' => vec![' '],
            c if c.is_ascii_uppercase()
                && !name.contains('_')
                && name.contains(char::is_lowercase) =>
            {
                vec![' ', c.to_ascii_lowercase()]
            }
            c => vec![c.to_ascii_lowercase()],
        })
        .collect();
    spaced.trim().to_owned()
}

/// `wifi password` as the language writes names.
fn styled(name: &str, style: Style) -> String {
    let words: Vec<&str> = name.split(' ').collect();
    match style {
        Style::Snake => words.join("_"),
        Style::Kebab => words.join("-"),
        Style::Upper => words.join("_").to_uppercase(),
        Style::Camel => words
            .iter()
            .enumerate()
            .map(|(at, word)| match at {
                0 => (*word).to_owned(),
                _ => word[..1].to_uppercase() + &word[1..],
            })
            .collect(),
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) % limit as u64) as usize
    }

    /// An index of the given half: every other entry.
    fn index(&mut self, len: usize, half: usize) -> usize {
        self.below((len - half).div_ceil(2)) * 2 + half
    }

    fn half<'a>(&mut self, list: &[&'a str], half: usize) -> &'a str {
        list[self.index(list.len(), half)]
    }

    fn letters(&mut self, count: usize, alphabet: &str) -> String {
        (0..count).map(|_| char::from(alphabet.as_bytes()[self.below(alphabet.len())])).collect()
    }

    /// As people choose them: a word with numbers or signs, two words, or random letters.
    fn password(&mut self, half: usize) -> String {
        let (one, two) = (self.half(CHOSEN, half), self.half(CHOSEN, half));
        let capital = one[..1].to_uppercase() + &one[1..];
        let number = 10 + self.below(9_900);
        let sign = ["!", "-", "#", "_", "+", "."][self.index(6, half)];
        match self.below(6) {
            0 => format!("{capital}{number}"),
            1 => format!("{capital}{sign}{number}"),
            2 => format!("{one}{sign}{two}{}", number % 100),
            3 => one.replace('a', "4").replace('e', "3").replace('o', "0") + &number.to_string(),
            4 => {
                let count = 9 + self.below(6);
                self.letters(count, LETTERS)
            }
            _ => format!("{}{}{number}", self.letters(2, &LETTERS[..26]), capital),
        }
    }

    fn token(&mut self, half: usize) -> String {
        match self.index(8, half) {
            0 => self.letters(32, HEX),
            1 => self.letters(40, HEX),
            2 => self.letters(24, LETTERS),
            3 => self.letters(32, LETTERS),
            4 => self.letters(43, LETTERS) + "=",
            5 => format!("{}-{}", self.letters(12, LETTERS), self.letters(24, LETTERS)),
            6 => format!("tk_{}", self.letters(28, LETTERS)),
            _ => self.letters(64, HEX),
        }
    }

    fn digest(&mut self, shape: &str) -> String {
        shape
            .chars()
            .map(|c| match c {
                'h' => self.letters(1, HEX),
                'n' => self.letters(1, "123456789"),
                'b' => self.letters(1, LETTERS),
                other => other.to_string(),
            })
            .collect()
    }
}

const HEX: &str = "0123456789abcdef";
const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

const PASSWORD_NAMES: &[&str] = &[
    "password",
    "passwd",
    "db password",
    "mqtt password",
    "admin pwd",
    "wifi passphrase",
    "smtp password",
    "root password",
    "login passwd",
    "ftp pass",
    "web password",
    "telnet password",
    "user pwd",
    "keystore password",
    "vpn password",
    "ap password",
    "http passwd",
    "ota password",
];

const TOKEN_NAMES: &[&str] = &[
    "api key",
    "access token",
    "auth token",
    "client secret",
    "secret key",
    "api token",
    "jwt secret",
    "session secret",
    "webhook secret",
    "bearer token",
    "encryption key",
    "refresh token",
    "cloud api key",
    "private token",
];

const ADDRESS_NAMES: &[&str] = &[
    "database url",
    "broker",
    "dsn",
    "upstream",
    "queue url",
    "connection",
    "stream url",
    "server",
];

const USERS: &[&str] = &["fleet", "svc", "gateway", "root", "operator", "sensor"];

const CHOSEN: &[&str] = &[
    "sommer", "dragon", "bridge", "monsoon", "kestrel", "harbour", "tulip", "granite", "lantern",
    "walnut", "copper", "meadow", "falcon", "orchard", "pebble", "thunder",
];

const CONNECTIONS: &[&str] = &[
    "postgres://USER:WORD@10.1.0.5:5432/plant",
    "mysql://USER:WORD@db.plant.lan/fleet",
    "amqp://USER:WORD@queue.plant.lan:5672/%2f",
    "mqtts://USER:WORD@broker.plant.lan",
    "mongodb://USER:WORD@mongo-1,mongo-2/plant?replicaSet=a",
    "redis://:WORD@cache.plant.lan:6379/0",
    "https://USER:WORD@git.plant.lan/fw.git",
    "rtsp://USER:WORD@192.168.7.20:554/ch1",
    "Server=db1;Database=plant;Uid=USER;Pwd=WORD;",
    "ftp://USER:WORD@files.plant.lan/in",
    "jdbc:mysql://db1:3306/plant?user=USER&password=WORD",
    "smtp://USER:WORD@mail.plant.lan:587",
];

const ADDRESSES: &[&str] = &[
    "postgres://localhost/plant",
    "postgres://svc:${DB_PASS}@10.1.0.5/plant",
    "redis://cache.plant.lan:6379/0",
    "amqp://user:<password>@host/vhost",
    "https://api.plant.lan/v2/devices?limit=100",
    "mongodb://user:password@localhost/test",
    "mqtts://broker.plant.lan:8883",
    "https://%s:%s@git.plant.lan/fw.git",
    "Server=db1;Database=plant;Integrated Security=true;",
    "rtsp://{user}:{password}@{host}/ch1",
];

const PLACEHOLDERS: &[&str] = &[
    "changeme",
    "CHANGE_ME",
    "your-password",
    "<your password>",
    "xxxxxxxx",
    "********",
    "example",
    "TODO",
    "",
    "none",
    "placeholder",
    "REPLACE_WITH_PASSWORD",
    "insert-here",
    "my_password",
    "dummy",
    "...",
    "YOUR_SECRET_HERE",
    "redacted",
];

const FILLED_LATER: &[&str] = &[
    "${DB_PASSWORD}",
    "{{ vault_password }}",
    "%(password)s",
    "$PASSWORD",
    "@DB_PASSWORD@",
    "%DB_PASSWORD%",
    "#{password}",
    "{password}",
    "{{password}}",
    "${env.SECRET}",
    "<%= password %>",
    "$(PASSWORD)",
    "__PASSWORD__",
    "%{hiera('password')}",
    "!vault",
    "{0}",
];

const SPEAKS: &[(&str, &str)] = &[
    ("password field", "form-password"),
    ("password label", "Enter the password"),
    ("password file", "/run/secrets/database"),
    ("password min length", "12"),
    ("token url", "https://login.plant.lan/oauth2/token"),
    ("token endpoint", "/oauth2/v1/token"),
    ("password type", "scram-sha-256"),
    ("token type", "Bearer"),
    ("secret name", "plant-db-credentials"),
    ("api key header", "X-Plant-Key"),
    ("password error", "The password is too short"),
    ("password hint", "At least one digit and a sign"),
    ("keyboard layout", "qwertz-de-105"),
    ("passthrough mode", "transparent-v2"),
    ("secret path", "kv/data/plant/db"),
    ("cache key", "user-profile-v3"),
    ("key type", "ecdsa-p256"),
    ("password policy", "length>=12 and digits>=1"),
    ("token expiry", "86400"),
    ("author", "Kestrel Labs 2024"),
    ("login page", "/account/login.html"),
    ("password reset url", "https://plant.lan/reset"),
];

/// `h` a hexadecimal digit, `n` a digit, `b` a letter or digit; everything else stands.
const DIGESTS: &[(&str, &str)] = &[
    ("checksum", "hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh"),
    ("device uuid", "hhhhhhhh-hhhh-4hhh-8hhh-hhhhhhhhhhhh"),
    ("commit", "hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh"),
    ("etag", "hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh"),
    ("sha256", "hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh"),
    ("request id", "req_bbbbbbbbbbbbbbbbbbbb"),
    ("mac address", "hh:hh:hh:hh:hh:hh"),
    ("build id", "nnnn.nn.nn-hhhhhhh"),
    ("integrity", "sha384-bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"),
    (
        "image",
        "registry.plant.lan/gw@sha256:hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh",
    ),
    ("serial number", "GWnnnnnnnnnn"),
    ("tenant id", "hhhhhhhh-hhhh-4hhh-9hhh-hhhhhhhhhhhh"),
    ("firmware version", "n.nn.n-rcn+hhhhhhh"),
    ("md5sum", "hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh"),
    ("trace parent", "00-hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh-hhhhhhhhhhhhhhhh-01"),
    ("session name", "plant-nightly-nnnn"),
];

const LANGUAGES: &[Language] = &[
    Language {
        path: "src/net.c",
        style: Style::Snake,
        ways: &[
            "static const char *NAME = \"VALUE\";",
            "#define UPPER \"VALUE\"",
            "\tcfg->NAME = \"VALUE\";",
            "\tstrcpy(cfg.NAME, \"VALUE\");",
            "\t{ .host = \"h1\", .NAME = \"VALUE\" },",
            "\tsetenv(\"UPPER\", \"VALUE\", 1);",
            "char NAME[64] = \"VALUE\";",
            "\tsnprintf(NAME, sizeof NAME, \"%s\", \"VALUE\");",
        ],
        lookups: &[
            "\tconst char *NAME = getenv(\"UPPER\");",
            "\tnvs_get_str(h, \"NAME\", buffer, &len);",
            "\tchar *NAME = config_get(cfg, \"NAME\");",
            "\tread_line(fd, NAME, sizeof NAME);",
        ],
        before: "#include <stdio.h>\n\nint retries = 3;\n",
        after: "int main(void) { return retries; }\n",
    },
    Language {
        path: "gw/cloud.py",
        style: Style::Snake,
        ways: &[
            "NAME = \"VALUE\"",
            "UPPER = 'VALUE'",
            "config[\"NAME\"] = \"VALUE\"",
            "settings = dict(host=\"h1\", NAME=\"VALUE\")",
            "client.connect(\"h1\", NAME='VALUE')",
            "os.environ.setdefault(\"UPPER\", \"VALUE\")",
            "parser.add_argument(\"--NAME\", default=\"VALUE\")",
            "    self.NAME: str = \"VALUE\"",
        ],
        lookups: &[
            "NAME = os.environ[\"UPPER\"]",
            "NAME = getpass.getpass(\"NAME: \")",
            "NAME = config.get(\"plant\", \"NAME\")",
            "NAME = keyring.get_password(\"plant\", user)",
        ],
        before: "import os\n\nRETRIES = 3\n",
        after: "def main():\n    return RETRIES\n",
    },
    Language {
        path: "web/app.js",
        style: Style::Camel,
        ways: &[
            "const NAME = 'VALUE';",
            "  NAME: \"VALUE\",",
            "module.exports.NAME = `VALUE`;",
            "  this.NAME = 'VALUE';",
            "let options = { host: 'h1', 'NAME': 'VALUE' };",
            "process.env.UPPER = \"VALUE\";",
        ],
        lookups: &[
            "const NAME = process.env.UPPER;",
            "const NAME = document.getElementById('NAME').value;",
            "const { NAME } = await vault.read('plant/db');",
            "const NAME = req.body.NAME;",
        ],
        before: "const retries = 3;\n",
        after: "export default retries;\n",
    },
    Language {
        path: "src/Gateway.java",
        style: Style::Camel,
        ways: &[
            "    private static final String UPPER = \"VALUE\";",
            "    String NAME = \"VALUE\";",
            "        props.put(\"NAME\", \"VALUE\");",
            "        props.setProperty(\"plant.NAME\", \"VALUE\");",
            "        this.NAME = \"VALUE\";",
            "        builder.NAME(\"VALUE\").build();",
        ],
        lookups: &[
            "        String NAME = System.getenv(\"UPPER\");",
            "        String NAME = props.getProperty(\"NAME\");",
            "        char[] NAME = console.readPassword(\"NAME: \");",
            "    @Value(\"${plant.NAME}\") String NAME;",
        ],
        before: "class Gateway {\n    int retries = 3;\n",
        after: "}\n",
    },
    Language {
        path: "cmd/gw/main.go",
        style: Style::Camel,
        ways: &[
            "\tNAME := \"VALUE\"",
            "const NAME = \"VALUE\"",
            "\t\tNAME: \"VALUE\",",
            "var NAME string = \"VALUE\"",
            "\tos.Setenv(\"UPPER\", \"VALUE\")",
            "\tcfg.NAME = `VALUE`",
        ],
        lookups: &[
            "\tNAME := os.Getenv(\"UPPER\")",
            "\tNAME := viper.GetString(\"NAME\")",
            "\tflag.StringVar(&NAME, \"NAME\", \"\", \"NAME of the gateway\")",
            "\tNAME, err := store.Load(ctx, \"NAME\")",
        ],
        before: "package main\n\nvar retries = 3\n",
        after: "func main() {}\n",
    },
    Language {
        path: "src/cloud.rs",
        style: Style::Snake,
        ways: &[
            "const UPPER: &str = \"VALUE\";",
            "    let NAME = \"VALUE\";",
            "        NAME: \"VALUE\".into(),",
            "    let NAME = String::from(\"VALUE\");",
            "    config.NAME = Some(\"VALUE\".to_owned());",
            "    let client = client.NAME(\"VALUE\");",
        ],
        lookups: &[
            "    let NAME = std::env::var(\"UPPER\")?;",
            "    let NAME = matches.value_of(\"NAME\").unwrap();",
            "    let NAME = rpassword::prompt_password(\"NAME: \")?;",
            "    let NAME: String = row.get(\"NAME\");",
        ],
        before: "const RETRIES: u32 = 3;\n",
        after: "fn main() {}\n",
    },
    Language {
        path: "etc/init.d/S50gw",
        style: Style::Upper,
        ways: &[
            "NAME=\"VALUE\"",
            "NAME='VALUE'",
            "export NAME=\"VALUE\"",
            "NAME=\"${NAME:-VALUE}\"",
            "gw-agent --host h1 --env NAME='VALUE' &",
            "readonly NAME=\"VALUE\"",
        ],
        lookups: &[
            "NAME=$(cat /run/secrets/gw)",
            "read -rs NAME",
            "NAME=\"$1\"",
            "NAME=$(uci -q get gw.main.key)",
        ],
        before: "#!/bin/sh\nRETRIES=3\n",
        after: "exit 0\n",
    },
    Language {
        path: "deploy/values.yaml",
        style: Style::Snake,
        ways: &[
            "NAME: VALUE",
            "NAME: \"VALUE\"",
            "  NAME: 'VALUE'",
            "    - name: UPPER\n      value: \"VALUE\"",
            "  - NAME: VALUE",
            "UPPER: \"VALUE\"",
        ],
        lookups: &[
            "    - name: UPPER\n      valueFrom:\n        secretKeyRef:\n          name: gw\n          key: NAME",
            "NAME: !Ref UPPER",
            "NAME: !ENV ${UPPER}",
            "NAME_from: vault:kv/gw",
        ],
        before: "retries: 3\n",
        after: "replicas: 2\n",
    },
    Language {
        path: "conf/gw.json",
        style: Style::Camel,
        ways: &[
            "  \"NAME\": \"VALUE\",",
            "  \"plant\": { \"NAME\": \"VALUE\" },",
            "  \"env\": [ { \"name\": \"UPPER\", \"value\": \"VALUE\" } ],",
            "  \"UPPER\":\"VALUE\",",
        ],
        lookups: &[
            "  \"NAME\": { \"fromEnv\": \"UPPER\" },",
            "  \"NAME\": null,",
            "  \"NAME\": { \"type\": \"string\", \"minLength\": 8 },",
            "  \"required\": [ \"NAME\" ],",
        ],
        before: "{\n  \"retries\": 3,\n",
        after: "  \"replicas\": 2\n}\n",
    },
    Language {
        path: "conf/web.xml",
        style: Style::Camel,
        ways: &[
            "  <NAME>VALUE</NAME>",
            "  <property name=\"NAME\" value=\"VALUE\"/>",
            "  <entry key=\"NAME\">VALUE</entry>",
            "  <source host=\"h1\" NAME=\"VALUE\"/>",
            "  <add key=\"NAME\" value=\"VALUE\" />",
            "  <param-name>NAME</param-name>\n  <param-value>VALUE</param-value>",
        ],
        lookups: &[
            "  <property name=\"NAME\" ref=\"vault\"/>",
            "  <xs:element name=\"NAME\" type=\"xs:string\"/>",
            "  <input type=\"text\" name=\"NAME\"/>",
            "  <NAME/>",
        ],
        before: "<config>\n  <retries>3</retries>\n",
        after: "</config>\n",
    },
    Language {
        path: "etc/gw.ini",
        style: Style::Snake,
        ways: &[
            "NAME=VALUE",
            "NAME = VALUE",
            "plant.NAME=VALUE",
            "NAME = \"VALUE\"",
            "UPPER: VALUE",
            "NAME\t= VALUE",
        ],
        lookups: &["NAME_file = /run/secrets/gw", ";NAME =", "NAME =", "# NAME = none by default"],
        before: "[plant]\nretries = 3\n",
        after: "[log]\nlevel = info\n",
    },
    Language {
        path: "Dockerfile",
        style: Style::Upper,
        ways: &[
            "ENV NAME=VALUE",
            "ENV NAME VALUE",
            "ARG NAME=VALUE",
            "ENV RETRIES=3 NAME=\"VALUE\"",
            "RUN export NAME=\"VALUE\" && ./install.sh",
            "RUN NAME='VALUE' ./install.sh",
        ],
        lookups: &[
            "ARG NAME",
            "RUN --mount=type=secret,id=gw ./install.sh",
            "ENV NAME=$NAME",
            "ENV NAME_FILE=/run/secrets/gw",
        ],
        before: "FROM debian:12\n",
        after: "CMD [\"/usr/bin/gw\"]\n",
    },
    Language {
        path: "boot/uEnv.txt",
        style: Style::Snake,
        ways: &["NAME=VALUE", "UPPER=VALUE", "setenv NAME VALUE", "setenv NAME 'VALUE'"],
        lookups: &["askenv NAME", "setenv NAME ${serial#}", "env import -t ${addr} NAME", "NAME="],
        before: "bootdelay=3\nbaudrate=115200\n",
        after: "bootcmd=run distro_bootcmd\n",
    },
    Language {
        path: "web/config.ts",
        style: Style::Camel,
        ways: &[
            "export const NAME: string = 'VALUE';",
            "  readonly NAME = \"VALUE\";",
            "  NAME: 'VALUE' as const,",
            "  private NAME = 'VALUE';",
        ],
        lookups: &[
            "  NAME: string;",
            "  NAME: process.env.UPPER ?? '',",
            "  NAME?: string | undefined;",
            "  const NAME = await prompt('NAME');",
        ],
        before: "export const retries = 3;\n",
        after: "export default retries;\n",
    },
    Language {
        path: "etc/config/gw.toml",
        style: Style::Kebab,
        ways: &[
            "NAME = \"VALUE\"",
            "NAME = 'VALUE'",
            "plant.NAME = \"VALUE\"",
            "login = { user = \"a\", NAME = \"VALUE\" }",
        ],
        lookups: &[
            "NAME = { env = \"UPPER\" }",
            "NAME.workspace = true",
            "NAME-file = \"/run/secrets/gw\"",
            "# NAME = \"\"",
        ],
        before: "retries = 3\n",
        after: "level = \"info\"\n",
    },
];
