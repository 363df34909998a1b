//! Components that give away their name and version in a string. What is found is a
//! list of parts, not a list of vulnerabilities.

/// One signature.
#[derive(Debug)]
pub struct Component {
    /// Name of the component.
    pub name: &'static str,
    /// A word (lower case) that must be near.
    pub keyword: &'static str,
    /// Regular expression; group 1 is the version.
    pub pattern: &'static str,
}

const fn c(name: &'static str, keyword: &'static str, pattern: &'static str) -> Component {
    Component { name, keyword, pattern }
}

/// Every signature.
pub const COMPONENTS: &[Component] = &[
    c("BusyBox", "busybox v", r"BusyBox v(\d+\.\d+(?:\.\d+)?)"),
    c("Linux kernel", "linux version ", r"Linux version (\d+\.\d+\.\d+)"),
    c("U-Boot", "u-boot ", r"U-Boot (?:SPL )?(20\d\d\.\d\d(?:\.\d\d)?|1\.\d\.\d)"),
    c("OpenSSL", "openssl ", r"OpenSSL (\d\.\d\.\d{1,2}[a-z]{0,2})[ -]"),
    c("LibreSSL", "libressl ", r"LibreSSL (\d+\.\d+\.\d+)"),
    c("BoringSSL", "boringssl", r"(BoringSSL)"),
    c("mbed TLS", "mbed tls ", r"(?i:mbed TLS) (\d+\.\d+\.\d+)"),
    c("wolfSSL", "wolfssl ", r"wolfSSL (\d+\.\d+\.\d+)"),
    c("GnuTLS", "gnutls ", r"GnuTLS (\d+\.\d+\.\d+)"),
    c("libgcrypt", "libgcrypt ", r"Libgcrypt (\d+\.\d+\.\d+)"),
    c("Dropbear", "dropbear", r"dropbear[_ ]v?((?:20\d\d\.\d\d)|0\.\d\d)"),
    c("OpenSSH", "openssh_", r"OpenSSH_(\d+\.\d+(?:p\d+)?)"),
    c("libssh", "libssh", r"libssh[_-](\d+\.\d+\.\d+)"),
    c("libssh2", "libssh2_", r"libssh2_(\d+\.\d+\.\d+)"),
    c("curl", "libcurl/", r"libcurl/(\d+\.\d+\.\d+)"),
    c("wget", "gnu wget", r"GNU Wget (?:\()?(\d+\.\d+(?:\.\d+)?)"),
    c("dnsmasq", "dnsmasq-", r"dnsmasq-(\d+\.\d+)"),
    c("lighttpd", "lighttpd/", r"lighttpd/(\d+\.\d+\.\d+)"),
    c("nginx", "nginx/", r"nginx/(\d+\.\d+\.\d+)"),
    c("Apache httpd", "apache/", r"Apache/(\d+\.\d+\.\d+)"),
    c("thttpd", "thttpd/", r"thttpd/(\d+\.\d+[a-z0-9]{0,6})"),
    c("mini_httpd", "mini_httpd/", r"mini_httpd/(\d+\.\d+)"),
    c("Boa", "boa/", r"Boa/(\d+\.\d+\.\d+[a-z0-9]{0,5})"),
    c("GoAhead", "goahead", r"GoAhead(?:-Webs|-http)?[/ ](\d+\.\d+\.\d+)"),
    c("mongoose", "mongoose/", r"Mongoose/(\d+\.\d+)"),
    c("hostapd", "hostapd v", r"hostapd v(\d+\.\d+)"),
    c("wpa_supplicant", "wpa_supplicant v", r"wpa_supplicant v(\d+\.\d+)"),
    c("mosquitto", "mosquitto version", r"mosquitto version (\d+\.\d+\.\d+)"),
    c("Paho MQTT", "eclipse paho", r"(Eclipse Paho)"),
    c("zlib", "deflate ", r"(?:de|in)flate (1\.\d\.\d{1,2}(?:\.\d)?) Copyright"),
    c("bzip2", "bzip2", r"bzip2/libbzip2[^\n]{0,80}|bzip2, [^\n]{0,40}Version (\d\.\d\.\d)"),
    c("xz", "liblzma", r"(?:xz|liblzma) \(?(?:XZ Utils\) )?(\d\.\d\.\d)"),
    c("zstd", "zstandard", r"Zstandard[^\n]{0,24} v?(\d+\.\d+\.\d+)"),
    c("LZO", "lzo data compression", r"LZO data compression library[^\n]{0,40}?v(\d\.\d\d)"),
    c("libpng", "libpng version", r"libpng version (\d+\.\d+\.\d+)"),
    c("libjpeg-turbo", "libjpeg-turbo version", r"libjpeg-turbo version (\d+\.\d+\.\d+)"),
    c("libtiff", "libtiff, version", r"LIBTIFF, Version (\d+\.\d+\.\d+)"),
    c("SQLite", "sqlite", r"SQLite (?:format )?(3\.\d+\.\d+)"),
    c("Lua", "lua 5.", r"Lua (5\.\d(?:\.\d)?)  ?Copyright"),
    c("Python", "python ", r"Python (\d\.\d{1,2}\.\d{1,2}) \("),
    c("Perl", "perl v", r"perl[ ,]v?(5\.\d+\.\d+)"),
    c("PHP", "php/", r"PHP/(\d+\.\d+\.\d+)"),
    c("Node.js", "node.js/v", r"[Nn]ode\.js/v(\d+\.\d+\.\d+)"),
    c("GNU C Library", "gnu c library", r"GNU C Library [^\n]{0,80}version (\d\.\d+)"),
    c("uClibc", "uclibc", r"uClibc(?:-ng)?[ -](\d+\.\d+\.\d+)"),
    c("musl", "musl libc", r"musl libc \([^)\n]{1,24}\)\nVersion (\d+\.\d+\.\d+)|musl libc"),
    c("GCC", "gcc: (", r"GCC: \([^)\n]{1,60}\) (\d+\.\d+\.\d+)"),
    c("clang", "clang version", r"clang version (\d+\.\d+\.\d+)"),
    c("rustc", "rustc version", r"rustc version (\d+\.\d+\.\d+)"),
    c("Go", "go1.", r"\bgo(1\.\d{1,2}(?:\.\d{1,2})?)(?:[^0-9.]|$)"),
    c("FreeRTOS", "freertos kernel v", r"FreeRTOS Kernel V(\d+\.\d+\.\d+)"),
    c(
        "Zephyr",
        "zephyr os",
        r"Booting Zephyr OS (?:build |version )?(?:v|zephyr-v)?(\d+\.\d+\.\d+)",
    ),
    c(
        "ThreadX",
        "threadx",
        r"ThreadX [^\n]{0,40}(?:Version|V)\s?(\d+\.\d+)|(?:Eclipse|Azure) ThreadX",
    ),
    c("ESP-IDF", "esp-idf", r"ESP-IDF:? v?(\d+\.\d+(?:\.\d+)?)"),
    c("Mbed OS", "mbed os", r"[Mm]bed OS[ -]v?(\d+\.\d+\.\d+)"),
    c("RT-Thread", "rt-thread", r"RT-Thread[^\n]{0,30}?(\d+\.\d+\.\d+)"),
    c("NuttX", "nuttx", r"NuttX[- ](\d+\.\d+(?:\.\d+)?)"),
    c("VxWorks", "vxworks", r"VxWorks ?(\d+\.\d+(?:\.\d+)?)"),
    c("eCos", "ecos ", r"eCos (\d+\.\d+)"),
    c("lwIP", "lwip/", r"lwIP/(\d+\.\d+\.\d+)"),
    c("miniupnpd", "miniupnpd", r"MiniUPnPd/(\d+\.\d+(?:\.\d+)?)"),
    c("libupnp", "portable sdk for upnp", r"Portable SDK for UPnP devices/(\d+\.\d+\.\d+)"),
    c("Samba", "samba ", r"Samba (\d+\.\d+\.\d+)"),
    c("pppd", "pppd ", r"pppd (?:version )?(2\.\d\.\d)"),
    c("iptables", "iptables v", r"iptables v(\d+\.\d+\.\d+)"),
    c("OpenVPN", "openvpn ", r"OpenVPN (\d+\.\d+\.\d+)"),
    c("strongSwan", "strongswan ", r"strongSwan (\d+\.\d+\.\d+)"),
    c("WireGuard", "wireguard-", r"wireguard-(?:go|tools) v?(\d[\d.]{2,16})"),
    c("ntpd", "ntpd ", r"ntpd (4\.\d\.\d(?:p\d+)?)"),
    c("chrony", "chronyd", r"chronyd? (?:\(chrony\) )?version (\d+\.\d+)"),
    c("Avahi", "avahi-daemon", r"avahi-daemon (\d+\.\d+)"),
    c("D-Bus", "d-bus ", r"D-Bus (?:Message Bus Daemon )?(\d+\.\d+\.\d+)"),
    c("systemd", "systemd ", r"systemd (2\d\d)(?:[^0-9]|$)"),
    c("bash", "gnu bash", r"GNU bash, version (\d+\.\d+)"),
    c("vsftpd", "vsftpd", r"vsFTPd (\d+\.\d+\.\d+)"),
    c("ProFTPD", "proftpd", r"ProFTPD (\d+\.\d+\.\d+)"),
    c("Net-SNMP", "net-snmp", r"NET-SNMP version:?\s{1,2}(\d+\.\d+(?:\.\d+)?)"),
    c("expat", "expat_", r"expat_(\d+\.\d+\.\d+)"),
    c("libxml2", "libxml2", r"libxml2[- ]v?(2\.\d+\.\d+)"),
    c("PCRE", "pcre", r"PCRE2? version (\d+\.\d+)"),
    c("FFmpeg", "ffmpeg version", r"FFmpeg version n?(\d+\.\d+(?:\.\d+)?)"),
    c("GStreamer", "gstreamer ", r"GStreamer (1\.\d+\.\d+)"),
    c("BlueZ", "bluetooth daemon", r"Bluetooth daemon (\d\.\d+)"),
    c("Qt", "qt ", r"Qt (\d\.\d+\.\d+) \("),
    c("RAUC", "rauc ", r"rauc (\d+\.\d+(?:\.\d+)?)"),
    c("SWUpdate", "swupdate v", r"[Ss]wupdate v(20\d\d\.\d\d(?:\.\d)?)"),
    c("Mender", "mender ", r"mender (\d+\.\d+\.\d+)"),
    c("opkg", "opkg version", r"opkg version (\d+\.\d+\.\d+)"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_at_least_60_and_all_compile() {
        assert!(COMPONENTS.len() >= 60);
        for component in COMPONENTS {
            assert!(super::super::compile(component.pattern).is_some(), "{}", component.name);
            assert_eq!(component.keyword, component.keyword.to_lowercase());
        }
    }
}
