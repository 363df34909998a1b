//! Components that give away their name and often their version in a string. What is found is
//! a list of parts, not a list of vulnerabilities. Each signature is one definition: the string
//! as a program carries it, where that was read, and a string near it that is none; both are its
//! tests.

/// One signature.
#[derive(Debug)]
pub struct Component {
    /// Name of the component.
    pub name: &'static str,
    /// A word (lower case) that must be near.
    pub keyword: &'static str,
    /// Regular expression; the group that took part, if any, is the version.
    pub pattern: &'static str,
    /// A string that is found, and its version; empty when the string tells none.
    pub hit: (&'static str, &'static str),
    /// A string with the keyword, or near it, that is not found.
    pub miss: &'static str,
    /// Where the string was read.
    pub seen: &'static str,
}

const fn c(
    name: &'static str,
    keyword: &'static str,
    pattern: &'static str,
    hit: (&'static str, &'static str),
    miss: &'static str,
    seen: &'static str,
) -> Component {
    Component { name, keyword, pattern, hit, miss, seen }
}

/// Every signature.
#[rustfmt::skip]
pub const COMPONENTS: &[Component] = &[
    c("BusyBox", "busybox v", r"BusyBox v(\d+\.\d+(?:\.\d+)?)",
        ("BusyBox v1.35.0 (Debian 1:1.35.0-4+deb12u1+b1)", "1.35.0"), "BusyBox vfork", "Debian busybox-static"),
    c("Linux kernel", "linux version ", r"Linux version (\d+\.\d+\.\d+)",
        ("Linux version 6.1.55 (build@host) (arm-linux-gcc) #1 SMP", "6.1.55"), "Linux version unknown", "a kernel's boot log"),
    c("U-Boot", "u-boot ", r"U-Boot (?:SPL )?(20\d\d\.\d\d(?:\.\d\d)?|1\.\d\.\d)",
        ("U-Boot 2023.01+dfsg-2+deb12u3 (Jun 22 2026 - 08:38:07 +0000)", "2023.01"), "U-Boot environment", "Debian u-boot-qemu"),
    c("OpenSSL", "openssl ", r"OpenSSL (\d\.\d\.\d{1,2}[a-z]{0,2})[ -]",
        ("OpenSSL 3.0.22 25 Aug 2026", "3.0.22"), "OpenSSL 3 or later", "Debian libssl3"),
    c("LibreSSL", "libressl ", r"LibreSSL (\d+\.\d+\.\d+)",
        ("LibreSSL 3.9.2", "3.9.2"), "LibreSSL or OpenSSL", "version text of its header"),
    c("BoringSSL", "boringssl", r"BoringSSL",
        ("OpenSSL 1.1.1 (compatible; BoringSSL)", ""), "BoringTun", "version text of its header"),
    c("mbed TLS", "mbed tls ", r"(?i:mbed TLS) (\d+\.\d+\.\d+)",
        ("mbed TLS 2.28.3", "2.28.3"), "mbed TLS error", "Debian libmbedcrypto7"),
    c("wolfSSL", "wolfssl ", r"wolfSSL (\d+\.\d+\.\d+)",
        ("wolfSSL 5.5.4", "5.5.4"), "wolfSSL error", "Debian libwolfssl35"),
    c("GnuTLS", "gnutls ", r"GnuTLS (\d+\.\d+\.\d+)",
        ("Enabled GnuTLS 3.7.9 logging...", "3.7.9"), "GnuTLS error", "Debian libgnutls30"),
    c("libgcrypt", "libgcrypt ", r"Libgcrypt (\d+\.\d+\.\d+)",
        ("This is Libgcrypt 1.10.1 - The GNU Crypto Library", "1.10.1"), "Libgcrypt warning", "Debian libgcrypt20"),
    c("Dropbear", "dropbear", r"dropbear[_ ]v?((?:20\d\d\.\d\d)|0\.\d\d)",
        ("SSH-2.0-dropbear_2022.83", "2022.83"), "/etc/dropbear/dropbear_rsa_host_key", "Debian dropbear-bin"),
    c("OpenSSH", "openssh_", r"OpenSSH_(\d+\.\d+(?:p\d+)?)(?:[^.*\d]|$)",
        ("OpenSSH_9.2p1 Debian-2+deb12u10", "9.2p1"), "OpenSSH_7.0*,OpenSSH_7.1*", "Debian openssh-server"),
    c("libssh", "libssh", r"libssh[_-](\d+\.\d+\.\d+)",
        ("SSH-2.0-libssh_0.10.6", "0.10.6"), "libssh.so.4", "Debian libssh-4"),
    c("libssh2", "libssh2_", r"libssh2_(\d+\.\d+\.\d+)",
        ("SSH-2.0-libssh2_1.10.0", "1.10.0"), "libssh2_session_init", "Debian libssh2-1"),
    c("curl", "libcurl/", r"libcurl/(\d+\.\d+\.\d+)",
        ("libcurl/7.88.1", "7.88.1"), "libcurl/ssl", "Debian libcurl4"),
    c("wget", "gnu wget", r"GNU Wget (?:%s,|(\d+\.\d+(?:\.\d+)?))",
        ("GNU Wget %s, a non-interactive network retriever.", ""), "Known Hosts database for GNU Wget.", "Debian wget"),
    c("dnsmasq", "dnsmasq-", r"dnsmasq-(\d+\.\d+)",
        ("dnsmasq-2.90", "2.90"), "dnsmasq-dhcp", "Debian dnsmasq-base"),
    c("lighttpd", "lighttpd/", r"lighttpd/(\d+\.\d+\.\d+)",
        ("lighttpd/1.4.69", "1.4.69"), "/etc/lighttpd/lighttpd.conf", "Debian lighttpd"),
    c("nginx", "nginx/", r"nginx/(\d+\.\d+\.\d+)",
        ("Server: nginx/1.22.1", "1.22.1"), "/etc/nginx/nginx.conf", "Debian nginx"),
    c("Apache httpd", "apache/", r"Apache/(\d+\.\d+\.\d+)",
        ("Apache/2.4.71 (Debian)", "2.4.71"), "apache/conf", "Debian apache2-bin"),
    c("thttpd", "thttpd/", r"thttpd/(\d+\.\d+[a-z0-9]{0,6})",
        ("thttpd/2.29 23May2018", "2.29"), "/var/thttpd/log", "its version header"),
    c("mini_httpd", "mini_httpd/", r"mini_httpd/(\d+\.\d+)",
        ("mini_httpd/1.30 26Oct2018", "1.30"), "/etc/mini_httpd/cert", "Debian mini-httpd"),
    c("Boa", "boa/", r"Boa/(\d+\.\d+\.\d+[a-z0-9]{0,5})",
        ("Boa/0.94.14rc21", "0.94.14rc21"), "/etc/boa/boa.conf", "its Server header"),
    c("GoAhead", "goahead", r"GoAhead-(?:Webs|http)(?:/(\d+\.\d+\.\d+))?",
        ("Server: GoAhead-Webs/2.5.0", "2.5.0"), "goahead.c", "its Server header"),
    c("mongoose", "mongoose/", r"Mongoose/(\d+\.\d+)",
        ("Server: Mongoose/6.18", "6.18"), "mongoose/mongoose.h", "its Server header"),
    c("hostapd", "hostapd v", r"hostapd v(?:%s|(\d+\.\d+))",
        ("hostapd v%s\nUser space daemon for IEEE 802.11 AP management", ""), "hostapd version", "Debian hostapd"),
    c("wpa_supplicant", "wpa_supplicant v", r"wpa_supplicant v(\d+\.\d+)",
        ("wpa_supplicant v2.10", "2.10"), "wpa_supplicant v%s", "Debian wpasupplicant"),
    c("mosquitto", "mosquitto version", r"mosquitto version (?:%s starting|(\d+\.\d+\.\d+))",
        ("mosquitto version %s starting", ""), "mosquitto version number", "Debian mosquitto"),
    c("Paho MQTT", "v3_version ", r"MQTT(?:Async|Client)V3_Version (\d+\.\d+\.\d+)",
        ("MQTTAsyncV3_Version 1.3.11", "1.3.11"), "MQTTAsyncV3_Version string", "Debian libpaho-mqtt1.3"),
    c("zlib", "deflate ", r"(?:de|in)flate (1\.\d\.\d{1,2}(?:\.\d)?) Copyright",
        ("deflate 1.2.13 Copyright 1995-2022 Jean-loup Gailly and Mark Adler", "1.2.13"), "deflate 1 block", "Debian zlib1g"),
    c("bzip2", "bzip2/libbzip2", r"bug in bzip2/libbzip2",
        ("bzip2/libbzip2: internal error number %d.\nThis is a bug in bzip2/libbzip2, %s.", ""), "bzip2/libbzip2.so", "Debian libbz2-1.0"),
    c("bzip2", "-jul-2019", r"(1\.0\.8), 13-Jul-2019",
        ("1.0.8, 13-Jul-2019", "1.0.8"), "13-Jul-2019", "Debian libbz2-1.0"),
    c("xz", "xz utils", r"xz \(XZ Utils\) (\d\.\d\.\d{1,2})",
        ("xz (XZ Utils) 5.4.1", "5.4.1"), "XZ Utils home page", "Debian xz-utils"),
    c("zstd", "zstandard cli", r"Zstandard CLI",
        ("Zstandard CLI", ""), "zstandard client", "Debian zstd"),
    c("LZO", "lzo version", r"LZO version: v(\d\.\d\d)",
        ("$Id: LZO version: v2.10, Mar 01 2017 $", "2.10"), "LZO version mismatch", "copyright text of its source"),
    c("libpng", "libpng version", r"libpng version (\d+\.\d+\.\d+)",
        ("libpng version 1.6.39 - November 20, 2022", "1.6.39"), "libpng version mismatch", "Debian libpng16-16"),
    c("libjpeg-turbo", "libjpeg-turbo version", r"libjpeg-turbo version (\d+\.\d+\.\d+)",
        ("libjpeg-turbo version 2.1.5 (build 20230203)", "2.1.5"), "libjpeg-turbo version of", "Debian libjpeg62-turbo"),
    c("libtiff", "libtiff, version", r"LIBTIFF, Version (\d+\.\d+\.\d+)",
        ("LIBTIFF, Version 4.5.0", "4.5.0"), "LIBTIFF, Version unknown", "Debian libtiff6"),
    c("SQLite", "unable to close due", r"unable to close due to unfinalized statements",
        ("unable to close due to unfinalized statements or unfinished backups", ""), "unable to close due to traffic", "Debian libsqlite3-0"),
    c("Lua", "lua 5.", r"Lua (5\.\d(?:\.\d)?)  ?Copyright",
        ("$LuaVersion: Lua 5.4.4  Copyright (C) 1994-2022 Lua.org, PUC-Rio $", "5.4.4"), "Lua 5.4 manual", "Debian liblua5.4-0"),
    c("Python", "python runtime", r"Python runtime state: ",
        ("Python runtime state: ", ""), "Python runtime services", "Debian python3.11-minimal"),
    c("Perl", "perl/5.", r"perl/(5\.\d+\.\d+)",
        ("/usr/share/perl/5.36.0", "5.36.0"), "perl/5.x", "Debian perl-base"),
    c("PHP", "php/", r"PHP/(\d+\.\d+\.\d+)",
        ("X-Powered-By: PHP/8.2.36", "8.2.36"), "/usr/lib/php/session", "Debian php8.2-cli"),
    c("Node.js", "node.js/v", r"[Nn]ode\.js/v(\d+\.\d+\.\d+)",
        ("node.js/v18.20.4", "18.20.4"), "node.js/version", "Debian libnode108"),
    c("GNU C Library", "gnu c library", r"GNU C Library [^\n]{0,80}version (\d\.\d+)",
        ("GNU C Library (Debian GLIBC 2.36-9+deb12u14) stable release version 2.36.", "2.36"), "the GNU C Library manual", "Debian libc6"),
    c("uClibc", "uclibc", r"uClibc(?:-ng)?[ -](\d+\.\d+\.\d+)",
        ("libuClibc-1.0.42.so", "1.0.42"), "ld-uClibc.so.1", "file names in images"),
    c("musl", "musl libc", r"musl libc \([^)\n]{1,24}\)",
        ("musl libc (x86_64)\nVersion %s\nDynamic Program Loader", ""), "musl libc support", "Debian musl"),
    c("GCC", "gcc: (", r"GCC: \([^)\n]{1,60}\) (\d+\.\d+\.\d+)",
        ("GCC: (Debian 12.2.0-14+deb12u1) 12.2.0", "12.2.0"), "GCC: (none)", "comment section of programs"),
    c("clang", "clang version", r"clang version (\d+\.\d+\.\d+)",
        ("Debian clang version 14.0.6", "14.0.6"), "clang version of", "comment section of programs"),
    c("rustc", "rustc version", r"rustc version (\d+\.\d+\.\d+)",
        ("rustc version 1.63.0 (4b91a6ea7 2022-08-08)", "1.63.0"), "rustc version string", "comment section of programs"),
    c("rustc", "/rustc-", r"/rustc-(\d+\.\d+\.\d+)/library/",
        ("/usr/src/rustc-1.63.0/library/std/src/io/mod.rs", "1.63.0"), "/rustc-wrapper", "Debian ripgrep"),
    c("Go", "go1.", r"\bgo(1\.\d{1,2}(?:\.\d{1,2})?)(?:[^0-9.]|$)",
        ("go1.19.8", "1.19.8"), "go1.13.go", "Debian mender-client"),
    c("FreeRTOS", "tmr svc", r"Tmr Svc",
        ("Tmr Svc", ""), "tmr svc", "name of its timer task"),
    c("FreeRTOS", "freertos kernel v", r"FreeRTOS Kernel V(\d+\.\d+\.\d+)",
        ("FreeRTOS Kernel V10.4.3", "10.4.3"), "FreeRTOS Kernel Version", "head of its sources"),
    c("Zephyr", "zephyr os", r"(?i:Booting Zephyr OS) (?:build |version )?(?:v|zephyr-v)?(\d+\.\d+\.\d+)",
        ("*** Booting Zephyr OS build zephyr-v3.4.0 ***", "3.4.0"), "Booting Zephyr OS soon", "its boot banner"),
    c("ThreadX", "threadx", r"ThreadX [^\n]{0,40}(?:Version|V)\s?G?(\d+\.\d+(?:\.\d+)?)",
        ("Microsoft Corporation.  *  ThreadX Cortex-M4/GNU Version 6.1.7 *", "6.1.7"), "ThreadX version", "version text of its ports"),
    c("ESP-IDF", "esp-idf", r"(?i:esp-idf)[-:/ ]{1,2}v(\d+\.\d+(?:\.\d+)?)",
        ("/opt/esp-idf-v5.1.2/components/freertos/tasks.c", "5.1.2"), "esp-idf-monitor", "paths in assertions"),
    c("ESP-IDF", "2nd stage boot", r"ESP-IDF %s 2nd stage bootloader",
        ("ESP-IDF %s 2nd stage bootloader", ""), "2nd stage bootstrap", "its boot loader"),
    c("Mbed OS", "mbedos error", r"\+\+ MbedOS Error Info \+\+",
        ("++ MbedOS Error Info ++", ""), "MbedOS error codes", "its error report"),
    c("RT-Thread", "- rt -", r"- RT -     Thread (?:Smart )?Operating System",
        ("- RT -     Thread Operating System", ""), "- RT - Thread", "its boot banner"),
    c("NuttX", "nuttx-", r"NuttX-(\d+\.\d+(?:\.\d+)?)",
        ("NuttShell (NSH) NuttX-12.3.0", "12.3.0"), "NuttX-apps", "its shell's greeting"),
    c("VxWorks kernel", "wind version", r"WIND version (\d+\.\d+)",
        ("WIND version 2.10", "2.10"), "WIND version number", "its kernel's version text"),
    c("RedBoot", "redboot(tm)", r"RedBoot\(tm\)[^\n]{0,80}\n[^\n]{0,40}elease, version ([\w.]{1,24})",
        ("RedBoot(tm) bootstrap and debug environment [ROMRAM]\nNon-certified release, version v1.3.0 - built 10:26:56, Oct 13 2009", "v1.3.0"), "RedBoot(tm) configuration", "its boot log"),
    c("lwIP", "lwip/", r"lwIP/(\d+\.\d+\.\d+)",
        ("Server: lwIP/2.1.3 (http://savannah.nongnu.org/projects/lwip)", "2.1.3"), "src/lwip/core", "its Server header"),
    c("miniupnpd", "miniupnpd", r"MiniUPnPd/(\d+\.\d+(?:\.\d+)?)",
        ("UPnP/1.1 MiniUPnPd/2.3.1", "2.3.1"), "/etc/miniupnpd.conf", "its Server header"),
    c("miniupnpd", "miniupnpd is", r"MiniUPnPd is already running",
        ("MiniUPnPd is already running. EXITING", ""), "miniupnpd is off", "Debian miniupnpd-nftables"),
    c("libupnp", "portable sdk for upnp", r"Portable SDK for UPnP devices/(\d+\.\d+\.\d+)",
        ("UPnP/1.0, Portable SDK for UPnP devices/1.6.18", "1.6.18"), "Portable SDK for UPnP devices", "its Server header"),
    c("Samba", "_samba4", r"(\d+\.\d+\.\d+)[A-Z_]{0,12}_SAMBA4",
        ("4.17.12_DEBIAN_SAMBA4", "4.17.12"), "libsmb_SAMBA4", "Debian samba-libs"),
    c("Samba", "samba ", r"Samba (\d+\.\d+\.\d+)",
        ("Samba 3.0.37", "3.0.37"), "Samba 4", "Samba 3"),
    c("pppd", "pppd ", r"pppd (?:version )?(2\.\d\.\d)",
        ("pppd 2.4.9", "2.4.9"), "pppd version %s", "Debian ppp"),
    c("iptables", "nf_tables)", r"(1\.\d\.\d{1,2}) \(nf_tables\)",
        ("1.8.9 (nf_tables)", "1.8.9"), "%s (nf_tables)", "Debian iptables"),
    c("iptables", "iptables v", r"iptables v(\d+\.\d+\.\d+)",
        ("iptables v1.4.21", "1.4.21"), "iptables version", "iptables 1.4"),
    c("OpenVPN", "openvpn ", r"OpenVPN (2\.\d+\.\d+) \S{3,60} \[",
        ("OpenVPN 2.6.14 x86_64-pc-linux-gnu [SSL (OpenSSL)] [LZO]", "2.6.14"), "OpenVPN 2.6.0 or higher", "Debian openvpn"),
    c("strongSwan", "strongswan ", r"strongSwan U?(\d+\.\d+\.\d+)",
        ("charon daemon (strongSwan 5.9.8, %s %s, %s)", "5.9.8"), "strongSwan IPsec", "Debian strongswan-charon"),
    c("WireGuard tools", "wireguard-tools v", r"wireguard-tools v(?:%s|(\d[\d.]{2,16}))",
        ("wireguard-tools v%s - https://git.zx2c4.com/wireguard-tools/", ""), "wireguard-tools via", "Debian wireguard-tools"),
    c("ntpd", "ntpd ", r"ntpd (4\.\d\.\d(?:p\d+)?)",
        ("ntpd 4.2.8p15@1.3728-o", "4.2.8p15"), "ntpd exiting", "version text of NTP"),
    c("NTPsec", "ntpsec-", r"ntpsec-(?:%s|(\d+\.\d+\.\d+))",
        ("ntpsec-%s", ""), "/etc/ntpsec-keys", "Debian ntpsec"),
    c("chrony", "chronyd ", r"chronyd (?:\(chrony\) )?version (?:%s|(\d+\.\d+))",
        ("chronyd version %s starting (%s)", ""), "chronyd already running", "Debian chrony"),
    c("Avahi", "avahi 0.", r"avahi (0\.\d{1,2})",
        ("avahi 0.8", "0.8"), "avahi 0.x", "Debian avahi-daemon"),
    c("D-Bus", "d-bus message", r"D-Bus Message Bus Daemon (?:%s|(\d+\.\d+\.\d+))",
        ("D-Bus Message Bus Daemon %s\nCopyright (C) 2002, 2003 Red Hat", ""), "D-Bus message type", "Debian dbus-daemon"),
    c("systemd", "systemd 2", r"systemd (2\d\d)(?:[^0-9]|$)",
        ("systemd 252.39-1~deb12u2 running in %ssystem mode", "252"), "systemd 2 units", "Debian systemd"),
    c("bash", "bash version", r"Bash version (\d+\.\d+\.\d+)",
        ("@(#)Bash version 5.2.15(1) release GNU", "5.2.15"), "bash version of", "Debian bash"),
    c("vsftpd", "vsftpd", r"vsFTPd (\d+\.\d+\.\d+)",
        ("(vsFTPd 3.0.3)", "3.0.3"), "/etc/vsftpd.conf", "Debian vsftpd"),
    c("ProFTPD", "proftpd", r"ProFTPD (?:Version )?(\d+\.\d+\.\d+)",
        ("ProFTPD Version 1.3.8", "1.3.8"), "/etc/proftpd/modules", "Debian proftpd-core"),
    c("Net-SNMP", "net-snmp", r"(?i:net-snmp)(?: version:?\s{1,2}|-)(\d+\.\d+(?:\.\d+)?)",
        ("net-snmp-5.9.3+dfsg=. -fstack-protector-strong", "5.9.3"), "net-snmp-config", "Debian libsnmp40"),
    c("expat", "expat_", r"expat_(\d+\.\d+\.\d+)",
        ("expat_2.5.0", "2.5.0"), "expat_config.h", "Debian libexpat1"),
    c("libxml2", "using libxml", r"libxml %d using libxml %d",
        ("Warning: program compiled against libxml %d using libxml %d", ""), "using libxml to read", "Debian libxml2"),
    c("PCRE2", "pcre2 does", r"PCRE2 does not support",
        ("PCRE2 does not support \\F, \\L, \\l", ""), "PCRE2 does match", "Debian libpcre2-8-0"),
    c("PCRE", "pcre does", r"PCRE does not support",
        ("PCRE does not support \\L, \\l", ""), "PCRE does match", "Debian libpcre3"),
    c("FFmpeg", "ffmpeg version", r"FFmpeg version n?(\d+\.\d+(?:\.\d+)?)",
        ("FFmpeg version 5.1.9-0+deb12u1", "5.1.9"), "FFmpeg version to the newest one from Git", "Debian libavutil57"),
    c("GStreamer", "gstreamer %d", r"GStreamer %d\.%d\.%d",
        ("GStreamer %d.%d.%d", ""), "GStreamer %dms", "Debian libgstreamer1.0-0"),
    c("BlueZ", "bluetooth daemon", r"Bluetooth daemon (?:%s|(\d\.\d+))",
        ("Bluetooth daemon %s", ""), "Bluetooth daemon stopped", "Debian bluez"),
    c("Qt", "qt ", r"Qt (\d\.\d+\.\d+) \(",
        ("Qt 5.15.8 (x86_64-little_endian-lp64 shared (dynamic) release build; by GCC 12.2.0)", "5.15.8"), "Qt 5 you must", "Debian libqt5core5a"),
    c("RAUC", "rauc ", r"rauc (\d+\.\d+(?:\.\d+)?)",
        ("rauc 1.8", "1.8"), "rauc install", "Debian rauc"),
    c("SWUpdate", "swupdate v", r"S[Ww][Uu]pdate v(?:\n|(20\d\d\.\d\d(?:\.\d)?))",
        ("SWUpdate v\n", ""), "SWUpdate version and exit", "Debian swupdate"),
    c("Mender", "mendersoftware/mender", r"mendersoftware/mender(?:@v(\d+\.\d+\.\d+))?/app",
        ("github.com/mendersoftware/mender/app", ""), "mendersoftware/mender-artifact", "Debian mender-client"),
    c("opkg", "opkg version", r"opkg version (\d+\.\d+\.\d+)",
        ("opkg version 0.6.1", "0.6.1"), "opkg version string", "its usage text"),
    c("libpcap", "libpcap version", r"libpcap version (\d+\.\d+\.\d+)",
        ("libpcap version 1.10.3 (with TPACKET_V3)", "1.10.3"), "libpcap version of", "Debian libpcap0.8"),
    c("libcoap", "libcoap ", r"libcoap (\d+\.\d+\.\d+)",
        ("libcoap 4.3.1", "4.3.1"), "libcoap not compiled", "Debian libcoap3"),
    c("dhcpcd", "dhcpcd", r"dhcpcd[- ](\d{1,2}\.\d{1,2}\.\d{1,2})",
        ("dhcpcd-9.4.1 starting", "9.4.1"), "/etc/dhcpcd.conf", "Debian dhcpcd-base"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::testing::whole;

    fn seen(path: &str, bytes: Vec<u8>) -> Vec<(&'static str, String)> {
        let found = whole(vec![(path, bytes)]);
        found.components.into_iter().map(|c| (c.name, c.version)).collect()
    }

    #[test]
    fn there_are_at_least_60_with_a_keyword_in_their_string() {
        let names: BTreeSet<&str> = COMPONENTS.iter().map(|c| c.name).collect();
        assert!(names.len() >= 60, "{}", names.len());
        for component in COMPONENTS {
            assert!(super::super::compile(component.pattern).is_some(), "{}", component.name);
            assert_eq!(component.keyword, component.keyword.to_lowercase());
            assert!(
                component.hit.0.to_lowercase().contains(component.keyword),
                "{}",
                component.name
            );
            assert!(!component.seen.is_empty(), "{}", component.name);
        }
    }

    #[test]
    fn each_is_found_in_a_program_by_its_string_and_not_in_text_or_by_another() {
        let program = |text: &str| [b"\0\0\x01\x02", text.as_bytes(), b"\0\0\xff\x03"].concat();
        let mut wrong = Vec::new();
        for component in COMPONENTS {
            let (text, version) = component.hit;
            let found = seen("bin/app", program(text));
            if !found.iter().any(|f| f.0 == component.name && f.1 == version) {
                wrong.push(format!("{} {text:?} found {found:?}", component.name));
            }
            let found = seen("bin/app", program(component.miss));
            if found.iter().any(|f| f.0 == component.name) {
                wrong.push(format!("{} {:?} found {found:?}", component.name, component.miss));
            }
            assert!(seen("doc/app.txt", text.into()).is_empty(), "{}", component.name);
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}
