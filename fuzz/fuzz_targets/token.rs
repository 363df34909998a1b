//! Orders, signed time and commands: never a panic; what is accepted moves the ledger forward.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfort_cose::{Sha256Digest, Thumbprint};
use ringfort_fuzz::{Agreeable, fleet};
use ringfort_trust::ids::{AnchorsVersion, Nonce, UnixTime};
use ringfort_trust::{
    Anchors, Channel, Command, CommandLedgers, OrderLedger, Outcome, Situation, Task, TimeFloor,
    Token,
};

fuzz_target!(|data: &[u8]| {
    let anchors = fleet::anchors();
    let anchors = Anchors::verify_pinned(&anchors, &Sha256Digest([0; 32]), &Agreeable)
        .expect("the fleet's own anchors");
    let key = Thumbprint([0; 32]);
    if let Ok(command) = Command::verify(data, &anchors, &Agreeable) {
        let claims = *command.claims();
        let ledgers = CommandLedgers::default();
        let task = Task::Command { action: claims.action, command: command.digest() };
        let judged =
            command.accept(&task, &claims.device, UnixTime(0), claims.nonce.as_ref(), &ledgers);
        assert_eq!(judged.is_ok(), claims.number.0 > 0 && claims.expires.0 > 0);
        if let Ok(after) = judged {
            let again =
                command.accept(&task, &claims.device, UnixTime(0), claims.nonce.as_ref(), &after);
            assert!(again.is_err());
        }
    }
    let Ok(token) = Token::verify(data, &anchors, &Agreeable) else { return };
    let claims = *token.claims();
    let channel = match claims.nonce {
        Some(Nonce(nonce)) => Channel::Online { nonce: Nonce(nonce) },
        None => Channel::Offline,
    };
    let situation = Situation {
        device: claims.device,
        channel,
        now: UnixTime(0),
        floor: TimeFloor::default(),
        anchors_version: AnchorsVersion(u64::MAX),
    };
    let Ok(accepted) = token.accept(&situation, &OrderLedger::new(key)) else { return };
    assert_eq!(accepted.ledger.last_time, claims.issued);
    if let Outcome::Order { order, .. } = accepted.outcome {
        let done = accepted.ledger.finished();
        assert_eq!(done.last_finished, order.number);
        assert!(token.accept(&situation, &done).is_err());
    }
});
