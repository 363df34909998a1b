//! Group P: passwords in programs, settings and scripts, Wi-Fi keys.

#![allow(clippy::needless_update, reason = "every rule ends alike")]

use super::{BASE, Capture, Only, Rule, crypto::code, given, valid};
use crate::{
    keys::Kind,
    model::Severity::{High, Medium},
};

const CODE: &[&str] = &["5.1-1", "5.4-3", "I2.1.6"];

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "P-010",
        severity: High,
        title: "password in program code",
        about: "It is on every device and in every copy of the source; it cannot be changed per device.",
        fix: "Let each device have its own, kept in its key store or set by its owner",
        requirements: CODE,
        keywords: &["pass", "pwd", "pswd"],
        pattern: r#"(?i)[a-z0-9_.\-$]{0,40}(?:pass(?:w(?:or)?d|phrase)?|pwd|pswd)[a-z0-9_\-]{0,24}["'`\])]{0,3}\s{0,4}(?:\[[^\]\n]{0,24}\]\s{0,2})?(?::\s{0,2}[&'a-z_<>\[\]\s]{1,24}=|:=|=>|[!=]={1,2}|[=:,(]|\s)[^"'`\n;]{0,48}?["'`]([^"'`\r\n\\]{4,64})["'`]"#,
        check: given::password,
        only: Only::Source,
        kind: Some(Kind::Password),
        hits: &[
            ("a.c", "#define FT·P_P·A·SSWORD \"hunter2!x\""),
            ("b.py", "pa·ssword = 'Gw4y2019'"),
            ("c.js", "pw·d: \"t0pse·cret\""),
            ("d.java", "source.setPa·ssword(\"Gw4y2019\");"),
            ("e.js", "pa·ssword: process.env.DB_P·ASS || 'Gw4y2019',"),
            ("f.py", "os.environ.get('DB_P·ASS', 'Gw4y2019')"),
        ],
        misses: &[
            ("m.h", "#define SN_dhSinglePa·ss_scheme \"dhSinglePa·ss-scheme\""),
            ("n.c", "/* These match, we can just pa·ss \"opts9\" to the other */"),
            ("o.pm", "=for stopwords James Raspa·ss 'BinGOs4' Josh"),
            ("p.c", "#define RESP_LOGIN_PA·SS \"UGFzc3dvcmQ6\""),
            ("a.c", "#define PA·SSWORD_FIELD \"pa·ssword\""),
            ("b.py", "pa·ssword = input('Pa·ssword: ')"),
            ("c.js", "pa·sswordLabel: 'Enter your pa·ssword here'"),
            ("d.py", "pa·ssword = os.getenv('DB_P·A·SSWORD')"),
            ("e.py", "fields = ('id', 'us·ername', 'pa·ssword', 'email2')"),
            ("f.js", "errors.pa·ssword = 'Pa·ssword is required';"),
            ("g.py", "\"putenv\", \"puts\", \"p·wd\", \"quit2\", \"rats\","),
            ("i.rs", "    // we can't pa·ss `cache2` to the other one"),
            ("j.rs", "    /// let pa·ssword = \"hunter42\";"),
            ("k.rs", "    assert_eq!(proxy.pa·ssword(), Some(\"kulgrej7\"));"),
            ("l.pm", "OPpA·SSIGN_CV_TO_GV => 'CV2GV',"),
            ("h.c", "static const char *pa·ssword_prompt = \"Pa·ssword: \";"),
        ],
        ..BASE
    },
    Rule {
        id: "P-011",
        severity: High,
        title: "password in a configuration file",
        about: "Shipped configuration is the same on every device.",
        fix: "Ship it empty; write it on the device at first start",
        requirements: CODE,
        keywords: &["passw", "pwd", "passphrase", "pass"],
        pattern: r#"(?i)^[\s;/*\-"']{0,8}(?:export\s{1,3}|(?:fw_)?set(?:env)?\s{1,3}|option\s{1,3}|ENV\s{1,3}|ARG\s{1,3}|-D\s{0,2}|-e\s{1,3})?['"]?[a-z0-9_.\-]{0,40}(?:password|passwd|passphrase|[_.\-]pass|[_.\-]pwd|^pwd|^pass|userpass|requirepass)['"]?\s{0,3}(?:[:=]|\s)\s{0,3}["']?([^\s"',;<>{}]{4,64})["']?\s{0,4}[,;]?\s{0,8}(?:\s#.*)?$"#,
        check: config_password,
        only: Only::Paths(&[
            ".env",
            ".conf",
            ".cfg",
            ".cnf",
            ".ini",
            ".properties",
            ".yml",
            ".yaml",
            ".toml",
            ".config",
            ".prod",
            ".local",
            ".xml",
            ".json",
            "/config",
            "Dockerfile",
            ".envrc",
            ".production",
            ".development",
            ".defaults",
            ".uci",
            ".plist",
            ".tf",
            ".tfvars",
            ".settings",
            "/wireless",
            "/network",
            ".netrc",
            ".pgpass",
            ".desc",
            ".service",
            ".md",
            ".txt",
            ".sh",
            ".bash",
            ".bat",
            ".cmd",
        ]),
        kind: Some(Kind::Password),
        hits: &[
            ("etc/app.conf", "db_p·a·ssword = t7Kq9zLm"),
            ("x.yml", "  pa·ssword: \"Gw4y!2019\""),
            ("boot/uEnv.txt", "sete·nv ota_pa·ssword Gw4y2019"),
        ],
        misses: &[
            ("etc/app.conf", "db_p·a·ssword = ${DB_P·A·SSWORD}"),
            ("etc/app.conf", "pa·ssword_file = /etc/se·cret"),
            ("x.yml", "pa·ssword: changeme"),
            ("x.yml", "pa·ssword: true"),
            ("x.yml", "pa·ssword: !va·ult"),
            ("boot/uEnv.txt", "sete·nv ota_pa·ssword ${serial#}"),
        ],
        ..BASE
    },
    Rule {
        id: "P-012",
        severity: High,
        title: "password in an XML or JSON setting",
        about: "Shipped settings are the same on every device.",
        fix: "Ship it empty; write it on the device at first start",
        requirements: CODE,
        keywords: &["password", "passwd", "passphrase", "_pass", "pwd"],
        pattern: r#"(?i)(?:<[a-z0-9_:]{0,24}pass(?:word|wd|phrase)[a-z0-9_]{0,12}>([^<>\s]{4,64})</|"[a-z0-9_.\-]{0,24}(?:pass(?:word|wd|phrase)|pwd)[a-z0-9_]{0,8}"\s{0,3}:\s{0,3}"([^"\s]{4,64})"|(?:name|key|id)["']?\s{0,3}[=:]\s{0,3}["']?[a-z0-9_.\-]{0,32}(?:pass(?:word|wd|phrase)?|pwd)["']?\s{0,4},?\s{0,24}["']?value["']?\s{0,3}[=:]\s{0,3}["']?([^\s"'<>]{4,64})|(?:name|key)=["'][a-z0-9_.\-]{0,32}(?:pass(?:word|wd|phrase)|pwd)["']\s{0,3}>([^<>\s]{4,64})<)"#,
        lines: 2,
        check: valid::password,
        only: Only::Paths(&[
            ".xml", ".json", ".plist", ".html", ".htm", ".json5", ".conf", ".cfg", ".config",
            ".yml", ".yaml",
        ]),
        kind: Some(Kind::Password),
        hits: &[
            ("etc/tr069.xml", "<ConnectionPa·ssword>Gw4y!2019</ConnectionPa·ssword>"),
            ("a.json", "{\"mqttPa·ssword\": \"t7Kq9zLm\"}"),
            ("a.yaml", "- name: MQTT_P·A·SSWORD\n  value: \"t7Kq9zLm\""),
            ("a.xml", "<property name=\"pa·ssword\" value=\"t7Kq9zLm\"/>"),
        ],
        misses: &[
            ("a.xml", "<Pa·ssword></Pa·ssword>"),
            ("a.json", "{\"pa·ssword\": \"<pa·ssword>\"}"),
        ],
        ..BASE
    },
    Rule {
        id: "P-013",
        severity: High,
        title: "Wi-Fi pre-shared key",
        about: "One network key in the image opens the same network at every customer, or gives away the maker's own.",
        fix: "Let the owner set it; make a setup key per device",
        requirements: &["5.1-1", "5.1-2", "5.4-3", "I4.2.2", "I2.4.1"],
        keywords: &[
            "psk=",
            "wpa_passphrase",
            "wifi_pass",
            "wifi_pwd",
            "wifi_key",
            "wpa_psk",
            "option key",
            "wlan_pass",
            "wifipass",
            "ssid_pass",
            "sta_pass",
            "ap_pass",
            "wpapsk",
        ],
        pattern: r#"(?i)(?:^|[^a-z])(?:psk|(?:[a-z0-9]{0,16}_)?(?:wpa_?passphrase|wpa_?psk\d?|wifi_?(?:pass(?:word|phrase)?|pwd|key|psk)|wlan_?pass(?:word)?|(?:sta|ap|ssid)_?pass(?:word|wd)?))[a-z0-9_]{0,8}(?:\[[^\]]{0,16}\])?["']?\s{0,4}(?:[:=]|\s)\s{0,4}["']?([^"'\s#;]{8,64})["']?|^\s{0,8}option\s{1,4}'?key'?\s{1,4}["']?([^"'\s#;]{8,64})["']?"#,
        check: wifi,
        kind: Some(Kind::Password),
        hits: &[
            ("etc/wpa_supplicant.conf", "    ps·k=\"acme-setup-2019\""),
            ("main.ino", "#define WI·FI_P·A·SS \"blueHouse77\""),
            ("etc/hostapd.conf", "wp·a_p·a·ssphrase=acmesetup1"),
        ],
        misses: &[
            ("driver.h", "#define CAPA_KEY_MGMT_WP·A_PS·K 0x00000004"),
            ("test.conf", "ps·k=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"),
            ("etc/hostapd.conf", "wp·a_p·a·ssphrase="),
            ("main.ino", "#define WI·FI_P·A·SS \"your-pa·ssword\""),
            ("a.conf", "wp·a_ps·k_file=/etc/hostapd.wp·a_ps·k"),
        ],
        ..BASE
    },
    Rule {
        id: "P-014",
        severity: High,
        title: "password on a command line",
        about: "It is in the image, and every process on the device can read it while the command runs.",
        fix: "Read it from a file only root can read, made on the device",
        requirements: CODE,
        keywords: &[
            "sshpass",
            "curl",
            "wget",
            "mysql",
            "chpasswd",
            "mosquitto_",
            "ftp",
            "net use",
            "smbclient",
            "openssl",
            "password=",
            "pwd=",
            "pass=",
        ],
        pattern: r#"(?:sshpass\s{1,4}-p\s{0,2}["']?([^\s"'$]{3,64})|(?:curl|wget)(?:\s[^\n|;]{0,120})?\s(?:-u\s{0,2}|--user[ =]|--password=|--http-password=)["']?(?:[^\s:"'$]{1,40}:)?([^\s"'$]{4,64})|mysql(?:dump|admin)?\s(?:[^\n|;]{0,80}\s)?-p["']?([^\s"'$\-]{4,64})|\b(?:PG|MYSQL_|DB_|SSH)?(?:PASSWORD|PWD|PASS)=["']?([^\s"'$`]{4,64})["']?\s{1,3}[a-z]|mosquitto_(?:pub|sub)\s[^\n|;]{0,120}-P\s{1,3}["']?([^\s"'$]{4,64})|echo\s{1,3}["']?[a-z_][a-z0-9_\-]{0,30}:([^\s"'$|]{4,64})["']?\s{0,4}\|\s{0,4}chpasswd|smbclient\s[^\n|;]{0,80}-U\s{1,3}[^\s%]{1,40}%([^\s"'$]{3,64})|-pass(?:in|out)?\s{1,3}pass:([^\s"'$]{3,64}))"#,
        check: |c| valid::password(c) && !c.line.windows(8).any(|w| w == b"example."),
        only: Only::Text,
        kind: Some(Kind::Password),
        hits: &[
            ("init.sh", "echo \"ro·ot:Gw4y2019\" | ch·pa·ssw·d"),
            ("up.sh", "cu·rl -u device:t7Kq9zLm https:/·/up.acme.net/fw"),
        ],
        misses: &[
            ("init.sh", "echo \"ro·ot:$PA·SS\" | ch·pa·ssw·d"),
            ("up.sh", "cu·rl -u \"$US·ER:$PA·SS\" https:/·/up.acme.net/fw"),
        ],
        ..BASE
    },
    Rule {
        id: "P-015",
        severity: High,
        title: "password in the environment of a build or service",
        about: "Images and build logs keep it.",
        fix: "Pass it as a mounted secret or a systemd credential",
        requirements: CODE,
        keywords: &["environment=", "environment:", "env ", "arg "],
        pattern: r#"(?i)^\s{0,8}(?:ENV|ARG|Environment=)\s{0,3}["']?[A-Z0-9_]{0,40}(?:PASSWORD|PASSWD|_PWD|_PASS|SECRET|TOKEN|(?:API|ACCESS|SECRET|ENCRYPTION|SIGNING)_KEY)[= ]["']?([^\s"'$]{6,120})"#,
        check: valid::password,
        only: Only::Text,
        kind: Some(Kind::Password),
        hits: &[
            ("Dockerfile", "EN·V DB_P·A·SSWORD=t7Kq9zLm"),
            ("a.service", "En·vironment=\"MQTT_P·A·SSWORD=Gw4y2019\""),
        ],
        misses: &[
            ("Dockerfile", "EN·V DB_P·A·SSWORD=$DB"),
            ("Dockerfile", "AR·G VERSION=1.2.3.4.5"),
        ],
        ..BASE
    },
    Rule {
        id: "P-016",
        severity: Medium,
        title: "SNMP community string of the factory",
        about: "`public` and `private` are known to everyone; SNMP v1 and v2c send them in clear.",
        fix: "Use SNMPv3 with keys per device, or leave SNMP out",
        requirements: &["5.1-1", "5.5-1", "5.6-1", "I2.1.6"],
        keywords: &["community", "rocommunity", "rwcommunity", "com2sec"],
        pattern: r"(?im)^\s{0,4}((?:r[ow]community6?|com2sec6?\s{1,8}\S{1,40}\s{1,8}\S{1,40})\s{1,8}(?:public|private)\b)",
        only: Only::Text,
        hits: &[("etc/snmpd.conf", "ro·co·mmunity public")],
        misses: &[("etc/snmpd.conf", "# ro·co·mmunity public")],
        ..BASE
    },
    Rule {
        id: "P-017",
        severity: High,
        title: "password built from a MAC address or serial number",
        about: "The MAC address is in every frame: whoever sees the device can compute its password.",
        fix: "Use a random password per device, or one its owner sets",
        requirements: &["5.1-2", "5.1-1", "I2.1.6"],
        keywords: &["mac", "serial", "/sys/class/net"],
        pattern: r#"(?i)(?:pass(?:word|wd|phrase)?|psk|pwd|wpakey)[a-z0-9_]{0,12}\s{0,3}=\s{0,3}["']?[^\n;]{0,48}(?:\$\(?\{?(?:cat /sys/class/net/[a-z0-9]{1,10}/address|mac(?:_?addr(?:ess)?)?\b|serial(?:_?n(?:umber|o))?\b)|getmac(?:address)?\(|md5\(\s{0,2}(?:mac|serial)|(?:mac|serial)[a-z_]{0,8}\[-?\d)"#,
        only: Only::Text,
        hits: &[
            ("init.sh", "WIFI_PS·K=$(cat /s·ys/class/net/eth0/address | md·5sum | cut -c1-8)"),
            ("a.py", "pa·ssword = \"gw\" + ma·c[-6:]"),
        ],
        misses: &[
            ("a.py", "pa·ssword = os.urandom(16).hex()"),
            ("a.sh", "MA·C=$(cat /s·ys/class/net/eth0/address)"),
        ],
        ..BASE
    },
    Rule {
        id: "P-018",
        severity: High,
        title: "comparison with a fixed password",
        about: "A back door: this word opens every device.",
        fix: "Compare with a salted hash made on the device, in constant time",
        requirements: &["5.1-1", "5.4-3", "5.6-1", "I2.1.7"],
        keywords: &["strcmp", "strncmp", "memcmp", "equals(", "== \""],
        pattern: r#"(?i)(?:str(?:n)?(?:case)?cmp|memcmp)\s{0,2}\(\s{0,2}[a-z0-9_\->.\[\]]{0,40}(?:pass(?:wd|word)?|pwd|passphrase)[a-z0-9_]{0,10}\s{0,2},\s{0,2}"([^"\\]{4,64})""#,
        check: valid::password,
        only: Only::Source,
        kind: Some(Kind::Password),
        hits: &[("login.c", "if (st·rcmp(user_p·a·ssword, \"l3tmein\") == 0) grant();")],
        misses: &[("login.c", "if (st·rcmp(pa·ssword, stored) == 0) grant();")],
        ..BASE
    },
    Rule {
        id: "P-020",
        severity: High,
        title: "password of a .netrc, .pgpass or similar file",
        about: "The file exists to hold a login in clear; in an image everyone has it.",
        fix: "Take the file out of the image and change the password",
        requirements: CODE,
        keywords: &["machine ", "login ", ":*:", ":5432:"],
        pattern: r"(?im)(?:machine\s{1,4}\S{1,100}\s{1,4}login\s{1,4}\S{1,60}\s{1,4}password\s{1,4}(\S{4,80})|^[^:\s]{1,60}:(?:\d{2,5}|\*):[^:\s]{1,40}:[^:\s]{1,40}:(\S{4,80})$)",
        check: |c| !valid::placeholder(c.secret),
        only: Only::Paths(&[".netrc", "_netrc", ".pgpass"]),
        kind: Some(Kind::Password),
        hits: &[("root/.netrc", "ma·chine up.acme.net lo·gin device pa·ssword t7Kq9zLm")],
        misses: &[("root/notes", "ma·chine up.acme.net lo·gin device pa·ssword t7Kq9zLm")],
        ..BASE
    },
    Rule {
        id: "P-021",
        severity: Medium,
        title: "PPP, VPN or SIP secret",
        about: "A shared access secret lets anyone pose as a device of yours.",
        fix: "Provision one per device",
        requirements: &["5.4-3", "5.1-1", "I2.1.6"],
        keywords: &["secret", "psk", " * "],
        pattern: r#"(?im)(?:^\s{0,8}[^\s:#"']{0,64}\s{0,4}:\s{0,4}(?:PSK|XAUTH|EAP)\s{1,4}"([^"]{4,128})"|^["']?[A-Za-z0-9@._*\-]{1,64}["']?\s{1,8}["']?[A-Za-z0-9._*\-]{1,40}["']?\s{1,8}["']?([^\s"']{4,64})["']?(?:\s{1,8}\*)?\s*$|^\s{0,4}(?:secret|remotesecret)\s{0,3}=>?\s{0,3}(\S{4,64})\s*$)"#,
        check: |c| !valid::placeholder(c.secret) && !c.line.starts_with(b"#"),
        only: Only::Paths(&[
            "ipsec.secrets",
            "chap-secrets",
            "pap-secrets",
            "sip.conf",
            "l2tp-secrets",
        ]),
        kind: Some(Kind::Password),
        hits: &[
            ("etc/ipsec.secrets", "%any : PS·K \"t7Kq9zLm-acme\""),
            ("etc/ppp/chap-secrets", "device *· s3cr3tX *"),
        ],
        misses: &[
            ("etc/ipsec.secrets", ": RS·A server.key"),
            ("etc/ppp/chap-secrets", "# client se·rver se·cret IP"),
        ],
        ..BASE
    },
    Rule {
        id: "P-022",
        severity: High,
        title: "Bluetooth pass key or PIN that everyone guesses",
        about: "0000 and 1234 are tried first.",
        fix: "Use numeric comparison or a pass key per device",
        requirements: &["5.1-1", "5.1-2", "I4.3.2"],
        keywords: &["pin_code", "pincode", "passkey", "bt_pin", "pairing_pin"],
        pattern: r#"(?i)((?:bt_?pin|pin_?code|passkey|pairing_?pin)[a-z0-9_]{0,12}(?:\[\d{0,3}\])?\s{0,4}[:=\s(]\s{0,4}["'{]?\s{0,2}(?:0000|1234|000000|123456|1111|8888|'0', ?'0', ?'0', ?'0')["'}]?)(?:[^0-9]|$)"#,
        hits: &[("bt.c", "static const char *bt·_pin = \"0000\";")],
        misses: &[("bt.c", "uint32_t pa·sskey = random_p·a·sskey();")],
        ..BASE
    },
    Rule {
        id: "P-023",
        severity: High,
        title: "password as an argument of a login or connect call",
        about: "It is on every device and in every copy of the source; it cannot be changed per device.",
        fix: "Let each device have its own, kept in its key store or set by its owner",
        requirements: CODE,
        keywords: &[
            "wifi.begin",
            "basicauth",
            "basic_auth",
            "networkcredential",
            "passwordcredential",
            "passwordauthentication",
            "auth = (",
            "auth=(",
            "getconnection(",
            "mysqli_connect",
            "mysql_connect",
            "dbi->connect",
            "new pdo(",
            "mqtt.client(",
            "client.connect(",
        ],
        pattern: r#"(?i)(?:(?:wifi\.begin|basic_?auth|networkcredential|password(?:credentials?|authentication(?:token)?)|\bauth\s{0,2}=)\s{0,2}\(\s{0,2}["'][^"'\n]{1,64}["']\s{0,2},\s{0,2}["']([^"'\n]{4,64})["']|(?:getconnection|mysqli?_connect|dbi->connect|new\s{1,2}pdo)\s{0,2}\(\s{0,2}(?:"[^"\n]{1,160}"|'[^'\n]{1,160}'|[^,"'\n]{1,80}),\s{0,3}["'][^"'\n]{1,40}["']\s{0,2},\s{0,3}["']([^"'\n]{4,64})["']|(?:mqtt\.client|client\.connect)\s{0,2}\([^)\n"']{0,40}(?:["'][^"'\n]{1,60}["']\s{0,2},\s{0,3})(?:\d{1,6}\s{0,2},\s{0,3})?["'][^"'\n]{1,60}["']\s{0,2},\s{0,3}["']([^"'\n]{4,64})["'])"#,
        check: valid::password,
        only: Only::Source,
        kind: Some(Kind::Password),
        hits: &[
            ("a.ino", "WiF·i.begin(\"acme-guest\", \"blueHouse77\");"),
            ("b.py", "requests.get(url, au·th=('operator', 'Gw4y2019'))"),
            ("c.java", "Dr·iver.getConn·ection(url, \"fleet\", \"Gw4y2019\");"),
        ],
        misses: &[
            ("a.ino", "WiF·i.begin(ssid, stored);"),
            ("b.py", "requests.get(url, au·th=('operator', stored))"),
        ],
        ..BASE
    },
    Rule {
        id: "P-024",
        severity: High,
        title: "password in a connection string or database statement",
        about: "It is on every device and in every copy of the source; it cannot be changed per device.",
        fix: "Give each device an account of its own, made when it is commissioned",
        requirements: CODE,
        keywords: &["identified by", "with password", "password=", "pwd=", "createuser"],
        pattern: r#"(?i)(?:identified\s{1,3}(?:with\s{1,3}\S{1,30}\s{1,3})?by\s{1,3}["']([^"'\n]{4,64})["']|with\s{1,3}(?:encrypted\s{1,3})?password\s{1,3}["']([^"'\n]{4,64})["']|[;"'][a-z0-9_]{0,32}(?:password|pwd)\s{0,2}=\s{0,2}([^;"'\s]{4,64})[;"']|jdbc:[^\s"'`]{1,160}?[?&;](?:password|pwd)=([^&;"'`\s]{4,64})|^\s{0,4}createuser\s{1,4}\S{1,40}\s{1,4}(?:md5|sha(?:-\d{3})?)\s{1,4}["']?([^\s"']{8,64}))"#,
        check: |c| code(c) && valid::password(c) && !c.secret.contains(&b' '),
        only: Only::Text,
        kind: Some(Kind::Password),
        hits: &[
            ("seed.sql", "CREATE US·ER 'fleet' IDEN·TIFIED BY 'Gw4y2019';"),
            ("a.cs", "var c = \"Se·rver=db1;User Id=fleet;Pass·word=Gw4y2019;\";"),
            ("a.java", "String url = \"jd·bc:mysql://db1/plant?user=svc&pass·word=Gw4y2019\";"),
        ],
        misses: &[
            ("seed.sql", "CREATE US·ER 'fleet' IDEN·TIFIED BY '${DB_P·A·SSWORD}';"),
            ("a.cs", "var c = \"Se·rver=db1;User Id=fleet;Pass·word=\" + p;"),
            ("a.java", "String url = \"jd·bc:mysql://db1/plant?user=svc&pass·word=${P}\";"),
        ],
        ..BASE
    },
    Rule {
        id: "P-025",
        severity: Medium,
        title: "password in a log, a query or a manual",
        about: "What a log or a manual shows is known to whoever reads it; often it still works.",
        fix: "Change the password; keep it out of logs, addresses and manuals",
        requirements: CODE,
        keywords: &["password", "passwd", "pwd="],
        pattern: r#"(?i)(?:[?&\s](?:password|passwd|pwd)=([^\s"',;&<>]{4,64})(?:[\s&"',;]|$)|\bpass(?:word|phrase)\s{1,2}(?:is\s{1,2}|of\s{1,2}|:\s{0,2})?[`"*]{1,2}([^`"\s*]{4,64})[`"*])"#,
        check: |c| valid::password(c) && c.secret.iter().any(u8::is_ascii_digit),
        only: Only::Paths(&[".log", ".txt", ".md", ".rst", ".adoc", ".html", ".out"]),
        kind: Some(Kind::Password),
        hits: &[
            ("app.log", "10:22:01 login user=op pa·ssword=Gw4y2019 ok"),
            ("README.md", "Log in as `ad·min` with the pa·ssword `Gw4y2019`."),
        ],
        misses: &[
            ("app.log", "10:22:01 login user=op pa·ssword=*** ok"),
            ("README.md", "The `pa·ssword` option takes a string."),
        ],
        ..BASE
    },
];

fn config_password(found: &Capture<'_>) -> bool {
    let text = String::from_utf8_lossy(found.secret);
    // In prose and tables only an assignment counts.
    let prose = [".md", ".txt"].iter().any(|e| found.path.ends_with(e));
    let assigned = found.whole.contains(&b'=') || found.whole.contains(&b':');
    // `requirepass x`: settings of some servers need no sign between name and value.
    let setting = [".conf", ".cfg"].iter().any(|e| found.path.ends_with(e))
        && found.secret.iter().any(u8::is_ascii_digit);
    let says = |word: &[u8]| found.line.windows(word.len()).any(|w| w == word);
    let environment = says(b"setenv ");
    given::bare_password(found)
        && (!prose || (assigned || environment) && found.secret.iter().any(u8::is_ascii_digit))
        && (assigned || setting || environment || says(b"option ") || says(b"set "))
        && !text.chars().all(|c| c.is_ascii_digit() && text.len() < 4)
}

fn wifi(found: &Capture<'_>) -> bool {
    // A number, or a name that stands for one, in a header.
    let number =
        found.secret.starts_with(b"0x") && found.secret[2..].iter().all(u8::is_ascii_hexdigit);
    let unquoted =
        found.line.trim_ascii_start().starts_with(b"#define") && !found.whole.contains(&b'"');
    !number
        && !unquoted
        && code(found)
        && (valid::password(found) || found.secret.len() == 64 && valid::hex_key(found))
}
