//! Calls out of their state, images and blocks out of shape.

use ringfort_cose::Reason;

use super::package::{order, pack};
use super::run::{ALL, EVEN, pairs, reason_at, run};
use super::{
    BAD_STATE, BUFFER_TOO_SMALL, CANDIDATE, DOES_NOT_EXIST, FAILED, INVALID_ARGUMENT,
    INVALID_SIGNATURE, NOT_PERMITTED, READY, STAGED, STORAGE_FAILURE, SUCCESS, SUCCESS_REBOOT,
    Test, WRITING,
};
use crate::flows::runs;
use crate::script::op;

impl Test {
    pub(super) fn out_of_state(&mut self, name: &str) {
        let device = self.device(name);
        let package = self.package(2, 10);
        let none = [
            [op::WRITE_AT, 0, 64],
            [op::FINISH, 0, 0],
            [op::CANCEL, 0, 0],
            [op::CLEAN, 0, 0],
            [op::INSTALL, 0, 0],
            [op::ACCEPT, 0, 0],
            [op::REJECT, 0, 0],
            [op::REBOOT, 0, 0],
        ];
        let mut script = none.to_vec();
        script.extend([
            [op::START, 0, 0],
            [op::START, 0, 0],
            [op::INSTALL, 0, 0],
            [op::ACCEPT, 0, 0],
            [op::WRITE, 0, ALL],
            [op::INSTALL, 0, 0],
            [op::FINISH, 0, 0],
            [op::START, 0, 0],
            [op::ACCEPT, 0, 0],
            [op::INSTALL, 0, 0],
            [op::ACCEPT, 0, 0],
            [op::CANCEL, 0, 0],
            [op::REJECT, 0, 0],
        ]);
        let (outcome, lines) = run(&device, &script, &[package], &EVEN);
        let mut wanted = vec![(BAD_STATE, READY); 7];
        wanted.extend([
            (NOT_PERMITTED, READY),
            (SUCCESS, WRITING),
            (BAD_STATE, WRITING),
            (BAD_STATE, WRITING),
            (BAD_STATE, WRITING),
            (SUCCESS, WRITING),
            (BAD_STATE, WRITING),
            (SUCCESS, CANDIDATE),
            (BAD_STATE, CANDIDATE),
            (BAD_STATE, CANDIDATE),
            (SUCCESS_REBOOT, STAGED),
            (BAD_STATE, STAGED),
            (BAD_STATE, STAGED),
            (SUCCESS, FAILED),
        ]);
        let good = pairs(&lines) == wanted && outcome.code == runs(1);
        self.check(name, good, &(&outcome, &lines));
    }

    pub(super) fn cut_short(&mut self, name: &str) {
        let device = self.device(name);
        let packages = [self.package(2, 10), self.package(2, 11)];
        let script = [
            [op::START, 0, 0],
            [op::WRITE, 0, 0x8000],
            [op::FINISH, 0, 0],
            [op::CLEAN, 0, 0],
            [op::START, 1, 0],
            [op::WRITE, 1, ALL],
            [op::FINISH, 0, 0],
        ];
        let (outcome, lines) = run(&device, &script, &packages, &EVEN);
        let wanted = [
            (SUCCESS, WRITING),
            (SUCCESS, WRITING),
            (INVALID_ARGUMENT, FAILED),
            (SUCCESS, READY),
            (SUCCESS, WRITING),
            (SUCCESS, WRITING),
            (SUCCESS, CANDIDATE),
        ];
        let named = reason_at(&lines, 2) == Reason::ImageSize.code();
        let kept = lines.get(2).is_some_and(|line| line.error == INVALID_ARGUMENT);
        self.check(name, pairs(&lines) == wanted && named && kept, &(&outcome, &lines));
    }

    pub(super) fn extra_bytes(&mut self, name: &str) {
        let device = self.device(name);
        let package = self.package(2, 10);
        let end = package.image.len() as u32;
        let script = [
            [op::START, 0, 0],
            [op::WRITE, 0, ALL],
            [op::WRITE_AT, end, 8],
            [op::WRITE_AT, 0x7fff_fff8, 64],
            [op::WRITE_AT, 0xffff_fff8, 64],
            [op::FINISH, 0, 0],
        ];
        let (outcome, lines) = run(&device, &script, &[package], &EVEN);
        let mut wanted = vec![(SUCCESS, WRITING); 2];
        wanted.extend([(INVALID_ARGUMENT, WRITING); 3]);
        wanted.push((SUCCESS, CANDIDATE));
        let named = (2..5).all(|at| reason_at(&lines, at) == Reason::ImageSize.code());
        self.check(name, pairs(&lines) == wanted && named, &(&outcome, &lines));
    }

    pub(super) fn wrong_digest(&mut self, name: &str) {
        for component in 0..2 {
            let device = self.device(name);
            let bad = self.fleet.good(2).with_flipped_payload(component, 1000);
            let order = order(&self.fleet, bad.digest(), 10);
            let packages = [pack(&bad, &order), self.package(2, 11)];
            let script = [
                [op::START, 0, 0],
                [op::WRITE, 0, ALL],
                [op::FINISH, 0, 0],
                [op::INSTALL, 0, 0],
                [op::CLEAN, 0, 0],
                [op::START, 1, 0],
                [op::WRITE, 1, ALL],
                [op::FINISH, 0, 0],
            ];
            let (outcome, lines) = run(&device, &script, &packages, &EVEN);
            let wanted = [
                (SUCCESS, WRITING),
                (SUCCESS, WRITING),
                (INVALID_SIGNATURE, FAILED),
                (BAD_STATE, FAILED),
                (SUCCESS, READY),
                (SUCCESS, WRITING),
                (SUCCESS, WRITING),
                (SUCCESS, CANDIDATE),
            ];
            let named = reason_at(&lines, 2) == Reason::ImageDigest.code();
            let what = format!("{name}, component {component}");
            self.check(&what, pairs(&lines) == wanted && named, &(&outcome, &lines));
        }
    }

    pub(super) fn blocks(&mut self, name: &str) {
        let device = self.device(name);
        let package = self.package(2, 10);
        let script = [
            [op::START, 0, 0],
            [op::WRITE_AT, 4, 8],
            [op::WRITE_AT, 0, 0],
            [op::WRITE_AT, 0, 4097],
            [op::WRITE_AT, 0, 8192],
            [op::WRITE, 0, ALL],
            [op::WRITE_AT, 0, 8],
            [op::FINISH, 0, 0],
        ];
        let (outcome, lines) = run(&device, &script, &[package], &EVEN);
        let mut wanted = vec![(SUCCESS, WRITING)];
        wanted.extend([(INVALID_ARGUMENT, WRITING); 4]);
        wanted.extend([(SUCCESS, WRITING), (STORAGE_FAILURE, WRITING), (SUCCESS, CANDIDATE)]);
        self.check(name, pairs(&lines) == wanted, &(&outcome, &lines));
    }

    pub(super) fn messages(&mut self, name: &str) {
        let device = self.device(name);
        let package = self.package(2, 10);
        // Types with arguments of a wrong length, answers without room, types that are not.
        let mut script: Vec<[u32; 3]> = Vec::new();
        let mut wanted = Vec::new();
        for kind in [1, 2, 3, 4, 5, 6, 9] {
            script.push([op::RAW, kind, 7]);
            wanted.push((INVALID_ARGUMENT, READY));
        }
        script.extend([
            [op::RAW, 64, 0],
            [op::RAW, 1, 0],
            [op::RAW, 2, 0],
            [op::RAW, 65, 0],
            [op::RAW, 99, 0],
            [op::COMPONENT, 0, 0],
            [op::START, 0, 0],
        ]);
        wanted.extend([
            (BUFFER_TOO_SMALL, READY),
            (BUFFER_TOO_SMALL, READY),
            (INVALID_ARGUMENT, READY),
            (INVALID_ARGUMENT, READY),
            (-134, READY),
            (DOES_NOT_EXIST, READY),
            (SUCCESS, WRITING),
        ]);
        let (outcome, lines) = run(&device, &script, &[package], &EVEN);
        let alive = !outcome.console.contains("fault") && !outcome.console.contains("restarted");
        self.check(name, pairs(&lines) == wanted && alive, &(&outcome, &lines));
    }
}
