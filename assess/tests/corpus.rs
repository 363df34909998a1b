//! Precision and recall on the project's own labelled corpus, and robustness against
//! damaged images. A middle dot in the corpus stands for nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop")]

use std::{fs, path::PathBuf, process::Command};

use ringfort_assess::{Input, Options, model::Finding, run};

#[test]
fn precision_and_recall_on_the_labelled_corpus_are_at_least_three_quarters() {
    let (mut hit, mut missed, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
    for case in corpus() {
        let found = assess(&case.path, case.content.replace('·', "").into_bytes());
        let reported = found.iter().any(|f| f.rule.starts_with(['S', 'P', 'K']));
        match (case.secret, reported) {
            (true, true) => hit.push(case.label()),
            (true, false) => missed.push(case.label()),
            (false, true) => wrong.push(format!(
                "{} {:?}",
                case.label(),
                found.iter().map(|f| f.rule).collect::<Vec<_>>()
            )),
            (false, false) => {}
        }
    }
    let recall = hit.len() as f64 / (hit.len() + missed.len()) as f64;
    let precision = hit.len() as f64 / (hit.len() + wrong.len()) as f64;
    println!("recall {recall:.2} precision {precision:.2} missed {missed:#?} wrong {wrong:#?}");
    assert!(hit.len() >= 30, "the corpus is too small to say anything");
    assert!(
        recall >= 0.75 && precision >= 0.75,
        "{recall:.2} {precision:.2} {missed:#?} {wrong:#?}"
    );
}

#[test]
fn damaged_images_never_panic_and_every_byte_is_accounted_for() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("r");
    fs::create_dir_all(root.join("etc")).unwrap();
    fs::write(root.join("etc/passwd"), "root:x:0:0::/:/bin/sh\n".repeat(300)).unwrap();
    fs::write(root.join("a.bin"), (0..20_000u32).map(|i| ((i * i) >> 3) as u8).collect::<Vec<_>>())
        .unwrap();
    let r = root.to_str().unwrap();
    let to = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let makers: Vec<(String, String)> = vec![
        (to("sq"), format!("mksquashfs {r} {} -quiet -no-progress -comp xz", to("sq"))),
        (to("ext"), format!("mke2fs -q -t ext4 -d {r} {} 1M", to("ext"))),
        (to("jffs2"), format!("mkfs.jffs2 -l -r {r} -o {} -e 64KiB", to("jffs2"))),
        (to("ubifs"), format!("mkfs.ubifs -r {r} -m 512 -e 15360 -c 100 -o {}", to("ubifs"))),
        (to("cramfs"), format!("mkfs.cramfs {r} {}", to("cramfs"))),
        (to("romfs"), format!("genromfs -d {r} -f {}", to("romfs"))),
        (
            to("fat"),
            format!("mkfs.vfat -C {} 1024 && mcopy -s -i {} {r}/etc ::", to("fat"), to("fat")),
        ),
        (to("cpio"), format!("cd {r} && find . | cpio -o -H newc --quiet > {}", to("cpio"))),
        (
            to("zip"),
            format!("cd {r} && zip -qr {}.zip . && mv {}.zip {}", to("zip"), to("zip"), to("zip")),
        ),
        (to("tgz"), format!("tar -czf {} -C {r} .", to("tgz"))),
    ];
    let rounds: u64 =
        std::env::var("RINGFORT_ROUNDS").ok().and_then(|r| r.parse().ok()).unwrap_or(12);
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    for (file, command) in makers {
        let path = format!("/usr/sbin:/sbin:{}", std::env::var("PATH").unwrap_or_default());
        let made = Command::new("sh").args(["-ec", &command]).env("PATH", path).output().unwrap();
        assert!(made.status.success(), "{command}: {}", String::from_utf8_lossy(&made.stderr));
        let whole = fs::read(&file).unwrap();
        for round in 0..rounds {
            let mut bytes = whole.clone();
            // The first pages hold most of the structure; the rest gets its share too.
            for _ in 0..1 + random(12) {
                let reach = if random(3) == 0 { bytes.len() } else { bytes.len().min(4096) };
                let at = random(reach);
                bytes[at] = [0, 0xff, 0x7f, 0x80, random(256) as u8][random(5)];
            }
            if round % 4 == 0 {
                bytes.truncate(random(whole.len()));
            }
            let len = bytes.len() as u64;
            let options = Options { today: "2026-11-22".into(), ..Options::default() };
            let found = run(&[Input::Bytes("x.bin".into(), bytes)], &options, &mut ());
            assert_eq!(found.inputs[0].coverage.total(), len, "{command} round {round}");
        }
    }
}

#[test]
fn a_bomb_stops_at_its_bound() {
    let directory = tempfile::tempdir().unwrap();
    let bomb = directory.path().join("bomb.gz");
    let made = Command::new("sh")
        .args(["-ec", &format!("head -c 700M /dev/zero | gzip -9 > {}", bomb.display())])
        .output()
        .unwrap();
    assert!(made.status.success());
    let mut options = Options { today: "2026-11-22".into(), ..Options::default() };
    options.limits.expansion_floor_bytes = 8 << 20;
    options.limits.expansion = 4;
    let found = run(&[Input::Path(bomb)], &options, &mut ());
    let reason = &found.inputs[0].unread.first().expect("a bound").reason;
    assert!(reason.contains("bound reached"), "{reason}");
}

struct Case {
    secret: bool,
    path: String,
    content: String,
}

impl Case {
    fn label(&self) -> String {
        format!("{} {}", self.path, self.content.chars().take(40).collect::<String>())
    }
}

/// Lines of `yes|no <TAB> path <TAB> content`.
fn corpus() -> Vec<Case> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus.tsv");
    fs::read_to_string(path)
        .unwrap()
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let mut parts = line.splitn(3, '\t');
            let secret = parts.next().unwrap() == "yes";
            let path = parts.next().unwrap().to_owned();
            Case { secret, path, content: parts.next().unwrap().replace("\\n", "\n") }
        })
        .collect()
}

fn assess(path: &str, content: Vec<u8>) -> Vec<Finding> {
    let options = Options { today: "2026-11-22".into(), ..Options::default() };
    run(&[Input::Bytes(path.to_owned(), content)], &options, &mut ()).findings
}
