//! Where a key could lie and be passed over while the report says that everything was read. Each
//! test is named after the place; a test fails when a tool is missing.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop")]

mod plant;

use std::{fs, path::Path};

use plant::{Plant, p};
use ringfort_assess::{Assessment, Input, Options, model::Unread, run};

#[test]
fn behind_the_text_of_an_installer_script() {
    let plant = Plant::new();
    let script = "#!/bin/sh\n".to_owned() + &"# lines of an installer\n".repeat(900) + "exit 0\n";
    for (name, payload) in
        [("tgz", gzip(&plant.tar())), ("sqsh", fs::read(plant.squash()).unwrap())]
    {
        let found = plant.holds(&plant.file(name, &[script.as_bytes(), &payload].concat()), "@0x");
        assert!(found.inputs[0].coverage.understood > script.len() as u64);
    }
}

#[test]
fn a_text_with_a_stray_control_character_stays_a_text() {
    let text = "hello\n".repeat(2000) + "\x01\n" + &"hello\n".repeat(2000);
    let found = bytes("a.txt", text.as_bytes());
    assert_eq!(found.inputs[0].coverage.understood, text.len() as u64);
}

#[test]
fn behind_a_header_that_begins_like_a_font_or_a_picture() {
    let plant = Plant::new();
    let image = fs::read(plant.squash()).unwrap();
    for (name, head) in [
        ("font", b"\0\x01\0\0\0\x10\0\x80\0\x03\0\x20".as_slice()),
        ("icon", b"\0\0\x01\0\x01\0vendor"),
        ("bitmap", b"BM6ACME firmware"),
        (
            "gif",
            b"GIF89a\x01\0\x01\0\x80\0\0\xff\xff\xff\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;",
        ),
    ] {
        plant.holds(&plant.file(name, &[head, &image].concat()), "squashfs@0x");
    }
}

#[test]
fn in_the_first_of_two_zip_archives_one_behind_the_other() {
    let plant = Plant::new();
    let zip = plant.zip("");
    let found = plant.assess(&plant.file("two.zip", &[zip.clone(), zip].concat()));
    assert_eq!(plant.places(&found), 4, "{:#?}", found.inputs);
}

#[test]
fn in_a_zip_archive_far_before_the_end_and_in_one_written_to_a_pipe() {
    let plant = Plant::new();
    // Compressible, so that only the archive is of interest.
    let rest = b"0123456789abcdef".repeat(10_000);
    for (name, flags) in [("plain", ""), ("pipe", "-")] {
        let whole = [b"head of a vendor".to_vec(), plant.zip(flags), rest.clone()].concat();
        plant.holds(&plant.file(name, &whole), "zip@0x10");
    }
}

#[test]
fn between_the_members_of_a_zip_archive() {
    let plant = Plant::new();
    let zip = plant.zip("");
    let key = fs::read(plant.root.join("www/backup.pem")).unwrap();
    // The directory moves, and with it what tells where it starts.
    let end = zip.len() - 22;
    let at = u32::from_le_bytes(zip[end + 16..end + 20].try_into().unwrap()) as usize;
    let filler = b"a comment of an author who has much to say. ".repeat(40);
    let mut whole = [&zip[..at], &filler, &key, &zip[at..]].concat();
    let moved = (at + filler.len() + key.len()) as u32;
    let end = whole.len() - 22;
    whole[end + 16..end + 20].copy_from_slice(&moved.to_le_bytes());
    let found = plant.assess(&plant.file("gap.zip", &whole));
    assert_eq!(plant.places(&found), 3, "{:#?}", found.inputs);
}

#[test]
fn behind_a_damaged_header_of_a_tar_or_cpio_archive() {
    let plant = Plant::new();
    let mut tar = fs::read(plant.tar()).unwrap();
    let at = position(&tar, b"./www/index.html");
    tar[at..at + 148].fill(0x5a);
    let found = plant.assess(&plant.file("damaged.tar", &tar));
    assert_eq!(plant.places(&found), 2, "{:#?}", found.inputs);
    assert!(noted(&found, "tar header"));
    let cpio = plant.path("root.cpio");
    plant.shell(&format!(
        "cd {} && find . | LC_ALL=C sort | cpio -o -H newc --quiet > {}",
        p(&plant.root),
        p(&cpio)
    ));
    let mut cpio = fs::read(cpio).unwrap();
    let at = position(&cpio, b"pad.bin\0") - 110;
    cpio[at..at + 6].fill(b'X');
    let found = plant.assess(&plant.file("damaged.cpio", &cpio));
    assert_eq!(plant.places(&found), 2, "{:#?}", found.inputs);
    assert!(noted(&found, "cpio header"));
}

#[test]
fn in_a_tar_member_of_a_kind_that_nobody_knows() {
    let plant = Plant::new();
    let tar = fs::read(plant.tar()).unwrap();
    for kind in [b'Z', b'A', b'5'] {
        let mut tar = tar.clone();
        let at = position(&tar, b"./www/backup.pem");
        tar[at + 156] = kind;
        tar[at + 148..at + 156].fill(b' ');
        let sum: u32 = tar[at..at + 512].iter().map(|b| u32::from(*b)).sum();
        tar[at + 148..at + 155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        plant.holds(&plant.file("kind.tar", &tar), "tar@0x0!./www/backup.pem");
    }
}

#[test]
fn in_a_tar_archive_without_a_magic_number() {
    let plant = Plant::new();
    let tar = plant.path("v7.tar");
    plant.run("tar", &["--format=v7", "-cf", p(&tar), "-C", p(&plant.root), "."]);
    plant.holds(&tar, "tar@0x0!./etc/ssl/device.key");
}

#[test]
fn in_a_file_that_was_deleted() {
    let plant = Plant::new();
    let key = fs::read(plant.root.join("etc/ssl/device.key")).unwrap();
    for size in ["1024", "4096"] {
        let image = plant.path(&format!("ext-{size}"));
        plant.run(
            "mke2fs",
            &["-q", "-t", "ext4", "-b", size, "-d", p(&plant.root), p(&image), "16M"],
        );
        plant.run("debugfs", &["-w", "-R", "rm /www/backup.pem", p(&image)]);
        plant.holds(&image, "(unclaimed 0x");
    }
    let fat = plant.path("fat");
    plant.run("mkfs.vfat", &["-C", p(&fat), "4096"]);
    let file = plant.file("gone.key", &key);
    plant.run("mcopy", &["-i", p(&fat), p(&file), "::"]);
    plant.run("mdel", &["-i", p(&fat), "::gone.key"]);
    let found = plant.assess(&fat);
    assert_eq!(plant.places(&found), 1, "{:#?}", found.inputs);
}

#[test]
fn in_an_ext4_file_that_lies_in_its_inode() {
    let plant = Plant::new();
    let image = plant.path("inline");
    let options = ["-q", "-t", "ext4", "-O", "inline_data", "-I", "1024"];
    plant.run("mke2fs", &[&options[..], &["-d", p(&plant.root), p(&image), "16M"]].concat());
    plant.holds(&image, "ext@0x0!/etc/ssl/device.key");
}

#[test]
fn in_ext4_with_clusters_or_with_descriptors_in_every_group() {
    let plant = Plant::new();
    for (name, options) in [
        ("clusters", "-b 1024 -O bigalloc -C 16384"),
        ("groups", "-b 1024 -O meta_bg,^resize_inode -g 256"),
    ] {
        let image = plant.path(name);
        plant.shell(&format!(
            "mke2fs -q -t ext4 {options} -d {} {} 16M",
            p(&plant.root),
            p(&image)
        ));
        plant.holds(&image, "ext@0x0!/etc/ssl/device.key");
    }
}

#[test]
fn under_one_of_two_names_that_differ_outside_utf_8() {
    use std::os::unix::ffi::OsStrExt;
    let plant = Plant::new();
    let from = plant.root.join("etc/ssl/device.key");
    for name in [b"www/schl\xfcssel.key".as_slice(), b"www/schl\xf6ssel.key"] {
        fs::copy(&from, plant.root.join(std::ffi::OsStr::from_bytes(name))).unwrap();
    }
    let ubifs = plant.path("ubifs");
    plant.shell(&format!(
        "mkfs.ubifs -r {} -m 2048 -e 126976 -c 100 -o {}",
        p(&plant.root),
        p(&ubifs)
    ));
    let jffs2 = plant.path("jffs2");
    plant.run("mkfs.jffs2", &["-l", "-r", p(&plant.root), "-o", p(&jffs2), "-e", "64KiB"]);
    for image in [ubifs, jffs2, plant.squash()] {
        let found = plant.assess(&image);
        assert_eq!(plant.places(&found), 4, "{image:?} {:#?}", found.findings);
    }
}

#[test]
fn beside_a_directory_that_is_too_deep() {
    let plant = Plant::new();
    fs::create_dir_all(plant.root.join("aa/".repeat(80))).unwrap();
    fs::write(plant.root.join("aa/".repeat(80)).join("end"), "end").unwrap();
    let made = |name: &str, line: &str| {
        let image = plant.path(name);
        plant.shell(&line.replace("ROOT", p(&plant.root)).replace("IMAGE", p(&image)));
        image
    };
    for (image, name) in [
        (plant.squash(), "squashfs"),
        (made("e", "mke2fs -q -t ext4 -d ROOT IMAGE 16M"), "ext"),
        (made("j", "mkfs.jffs2 -l -e 64KiB -r ROOT -o IMAGE"), "jffs2"),
        (made("u", "mkfs.ubifs -r ROOT -m 2048 -e 126976 -c 100 -o IMAGE"), "ubifs"),
        (made("r", "genromfs -d ROOT -f IMAGE"), "romfs"),
        (made("c", "mkfs.cramfs ROOT IMAGE"), "cramfs"),
    ] {
        let found = plant.holds(&image, name);
        assert!(noted(&found, "directory depth"), "{name}");
    }
}

#[test]
fn in_the_second_of_two_jffs2_side_by_side() {
    let plant = Plant::new();
    let jffs2 = plant.path("jffs2");
    plant.run("mkfs.jffs2", &["-l", "-p", "-r", p(&plant.root), "-o", p(&jffs2), "-e", "64KiB"]);
    let one = fs::read(&jffs2).unwrap();
    let found = plant.assess(&plant.file("two", &[one.clone(), one].concat()));
    assert_eq!(plant.places(&found), 4, "{:#?}", found.findings);
}

#[test]
fn in_cramfs_behind_room_for_a_boot_sector() {
    let plant = Plant::new();
    let image = plant.path("padded");
    plant.run("mkfs.cramfs", &["-p", p(&plant.root), p(&image)]);
    plant.holds(&image, "cramfs@0x0!/etc/ssl/device.key");
}

#[test]
fn beside_a_magic_number_of_romfs_in_a_program() {
    let plant = Plant::new();
    let key = fs::read(plant.root.join("www/backup.pem")).unwrap();
    let dump = [&[1, 2, 3, 0].repeat(2000), b"-rom1fs-\0\x10\0\0\0\0".as_slice(), &key].concat();
    let found = plant.assess(&plant.file("dump", &dump));
    assert_eq!(plant.places(&found), 1);
    assert_eq!(found.inputs[0].coverage.understood, 0, "{:?}", found.inputs[0].coverage);
}

#[test]
fn a_fit_image_larger_than_a_mebibyte_is_known_as_unsigned() {
    let plant = Plant::new();
    let kernel = plant.file("kernel", &b"kernel 0123456789".repeat(120_000));
    let source = plant.file(
        "fit.its",
        format!(
            "/dts-v1/;\n/ {{ description = \"t\"; images {{ k {{ data = /incbin/(\"{}\"); type = \"kernel\"; arch = \"arm\"; os = \"linux\"; compression = \"none\"; load = <0>; entry = <0>; }}; }}; configurations {{ default = \"c\"; c {{ kernel = \"k\"; }}; }}; }};\n",
            p(&kernel)
        )
        .as_bytes(),
    );
    let image = plant.path("fit");
    plant.run("mkimage", &["-f", p(&source), p(&image)]);
    let found = plant.assess(&image);
    assert!(found.findings.iter().any(|f| f.rule == "U-008"), "{:#?}", found.inputs);
}

#[test]
fn a_partition_table_is_met_once() {
    let plant = Plant::new();
    let image = plant.path("disk");
    plant.shell(&format!(
        "truncate -s 4M {0} && printf 'label: gpt\\nstart=2048, size=2048\\n' | sfdisk -q {0}",
        p(&image)
    ));
    let found = plant.assess(&image);
    assert_eq!(found.inputs[0].opened.get("gpt"), Some(&1));
    assert!(found.inputs[0].unread.is_empty(), "{:#?}", found.inputs[0].unread);
}

#[test]
fn what_a_reader_did_not_come_to_is_not_read() {
    let plant = Plant::new();
    // One file is too large for the bound, and says nothing about the others.
    let mut options = Options::default();
    options.limits.member_bytes = 200_000;
    let found = run(&[Input::Path(plant.squash())], &options, &mut ());
    assert_eq!(plant.places(&found), 2, "{:#?}", found.inputs);
    assert!(noted(&found, "member size"));
    assert!(found.inputs[0].coverage.read_permille() < 200, "{:?}", found.inputs[0].coverage);
    // Too many members: the rest of the archive counts as not read.
    let mut options = Options::default();
    options.limits.members = 3;
    let found = run(&[Input::Path(plant.tar())], &options, &mut ());
    assert!(found.inputs[0].coverage.unread > 300_000, "{:?}", found.inputs[0].coverage);
}

#[test]
fn what_a_bound_keeps_from_being_unpacked_is_not_read() {
    let plant = Plant::new();
    let zeros = plant.path("zeros.gz");
    plant.shell(&format!("head -c 100000000 /dev/zero | gzip > {}", p(&zeros)));
    let mut options = Options::default();
    options.limits.expansion_floor_bytes = 20_000_000;
    options.limits.expansion_ceiling_bytes = 20_000_000;
    let found = run(&[Input::Path(zeros)], &options, &mut ());
    let permille = found.inputs[0].coverage.read_permille();
    assert!((150..350).contains(&permille), "{:?}", found.inputs[0].coverage);
    // Twenty wrappers, one inside the other.
    let nest = plant.path("nest");
    plant.shell(&format!(
        "cp {0}/www/index.html {1}; for n in $(seq 20); do gzip -c {1} > {1}.gz; mv {1}.gz {1}; done",
        p(&plant.root),
        p(&nest)
    ));
    let found = plant.assess(&nest);
    assert!(noted(&found, "containers inside containers"), "{:?}", found.inputs[0]);
    assert!(found.inputs[0].coverage.unread > 150, "{:?}", found.inputs[0].coverage);
}

#[test]
fn a_directory_that_cannot_be_listed_and_one_with_nothing_in_it_are_not_tested() {
    let plant = Plant::new();
    let empty = plant.path("empty");
    fs::create_dir(&empty).unwrap();
    for nothing in [empty, plant.file("zero", b"")] {
        let found = plant.assess(&nothing);
        assert_eq!(found.exit, 3, "{:?}", found.inputs);
        assert!(found.inputs[0].error.is_some());
    }
}

#[test]
fn in_an_image_that_lies_in_a_repository_which_ignores_keys() {
    let plant = Plant::new();
    plant.shell(&format!(
        "cd {} && git init -q . && printf '*.key\\n*.pem\\n/rootfs/www/\\n' > .gitignore",
        p(plant.root.parent().unwrap())
    ));
    let found = plant.assess(&plant.root);
    // `etc/shadow` makes it no image by itself; programs and accounts do.
    fs::write(plant.root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").unwrap();
    assert!(plant.places(&found) < 2);
    let found = plant.assess(&plant.root);
    assert_eq!(plant.places(&found), 2, "{:#?}", found.inputs);
}

#[test]
fn in_text_of_two_bytes_a_letter() {
    let plant = Plant::new();
    let key = fs::read_to_string(plant.root.join("www/backup.pem")).unwrap();
    let text = format!("Windows Registry Editor\r\n{key}\r\n");
    let wide = |big: bool| -> Vec<u8> {
        let bytes = |c: u16| if big { c.to_be_bytes() } else { c.to_le_bytes() };
        text.encode_utf16().flat_map(bytes).collect()
    };
    for (name, raw) in [
        ("le.reg", [vec![0xff, 0xfe], wide(false)].concat()),
        ("be.txt", [vec![0xfe, 0xff], wide(true)].concat()),
        ("unmarked.txt", wide(false)),
        ("unmarked-big.txt", wide(true)),
    ] {
        let found = plant.assess(&plant.file(name, &raw));
        assert_eq!(plant.places(&found), 1, "{name}");
        assert_eq!(found.inputs[0].coverage.understood, raw.len() as u64, "{name}");
    }
}

fn bytes(name: &str, content: &[u8]) -> Assessment {
    run(&[Input::Bytes(name.into(), content.to_vec())], &Options::default(), &mut ())
}

fn noted(found: &Assessment, words: &str) -> bool {
    found.inputs[0].unread.iter().any(|u: &Unread| u.reason.contains(words))
}

fn position(haystack: &[u8], needle: &[u8]) -> usize {
    haystack.windows(needle.len()).position(|w| w == needle).unwrap()
}

fn gzip(path: &Path) -> Vec<u8> {
    std::process::Command::new("gzip").arg("-c").arg(path).output().unwrap().stdout
}
