//! Every message: never a panic; what is read is written again as the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfort_messages::{
    CheckIn, CheckInAnswer, IdentityAnswer, IdentityRequest, Link, Problem, Report, TimeRequest,
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
    // RFC 9290 lets others add to it and write it otherwise.
    if let Ok(problem) = Problem::decode(data) {
        let again = problem.encode().expect("what was read can be written");
        assert_eq!(Problem::decode(&again), Ok(problem));
    }
});
