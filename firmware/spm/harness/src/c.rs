//! The application in C.

use crate::machine::{Images, Run, run as start};

/// Runs it on every board: several warm resets in one run, newlib's printf on UART1.
pub fn run(images: &Images, boards: &[&str]) -> Result<(), String> {
    for board in boards {
        let outcome = start(images, board, &Run::default())?;
        if outcome.code != Some(0) {
            return Err(format!("{board}: {outcome:?}"));
        }
        print!("{}", outcome.nonsecure);
        println!("ok   {board} application in C");
    }
    Ok(())
}
