//! The two dialects: what each accepts, and each refusal beside it.
#![allow(clippy::unwrap_used)]

use coset::cbor::Value;
use proptest::prelude::*;
use ringfort_cose::Reason;
use ringfort_cose::cbor::{Deterministic, Kind, Limits, Reader, WellFormed, Writer};

fn deterministic(bytes: &[u8]) -> Result<(), Reason> {
    Deterministic::read(bytes).map(drop)
}

fn well_formed(bytes: &[u8]) -> Result<(), Reason> {
    WellFormed::read(bytes).map(drop)
}

/// Both dialects say the same.
fn both(bytes: &[u8]) -> Result<(), Reason> {
    let verdict = deterministic(bytes);
    assert_eq!(verdict, well_formed(bytes), "{bytes:x?}");
    verdict
}

#[test]
fn each_kind_of_item_is_accepted() {
    let items: [&[u8]; 12] = [
        &[0x00],
        &[0x18, 0x18],
        &[0x3b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[0x40],
        &[0x42, 0xff, 0x00],
        &[0x63, 0xe2, 0x82, 0xac],
        &[0x80],
        &[0x82, 0x01, 0x81, 0x02],
        &[0xa0],
        &[0xa2, 0x01, 0x02, 0x20, 0x03],
        &[0xc1, 0x00],
        &[0x84, 0xf4, 0xf5, 0xf6, 0xf7],
    ];
    for item in items {
        assert_eq!(both(item), Ok(()), "{item:x?}");
    }
}

#[test]
fn bytes_that_end_too_soon_or_too_late_are_refused() {
    let item = [0xa2, 0x01, 0x62, b'a', b'b', 0x02, 0x82, 0x18, 0x64, 0x41, 0x00];
    assert_eq!(both(&item), Ok(()));
    for len in 0..item.len() {
        assert_eq!(both(&item[..len]), Err(Reason::Malformed), "{len}");
    }
    assert_eq!(both(&[&item[..], &[0x00]].concat()), Err(Reason::Malformed));
}

#[test]
fn indefinite_lengths_are_refused() {
    for item in [
        &[0x9f, 0xff][..],
        &[0xbf, 0xff],
        &[0x5f, 0x41, 0x00, 0xff],
        &[0x7f, 0x61, b'a', 0xff],
        &[0xff],
        &[0x1f],
    ] {
        assert_eq!(both(item), Err(Reason::Malformed), "{item:x?}");
    }
}

#[test]
fn reserved_heads_are_refused() {
    for major in 0..8u8 {
        for info in 28..31 {
            assert_eq!(both(&[major << 5 | info, 0, 0, 0, 0]), Err(Reason::Malformed));
        }
    }
}

#[test]
fn floating_point_and_unassigned_simple_values_are_refused() {
    for item in [&[0xf9, 0x3c, 0x00][..], &[0xfa, 0, 0, 0, 0], &[0xf0], &[0xf8, 0x20]] {
        assert_eq!(both(item), Err(Reason::Unsupported), "{item:x?}");
    }
}

#[test]
fn text_that_is_not_utf8_is_refused() {
    assert_eq!(both(&[0x62, 0xc3, 0xa9]), Ok(()));
    assert_eq!(both(&[0x62, 0xc3, 0x28]), Err(Reason::Malformed));
    // Half a surrogate pair.
    assert_eq!(both(&[0x63, 0xed, 0xa0, 0x80]), Err(Reason::Malformed));
}

#[test]
fn heads_longer_than_need_be_are_well_formed_but_not_deterministic() {
    for item in [
        &[0x18, 0x17][..],
        &[0x19, 0x00, 0xff],
        &[0x1a, 0x00, 0x00, 0xff, 0xff],
        &[0x1b, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
        &[0x58, 0x01, 0x00],
        &[0x98, 0x01, 0x00],
        &[0xb8, 0x01, 0x00, 0x00],
        &[0xd8, 0x12, 0x00],
    ] {
        assert_eq!(well_formed(item), Ok(()), "{item:x?}");
        assert_eq!(deterministic(item), Err(Reason::Malformed), "{item:x?}");
    }
}

#[test]
fn unsorted_keys_are_well_formed_but_not_deterministic() {
    // Bytewise order of the encodings: 10, 100, -1, "z", "aa", [100], [-1], false.
    let sorted: [&[u8]; 8] = [
        &[0x0a],
        &[0x18, 0x64],
        &[0x20],
        &[0x61, b'z'],
        &[0x62, b'a', b'a'],
        &[0x81, 0x18, 0x64],
        &[0x81, 0x20],
        &[0xf4],
    ];
    let map = |keys: &[&[u8]]| {
        let entries = keys.iter().flat_map(|key| [key, &[0x00][..]].concat());
        [0xa0 + keys.len() as u8].into_iter().chain(entries).collect::<Vec<u8>>()
    };
    assert_eq!(both(&map(&sorted)), Ok(()));
    for at in 1..sorted.len() {
        let mut keys = sorted;
        keys.swap(at - 1, at);
        assert_eq!(well_formed(&map(&keys)), Ok(()), "{at}");
        assert_eq!(deterministic(&map(&keys)), Err(Reason::Malformed), "{at}");
    }
}

#[test]
fn duplicate_keys_are_refused_next_to_each_other_and_apart() {
    assert_eq!(both(&[0xa2, 0x01, 0x00, 0x02, 0x00]), Ok(()));
    assert_eq!(both(&[0xa2, 0x01, 0x00, 0x01, 0x00]), Err(Reason::Malformed));
    assert_eq!(both(&[0xa3, 0x01, 0x00, 0x02, 0x00, 0x01, 0x00]), Err(Reason::Malformed));
    // Arrays as keys, and in an inner map.
    assert_eq!(both(&[0xa2, 0x81, 0x01, 0x00, 0x81, 0x01, 0x00]), Err(Reason::Malformed));
    assert_eq!(both(&[0x81, 0xa2, 0x40, 0x00, 0x40, 0x00]), Err(Reason::Malformed));
}

#[test]
fn duplicate_keys_in_another_encoding_are_refused() {
    // 1 in one and in two bytes; a string with a short and a long head; inside an array.
    for map in [
        &[0xa2, 0x01, 0x00, 0x18, 0x01, 0x00][..],
        &[0xa2, 0x41, 0x07, 0x00, 0x58, 0x01, 0x07, 0x00],
        &[0xa2, 0x81, 0x01, 0x00, 0x98, 0x01, 0x18, 0x01, 0x00],
    ] {
        assert_eq!(well_formed(map), Err(Reason::Malformed), "{map:x?}");
    }
    // A byte string and a text string are different keys, and so are 1 and -2.
    assert_eq!(well_formed(&[0xa2, 0x41, 0x61, 0x00, 0x61, 0x61, 0x00]), Ok(()));
    assert_eq!(well_formed(&[0xa2, 0x01, 0x00, 0x21, 0x00]), Ok(()));
}

#[test]
fn depth_is_bounded() {
    for open in [0x81, 0xc1] {
        let nested = |depth: usize| [vec![open; depth], vec![0x00]].concat();
        assert_eq!(both(&nested(Limits::DEPTH)), Ok(()));
        assert_eq!(both(&nested(Limits::DEPTH + 1)), Err(Reason::TooLarge));
        assert_eq!(both(&nested(1000)), Err(Reason::TooLarge));
    }
    // As keys of maps.
    let keys = [vec![0xa1; 1000], vec![0x00; 1001]].concat();
    assert_eq!(both(&keys), Err(Reason::TooLarge));
}

#[test]
fn length_and_count_are_bounded() {
    let string = |len: usize| {
        let head = [0x5a].into_iter().chain((len as u32).to_be_bytes());
        head.chain(std::iter::repeat_n(0, len)).collect::<Vec<u8>>()
    };
    assert_eq!(well_formed(&string(Limits::OBJECT.length - 5)), Ok(()));
    assert_eq!(well_formed(&string(Limits::OBJECT.length - 4)), Err(Reason::TooLarge));
    let array = |count: u16| {
        let head = [0x99].into_iter().chain(count.to_be_bytes());
        head.chain(std::iter::repeat_n(0, count.into())).collect::<Vec<u8>>()
    };
    // The array itself counts.
    let most = Limits::OBJECT.items as u16 - 1;
    assert_eq!(both(&array(most)), Ok(()));
    assert_eq!(both(&array(most + 1)), Err(Reason::TooLarge));
    let map = |count: u8| {
        let entries =
            (0..count).flat_map(|key| if key < 24 { vec![key, 0] } else { vec![0x18, key, 0] });
        [0xb8, count].into_iter().chain(entries).collect::<Vec<u8>>()
    };
    let most = Limits::OBJECT.map_entries as u8;
    assert_eq!(both(&map(most)), Ok(()));
    assert_eq!(both(&map(most + 1)), Err(Reason::TooLarge));
    // A batch may hold more.
    let long = array(60_000);
    assert_eq!(deterministic(&long), Err(Reason::TooLarge));
    assert!(Deterministic::read_within(&long, Limits::BATCH).is_ok());
}

#[test]
fn lengths_that_overflow_are_refused() {
    for head in [0x5b, 0x7b, 0x9b] {
        assert_eq!(both(&[&[head][..], &[0xff; 8]].concat()), Err(Reason::Malformed));
    }
    assert_eq!(both(&[&[0xbb][..], &[0xff; 8]].concat()), Err(Reason::TooLarge));
    assert_eq!(
        both(&[0xbb, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        Err(Reason::Malformed)
    );
}

#[test]
fn another_type_than_the_expected_is_refused_and_the_reader_stays() {
    let bytes = [0x83, 0x20, 0x61, b'a', 0x42, 1, 2];
    let mut reader = Deterministic::read(&bytes).unwrap();
    assert_eq!(reader.array_of(2), Err(Reason::Malformed));
    assert_eq!(reader.map(), Err(Reason::Malformed));
    reader.array_of(3).unwrap();
    assert_eq!(reader.kind(), Ok(Kind::Negative));
    assert_eq!(reader.u64(), Err(Reason::Malformed));
    assert_eq!(reader.i64(), Ok(-1));
    assert_eq!(reader.bytes(), Err(Reason::Malformed));
    assert_eq!(reader.text(), Ok("a"));
    assert_eq!(reader.bytes_of::<3>(), Err(Reason::Malformed));
    assert_eq!(reader.clone().end(), Err(Reason::Malformed));
    assert_eq!(reader.bytes_of::<2>(), Ok([1, 2]));
    assert!(reader.is_at_end());
    assert_eq!(reader.kind(), Err(Reason::Malformed));
    assert_eq!(reader.end(), Ok(()));
}

#[test]
fn what_no_reader_accepts_is_not_written() {
    let mut unsorted = Writer::to_vec();
    unsorted.map(2).unwrap().u64(2).unwrap().u64(0).unwrap().u64(1).unwrap().u64(0).unwrap();
    assert_eq!(unsorted.finish(), Err(Reason::Malformed));
    let mut unfinished = Writer::to_vec();
    unfinished.array(2).unwrap().u64(2).unwrap();
    assert_eq!(unfinished.finish(), Err(Reason::Malformed));
    let mut sorted = Writer::to_vec();
    sorted.map(2).unwrap().u64(1).unwrap().u64(0).unwrap().u64(2).unwrap().u64(0).unwrap();
    assert_eq!(sorted.finish().unwrap(), [0xa2, 1, 0, 2, 0]);
}

#[test]
fn a_fixed_buffer_that_is_full_is_too_large() {
    let mut buffer = [0; 4];
    let mut writer = Writer::into_slice(&mut buffer);
    writer.bytes(&[1, 2, 3]).unwrap();
    assert_eq!(writer.finish().unwrap(), [0x43, 1, 2, 3]);
    let mut writer = Writer::into_slice(&mut buffer);
    assert_eq!(writer.bytes(&[1, 2, 3, 4]).err(), Some(Reason::TooLarge));
}

/// Any value of the kinds that we accept.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
        proptest::collection::vec(any::<u8>(), 0..30).prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 64, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            proptest::collection::vec((inner.clone(), inner.clone()), 0..6).prop_map(Value::Map),
            (any::<u64>(), inner).prop_map(|(tag, value)| Value::Tag(tag, Box::new(value))),
        ]
    })
}

fn encode(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    coset::cbor::into_writer(value, &mut out).unwrap();
    out
}

/// Bignum tags that the other library reads as integers would compare as such; leave them out.
fn has_bignum(value: &Value) -> bool {
    match value {
        Value::Tag(tag, inner) => matches!(tag, 2 | 3) || has_bignum(inner),
        Value::Array(items) => items.iter().any(has_bignum),
        Value::Map(entries) => entries.iter().any(|(k, v)| has_bignum(k) || has_bignum(v)),
        _ => false,
    }
}

/// Sorts every map by encoded key; says whether any key stands twice.
fn sort(value: &mut Value) -> bool {
    match value {
        Value::Tag(_, inner) => sort(inner),
        Value::Array(items) => items.iter_mut().fold(false, |twice, item| sort(item) | twice),
        Value::Map(entries) => {
            let mut twice = false;
            for (key, value) in entries.iter_mut() {
                twice |= sort(key) | sort(value);
            }
            entries.sort_by_key(|(key, _)| encode(key));
            twice | entries.windows(2).any(|pair| pair[0].0 == pair[1].0)
        }
        _ => false,
    }
}

/// Reads everything and writes it anew.
fn copy(reader: &mut Reader<'_>, out: &mut Writer<Vec<u8>>) -> Result<(), Reason> {
    match reader.kind()? {
        Kind::Unsigned => drop(out.u64(reader.u64()?)?),
        Kind::Negative => match reader.i64() {
            Ok(value) => drop(out.i64(value)?),
            Err(_) => drop(out.raw(reader.raw()?)?),
        },
        Kind::Bytes => drop(out.bytes(reader.bytes()?)?),
        Kind::Text => drop(out.text(reader.text()?)?),
        Kind::Bool => drop(out.bool(reader.bool()?)?),
        Kind::Null => {
            reader.null()?;
            out.null()?;
        }
        Kind::Undefined => drop(out.raw(reader.raw()?)?),
        Kind::Tag => {
            out.tag(reader.tag()?)?;
            copy(reader, out)?;
        }
        Kind::Array => {
            let count = reader.array()?;
            out.array(count)?;
            (0..count).try_for_each(|_| copy(reader, out))?;
        }
        Kind::Map => {
            let count = reader.map()?;
            out.map(count)?;
            (0..2 * count).try_for_each(|_| copy(reader, out))?;
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn another_library_agrees_on_what_is_accepted(mut value in values()) {
        prop_assume!(!has_bignum(&value));
        let as_made = encode(&value);
        let twice = sort(&mut value);
        let sorted = encode(&value);
        if twice {
            prop_assert_eq!(deterministic(&sorted), Err(Reason::Malformed));
        } else {
            prop_assert_eq!(well_formed(&as_made), Ok(()));
            prop_assert_eq!(deterministic(&sorted), Ok(()));
            prop_assert_eq!(deterministic(&as_made).is_ok(), as_made == sorted);
            let mut out = Writer::to_vec();
            copy(&mut Deterministic::read(&sorted).unwrap(), &mut out).unwrap();
            prop_assert_eq!(out.finish().unwrap(), sorted);
        }
    }

    #[test]
    fn any_bytes_are_judged_and_what_is_deterministic_is_well_formed(
        bytes in proptest::collection::vec(any::<u8>(), 0..64)
    ) {
        if deterministic(&bytes).is_ok() {
            prop_assert_eq!(well_formed(&bytes), Ok(()));
            let mut out = Writer::to_vec();
            copy(&mut Deterministic::read(&bytes).unwrap(), &mut out).unwrap();
            prop_assert_eq!(out.finish().unwrap(), bytes);
        }
    }
}
