//! Pixels as PNG (ISO/IEC 15948), in memory.
//!
//! Why our own: plotters encodes to a path only, and a run's files are compared before any is
//! written. Charts are flat, so differences from the row above and runs of one pixel (deflate,
//! RFC 1951, with its fixed codes) make them small, and nobody's new version makes them differ.

/// Pixels of three bytes, row by row.
const PIXEL: usize = 3;
/// The longest run that one code can stand for.
const LONGEST: usize = 258;
/// The first length of each length code, and how many further bits tell it exactly (RFC 1951,
/// 3.2.5).
const LENGTHS: [(usize, u32); 29] = [
    (3, 0),
    (4, 0),
    (5, 0),
    (6, 0),
    (7, 0),
    (8, 0),
    (9, 0),
    (10, 0),
    (11, 1),
    (13, 1),
    (15, 1),
    (17, 1),
    (19, 2),
    (23, 2),
    (27, 2),
    (31, 2),
    (35, 3),
    (43, 3),
    (51, 3),
    (59, 3),
    (67, 4),
    (83, 4),
    (99, 4),
    (115, 4),
    (131, 5),
    (163, 5),
    (195, 5),
    (227, 5),
    (258, 0),
];

/// An image of `width` pixels a row; `rgb` holds whole rows.
pub(crate) fn encode(rgb: &[u8], width: u32) -> Vec<u8> {
    let stride = width as usize * PIXEL;
    assert!(stride > 0 && rgb.len().is_multiple_of(stride), "whole rows of pixels");
    let height = u32::try_from(rgb.len() / stride).expect("fewer than 2^32 rows");
    let mut header = Vec::from(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    // Eight bits a channel, red green blue, and the only methods there are.
    header.extend([8, 2, 0, 0, 0]);
    let mut png = Vec::from(*b"\x89PNG\r\n\x1a\n");
    chunk(&mut png, *b"IHDR", &header);
    chunk(&mut png, *b"IDAT", &zlib(&above(rgb, stride)));
    chunk(&mut png, *b"IEND", &[]);
    png
}

/// Each row's difference from the one above, behind the number of that filter.
fn above(rgb: &[u8], stride: usize) -> Vec<u8> {
    const UP: u8 = 2;
    let mut bytes = Vec::with_capacity(rgb.len() + rgb.len() / stride);
    let mut last = vec![0; stride];
    for row in rgb.chunks_exact(stride) {
        bytes.push(UP);
        bytes.extend(row.iter().zip(&last).map(|(here, above)| here.wrapping_sub(*above)));
        last.copy_from_slice(row);
    }
    bytes
}

fn chunk(png: &mut Vec<u8>, name: [u8; 4], data: &[u8]) {
    png.extend(u32::try_from(data.len()).expect("a chunk of less than 4 GB").to_be_bytes());
    let checked = png.len();
    png.extend(name);
    png.extend(data);
    let sum = crc(&png[checked..]);
    png.extend(sum.to_be_bytes());
}

/// RFC 1950 around one block of RFC 1951.
fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut bits = Bits { bytes: vec![0x78, 0x01], held: 0, count: 0 };
    // The last block, of fixed codes.
    bits.put(0b011, 3);
    let mut at = 0;
    while at < bytes.len() {
        let run = run(bytes, at);
        if run < LENGTHS[0].0 {
            bits.symbol(u32::from(bytes[at]));
            at += 1;
        } else {
            bits.run(run);
            at += run;
        }
    }
    bits.symbol(256);
    let mut bytes_out = bits.finish();
    bytes_out.extend(adler(bytes).to_be_bytes());
    bytes_out
}

/// How many bytes from `at` repeat the pixel before them.
fn run(bytes: &[u8], at: usize) -> usize {
    let Some(before) = at.checked_sub(PIXEL) else { return 0 };
    let same = bytes[at..].iter().zip(&bytes[before..]).take(LONGEST);
    same.take_while(|(here, there)| here == there).count()
}

/// Bits, the lowest first.
struct Bits {
    bytes: Vec<u8>,
    held: u64,
    count: u32,
}

impl Bits {
    fn put(&mut self, bits: u32, count: u32) {
        self.held |= u64::from(bits) << self.count;
        self.count += count;
        while self.count >= 8 {
            self.bytes.push(self.held as u8);
            self.held >>= 8;
            self.count -= 8;
        }
    }

    /// A Huffman code, whose highest bit comes first.
    fn code(&mut self, code: u32, count: u32) {
        self.put(code.reverse_bits() >> (32 - count), count);
    }

    /// A literal or a length (RFC 1951, 3.2.6).
    fn symbol(&mut self, symbol: u32) {
        match symbol {
            0..=143 => self.code(0x30 + symbol, 8),
            144..=255 => self.code(0x190 + symbol - 144, 9),
            256..=279 => self.code(symbol - 256, 7),
            _ => self.code(0xC0 + symbol - 280, 8),
        }
    }

    /// The pixel before, over and over.
    fn run(&mut self, length: usize) {
        let code = LENGTHS.iter().rposition(|(first, _)| *first <= length);
        let code = code.expect("runs are long enough");
        let (first, extra) = LENGTHS[code];
        self.symbol(257 + code as u32);
        self.put((length - first) as u32, extra);
        // Three bytes back.
        self.code(2, 5);
    }

    fn finish(mut self) -> Vec<u8> {
        self.put(0, 7);
        self.bytes
    }
}

fn adler(bytes: &[u8]) -> u32 {
    let (mut a, mut b) = (1_u32, 0_u32);
    for byte in bytes {
        a = (a + u32::from(*byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    b << 16 | a
}

fn crc(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        let mixed = crc ^ u32::from(*byte);
        (0..8).fold(mixed, |c, _| if c & 1 == 1 { c >> 1 ^ 0xEDB8_8320 } else { c >> 1 })
    };
    !bytes.iter().fold(u32::MAX, step)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The pixels of an image that [`encode`] wrote.
    fn decode(png: &[u8]) -> Vec<u8> {
        let stride = u32::from_be_bytes(png[16..20].try_into().unwrap()) as usize * PIXEL;
        let length = u32::from_be_bytes(png[33..37].try_into().unwrap()) as usize;
        let zlib = &png[41..41 + length];
        let mut rgb: Vec<u8> = Vec::new();
        for row in inflate(&zlib[2..length - 4]).chunks_exact(stride + 1) {
            let above = rgb.len().checked_sub(stride).map(|from| rgb[from..].to_vec());
            let above = above.unwrap_or_else(|| vec![0; stride]);
            rgb.extend(row[1..].iter().zip(above).map(|(d, a)| d.wrapping_add(a)));
        }
        rgb
    }

    fn inflate(deflated: &[u8]) -> Vec<u8> {
        let mut at = 3;
        let mut bit = || {
            at += 1;
            u32::from(deflated[(at - 1) / 8] >> ((at - 1) % 8) & 1)
        };
        let mut out: Vec<u8> = Vec::new();
        loop {
            let code = (0..7).fold(0, |code, _| code << 1 | bit());
            let symbol = match code {
                0..24 => 256 + code,
                24..96 => (code << 1 | bit()) - 0x30,
                96..100 => (code << 1 | bit()) - 0xC0 + 280,
                _ => ((code << 1 | bit()) << 1 | bit()) - 0x190 + 144,
            };
            match symbol {
                0..256 => out.push(symbol as u8),
                256 => return out,
                _ => {
                    let (first, extra) = LENGTHS[symbol as usize - 257];
                    let more = (0..extra).fold(0, |more, place| more | bit() << place);
                    assert_eq!((0..5).fold(0, |code, _| code << 1 | bit()), 2);
                    (0..first + more as usize).for_each(|_| out.push(out[out.len() - PIXEL]));
                }
            }
        }
    }

    #[test]
    fn sums_are_those_of_the_standards() {
        assert_eq!(crc(b"IEND"), 0xAE42_6082);
        assert_eq!(adler(b"Wikipedia"), 0x11E6_0398);
    }

    #[test]
    fn a_flat_picture_is_small() {
        let white = vec![255; 2_000 * 800 * PIXEL];
        let png = encode(&white, 2_000);
        assert!(png.len() < 40_000, "{}", png.len());
        assert_eq!(decode(&png), white);
    }

    proptest! {
        #[test]
        fn every_picture_comes_back(
            pixels in prop::collection::vec((any::<[u8; 3]>(), 1_usize..400), 1..40),
            width in 1_usize..50,
        ) {
            let pixels: Vec<[u8; 3]> =
                pixels.into_iter().flat_map(|(pixel, times)| vec![pixel; times]).collect();
            let whole = pixels.len() / width * width;
            let rgb: Vec<u8> = pixels[..whole].iter().flatten().copied().collect();
            prop_assert_eq!(decode(&encode(&rgb, width as u32)), rgb);
        }
    }
}
