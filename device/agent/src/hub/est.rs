//! EST bodies (RFC 7030, RFC 8951): base64 of PKCS#10, and of certs-only CMS.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ringfort_cose::Reason;

use crate::AgentError;

pub(crate) fn encode_request(request: &[u8]) -> Vec<u8> {
    STANDARD.encode(request).into_bytes()
}

/// The certificates of an answer, as many as there are.
pub(crate) fn decode_answer(body: &[u8]) -> Result<Vec<Vec<u8>>, AgentError> {
    let text: Vec<u8> = body.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let der = STANDARD
        .decode(text)
        .map_err(|_| AgentError::answer(Reason::Malformed, "its body is not base64"))?;
    parse_certs_only(&der)
        .ok_or_else(|| AgentError::answer(Reason::Malformed, "its body is not certs-only CMS"))
}

/// The certificates of a certs-only SignedData (RFC 5652, section 5.1). What was signed there is
/// nothing; whether a certificate is any good is for the caller to see.
fn parse_certs_only(der: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (content_info, rest) = element(der, 0x30)?;
    if !rest.is_empty() {
        return None;
    }
    let rest = content_info.strip_prefix(&OID_SIGNED_DATA)?;
    let (explicit, _) = element(rest, 0xa0)?;
    let (signed_data, _) = element(explicit, 0x30)?;
    let (_version, rest) = element(signed_data, 0x02)?;
    let (_algorithms, rest) = element(rest, 0x31)?;
    let (_content, rest) = element(rest, 0x30)?;
    let (mut set, _) = element(rest, 0xa0)?;
    let mut certificates = Vec::new();
    while !set.is_empty() {
        let (_, rest) = element(set, 0x30)?;
        certificates.push(set[..set.len() - rest.len()].to_vec());
        set = rest;
        if certificates.len() > MAX_CERTIFICATES {
            return None;
        }
    }
    Some(certificates)
}

/// The content of the DER element with this tag, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = der.split_first()?;
    let (len, rest) = rest.split_first()?;
    let (len, rest) = match *len {
        len @ 0..=0x7f => (usize::from(len), rest),
        0x81 => {
            let (len, rest) = rest.split_first()?;
            (usize::from(*len), rest)
        }
        0x82 => {
            let (len, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*len)), rest)
        }
        _ => return None,
    };
    if *first != tag || len > rest.len() {
        return None;
    }
    Some(rest.split_at(len))
}

/// DER of the object identifier id-signedData.
const OID_SIGNED_DATA: [u8; 11] =
    [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
const MAX_CERTIFICATES: usize = 8;
pub(crate) const MAX_ANSWER_LEN: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::sequence;

    fn message(certificates: &[&[u8]]) -> Vec<u8> {
        let wrap = |tag: u8, content: &[u8]| {
            let mut wrapped = sequence(&[content]);
            wrapped[0] = tag;
            wrapped
        };
        let data = sequence(&[&[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01]]);
        let signed = sequence(&[
            &[0x02, 0x01, 0x01, 0x31, 0x00],
            &data,
            &wrap(0xa0, &certificates.concat()),
            &[0x31, 0x00],
        ]);
        sequence(&[&OID_SIGNED_DATA, &wrap(0xa0, &signed)])
    }

    #[test]
    fn certificates_come_out_whole_and_nothing_panics() {
        let (one, two) = (sequence(&[&[7; 300]]), sequence(&[&[8; 100]]));
        let whole = message(&[&one, &two]);
        assert_eq!(parse_certs_only(&whole), Some(vec![one, two]));
        for len in 0..whole.len() {
            assert_eq!(parse_certs_only(&whole[..len]), None, "{len}");
        }
        for index in 0..whole.len() {
            let mut changed = whole.clone();
            changed[index] ^= 0xff;
            let _ = parse_certs_only(&changed);
        }
        assert_eq!(parse_certs_only(&[&whole[..], &[0]].concat()), None);
        let body = [&STANDARD.encode(&whole).into_bytes()[..], b"\r\n"].concat();
        assert_eq!(decode_answer(&body).unwrap().len(), 2);
        assert!(decode_answer(b"not base64!").is_err());
    }
}
