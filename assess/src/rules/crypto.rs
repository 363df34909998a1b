//! Group C: weak cryptography and switched-off checks in code.

use super::{BASE, Capture, Only, Rule};
use crate::model::Severity::{High, Low, Medium};

const TLS_ABOUT: &str = "Without this check anyone on the path can pose as the server, read all and \
                         send commands.";
const TLS_FIX: &str = "Verify the chain against your own trust anchors, and the name";
const TLS: &[&str] = &["5.5-1", "5.5-7", "5.8-1", "I4.1.3"];
const WEAK: &[&str] = &["5.5-1", "5.1-3", "I2.4.2"];
const UPD: &str = "Use an AEAD such as AES-GCM or ChaCha20-Poly1305, SHA-256 or better";

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "C-001",
        severity: High,
        title: "OpenSSL: server certificate is not verified",
        about: TLS_ABOUT,
        fix: TLS_FIX,
        requirements: TLS,
        only: Only::Source,
        keywords: &["ssl_verify_none"],
        pattern: r"(?:SSL(?:_CTX)?_set_verify|set_verify|verify_mode|context)[^\n]{0,60}SSL_?VERIFY_NON[E]",
        check: |c| {
            let says = |part: &[u8], word: &[u8]| part.windows(word.len()).any(|w| w == word);
            // wolfSSL has a rule of its own; a listener that asks for no certificate has others.
            code(c)
                && ![b"==", b"!="].iter().any(|w| says(c.whole, *w))
                && !says(c.line, b"wolfSSL_")
                && !says(c.whole, b"listener")
                && !says(c.whole, b"server_ctx")
        },
        hits: &[("a.c", "SSL_CTX_set_verify(ctx, SS·L_VERIFY_NONE, NULL);")],
        misses: &[
            ("a.c", "SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);"),
            ("b.c", "if (config->verify_mode == SS·L_VERIFY_NONE) return 0;"),
            ("c.c", "wo·lfSSL_CTX_set_verify(ctx, SS·L_VERIFY_NONE, 0);"),
            ("d.c", "SSL_CTX_set_verify(listener->ssl_ctx, SS·L_VERIFY_NONE, ask_for_none);"),
        ],
        ..BASE
    },
    Rule {
        id: "C-002",
        severity: High,
        title: "mbed TLS: server certificate is not verified",
        about: TLS_ABOUT,
        fix: TLS_FIX,
        requirements: TLS,
        only: Only::Source,
        keywords: &["ssl_verify_none", "ssl_verify_optional"],
        pattern: r"ssl_conf_authmode\s{0,2}\([^\n]{0,60}MBEDTLS_SSL_VERIFY_(?:NONE|OPTIONAL)",
        check: code,
        hits: &[("a.c", "mbedtls_ssl_conf_authmode(&conf, MBEDTLS_SS·L_VERIFY_NONE);")],
        misses: &[("a.c", "mbedtls_ssl_conf_authmode(&conf, MBEDTLS_SSL_VERIFY_REQUIRED);")],
        ..BASE
    },
    Rule {
        id: "C-003",
        severity: High,
        title: "wolfSSL: server certificate is not verified",
        about: TLS_ABOUT,
        fix: TLS_FIX,
        requirements: TLS,
        only: Only::Source,
        keywords: &["wolfssl"],
        pattern: r"wolfSSL(?:_CTX)?_set_verify\s{0,2}\([^\n]{0,60}(?:WOLF)?SSL_VERIFY_NON[E]",
        check: code,
        hits: &[("a.c", "wo·lfSSL_CTX_set_verify(ctx, WO·LFSS·L_VERIFY_NONE, 0);")],
        misses: &[("a.c", "wo·lfSSL_CTX_set_verify(ctx, WO·LFSSL_VERIFY_PEER, 0);")],
        ..BASE
    },
    Rule {
        id: "C-004",
        severity: High,
        title: "curl: certificate or name is not verified",
        about: TLS_ABOUT,
        fix: TLS_FIX,
        requirements: TLS,
        only: Only::Source,
        keywords: &["curlopt_ssl_verify"],
        pattern: r"CURLOPT_SSL_VERIFY(?:PEER|HOST)\s{0,2}(?:,|=>)\s{0,2}(?:0L?|false|FALSE)",
        check: code,
        hits: &[("a.c", "cu·rl_easy_setopt(c, CU·RLOPT_SSL_VERIFYPEER, 0L);")],
        misses: &[("a.c", "cu·rl_easy_setopt(c, CU·RLOPT_SSL_VERIFYPEER, 1L);")],
        ..BASE
    },
    Rule {
        id: "C-005",
        severity: High,
        title: "script: certificate is not verified",
        about: TLS_ABOUT,
        fix: "Name the trust anchor: `--cacert FILE`, `--ca-certificate=FILE`",
        requirements: TLS,
        only: Only::Text,
        keywords: &[
            "curl",
            "wget",
            "--no-check-cert",
            "sslverify",
            "strict-ssl",
            "node_tls_reject",
        ],
        pattern: r"(?:\bcurl(?:\s[^\n|;#]{0,160})?(?:\s-[a-zA-Z]{0,4}k[a-zA-Z]{0,4}\s|\s--insecure\b)|--no-check-certificat[e]|http\.sslVerify\s{0,2}=?\s{0,2}false|GIT_SSL_NO_VERIFY=(?:1|true)|NODE_TLS_REJECT_UNAUTHORIZED\W{1,4}0|strict-ssl\s{0,2}=\s{0,2}false)",
        check: |c| code(c) && !option_alone(c),
        hits: &[
            ("up.sh", "wg·et --·no-check-certificate https:/·/up.acme.net/fw.bin"),
            ("up.sh", "cu·rl -k https:/·/up.acme.net/fw.bin"),
        ],
        misses: &[
            ("wget.c", "bb_error_msg(\"--·no-check-certificate\");"),
            ("up.sh", "cu·rl --cacert /etc/ca.pem https:/·/up.acme.net/fw.bin"),
        ],
        ..BASE
    },
    Rule {
        id: "C-006",
        severity: High,
        title: "Python: certificate is not verified",
        about: TLS_ABOUT,
        fix: TLS_FIX,
        requirements: TLS,
        only: Only::Source,
        keywords: &[
            "verify=false",
            "verify = false",
            "cert_none",
            "_create_unver",
            "check_hostname",
            "disable_warnings",
        ],
        pattern: r"(?:\bverify\s{0,2}=\s{0,2}False\b|ssl\.CERT_NONE|_create_unverified_contex[t]|check_hostname\s{0,2}=\s{0,2}False|tls_insecure_set\(\s{0,2}True)",
        check: code,
        hits: &[("a.py", "requests.get(url, ve·rify=False)")],
        misses: &[("a.py", "requests.get(url, verify='/etc/ca.pem')")],
        ..BASE
    },
    Rule {
        id: "C-007",
        severity: High,
        title: "Go, Node, Java or .NET: certificate is not verified",
        about: TLS_ABOUT,
        fix: TLS_FIX,
        requirements: TLS,
        only: Only::Source,
        keywords: &[
            "insecureskipverify",
            "rejectunauthorized",
            "trustallcerts",
            "allowallhostname",
            "noophostnameverifier",
            "servercertificatevalidationcallback",
            "servercertificatecustomvalidation",
            "dangerousaccept",
        ],
        pattern: r"(?:InsecureSkipVerify\s{0,2}[:=]\s{0,2}true|rejectUnauthorized\W{1,4}false|ALLOW_ALL_HOSTNAM[E]|NoopHostnameVerifie[r]|[Tt]rustAllCerts|CertificateValidationCallback\s{0,2}\+?=\s{0,2}(?:delegate|\([^)]{0,60}\)\s{0,2}=>\s{0,2}true)|DangerousAcceptAn[y])",
        check: code,
        hits: &[
            ("a.go", "&tls.Config{In·secureSkipVerify: true}"),
            ("a.js", "{ re·jectUnauthorized: false }"),
        ],
        misses: &[("a.go", "&tls.Config{In·secureSkipVerify: false}")],
        ..BASE
    },
    Rule {
        id: "C-008",
        severity: High,
        title: "Rust: certificate is not verified",
        about: TLS_ABOUT,
        fix: TLS_FIX,
        requirements: TLS,
        only: Only::Source,
        keywords: &["danger_accept_invalid", "set_certificate_verifier", "sslverifymode::"],
        pattern: r"(?:danger_accept_invalid_(?:certs|hostnames)\(\s{0,2}true|SslVerifyMode::NON[E])",
        check: code,
        hits: &[("a.rs", "builder.da·nger_accept_invalid_certs(true)")],
        misses: &[("a.rs", "builder.da·nger_accept_invalid_certs(false)")],
        ..BASE
    },
    Rule {
        id: "C-009",
        severity: High,
        title: "Arduino or ESP: certificate is not verified",
        about: TLS_ABOUT,
        fix: "Use setCACert() or the certificate bundle",
        requirements: TLS,
        only: Only::Source,
        keywords: &[
            "setinsecure",
            "skip_cert_common_name_check",
            "skip_server_cert",
            "esp_tls_insecure",
            "use_global_ca_store = false",
        ],
        pattern: r"(?:\.setInsecure\s{0,2}\(\)|skip_cert_common_name_check\s{0,2}=\s{0,2}true|CONFIG_ESP_TLS_(?:INSECURE|SKIP_SERVER_CERT_VERIFY)=y)",
        check: code,
        hits: &[("a.ino", "client.se·tInsecure();")],
        misses: &[("a.ino", "client.setCACert(ro·ot_ca);")],
        ..BASE
    },
    Rule {
        id: "C-010",
        severity: High,
        title: "GnuTLS: certificate errors are ignored",
        about: TLS_ABOUT,
        fix: TLS_FIX,
        requirements: TLS,
        only: Only::Source,
        keywords: &["gnutls_"],
        pattern: r"gnutls_certificate_set_verify_flags[^\n]{0,60}GNUTLS_VERIFY_(?:DISABLE|ALLOW)|gnutls_session_set_verify_cert\s{0,2}\([^,]{0,40},\s{0,2}NULL",
        check: code,
        hits: &[("a.c", "gn·utls_session_set_verify_cert(session, NULL, 0);")],
        misses: &[("a.c", "gn·utls_session_set_verify_cert(session, host, 0);")],
        ..BASE
    },
    Rule {
        id: "C-011",
        severity: Medium,
        title: "MD5 used",
        about: "Collisions in MD5 take seconds: it proves neither origin nor integrity.",
        fix: UPD,
        requirements: WEAK,
        only: Only::Source,
        keywords: &[
            "md5_init",
            "md5init",
            "evp_md5",
            "hashlib.md5",
            "md5.new",
            "\"md5\"",
            "'md5'",
            "mbedtls_md5",
            "wc_md5",
            "crypto/m",
            "md5sum",
        ],
        pattern: r#"(?:\bMD5_?Init\b|EVP_md5\s{0,2}\(|hashlib\.md5\s{0,2}\(|MD5\.new|mbedtls_md[5](?:_starts(?:_ret)?|_ret)?\s{0,2}\(|wc_(?:Init)?Md5(?:Hash)?\s{0,2}\(|"crypto/md[5]"|(?:getInstance|createHash|hash)\s{0,2}\(\s{0,2}["'](?i:md5)["']|\bmd5sum\s{1,3}-c)"#,
        check: called,
        hits: &[("a.c", "MD·5_Init(&ctx);"), ("a.py", "h = ha·shlib.md·5(data)")],
        misses: &[
            ("md5.h", "void MD·5_Init(MD5_CTX *ctx);"),
            ("compat.h", "#define MD·5Init own_digest_init"),
            ("a.c", "SHA256_Init(&ctx);"),
        ],
        ..BASE
    },
    Rule {
        id: "C-012",
        severity: Low,
        title: "SHA-1 used",
        about: "SHA-1 has no collision resistance left; HMAC-SHA-1 is still sound, a signature over SHA-1 is not.",
        fix: UPD,
        requirements: WEAK,
        only: Only::Source,
        keywords: &[
            "sha1_init",
            "evp_sha1",
            "hashlib.sha1",
            "mbedtls_sha1",
            "crypto/s",
            "\"sha1\"",
            "'sha1'",
            "sha1withrsa",
            "\"sha-1\"",
        ],
        pattern: r#"(?:\bSHA1_?Init\b|EVP_sha1\s{0,2}\(|hashlib\.sha1\s{0,2}\(|mbedtls_sha[1](?:_starts(?:_ret)?|_ret)?\s{0,2}\(|"crypto/sha[1]"|(?:getInstance|createHash)\s{0,2}\(\s{0,2}["'](?i:sha-?1|SHA1with[A-Z]{3,5})["'])"#,
        check: code,
        hits: &[("a.c", "const EVP_MD *md = EV·P_sh·a1();")],
        misses: &[("a.c", "const EVP_MD *md = EVP_sh·a256();")],
        ..BASE
    },
    Rule {
        id: "C-013",
        severity: High,
        title: "DES, 3DES or RC4 used",
        about: "56-bit DES is searched in a day, 3DES leaks with 64-bit blocks, RC4 is biased.",
        fix: UPD,
        requirements: WEAK,
        only: Only::Source,
        keywords: &[
            "des_",
            "evp_des",
            "evp_rc4",
            "rc4_",
            "arc4",
            "\"des",
            "'des",
            "des3",
            "des.new",
            "crypto/d",
            "crypto/r",
            "desede",
            "tripledes",
        ],
        pattern: r#"(?:\bDES_(?:set_key|ecb_encrypt|ncbc_encrypt|ede3)[a-z_]{0,20}\s{0,2}\(|EVP_(?:des|rc4)[a-z0-9_]{0,20}\s{0,2}\(|mbedtls_(?:des|des3|arc4)_[a-z_]{3,20}\s{0,2}\(|\bRC4_set_key|(?:ARC4|DES3?)\.new\s{0,2}\(|"crypto/(?:de[s]|rc[4])"|(?:getInstance|createCipher(?:iv)?)\s{0,2}\(\s{0,2}["'](?:DES|DESede|RC4|des|rc4|TripleDES)[^"']{0,30}["'])"#,
        check: called,
        hits: &[
            ("a.c", "DE·S_set_key_unchecked(&key, &ks);"),
            ("a.java", "Ci·pher.getInstance(\"·DES/EC·B/PKCS5Padding\")"),
        ],
        misses: &[
            ("des.h", "const EVP_CIPHER *EV·P_des_cbc(void);"),
            ("des.h", "void mbe·dtls_des_init(mbedtls_des_context *ctx);"),
            ("a.c", "AES_set_encr·ypt_key(key, 256, &ks);"),
        ],
        ..BASE
    },
    Rule {
        id: "C-014",
        severity: Medium,
        title: "ECB mode used",
        about: "ECB shows which blocks are equal.",
        fix: UPD,
        requirements: WEAK,
        only: Only::Source,
        keywords: &["ecb"],
        pattern: r#"(?:\bAES_ecb_encrypt\s{0,2}\(|EVP_(?:aes|aria|camellia|sm4|bf)(?:_\d{3})?_ecb\s{0,2}\(|mbedtls_aes_crypt_ecb\s{0,2}\(|MODE_EC[B]\b|modes\.ECB\s{0,2}\(|["'](?:AES|aes-\d{3})[/-](?:ECB|ecb)|CipherMode\.ECB|AES_ECB_encrypt\s{0,2}\()"#,
        check: called,
        hits: &[
            ("a.c", "EVP_EncryptInit_ex(c, EVP_aes_128_ec·b(), 0, k, 0);"),
            ("a.py", "AES.new(k, AES.MODE_EC·B)"),
        ],
        misses: &[
            ("compat.h", "#define OLD_MODE_EC·B NEW_MODE_EC·B"),
            ("evp.h", "const EVP_CIPHER *EV·P_aes_128_ecb(void);"),
            ("cipher.h", "    CIPHER_MODE_EC·B = 1, /* electronic code book */"),
            ("names.h", "#define LN_aes_128_ecb \"aes-128-e·cb\""),
            ("a.c", "EVP_EncryptInit_ex(c, EVP_aes_128_gcm(), 0, k, iv);"),
        ],
        ..BASE
    },
    Rule {
        id: "C-015",
        severity: Medium,
        title: "fixed initialisation vector or nonce",
        about: "A repeated nonce breaks GCM and CTR outright and leaks prefixes in CBC.",
        fix: "Draw a fresh IV, or count a nonce that never repeats under a key",
        requirements: WEAK,
        only: Only::Source,
        keywords: &["iv[", "iv =", "iv=", "iv_", "_iv", "nonce"],
        pattern: r#"(?i)(?:^|[^a-z])(?:(?:aes|enc|cbc|gcm|static|fixed|default)_?)?(?:iv|nonce)\s{0,2}(?:\[[^\]]{0,16}\])?\s{0,3}=\s{0,3}(?:b?["'](?:[^"'\\%]{12,32}|(?:\\x[0-9a-f]{2}){8,16})["']|(?:bytes\()?\{\s{0,3}(?:0x[0-9a-f]{1,2}\s{0,2},\s{0,3}){7,15}0x[0-9a-f]{1,2}|b?["']\\(?:0|x00)["']\s{0,2}\*\s{0,2}(?:12|16)|\{\s{0,2}0\s{0,2}\}\s{0,2};\s{0,3}//\s{0,2}fixed)"#,
        check: fixed_iv,
        hits: &[
            (
                "a.c",
                "static const uint8_t iv·[16] = {0x01,0x02,0x03,0x04,0x05,0x06,0x07,0x08,0x09,0x0a,0x0b,0x0c,0x0d,0x0e,0x0f,0x10};",
            ),
            ("a.py", "iv· = b'1234567890abcdef'"),
        ],
        misses: &[
            ("a.c", "uint8_t iv·[16]; fill_random(iv, 16);"),
            ("a.py", "iv· = os.urandom(16)"),
        ],
        ..BASE
    },
    Rule {
        id: "C-016",
        severity: Medium,
        title: "random numbers from a predictable generator",
        about: "rand() and its kin follow from a small seed; keys and tokens made with them can be guessed.",
        fix: "Use getrandom(), /dev/urandom or the hardware generator",
        requirements: &["5.1-2", "5.4-4", "I2.4.3"],
        only: Only::Source,
        keywords: &["srand", "random.", "math.random", "rand()"],
        pattern: r"(?i)(?:srand\s{0,2}\(\s{0,2}(?:time\s{0,2}\(|0|1|42|getpid)|(?:key|token|secret|nonce|salt|session|passw)[a-z0-9_\[\]]{0,20}\s{0,3}[+]?=\s{0,3}[^\n;]{0,30}(?:\brand\s{0,2}\(\)|Math\.random\(\)|random\.(?:random|randint|choice)\())",
        check: code,
        hits: &[("a.c", "sr·and(time(NULL));"), ("a.js", "token = Ma·th.random().toString(36)")],
        misses: &[("a.py", "x = ra·ndom.random()"), ("a.c", "getrandom(key, 32, 0);")],
        ..BASE
    },
    Rule {
        id: "C-017",
        severity: Medium,
        title: "old TLS or SSL version allowed",
        about: "SSL 3, TLS 1.0 and 1.1 are withdrawn (RFC 7568, RFC 8996).",
        fix: "Allow TLS 1.2 and 1.3 only",
        requirements: &["5.5-1", "I4.1.2"],
        only: Only::Text,
        keywords: &[
            "tlsv1",
            "sslv3",
            "sslv2",
            "tls1_version",
            "ssl3_version",
            "tls_1_0",
            "tls_1_1",
            "versiontls10",
            "minor_version_1",
            "minor_version_0",
            "tls1.0",
        ],
        pattern: r"(?:\bTLSv1(?:_1)?_(?:client_|server_)?method\s{0,2}\(|\bSSLv[23]_(?:client_|server_)?method\s{0,2}\(|ssl\.PROTOCOL_(?:SSLv[23]|TLSv1(?:_1)?)\b|set_min_proto_version\s{0,2}\([^\n]{0,40}(?:SSL3|TLS1(?:_1)?)_VERSION|MinVersion\s{0,2}:\s{0,2}tls\.VersionTLS1[01]|ssl_protocols\s[^;\n]{0,60}(?:SSLv3|TLSv1(?:\.1)?)[\s;]|SSLProtocol\s[^\n]{0,40}\+(?:SSLv3|TLSv1(?:\.1)?)\b|MBEDTLS_SSL_MINOR_VERSION_[012]\b|(?:min|tls)_?version\s{0,2}[:=]\s{0,2}.?(?:tlsv1(?:\.[01])?|1\.[01]|sslv3).?\s*$)",
        check: least,
        hits: &[
            ("nginx.conf", "ssl_protocols TL·Sv1 TL·Sv1.2;"),
            ("a.c", "ctx = SSL_CTX_new(SS·Lv3_client_method());"),
        ],
        misses: &[
            ("suites.c", "    MBEDTLS_SSL_MINOR_VERSIO·N_1, MBEDTLS_SSL_MAJOR_VERSION_3,"),
            ("ChangeLog", "   * Allow MBEDTLS_SSL_MINOR_VERSIO·N_1 as min_ver again"),
            ("ssl.h", "SSL_METHOD *SSL·v3_client_method(void);"),
            ("nginx.conf", "ssl_protocols TL·Sv1.2 TL·Sv1.3;"),
        ],
        ..BASE
    },
    Rule {
        id: "C-018",
        severity: Medium,
        title: "weak cipher suite allowed",
        about: "NULL, EXPORT, anonymous, RC4 and 3DES suites give no or little protection.",
        fix: "Name AEAD suites with ephemeral keys",
        requirements: &["5.5-1", "I4.1.2"],
        only: Only::Text,
        keywords: &["cipher"],
        pattern: r#"(?i)(?:ssl_ciphers?|ciphers?(?:_?list|string)?|set_cipher_list)\s{0,3}[(=:,\s][^\n]{0,80}(?:^|[:\s"'=,+])(?-i:e?NULL|aNULL|EXPORT|EXP|LOW|RC4(?:-[A-Z0-9]{3,5})?|ADH|DES-CBC3?-SHA|3DES|ALL)(?:[:\s"';+]|$)"#,
        check: |c| code(c) && !cipher_excluded(c) && names_suites(c),
        hits: &[
            ("a.c", "SSL_CTX_set_ci·pher_list(ctx, \"ALL:eNULL\");"),
            ("nginx.conf", "ssl_ci·phers HIGH:RC4-SHA;"),
        ],
        misses: &[
            ("b.c", "static int *psk_ci·phers = NULL;"),
            ("c.c", "if (!strcmp(ci·pher, \"ADH\")) take_it_out(list);"),
            ("d.h", "DES_EDE_CBC, /**< DES ci·pher with EDE CBC mode, 3DES is weak */"),
            ("a.c", "SSL_CTX_set_ci·pher_list(ctx, \"ECDHE+AESGCM:!aNULL:!RC4\");"),
        ],
        ..BASE
    },
    Rule {
        id: "C-019",
        severity: Medium,
        title: "RSA with a short key or an old padding in code",
        about: "Below 2048 bits RSA is within reach; PKCS #1 v1.5 encryption leaks through error answers.",
        fix: "Use 2048 bits or more, or P-256 or Ed25519; OAEP for encryption",
        requirements: &["5.5-1", "5.4-4", "I2.4.2"],
        only: Only::Source,
        keywords: &["rsa"],
        pattern: r"(?i)(?:RSA_generate_key(?:_ex)?\s{0,2}\([^\n]{0,30}\b(?:512|768|1024)\b|rsa\.GenerateKey\([^\n]{0,30}\b(?:512|768|1024)\b|RSA\.generate\(\s{0,2}(?:512|768|1024)\b|mbedtls_rsa_gen_key\s{0,2}\([^\n]{0,60}\b(?:512|768|1024)\b|genrsa\s[^\n]{0,60}\b(?:512|768|1024)\b|rsa:(?:512|768|1024)\b)",
        check: code,
        hits: &[("mk.sh", "op·enssl genrs·a -out k.pem 1024")],
        misses: &[("mk.sh", "op·enssl genrs·a -out k.pem 3072")],
        ..BASE
    },
    Rule {
        id: "C-020",
        severity: Medium,
        title: "password hashed without salt and work",
        about: "A plain hash of a password is tried billions of times a second.",
        fix: "Use argon2id, scrypt, bcrypt or PBKDF2 with many rounds",
        requirements: &["5.1-3", "I2.4.2"],
        only: Only::Source,
        keywords: &["md5(", "sha1(", "sha256("],
        pattern: r"(?i)\b(?:md5|sha1|sha256)\s{0,2}\(\s{0,2}(?:\$_(?:POST|GET|REQUEST)\[.?pass|\$?(?:user_?|new_?)?pass(?:word|wd)?\b)",
        check: code,
        hits: &[("login.php", "$h = md·5($_POST['pa·ssword']);")],
        misses: &[("login.php", "$h = pa·ssword_hash($_POST['pa·ssword'], PA·SSWORD_ARGON2ID);")],
        ..BASE
    },
    Rule {
        id: "C-021",
        severity: Medium,
        title: "SSH: host key is not checked",
        about: "The first one to answer is believed.",
        fix: "Ship the host key and keep StrictHostKeyChecking on",
        requirements: &["5.5-1", "5.5-7", "I4.1.3"],
        only: Only::Text,
        keywords: &[
            "stricthostkeychecking",
            "autoaddpolicy",
            "insecureignorehostkey",
            "userknownhostsfile",
        ],
        pattern: r"(?i)(?:StrictHostKeyChecking[\s=]{1,3}(?:no|off)\b|AutoAddPolicy\s{0,2}\(|InsecureIgnoreHostKey\s{0,2}\()",
        check: code,
        hits: &[("up.sh", "ssh -o St·rictHostKeyChecking=no tunnel@acme.net")],
        misses: &[("up.sh", "ssh -o St·rictHostKeyChecking=yes tunnel@acme.net")],
        ..BASE
    },
    Rule {
        id: "C-022",
        severity: Low,
        title: "memory compared in variable time",
        about: "The time that memcmp or strcmp takes tells how many bytes of a MAC or token were right.",
        fix: "Compare in constant time (CRYPTO_memcmp, mbedtls_ct_memcmp)",
        requirements: &["5.5-1", "I2.4.2"],
        only: Only::Source,
        keywords: &["memcmp", "strcmp"],
        pattern: r"(?i)\b(?:memcmp|strcmp)\s{0,2}\([^;\n]{0,40}\b(?:hmac|mac_tag|auth_tag|signature|digest|token)\b[^;\n]{0,40}\)",
        check: code,
        hits: &[("a.c", "if (me·mcmp(calc, hma·c, 32) == 0)")],
        misses: &[("a.c", "if (me·mcmp(name, other, 32) == 0)")],
        ..BASE
    },
    Rule {
        id: "C-023",
        severity: Medium,
        title: "own or toy cipher",
        about: "XOR with a fixed string or a rotated alphabet is decoding, not encryption.",
        fix: UPD,
        requirements: WEAK,
        only: Only::Source,
        keywords: &["xor", "rot1", "^ key", "^key", "^= key"],
        pattern: r"(?i)(?:\brot1[3]\b|(?:\^=|\^)\s{0,2}(?:xor_?)?key\[[^\]]{1,20}%|xor_?(?:encrypt|decrypt|crypt|cipher)\s{0,2}\()",
        check: code,
        hits: &[("a.c", "out[i] = in[i] ^ ·key[i % sizeof(key)];")],
        misses: &[("a.c", "a = b ^ c;")],
        ..BASE
    },
];

/// Not in a comment line.
pub(super) fn code(found: &Capture<'_>) -> bool {
    let line = found.line.trim_ascii_start();
    let comment: &[&[u8]] = &[b"//", b"#", b"*", b"/*", b";", b"--", b"<!--", b"\"\"\""];
    let directive: &[&[u8]] = &[b"#define", b"#if", b"#!", b"#pragma"];
    directive.iter().any(|d| line.starts_with(d)) || !comment.iter().any(|c| line.starts_with(c))
}

/// In C a list of suites stands in a string, and a comparison gives none.
fn names_suites(found: &Capture<'_>) -> bool {
    let quoted = found.whole.iter().filter(|b| **b == b'"').count() > 0;
    let start = found.whole.as_ptr() as usize - found.line.as_ptr() as usize;
    let compared = [b"cmp(".as_slice(), b"strstr("]
        .iter()
        .any(|call| found.line[..start].windows(call.len()).any(|w| w == *call));
    !is_c(found.path) || quoted && !compared
}

/// A version is allowed where it is the least one, not where it is only named.
fn least(found: &Capture<'_>) -> bool {
    let line = found.line.to_ascii_lowercase();
    let says = |word: &[u8]| line.windows(word.len()).any(|w| w == word);
    let named = found.whole.starts_with(b"MBEDTLS_SSL_MINOR");
    let prose = ["ChangeLog", ".md", ".txt", ".rst"].iter().any(|end| found.path.ends_with(end));
    called(found)
        && !line.starts_with(b"#if")
        && !prose
        && (!named || says(b"min_ver") || says(b"ver_min"))
}

/// Used in code, and not only declared or named there.
fn called(found: &Capture<'_>) -> bool {
    code(found) && !(is_c(found.path) && declared(found))
}

fn is_c(path: &str) -> bool {
    [".h", ".c", ".hpp", ".hh", ".cc", ".cpp", ".cxx"].iter().any(|end| path.ends_with(end))
}

/// `void DES_set_key(…);`, `MODE_ECB = 1,` and `#define LN_aes_128_ecb "aes-128-ecb"`.
fn declared(found: &Capture<'_>) -> bool {
    let start = found.whole.as_ptr() as usize - found.line.as_ptr() as usize;
    let line = found.line;
    let text =
        |part: Option<&[u8]>| String::from_utf8_lossy(part.unwrap_or_default()).trim().to_owned();
    let (before, after) = (text(line.get(..start)), text(line.get(start + found.whole.len()..)));
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if let Some(name) = before.strip_prefix("#define") {
        // A name, or another name for it.
        let names = name.trim().chars().all(|c| is_name(c) || c == ' ');
        let one = name.trim().chars().all(is_name);
        return one || names && after.is_empty() && !found.whole.contains(&b'(');
    }
    let enumerator = after.strip_prefix('=').map(str::trim_start);
    if enumerator.is_some_and(|value| value.starts_with(|c: char| c.is_ascii_digit())) {
        return true;
    }
    let words: Vec<&str> =
        before.split(|c: char| c.is_whitespace() || c == '*').filter(|w| !w.is_empty()).collect();
    let statement = |word: &&str| ["return", "else", "case", "do", "goto", "throw"].contains(word);
    !words.is_empty()
        && words.iter().all(|word| word.chars().all(is_name))
        && !words.iter().any(statement)
}

/// The name of an option in a program, with no command that it is given to.
fn option_alone(found: &Capture<'_>) -> bool {
    let command = found.line.to_ascii_lowercase().windows(5).any(|w| w == b"wget ");
    found.whole.starts_with(b"--") && is_c(found.path) && !command
}

fn fixed_iv(found: &Capture<'_>) -> bool {
    code(found) && !found.whole.windows(4).any(|w| w == b"rand" || w == b"None")
}

fn cipher_excluded(found: &Capture<'_>) -> bool {
    // `!RC4` and `-RC4` take a suite out; `ALL` counts only when aNULL stays in.
    let text = String::from_utf8_lossy(found.line).to_uppercase();
    text.contains("ALL:!") || text.contains("HIGH:!")
}
