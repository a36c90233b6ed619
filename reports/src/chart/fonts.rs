//! The typeface that charts and reports carry with them, so that no machine's own fonts matter.

use std::sync::Once;

use plotters::style::{FontStyle, IntoFont, register_font};

/// What SVGs and style sheets call the typeface.
pub(crate) const FAMILY: &str = "Inter";

pub(crate) const REGULAR: &[u8] = include_bytes!("../../fonts/Inter-Regular.otf");
pub(crate) const SEMIBOLD: &[u8] = include_bytes!("../../fonts/Inter-SemiBold.otf");

/// Plotters' font sizes are line heights: this many times the size of the letters' square.
pub(crate) const LINE_HEIGHT: f64 = 1.24;

/// Makes the typeface known to plotters; further calls do nothing.
pub(crate) fn register() {
    static DONE: Once = Once::new();
    DONE.call_once(|| {
        for (style, bytes) in [(FontStyle::Normal, REGULAR), (FontStyle::Bold, SEMIBOLD)] {
            assert!(register_font(FAMILY, style, bytes).is_ok(), "the embedded font is whole");
        }
    });
}

/// How wide `text` is, in pixels, at a size of `size` pixels.
pub(crate) fn width(text: &str, size: f64, bold: bool) -> f64 {
    register();
    // Measured large, since plotters rounds a width down to whole pixels.
    const LARGE: f64 = 16.0;
    let style = if bold { FontStyle::Bold } else { FontStyle::Normal };
    let font = (FAMILY, size * LARGE * LINE_HEIGHT, style).into_font();
    let (wide, _) = font.box_size(text).expect("the embedded font is registered");
    f64::from(wide) / LARGE
}

/// `text`, or its beginning and an ellipsis if it is wider than `room`.
pub(crate) fn fit(text: &str, size: f64, bold: bool, room: f64) -> String {
    if width(text, size, bold) <= room {
        return text.to_owned();
    }
    let mut kept: Vec<char> = text.chars().collect();
    while kept.pop().is_some() {
        let shorter = kept.iter().collect::<String>().trim_end().to_owned() + "…";
        if width(&shorter, size, bold) <= room {
            return shorter;
        }
    }
    "…".to_owned()
}

/// `bytes` as base64 (RFC 4648, padded), for a font inside a style sheet.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let word = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            if digit <= chunk.len() {
                text.push(char::from(DIGITS[(word >> (18 - 6 * digit) & 63) as usize]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn a_text_too_wide_ends_in_an_ellipsis_and_fits() {
        let text = "a deployment with a very long name";
        let short = fit(text, 12.0, false, 80.0);
        assert!(short.ends_with('…') && width(&short, 12.0, false) <= 80.0, "{short}");
        assert_eq!(fit("short", 12.0, false, 80.0), "short");
    }
}
