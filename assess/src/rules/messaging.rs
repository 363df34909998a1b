//! Group S: credentials of chat, mail and payment services, by their published shape.

#![allow(clippy::needless_update, reason = "every rule ends alike")]

use super::{
    BASE, Rule,
    secrets::{ABOUT, FIX, R},
    valid,
};
use crate::{
    keys::Kind,
    model::Severity::{High, Medium},
};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "S-011",
        severity: High,
        title: "Slack token",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &["xoxb-", "xoxp-", "xoxa-", "xoxr-", "xoxs-", "xapp-"],
        pattern: r"(xox[baprs]-[0-9]{8,14}-[0-9A-Za-z\-]{16,80}|xapp-1-[A-Z0-9]{9,12}-[0-9]{10,14}-[0-9a-f]{64})",
        check: valid::token,
        kind: Some(Kind::Token),
        hits: &[("a.py", "xo·xb-738194620571-9082736451827-kQ2mX7nR4tZ9vB1cL6pW3sYd")],
        misses: &[("a.py", "xo·xb-your-token")],
        ..BASE
    },
    Rule {
        id: "S-012",
        severity: High,
        title: "Slack webhook",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &["hooks.slack.com"],
        pattern: r"hooks\.slack\.com/(?:services|workflows)/(T[A-Z0-9]{8,12}/B[A-Z0-9]{8,12}/[A-Za-z0-9]{20,28})",
        check: valid::token,
        kind: Some(Kind::Token),
        hits: &[(
            "a.py",
            "https:/·/ho·oks.slack.com/se·rvices/T02KQ7M9X/B04RT6W8Z/k9Xq2LmN7pRs4TvW1yZbC3dF",
        )],
        misses: &[(
            "a.py",
            "https:/·/ho·oks.slack.com/se·rvices/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX",
        )],
        ..BASE
    },
    Rule {
        id: "S-013",
        severity: High,
        title: "Stripe secret key",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &["sk_live_", "rk_live_"],
        pattern: r"([sr]k_live_[0-9A-Za-z]{20,100})",
        check: valid::token,
        kind: Some(Kind::Token),
        hits: &[("a.rb", "sk·_live_4eC39HqLyjWDarjtT1zdp7dc")],
        misses: &[("a.rb", "sk_test_4eC39HqLyjWDarjtT1zdp7dc")],
        ..BASE
    },
    Rule {
        id: "S-014",
        severity: High,
        title: "Twilio key or token",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &["twilio"],
        pattern: r#"(?i)twilio[a-z_]{0,24}["']?\s{0,3}[:=]\s{0,3}["']?((?:SK)?[0-9a-f]{32})(?:[^0-9a-f]|$)"#,
        check: valid::mixed,
        kind: Some(Kind::Token),
        hits: &[("a.env", "TW·ILIO_AU·TH_TOKEN=7f3c9a1e5b2d8f406c7e9a1b3d5f7082")],
        misses: &[("a.env", "TW·ILIO_AU·TH_TOKEN=")],
        ..BASE
    },
    Rule {
        id: "S-015",
        severity: High,
        title: "SendGrid key",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &["sg."],
        pattern: r"(SG\.[0-9A-Za-z_\-]{22}\.[0-9A-Za-z_\-]{43})",
        check: valid::token,
        kind: Some(Kind::Token),
        hits: &[(
            "a.env",
            "K=SG·.k9Xq2LmN7pRs4TvW1yZbC3.dF5gH8jK1mN4pQ7rS0tV3wX6yZ9aB2cD5eF8gH1jK4m",
        )],
        misses: &[("a.env", "K=SG·.x.y")],
        ..BASE
    },
    Rule {
        id: "S-016",
        severity: High,
        title: "Mailgun key",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &["mailgun"],
        pattern: r#"(?i)mailgun[a-z_ .]{0,24}["']?\s{0,3}[:=(]\s{0,3}["']?(key-[0-9a-f]{32}|[0-9a-f]{32}-[0-9a-f]{8}-[0-9a-f]{8})"#,
        check: valid::token,
        kind: Some(Kind::Token),
        hits: &[("a.env", "MA·ILGUN_AP·I_KEY=key-3f7c9a1e5b2d8f406c7e9a1b3d5f7082")],
        misses: &[("a.env", "MA·ILGUN_AP·I_KEY=key-xxx")],
        ..BASE
    },
    Rule {
        id: "S-021",
        severity: High,
        title: "Telegram bot token",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &["telegram", "bot", "tgram"],
        pattern: r"(?:^|[^0-9A-Za-z])([0-9]{8,10}:AA[0-9A-Za-z_\-]{33})(?:[^0-9A-Za-z_\-]|$)",
        check: valid::token,
        kind: Some(Kind::Token),
        hits: &[("a.ino", "#define BO·T \"5839201746:AAk9Xq2LmN7pRs4TvW1yZbC3dF5gH8jK1mN\"")],
        misses: &[("a.ino", "#define BO·T \"123:ABC\"")],
        ..BASE
    },
    Rule {
        id: "S-022",
        severity: High,
        title: "Discord bot token or webhook",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &["discord"],
        pattern: r"(?i)discord(?:app)?\.com/api/webhooks/([0-9]{17,20}/[0-9A-Za-z_\-]{60,70})",
        check: valid::token,
        kind: Some(Kind::Token),
        hits: &[(
            "a.py",
            "https:/·/di·scord.com/api/webhooks/829301746582910374/k9Xq2LmN7pRs4TvW1yZbC3dF5gH8jK1mN4pQ7rS0tV3wX6yZ9aB2cD5eF8gH1jK4mN7p",
        )],
        misses: &[("a.py", "https:/·/di·scord.com/api/webhooks/1/abc")],
        ..BASE
    },
    Rule {
        id: "S-043",
        severity: Medium,
        title: "webhook of a chat or automation service",
        about: ABOUT,
        fix: FIX,
        requirements: R,
        keywords: &[
            "maker.ifttt.com",
            "webhook.office.com",
            "oapi.dingtalk.com",
            "qyapi.weixin",
            ".tines.com/webhook",
        ],
        pattern: r"(maker\.ifttt\.com/trigger/[A-Za-z0-9_\-]{1,60}/(?:json/)?with/key/[A-Za-z0-9_\-]{20,60}|webhook\.office\.com/webhookb2/[0-9a-f\-]{36}@[0-9a-f\-]{36}/IncomingWebhook/[0-9a-f]{32}|oapi\.dingtalk\.com/robot/send\?access_token=[0-9a-f]{64}|qyapi\.weixin\.qq\.com/cgi-bin/webhook/send\?key=[0-9a-f\-]{36}|[a-z0-9\-]{3,60}\.tines\.com/webhook/[0-9a-f]{32}/[0-9a-f]{32})",
        check: valid::token,
        kind: Some(Kind::Token),
        hits: &[(
            "a.ino",
            "https:/·/ma·ker.ifttt.com/trigger/door/with/key/k9Xq2LmN7pRs4TvW1yZbC3",
        )],
        misses: &[("a.ino", "https:/·/ma·ker.ifttt.com/trigger/door/with/key/KEY")],
        ..BASE
    },
];
