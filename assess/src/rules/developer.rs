//! Group S: credentials of code hosts, package registries and model services, by their
//! published shape.

#![allow(clippy::needless_update, reason = "every rule ends alike")]

use super::{
    BASE, Capture, Only, Rule,
    secrets::{ABOUT, FIX, R},
    valid,
};
use crate::{
    keys::Kind,
    model::Severity::{Critical, High},
};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "S-008",
        severity: Critical,
        title: "GitHub token",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &["ghp_", "gho_", "ghu_", "ghs_", "ghr_"],
        pattern: r"(gh[pousr]_[A-Za-z0-9]{36,251})",
        check: |c| valid::github(c) || valid::mixed(c),
        kind: Some(Kind::Token),
        hits: &[("a.sh", "T=gh·p_r4nd0mPartOfATokenOf30Chars0003yVzWa")],
        misses: &[("a.sh", "T=gh·p_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx")],
        ..BASE
    },
    Rule {
        id: "S-009",
        severity: Critical,
        title: "GitHub fine-grained token",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &["github_pat_"],
        pattern: r"(github_pat_[0-9A-Za-z_]{82})",
        check: valid::token,
        kind: Some(Kind::Token),
        hits: &[(
            "a.sh",
            "gi·thub_pat_11ABCDEFG0hIjKlMnOpQrS_t1U2v3W4x5Y6z7A8b9C0d1E2f3G4h5I6j7K8l9M0n1O2p3Q4r5S6t7U8v9W0",
        )],
        misses: &[("a.sh", "gi·thub_pat_xxx")],
        ..BASE
    },
    Rule {
        id: "S-010",
        severity: Critical,
        title: "GitLab token",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &["glpat-", "gldt-", "glrt-", "glptt-"],
        pattern: r"(gl(?:pat|dt|rt|ptt)-[0-9A-Za-z_\-]{20,40})",
        check: valid::token,
        kind: Some(Kind::Token),
        hits: &[(".gitlab-ci.yml", "TOKEN: gl·pat-x9Kq2LmN7pRs4TvW1yZb")],
        misses: &[(".gitlab-ci.yml", "TOKEN: gl·pat-xxxxxxxxxxxxxxxxxxxx")],
        ..BASE
    },
    Rule {
        id: "S-017",
        severity: High,
        title: "npm token",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &["npm_"],
        pattern: r"(npm_[A-Za-z0-9]{36})(?:[^A-Za-z0-9]|$)",
        check: valid::mixed,
        kind: Some(Kind::Token),
        hits: &[(".npmrc", "//r/:_au·thToken=np·m_k9Xq2LmN7pRs4TvW1yZbC3dF5gH8jK1mN4pQ")],
        misses: &[("a.c", "np·m_config_user_agent")],
        ..BASE
    },
    Rule {
        id: "S-018",
        severity: High,
        title: "PyPI token",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &["pypi-age"],
        pattern: r"(pypi-AgEIcHlwaS5vcmc[A-Za-z0-9_\-]{50,200})",
        check: valid::token,
        kind: Some(Kind::Token),
        hits: &[(
            ".pypirc",
            "pa·ssword = py·pi-AgEIcHlwaS5vcmcCJDg3NmY5YzQxLTJkN2UtNGI4Zi05YTFjLTNlNWQ3ZjlhMWIzYwACKlszLCI4",
        )],
        misses: &[(".pypirc", "pa·ssword = py·pi-AgEIcHlwaS5vcmc")],
        ..BASE
    },
    Rule {
        id: "S-019",
        severity: High,
        title: "Docker Hub token",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &["dckr_pat_"],
        pattern: r"(dckr_pat_[0-9A-Za-z_\-]{27})",
        check: valid::token,
        kind: Some(Kind::Token),
        hits: &[("ci.sh", "dc·kr_pat_k9Xq2LmN7pRs4TvW1yZbC3dF5gH")],
        misses: &[("ci.sh", "dc·kr_pat_")],
        ..BASE
    },
    Rule {
        id: "S-020",
        severity: High,
        title: "registry login in a Docker configuration",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &["\"auth\"", "\"auth\\"],
        pattern: r#"\\{0,7}"auth\\{0,7}"\s{0,4}:\s{0,4}\\{0,7}"([A-Za-z0-9+/_\-]{16,200}={0,2})\\{0,7}""#,
        check: registry,
        kind: Some(Kind::Token),
        only: Only::Text,
        hits: &[(
            "root/.docker/config.json",
            "{\"auths\":{\"r.io\":{\"·auth\":\"ZGV2aWNlOnMzY3IzdC1wdWxsLTIwMjQ=\"}}}",
        )],
        misses: &[
            ("a.json", "{\"·auth\": \"bearer\"}"),
            ("a.json", "{\"·auth\": \"ZGV2aWNlOnMzY3IzdC1wdWxsLTIwMjQ=\"}"),
        ],
        ..BASE
    },
    Rule {
        id: "S-023",
        severity: High,
        title: "OpenAI or Anthropic API key",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &["sk-proj-", "sk-ant-", "t3blbkfj"],
        pattern: r"(sk-(?:proj|ant|svcacct)-[0-9A-Za-z_\-]{40,200}|sk-[0-9A-Za-z]{20}T3BlbkFJ[0-9A-Za-z]{20})",
        check: valid::token,
        kind: Some(Kind::Token),
        hits: &[("a.py", "sk·-ant-api03-k9Xq2LmN7pRs4TvW1yZbC3dF5gH8jK1mN4pQ7rS0tV3w")],
        misses: &[("a.py", "sk·-ant-key")],
        ..BASE
    },
    Rule {
        id: "S-024",
        severity: High,
        title: "Hugging Face token",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &["hf_"],
        pattern: r"(?:^|[^A-Za-z0-9_])(hf_[A-Za-z]{34})(?:[^A-Za-z0-9]|$)",
        check: valid::token,
        kind: Some(Kind::Token),
        hits: &[("a.py", "t='hf·_kXqLmNpRsTvWyZbCdFgHjKmNpQrStVwXyZ'")],
        misses: &[("a.py", "hf·_hub_download")],
        ..BASE
    },
    Rule {
        id: "S-042",
        severity: High,
        title: "JFrog, Artifactory or Nexus token",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &["akcp", "cmvm"],
        pattern: r"(?:^|[^A-Za-z0-9+/])(AKCp[0-9A-Za-z]{69}|cmVmd[A-Za-z0-9]{59})(?:[^A-Za-z0-9+/]|$)",
        check: valid::token,
        kind: Some(Kind::Token),
        hits: &[(
            "pip.conf",
            "AK·Cp8k9Xq2LmN7pRs4TvW1yZbC3dF5gH8jK1mN4pQ7rS0tV3wX6yZ9aB2cD5eF8gH1jK4mN7p",
        )],
        misses: &[("pip.conf", "AK·Cp")],
        ..BASE
    },
    Rule {
        id: "S-046",
        severity: High,
        title: "token of a code analysis or search service",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &["sqp_", "squ_", "sqa_", "sonar.login", "sonar.token", "sgp_"],
        pattern: r"(?:^|[^A-Za-z0-9_])(sq[pua]_[0-9a-f]{40}|sgp_(?:local_|[0-9a-f]{16}_)?[0-9a-f]{40})(?:[^A-Za-z0-9]|$)|sonar\.(?:login|token)=([0-9a-f]{40})",
        check: valid::hex_key,
        kind: Some(Kind::Token),
        hits: &[
            ("ci.sh", "scanner -D\"so·nar.login=d81afdd966e73e0341929425660e841640700da5\""),
            (
                "a.py",
                "os.environ.get(\"TOKEN\", \"sg·p_9bea5fb6370f0a6e01bc56b7a99c5b335f32a4c0\")",
            ),
        ],
        misses: &[("ci.sh", "scanner -D\"so·nar.login=$SONAR_TOKEN\"")],
        ..BASE
    },
];

/// A login stands in a list of registries, or in the file that Docker keeps it in.
fn registry(found: &Capture<'_>) -> bool {
    let own = Only::Paths(&["config.json", ".dockercfg", ".dockerconfigjson"]);
    let listed = found.near.windows(5).any(|w| w == b"auths");
    (listed || own.admits(found.path, true)) && valid::mixed(found)
}
