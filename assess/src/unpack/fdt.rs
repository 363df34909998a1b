//! U-Boot images: FIT (a flattened device tree that holds images) and legacy uImage.

use super::{Fact, Fields, Format, Meta, Sink, UnpackError, text};
use crate::blob::Blob;

pub(super) const FORMATS: &[Format] = &[
    Format {
        name: "fit",
        about: "U-Boot FIT image, embedded and external data",
        magics: &[(0, &[0xd0, 0x0d, 0xfe, 0xed])],
        carved: true,
        detect: |b| {
            // The configurations stand behind the images, however large these are.
            Tree::read(b).is_ok_and(|t| {
                let (mut images, mut configurations) = (false, false);
                let whole = t.walk(b, |path, _, _, _| {
                    images |= path.starts_with("/images/");
                    configurations |= path.starts_with("/configurations");
                });
                whole.is_ok() && images && configurations
            })
        },
        unpack: unpack_fit,
    },
    Format {
        name: "uimage",
        about: "U-Boot legacy image, single and multi",
        magics: &[(0, &[0x27, 0x05, 0x19, 0x56])],
        carved: true,
        detect: |b| {
            b.exact(0, 64).is_ok_and(|mut head| {
                let stored = head.be32(4);
                head[4..8].fill(0);
                let mut sum = flate2::Crc::new();
                sum.update(&head);
                stored == Ok(sum.sum())
            })
        },
        unpack: unpack_uimage,
    },
];

struct Tree {
    total: u64,
    structure: usize,
    strings: usize,
}

impl Tree {
    fn read(blob: &Blob) -> Result<Self, UnpackError> {
        let head = blob.exact(0, 40)?;
        let total = u64::from(head.be32(4)?);
        if total < 40 || total > blob.len() {
            return Err(UnpackError::Truncated { at: blob.len() });
        }
        let structure = head.be32(8)? as usize;
        let strings = head.be32(12)? as usize;
        let version_fits = (16..=17).contains(&head.be32(20)?) && head.be32(24)? <= 17;
        if !version_fits || structure as u64 >= total || strings as u64 > total {
            return Err(UnpackError::Corrupt("device tree header"));
        }
        Ok(Self { total, structure, strings })
    }

    /// Calls `visit(path, property name, value offset, value length)`.
    fn walk(
        &self,
        blob: &Blob,
        mut visit: impl FnMut(&str, &str, u64, usize),
    ) -> Result<(), UnpackError> {
        let mut path: Vec<String> = Vec::new();
        let mut at = self.structure as u64;
        while at + 4 <= self.total {
            let token = blob.exact(at, 4)?.be32(0)?;
            at += 4;
            match token {
                1 => {
                    let name = text(&blob.bytes(at, 256));
                    if path.len() > 32 {
                        return Err(UnpackError::Bound("device tree depth"));
                    }
                    at = (at + name.len() as u64 + 1).next_multiple_of(4);
                    path.push(name);
                }
                2 => {
                    path.pop();
                }
                3 => {
                    let head = blob.exact(at, 8)?;
                    let len = head.be32(0)?;
                    let name_at = self.strings as u64 + u64::from(head.be32(4)?);
                    let name = text(&blob.bytes(name_at, 64));
                    visit(&path.join("/"), &name, at + 8, len as usize);
                    at = (at + 8 + u64::from(len)).next_multiple_of(4);
                }
                4 => {}
                9 => return Ok(()),
                _ => return Err(UnpackError::Corrupt("device tree token")),
            }
        }
        Err(UnpackError::Truncated { at })
    }
}

#[derive(Default)]
struct Image {
    name: String,
    data: Option<(u64, u64)>,
    offset: Option<u64>,
    position: Option<u64>,
    size: Option<u64>,
}

fn unpack_fit(blob: &Blob, sink: &mut dyn Sink) -> Result<u64, UnpackError> {
    let tree = Tree::read(blob)?;
    let mut images: Vec<Image> = Vec::new();
    let (mut signed, mut hashed) = (false, false);
    tree.walk(blob, |path, property, at, len| {
        let parts: Vec<&str> = path.split('/').collect();
        signed |= parts.last().is_some_and(|p| p.starts_with("signature")) && property == "value";
        hashed |= parts.last().is_some_and(|p| p.starts_with("hash")) && property == "value";
        let ["", "images", name] = parts.as_slice() else { return };
        if images.last().is_none_or(|image| image.name != *name) {
            images.push(Image { name: (*name).to_owned(), ..Image::default() });
        }
        let Some(image) = images.last_mut() else { return };
        let number = || blob.bytes(at, 4).be32(0).ok().map(u64::from);
        match property {
            "data" => image.data = Some((at, len as u64)),
            "data-offset" => image.offset = number(),
            "data-position" => image.position = number(),
            "data-size" => image.size = number(),
            _ => {}
        }
    })?;
    sink.fact(Fact::Fit { signed, hashed });
    let mut end = tree.total;
    for image in images {
        let external = image
            .position
            .or_else(|| image.offset.map(|offset| tree.total.next_multiple_of(4) + offset));
        let Some((at, len)) = image.data.or(external.zip(image.size)) else { continue };
        let body = blob.slice(at, len);
        if body.len() < len {
            let why = UnpackError::Truncated { at: blob.len() };
            sink.unread(&image.name, at, len - body.len(), &why);
        }
        end = end.max(at.saturating_add(len));
        let meta = Meta { mode: None, offset: Some(at), raw: true };
        sink.member(&format!("/{}", image.name), body, meta)?;
    }
    Ok(end.min(blob.len()))
}

fn unpack_uimage(blob: &Blob, sink: &mut dyn Sink) -> Result<u64, UnpackError> {
    let head = blob.exact(0, 64)?;
    let size = u64::from(head.be32(12)?);
    let name = text(&head[32..64]);
    sink.fact(Fact::UImage);
    let end = 64 + size;
    if end > blob.len() {
        sink.unread(&name, blob.len(), 0, &UnpackError::Truncated { at: blob.len() });
    }
    if head[30] == 4 {
        let mut sizes = Vec::new();
        let mut at = 64;
        loop {
            let len = u64::from(blob.exact(at, 4)?.be32(0)?);
            at += 4;
            if len == 0 {
                break;
            }
            sizes.push(len);
            if sizes.len() > 64 {
                return Err(UnpackError::Bound("images in one uImage"));
            }
        }
        for (index, len) in sizes.into_iter().enumerate() {
            let meta = Meta { mode: None, offset: Some(at), raw: true };
            sink.member(&format!("/{name}#{index}"), blob.slice(at, len), meta)?;
            at += len.next_multiple_of(4);
        }
    } else {
        let meta = Meta { mode: None, offset: Some(64), raw: true };
        sink.member(&format!("/{name}"), blob.slice(64, size), meta)?;
    }
    Ok(end.min(blob.len()))
}
