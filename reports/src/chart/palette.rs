//! Colours that stay apart under the common colour-vision deficiencies, and in grey.

use plotters::style::RGBColor;

/// The ground.
pub(crate) const PAPER: RGBColor = RGBColor(0xFF, 0xFF, 0xFF);
/// Titles and names.
pub(crate) const INK: RGBColor = RGBColor(0x1B, 0x26, 0x33);
/// Units, ticks and remarks.
pub(crate) const SOFT: RGBColor = RGBColor(0x5C, 0x68, 0x76);
/// The axis.
pub(crate) const AXIS: RGBColor = RGBColor(0xA8, 0xB1, 0xBC);
/// The grid.
pub(crate) const GRID: RGBColor = RGBColor(0xE7, 0xEA, 0xEE);
/// Lanes, and what is only background to a comparison.
pub(crate) const LANE: RGBColor = RGBColor(0xD5, 0xDA, 0xE1);

/// What the world does to the providers.
pub(crate) const FAULT: RGBColor = RGBColor(0xC8, 0x3E, 0x4D);
/// What the users do.
pub(crate) const SPIKE: RGBColor = RGBColor(0x6B, 0x5B, 0x95);
/// A line not to be crossed.
pub(crate) const BOUND: RGBColor = RGBColor(0xC8, 0x3E, 0x4D);

/// Good work.
pub(crate) const GOOD: RGBColor = RGBColor(0x12, 0x8A, 0x72);
/// Work taken on.
pub(crate) const TAKEN: RGBColor = RGBColor(0x2A, 0x6F, 0xBB);

/// Quantiles, from the middle to the extreme: one hue, ever darker.
pub(crate) const QUANTILES: [RGBColor; 3] =
    [RGBColor(0x7F, 0xB2, 0xE5), RGBColor(0x2F, 0x78, 0xC4), RGBColor(0x12, 0x3A, 0x6B)];

/// Things of equal standing, such as deployments.
pub(crate) const SERIES: [RGBColor; 8] = [
    RGBColor(0x2A, 0x6F, 0xBB),
    RGBColor(0xE3, 0x8B, 0x29),
    RGBColor(0x1F, 0x9D, 0x8A),
    RGBColor(0xA8, 0x4B, 0x8F),
    RGBColor(0x7D, 0xBC, 0xE8),
    RGBColor(0xC9, 0xB0, 0x37),
    RGBColor(0x8A, 0x5A, 0x44),
    RGBColor(0x5B, 0x6B, 0x9E),
];
/// All that have no colour of their own.
pub(crate) const OTHERS: RGBColor = RGBColor(0xB4, 0xBC, 0xC6);

/// Over a provider's rate.
pub(crate) const RATE: RGBColor = RGBColor(0xE3, 0x8B, 0x29);
/// Failing, or too slow.
pub(crate) const FAILING: RGBColor = RGBColor(0x2A, 0x6F, 0xBB);
/// A key refused, money spent, a model gone.
pub(crate) const ACCOUNT: RGBColor = RGBColor(0xA8, 0x4B, 0x8F);
