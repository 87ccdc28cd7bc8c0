//! Writes PNG pictures the simplest way: without compression.
//!
//! They are food for an optimiser: correct, and far larger than they need be.

/// How the pixels of a picture are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// One byte a pixel.
    Grey,
    /// Red, green, blue.
    Rgb,
    /// Red, green, blue, opacity.
    Rgba,
}

impl Colour {
    fn channels(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Rgb => 3,
            Self::Rgba => 4,
        }
    }

    /// The colour type of the header (PNG 11.2.2).
    fn code(self) -> u8 {
        match self {
            Self::Grey => 0,
            Self::Rgb => 2,
            Self::Rgba => 6,
        }
    }
}

/// The file of a picture of `width` x `height` pixels; `channel(x, y, c)` is the
/// value of channel `c` there.
#[must_use]
pub fn encode(
    width: u32,
    height: u32,
    colour: Colour,
    mut channel: impl FnMut(u32, u32, usize) -> u8,
) -> Vec<u8> {
    let mut rows = Vec::new();
    for y in 0..height {
        // Each row starts with its filter: none.
        rows.push(0);
        for x in 0..width {
            rows.extend((0..colour.channels()).map(|c| channel(x, y, c)));
        }
    }
    let mut header = Vec::new();
    header.extend(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    // Eight bits a channel; the only compression, the only filters, no interlace.
    header.extend([8, colour.code(), 0, 0, 0]);

    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    chunk(&mut file, *b"IHDR", &header);
    chunk(&mut file, *b"IDAT", &stored(&rows));
    chunk(&mut file, *b"IEND", &[]);
    file
}

fn chunk(file: &mut Vec<u8>, name: [u8; 4], content: &[u8]) {
    let length = u32::try_from(content.len()).expect("a small picture");
    file.extend(length.to_be_bytes());
    let start = file.len();
    file.extend(name);
    file.extend(content);
    let sum = crc32(&file[start..]);
    file.extend(sum.to_be_bytes());
}

/// A zlib stream of blocks that are stored as they are (RFC 1950, RFC 1951).
fn stored(data: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x78, 0x01];
    let mut blocks = data.chunks(usize::from(u16::MAX)).peekable();
    while let Some(block) = blocks.next() {
        let length = u16::try_from(block.len()).expect("cut to fit");
        stream.push(u8::from(blocks.peek().is_none()));
        stream.extend(length.to_le_bytes());
        stream.extend((!length).to_le_bytes());
        stream.extend(block);
    }
    stream.extend(adler32(data).to_be_bytes());
    stream
}

/// The checksum of a chunk (PNG annex D), bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let crc = bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            let is_odd = crc & 1 == 1;
            (crc >> 1) ^ if is_odd { 0xedb8_8320 } else { 0 }
        })
    });
    !crc
}

/// The checksum of a zlib stream (RFC 1950).
fn adler32(bytes: &[u8]) -> u32 {
    let (low, high) = bytes.iter().fold((1, 0), |(low, high), &byte| {
        let low = (low + u32::from(byte)) % 65_521;
        (low, (high + low) % 65_521)
    });
    high << 16 | low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_standards() {
        // The check values that both algorithms are published with.
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(adler32(b"Wikipedia"), 0x11e6_0398);
        assert_eq!(crc32(b"IEND"), 0xae42_6082);
    }

    #[test]
    fn a_picture_has_its_three_chunks_and_every_pixel() {
        let file = encode(3, 2, Colour::Rgb, |x, y, c| {
            (x * 100 + y * 10) as u8 + c as u8
        });
        let has = |part: &[u8]| file.windows(part.len()).any(|window| window == part);
        assert!(has(b"\0\0\0\x0dIHDR\0\0\0\x03\0\0\0\x02\x08\x02\0\0\0"));
        assert!(has(&[0, 10, 11, 12, 110, 111, 112, 210, 211, 212]));
        assert!(file.ends_with(b"IEND\xae\x42\x60\x82"));
    }

    #[test]
    fn long_data_is_stored_in_several_blocks_and_one_is_the_last() {
        let stream = stored(&vec![7; 70_000]);
        // Header, two blocks of five bytes of header each, checksum.
        assert_eq!(stream.len(), 2 + 5 + 65_535 + 5 + 4_465 + 4);
        assert_eq!((stream[2], stream[7 + 65_535]), (0, 1));
    }
}
