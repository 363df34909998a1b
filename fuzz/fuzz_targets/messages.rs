//! Every message: never a panic; what is read is written again as the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfort_fuzz::Agreeable;
use ringfort_messages::{
    CheckIn, CheckInAnswer, IdentityAnswer, IdentityRequest, Link, Problem, Report, Statement,
    TimeRequest,
};

macro_rules! same_again {
    ($data:expr, $($message:ty),*) => {
        $( if let Ok(message) = <$message>::decode($data) {
            assert_eq!(message.encode().as_deref(), Ok($data));
        } )*
    };
}

fuzz_target!(|data: &[u8]| {
    same_again!(
        data,
        CheckIn,
        CheckInAnswer<'_>,
        IdentityAnswer<'_>,
        IdentityRequest<'_>,
        Link,
        Report,
        TimeRequest
    );
    // Whoever signed it, reading it ends.
    let _ = Statement::verify(data, &Agreeable);
    // RFC 9290 lets others add to it and write it otherwise.
    if let Ok(problem) = Problem::decode(data) {
        let again = problem.encode().expect("what was read can be written");
        assert_eq!(Problem::decode(&again), Ok(problem));
    }
});
