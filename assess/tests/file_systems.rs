//! Every planted key is found in every wrapper. Each layout is made by the format's own
//! tool; a test fails when the tool is missing. Debian packages: squashfs-tools e2fsprogs
//! dosfstools mtools mtd-utils genromfs cramfsswap util-linux-extra u-boot-tools
//! device-tree-compiler android-sdk-libsparse-utils cpio zip bzip2 xz-utils zstd lz4 lzop
//! binutils fdisk openssl git.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop")]

mod plant;

use std::fs;

use plant::{HASH_TAIL, Plant, p};
use ringfort_assess::{Input, Options, run};

#[test]
fn a_bare_file_and_a_tree_list_both_places() {
    let plant = Plant::new();
    let found = plant.assess(&plant.root);
    assert_eq!(plant.places(&found), 2);
}

#[test]
fn a_clean_twin_has_no_high_finding() {
    let plant = Plant::new();
    fs::remove_file(plant.root.join("etc/ssl/device.key")).unwrap();
    fs::remove_file(plant.root.join("www/backup.pem")).unwrap();
    fs::remove_file(plant.root.join("etc/shadow")).unwrap();
    let image = plant.path("clean.sqsh");
    plant.run("mksquashfs", &[p(&plant.root), p(&image), "-quiet", "-no-progress"]);
    let found = plant.assess(&image);
    assert_eq!(found.exit, 0, "{:#?}", found.findings);
    assert!(found.inputs[0].coverage.unread == 0, "{:?}", found.inputs[0]);
}

#[test]
fn squashfs_with_every_compression() {
    let plant = Plant::new();
    for kind in ["gzip", "xz", "zstd", "lzo", "lz4", "lzma"] {
        let image = plant.path(&format!("{kind}.sqsh"));
        plant.run(
            "mksquashfs",
            &[p(&plant.root), p(&image), "-comp", kind, "-quiet", "-no-progress"],
        );
        plant.holds(&image, "squashfs@0x0");
    }
    // Without fragments, and with blocks that are not compressed.
    let image = plant.path("plain.sqsh");
    plant.run(
        "mksquashfs",
        &[p(&plant.root), p(&image), "-no-fragments", "-noD", "-noI", "-quiet", "-no-progress"],
    );
    plant.holds(&image, "squashfs@0x0");
}

#[test]
fn ext2_ext3_ext4() {
    let plant = Plant::new();
    for kind in ["ext2", "ext3", "ext4"] {
        let image = plant.path(kind);
        plant.run("mke2fs", &["-q", "-t", kind, "-d", p(&plant.root), p(&image), "16M"]);
        plant.holds(&image, "ext@0x0");
    }
}

#[test]
fn fat_of_three_widths() {
    let plant = Plant::new();
    for (width, kib) in [("12", "4096"), ("16", "16384"), ("32", "66000")] {
        let image = plant.path(&format!("fat{width}"));
        plant.run("mkfs.vfat", &["-F", width, "-C", p(&image), kib]);
        for entry in ["etc", "www", "pad.bin"] {
            plant.run("mcopy", &["-s", "-i", p(&image), p(&plant.root.join(entry)), "::"]);
        }
        plant.holds(&image, "fat@0x0");
    }
}

#[test]
fn jffs2_of_both_byte_orders() {
    let plant = Plant::new();
    for order in ["-l", "-b"] {
        let image = plant.path(&format!("jffs2{order}"));
        plant.run(
            "mkfs.jffs2",
            &[order, "-r", p(&plant.root), "-o", p(&image), "-e", "64KiB", "-p"],
        );
        plant.holds(&image, "jffs2@0x0");
    }
}

#[test]
fn ubifs_in_ubi_with_every_compression() {
    let plant = Plant::new();
    for kind in ["none", "lzo", "zlib", "zstd"] {
        let (volume, image, config) =
            (plant.path("vol"), plant.path(&format!("ubi-{kind}")), plant.path("ubi.ini"));
        plant.run(
            "mkfs.ubifs",
            &[
                "-r",
                p(&plant.root),
                "-m",
                "2048",
                "-e",
                "126976",
                "-c",
                "200",
                "-x",
                kind,
                "-o",
                p(&volume),
            ],
        );
        plant.holds(&volume, "ubifs@0x0");
        fs::write(&config, format!("[rootfs]\nmode=ubi\nimage={}\nvol_id=0\nvol_type=dynamic\nvol_name=rootfs\nvol_size=20MiB\n", volume.display())).unwrap();
        plant.run("ubinize", &["-o", p(&image), "-m", "2048", "-p", "128KiB", p(&config)]);
        plant.holds(&image, "ubi@0x0!/rootfs!ubifs@0x0");
    }
}

#[test]
fn cramfs_and_romfs() {
    let plant = Plant::new();
    let image = plant.path("cramfs");
    plant.run("mkfs.cramfs", &[p(&plant.root), p(&image)]);
    plant.holds(&image, "cramfs@0x0");
    let swapped = plant.path("cramfs.be");
    plant.run("cramfsswap", &[p(&image), p(&swapped)]);
    plant.holds(&swapped, "cramfs@0x0");
    let image = plant.path("romfs");
    plant.run("genromfs", &["-d", p(&plant.root), "-f", p(&image)]);
    plant.holds(&image, "romfs@0x0");
}

#[test]
fn streams_around_a_tar() {
    let plant = Plant::new();
    let tar = plant.tar();
    plant.holds(&tar, "tar@0x0");
    for (tool, options, ending, format) in [
        ("gzip", "-kf", "gz", "gzip"),
        ("bzip2", "-kf", "bz2", "bzip2"),
        ("xz", "-kf", "xz", "xz"),
        ("lzop", "-f", "lzo", "lzop"),
        ("zstd", "-qf", "zst", "zstd"),
    ] {
        plant.run(tool, &[options, p(&tar)]);
        plant.holds(&tar.with_extension(format!("tar.{ending}")), &format!("{format}@0x0!tar@0x0"));
    }
    plant.run("xz", &["-kf", "--format=lzma", p(&tar)]);
    plant.holds(&tar.with_extension("tar.lzma"), "lzma@0x0!tar@0x0");
    for (options, name) in
        [(&["-qf"][..], "a.lz4"), (&["-qlf"][..], "b.lz4"), (&["-qf", "-BD", "-B4"][..], "c.lz4")]
    {
        let out = plant.path(name);
        let mut all = options.to_vec();
        all.extend([p(&tar), p(&out)]);
        plant.run("lz4", &all);
        plant.holds(&out, "lz4@0x0!tar@0x0");
    }
}

#[test]
fn archives_zip_cpio_ar() {
    let plant = Plant::new();
    let zip = plant.path("a.zip");
    plant.shell(&format!("cd {} && zip -qr {} .", p(&plant.root), p(&zip)));
    plant.holds(&zip, "zip@0x0");
    for kind in ["newc", "odc", "crc", "bin"] {
        let out = plant.path(&format!("{kind}.cpio"));
        plant.shell(&format!(
            "cd {} && find . | cpio -o -H {kind} --quiet > {}",
            p(&plant.root),
            p(&out)
        ));
        plant.holds(&out, "cpio@0x0");
    }
    let (tar, ar) = (plant.tar(), plant.path("a.deb"));
    plant.run("gzip", &["-kf", p(&tar)]);
    plant.run("ar", &["rc", p(&ar), p(&tar.with_extension("tar.gz"))]);
    plant.holds(&ar, "ar@0x0!rootfs.tar.gz!gzip@0x0!tar@0x0");
}

#[test]
fn partition_tables_and_raw_flash() {
    let plant = Plant::new();
    let squash = plant.squash();
    let body = fs::read(&squash).unwrap();
    for (label, format) in [("gpt", "gpt@0x0!"), ("dos", "mbr@0x0!")] {
        let disk = plant.path(label);
        fs::write(&disk, vec![0; 16 << 20]).unwrap();
        plant.shell(&format!(
            "printf 'label: {label}\\nstart=2048, size=20480\\n' | sfdisk -q {}",
            p(&disk)
        ));
        let mut bytes = fs::read(&disk).unwrap();
        bytes[2048 * 512..2048 * 512 + body.len()].copy_from_slice(&body);
        fs::write(&disk, bytes).unwrap();
        plant.holds(&disk, format);
    }
    // No table at all: a boot loader's bytes, then the file system.
    let flash = plant.path("flash.bin");
    let mut bytes: Vec<u8> = (0..0x10000u32).map(|i| (i * 7 % 61) as u8).collect();
    bytes.extend_from_slice(&body);
    bytes.resize(2 << 20, 0xff);
    fs::write(&flash, bytes).unwrap();
    plant.holds(&flash, "squashfs@0x10000!/etc/ssl/device.key");
}

#[test]
fn u_boot_images_and_android_sparse() {
    let plant = Plant::new();
    let squash = plant.squash();
    let uimage = plant.path("uImage");
    plant.run(
        "mkimage",
        &[
            "-A",
            "arm",
            "-T",
            "filesystem",
            "-C",
            "none",
            "-n",
            "root",
            "-d",
            p(&squash),
            p(&uimage),
        ],
    );
    let found = plant.holds(&uimage, "uimage@0x0!/root!squashfs@0x0");
    assert!(found.findings.iter().any(|f| f.rule == "U-009"));
    let (source, fit) = (plant.path("fit.its"), plant.path("fit.itb"));
    fs::write(&source, format!("/dts-v1/; / {{ description = \"x\"; images {{ rootfs {{ description = \"r\"; data = /incbin/(\"{}\"); type = \"ramdisk\"; arch = \"arm\"; os = \"linux\"; compression = \"none\"; hash-1 {{ algo = \"sha256\"; }}; }}; }}; configurations {{ default = \"c\"; c {{ ramdisk = \"rootfs\"; }}; }}; }};", squash.display())).unwrap();
    plant.run("mkimage", &["-f", p(&source), p(&fit)]);
    let found = plant.holds(&fit, "fit@0x0!/rootfs!squashfs@0x0");
    assert!(found.findings.iter().any(|f| f.rule == "U-008"));
    plant.run("mkimage", &["-E", "-f", p(&source), p(&fit)]);
    plant.holds(&fit, "fit@0x0!/rootfs!squashfs@0x0");
    let (ext, sparse) = (plant.path("ext4"), plant.path("sparse"));
    plant.run("mke2fs", &["-q", "-t", "ext4", "-d", p(&plant.root), p(&ext), "16M"]);
    plant.run("img2simg", &[p(&ext), p(&sparse)]);
    plant.holds(&sparse, "android-sparse@0x0!ext@0x0");
}

#[test]
fn firmware_as_text_and_a_key_in_elf_data() {
    let plant = Plant::new();
    let squash = plant.squash();
    for (format, name) in [("ihex", "intel-hex"), ("srec", "srec")] {
        let out = plant.path(format);
        plant.run("objcopy", &["-I", "binary", "-O", format, p(&squash), p(&out)]);
        plant.holds(&out, &format!("{name}@0x0!/0x00000000!squashfs@0x0"));
    }
    let der = plant.path("key.der");
    plant.run(
        "openssl",
        &[
            "pkcs8",
            "-topk8",
            "-nocrypt",
            "-in",
            p(&plant.root.join("etc/ssl/device.key")),
            "-outform",
            "DER",
            "-out",
            p(&der),
        ],
    );
    let elf = plant.path("key.elf");
    plant.run("objcopy", &["-I", "binary", "-O", "elf64-x86-64", p(&der), p(&elf)]);
    assert_eq!(plant.places(&plant.assess(&elf)), 1);
}

#[test]
fn git_history_keeps_what_the_tree_has_lost() {
    let plant = Plant::new();
    let root = p(&plant.root);
    let git = "GIT_CONFIG_GLOBAL=/dev/null git -c user.name=a -c user.email=a@b -c init.defaultBranch=main";
    plant.shell(&format!("cd {root} && {git} init -q && {git} add -A && {git} commit -qm one && rm etc/ssl/device.key www/backup.pem && {git} add -A && {git} commit -qm two"));
    assert_eq!(plant.places(&plant.assess(&plant.root)), 1, "loose objects: one blob");
    plant.shell(&format!("cd {root} && {git} gc -q --aggressive --prune=now"));
    let found = plant.assess(&plant.root);
    let key = found.findings.iter().find(|f| f.rule == "K-002").unwrap();
    let path = &key.locations[0].path;
    assert!(
        path.contains("git-pack@0x0!/")
            && (path.contains("device.key@") || path.contains("backup.pem@")),
        "{path}"
    );
}

#[test]
fn truncated_images_say_so_and_do_not_panic() {
    let plant = Plant::new();
    let bytes = fs::read(plant.squash()).unwrap();
    let cut = plant.path("cut.sqsh");
    fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let found = plant.assess(&cut);
    assert!(!found.inputs[0].unread.is_empty());
}

#[test]
fn one_key_and_one_hash_in_two_images_are_shared() {
    let plant = Plant::new();
    let squash = plant.squash();
    let ext = plant.path("second.ext4");
    plant.run("mke2fs", &["-q", "-t", "ext4", "-d", p(&plant.root), p(&ext), "16M"]);
    let one = plant.assess(&squash);
    assert_eq!(one.shared, ringfort_assess::Shared::NotTested);
    let options = Options::default();
    let both = run(&[Input::Path(squash), Input::Path(ext)], &options, &mut ());
    let rules: Vec<_> = both.findings.iter().map(|f| f.rule).collect();
    assert!(rules.contains(&"K-001") && rules.contains(&"K-007"), "{rules:?}");
    let screen = ringfort_assess::report::screen(&both);
    assert!(screen.lines().count() <= 24, "{screen}");
    assert!(screen.contains("YES: 1 private key, 1 password hash"), "{screen}");
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let plant = Plant::new();
    let image = plant.squash();
    let (a, b) = (plant.assess(&image), plant.assess(&image));
    use ringfort_assess::report::{html, json, sarif};
    assert_eq!(json(&a).unwrap(), json(&b).unwrap());
    assert_eq!(sarif(&a).unwrap(), sarif(&b).unwrap());
    assert_eq!(html(&a).unwrap(), html(&b).unwrap());
}

#[test]
fn a_secret_is_in_no_report() {
    let plant = Plant::new();
    let found = plant.assess(&plant.squash());
    let all = ringfort_assess::report::json(&found).unwrap()
        + &ringfort_assess::report::sarif(&found).unwrap()
        + &ringfort_assess::report::html(&found).unwrap();
    let key = fs::read_to_string(plant.root.join("etc/ssl/device.key")).unwrap();
    let line = key.lines().nth(1).unwrap();
    assert!(!all.contains(line) && !all.contains(HASH_TAIL));
}
