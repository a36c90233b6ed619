//! Pixels as PNG, in memory: plotters writes to a path only, and a run's files are compared before
//! any of them is written.

use png::{BitDepth, ColorType, Encoder};

/// An image of `width` pixels a row; `rgb` holds whole rows of three bytes a pixel.
pub(crate) fn encode(rgb: &[u8], width: u32) -> Vec<u8> {
    let stride = width as usize * 3;
    assert!(stride > 0 && rgb.len().is_multiple_of(stride), "whole rows of pixels");
    let height = u32::try_from(rgb.len() / stride).expect("fewer than 2^32 rows");
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, width, height);
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    let mut writer = encoder.write_header().expect("memory takes what is written");
    writer.write_image_data(rgb).expect("there are as many pixels as the header says");
    writer.finish().expect("memory takes what is written");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_comes_back() {
        let rgb: Vec<u8> = (0..3 * 40 * 30).map(|n| (n % 251) as u8).collect();
        let encoded = encode(&rgb, 40);
        let mut reader = png::Decoder::new(&encoded[..]).read_info().unwrap();
        let mut decoded = vec![0; reader.output_buffer_size()];
        let info = reader.next_frame(&mut decoded).unwrap();
        assert_eq!((info.width, info.height, decoded), (40, 30, rgb));
    }
}
