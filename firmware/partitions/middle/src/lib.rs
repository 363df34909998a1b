//! Calls `PRIVATE` for whoever calls it.

#![cfg_attr(target_os = "none", no_std)]
#![allow(unsafe_code)]
#![cfg(target_os = "none")]

use psa::Status;
use psa::client::{self, InVec, OutVec};
use psa::service::{self, Message};

#[allow(missing_docs, dead_code)]
mod product {
    include!(env!("RINGFORT_NAMES"));
}
use product::middle::MIDDLE_SIGNAL;
use product::sid;

#[unsafe(no_mangle)]
extern "C" fn partition_main() -> ! {
    loop {
        service::wait(MIDDLE_SIGNAL);
        if let Ok(message) = service::get(MIDDLE_SIGNAL) {
            let status = serve(&message);
            message.reply(status);
        }
    }
}

fn serve(message: &Message) -> Status {
    if message.kind == service::HEALTH {
        return Status::SUCCESS;
    }
    let mut asked = [0; 16];
    let len = message.read(0, &mut asked);
    let handle = match client::connect(sid::PRIVATE, sid::PRIVATE_VERSION) {
        Ok(handle) => handle,
        Err(status) => return status,
    };
    let mut answer = [0; 16];
    let ins = [InVec::new(asked.get(..len).unwrap_or_default())];
    let mut outs = [OutVec::new(&mut answer)];
    let status = client::call(handle, message.kind, &ins, &mut outs);
    let written = outs.first().map_or(0, OutVec::written);
    client::close(handle);
    if status == Status::SUCCESS {
        message.write(0, answer.get(..written).unwrap_or_default());
    }
    status
}
