//! An update from start to confirmation, and every way back.

use harness::release::Fleet;
use ringfort_cose::Reason;

use super::run::{ALL, EVEN, pairs, reason_at, run};
use super::{
    BAD_STATE, CANDIDATE, FAILED, NOT_PERMITTED, READY, REJECTED, STAGED, SUCCESS, SUCCESS_REBOOT,
    TRIAL, Test, UPDATED, WRITING,
};
use crate::flows::runs;
use crate::script::op;

impl Test {
    pub(super) fn first_image(&mut self) {
        let script = [[op::QUERY, 0, 0], [op::ACCEPT, 0, 0], [op::CLEAN, 0, 0]];
        let (outcome, lines) = run(&self.factory, &script, &[], &EVEN);
        let states: Vec<u32> = lines.iter().map(|line| line.state).collect();
        let good = outcome.code == runs(1) && states == [TRIAL, UPDATED, READY];
        self.check("factory_image_is_tried_and_accepted", good, &(&outcome, &lines));
    }

    pub(super) fn good_update(&mut self, name: &str) {
        let device = self.device(name);
        let package = self.package(2, 10);
        let script = [
            [op::START, 0, 0],
            [op::WRITE, 0, ALL],
            [op::FINISH, 0, 0],
            [op::INSTALL, 0, 0],
            [op::REBOOT, 0, 0],
            [op::QUERY, 0, 0],
            [op::ACCEPT, 0, 0],
            [op::CLEAN, 0, 0],
        ];
        let (outcome, lines) = run(&device, &script, std::slice::from_ref(&package), &EVEN);
        let wanted = [
            (SUCCESS, WRITING),
            (SUCCESS, WRITING),
            (SUCCESS, CANDIDATE),
            (SUCCESS_REBOOT, STAGED),
            (SUCCESS, TRIAL),
            (SUCCESS, UPDATED),
            (SUCCESS, READY),
        ];
        let good = outcome.code == runs(2) && pairs(&lines) == wanted;
        let written = lines.get(1).is_some_and(|line| line.written == package.image.len() as u32);
        self.check(name, good && written, &(&outcome, &lines));
        let (outcome, lines) = run(&device, &[[op::QUERY, 0, 0]], &[], &EVEN);
        let is_new = lines
            .first()
            .is_some_and(|line| line.state == READY && line.build == Fleet::sequence(2) as u32);
        let what = format!("{name}, and stays after a power-off");
        self.check(&what, outcome.code == runs(2) && is_new, &(&outcome, &lines));
    }

    /// The power goes in each state; the update goes on from there.
    pub(super) fn power_cuts(&mut self, name: &str) {
        let device = self.device(name);
        let packages = [self.package(2, 10)];
        let mut step = |what: &str, script: &[[u32; 3]], wanted: &[(i32, u32)], release| {
            let (outcome, lines) = run(&device, script, &packages, &EVEN);
            let good = pairs(&lines) == wanted && outcome.code == runs(release);
            let what = format!("{name}: {what}");
            self.tally.check(&format!("{}: {what}", self.machine), good, &(&outcome, &lines));
        };
        step(
            "while it is written",
            &[[op::START, 0, 0], [op::WRITE, 0, 0x8000]],
            &[(SUCCESS, WRITING); 2],
            1,
        );
        step(
            "the order is taken up again",
            &[[op::QUERY, 0, 0], [op::START, 0, 0], [op::WRITE, 0, ALL], [op::FINISH, 0, 0]],
            &[(SUCCESS, READY), (SUCCESS, WRITING), (SUCCESS, WRITING), (SUCCESS, CANDIDATE)],
            1,
        );
        step(
            "the candidate is still there",
            &[[op::QUERY, 0, 0], [op::INSTALL, 0, 0]],
            &[(SUCCESS, CANDIDATE), (SUCCESS_REBOOT, STAGED)],
            1,
        );
        step("it is tried", &[[op::QUERY, 0, 0]], &[(SUCCESS, TRIAL)], 2);
        step("and tried again", &[[op::ACCEPT, 0, 0]], &[(SUCCESS, UPDATED)], 2);
        step("and confirmed", &[[op::QUERY, 0, 0]], &[(SUCCESS, READY)], 2);
    }

    pub(super) fn staged(&mut self, name: &str) {
        let device = self.device(name);
        let mut script = STAGE.to_vec();
        script.extend([[op::REJECT, -77i32 as u32, 0], [op::REBOOT, 0, 0], [op::INSTALL, 0, 0]]);
        let (outcome, lines) = run(&device, &script, &[self.package(2, 10)], &EVEN);
        let wanted = [(SUCCESS, FAILED), (NOT_PERMITTED, FAILED), (BAD_STATE, FAILED)];
        let good = pairs(&lines).get(4..) == Some(&wanted) && outcome.code == runs(1);
        self.check(name, good, &(&outcome, &lines));
        let (outcome, lines) = run(&device, &[[op::QUERY, 0, 0]], &[], &EVEN);
        let kept = lines.first().is_some_and(|line| line.state == FAILED && line.error == -77);
        let what = format!("{name}: the old release boots");
        self.check(&what, kept && outcome.code == runs(1), &(&outcome, &lines));
    }

    pub(super) fn rejected(&mut self, name: &str) {
        let tail = [[op::REJECT, -77i32 as u32, 0]];
        self.reverted(name, &tail, (SUCCESS_REBOOT, REJECTED), "health-check-failed", -77);
    }

    pub(super) fn unhealthy(&mut self, name: &str) {
        let tail = [[op::SICKEN, 0, 0], [op::ACCEPT, 0, 0]];
        self.reverted(name, &tail, (NOT_PERMITTED, REJECTED), "health-check-failed", NOT_PERMITTED);
    }

    pub(super) fn crashed(&mut self, name: &str) {
        let tail = [[op::CRASH, 0, 0], [op::ACCEPT, 0, 0]];
        self.reverted(name, &tail, (NOT_PERMITTED, REJECTED), "health-check-failed", NOT_PERMITTED);
    }

    /// Stages release 2, tries it, does `tail`, and finds release 1 after a reboot.
    pub(super) fn reverted(
        &mut self,
        name: &str,
        tail: &[[u32; 3]],
        wanted: (i32, u32),
        reason: &str,
        error: i32,
    ) {
        let device = self.device(name);
        let mut script = STAGE.to_vec();
        script.extend([[op::REBOOT, 0, 0], [op::QUERY, 0, 0]]);
        script.extend(tail);
        script.extend([[op::ACCEPT, 0, 0], [op::REBOOT, 0, 0]]);
        script.extend([[op::QUERY, 0, 0], [op::START, 0, 0], [op::CLEAN, 0, 0], [op::START, 0, 0]]);
        script.push([op::START, 1, 0]);
        let packages = [self.package(2, 10), self.package(2, 11)];
        let (outcome, lines) = run(&device, &script, &packages, &EVEN);
        let all = pairs(&lines);
        let at = 5 + tail.len();
        let good = all.get(4) == Some(&(SUCCESS, TRIAL))
            && all.get(at - 1) == Some(&wanted)
            && all.get(at) == Some(&(BAD_STATE, REJECTED))
            && all.get(at + 1..)
                == Some(&[
                    (SUCCESS, FAILED),
                    (BAD_STATE, FAILED),
                    (SUCCESS, READY),
                    (NOT_PERMITTED, READY),
                    (SUCCESS, WRITING),
                ]);
        let old = lines.get(at + 1).is_some_and(|line| {
            line.reason == reason && line.error == error && line.build == Fleet::sequence(1) as u32
        });
        let replayed = reason_at(&lines, at + 4) == Reason::OrderReplayed.code();
        let good = good && old && replayed && outcome.code == runs(1);
        self.check(name, good, &(&outcome, &lines));
    }

    pub(super) fn hangs(&mut self, name: &str) {
        let device = self.device(name);
        let mut script = STAGE.to_vec();
        script.extend([[op::REBOOT, 0, 0], [op::HANG, 0, 0], [op::HANG, 0, 0], [op::HANG, 0, 0]]);
        script.push([op::QUERY, 0, 0]);
        let (outcome, lines) = run(&device, &script, &[self.package(2, 10)], &EVEN);
        let last = lines.last();
        let good = outcome.code == runs(1)
            && outcome.console.matches("boot: slot 00000001").count() == 3
            && last.is_some_and(|line| {
                line.state == FAILED && line.reason == Reason::TrialBudgetSpent.code()
            });
        self.check(name, good, &(&outcome, &lines));
    }
}

/// From nothing to a staged release.
const STAGE: [[u32; 3]; 4] =
    [[op::START, 0, 0], [op::WRITE, 0, ALL], [op::FINISH, 0, 0], [op::INSTALL, 0, 0]];
