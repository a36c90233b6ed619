//! Quantities: what is read, what is refused, and that print and read are inverse.

use proptest::prelude::*;
use router_core::{Rate, Span};

use crate::quantity::{Budget, Frequency, Quantity, Trip, Unit};

const UNITS: [Unit; 9] = [
    Unit::Time,
    Unit::Timeout,
    Unit::Rate,
    Unit::Frequency,
    Unit::Share,
    Unit::Factor,
    Unit::Price,
    Unit::Trip,
    Unit::Budget,
];

fn rate(amount: u64, secs: u64, burst: Option<u64>) -> Quantity {
    Quantity::Rate(Rate { amount, period: Span::from_secs(secs), burst })
}

#[test]
fn quantities_are_read_exactly() {
    let trip = Trip { failures: 500_000, calls_min: 10, window: Span::from_secs(60) };
    let cases = [
        (Unit::Time, "250 ms", Quantity::Time(Span::from_millis(250))),
        (Unit::Time, "0.1s", Quantity::Time(Span::from_millis(100))),
        (Unit::Time, "1 d", Quantity::Time(Span::from_secs(86_400))),
        (Unit::Timeout, "off", Quantity::Time(Span::MAX)),
        (Unit::Rate, "500/min", rate(500, 60, None)),
        (Unit::Rate, "200k/min", rate(200_000, 60, None)),
        (Unit::Rate, "1.5M/min", rate(1_500_000, 60, None)),
        (Unit::Rate, "10/day burst 2", rate(10, 86_400, Some(2))),
        (Unit::Rate, "60 / 10 s", rate(60, 10, None)),
        (
            Unit::Frequency,
            "0.5/s",
            Quantity::Frequency(Frequency { micros: 500_000, period: Span::from_secs(1) }),
        ),
        (Unit::Share, "0.5 %", Quantity::Share(5_000)),
        (Unit::Share, "100%", Quantity::Share(1_000_000)),
        (Unit::Factor, "x4", Quantity::Factor(4_000_000)),
        (Unit::Factor, "x0.25", Quantity::Factor(250_000)),
        (Unit::Price, "0.15 USD/Mtok", Quantity::Price(150_000)),
        (Unit::Trip, "50 % of 10 in 60 s", Quantity::Trip(Some(trip))),
        (Unit::Trip, "off", Quantity::Trip(None)),
        (
            Unit::Budget,
            "20 % + 2/s",
            Quantity::Budget(Some(Budget { ratio: 200_000, per_second: 2 })),
        ),
    ];
    for (unit, text, quantity) in cases {
        assert_eq!(unit.parse(text), Ok(quantity), "{text}");
    }
    assert!(
        (Frequency { micros: 500_000, period: Span::from_secs(1) }.per_second() - 0.5).abs() == 0.0
    );
}

#[test]
fn what_is_no_quantity_is_refused_with_its_reason() {
    let cases = [
        (Unit::Time, "60", "`60` has no unit; write `60 s`"),
        (Unit::Time, "-1 s", "`-1 s` is negative; write it like `60 s`"),
        (Unit::Time, "nan s", "`nan` is not a number; write it like `60 s`"),
        (Unit::Time, "1. s", "`1.` is not a number; write it like `60 s`"),
        (Unit::Time, "", "`` is not a number; write it like `60 s`"),
        (Unit::Time, "off", "`off` is not a number; write it like `60 s`"),
        (
            Unit::Time,
            "600 d000",
            "`d000` is not a unit of a time; units: `ns`, `us`, `ms`, `s`, `min`, `h`, `d`",
        ),
        (
            Unit::Time,
            "1e9 s",
            "`e9 s` is not a unit of a time; units: `ns`, `us`, `ms`, `s`, `min`, `h`, `d`",
        ),
        (Unit::Time, "999999 d", "`999999 d` is too large; write it like `60 s`"),
        (Unit::Time, "0.5 ns", "`0.5 ns` is finer than 1 ns; write fewer decimals"),
        (
            Unit::Time,
            "18446744073709551615 ns",
            "`18446744073709551615 ns` is too large; write it like `60 s`",
        ),
        (Unit::Rate, "500", "`500` has no unit; write `500/min`"),
        (
            Unit::Rate,
            "0/min",
            "the amount of `0/min` is out of range; the amount must be from 1 to 1000G",
        ),
        (
            Unit::Rate,
            "1001G/min",
            "the amount of `1001G/min` is out of range; the amount must be from 1 to 1000G",
        ),
        (
            Unit::Rate,
            "1/min burst 0",
            "the burst of `1/min burst 0` is out of range; the burst must be from 1 to 1000G",
        ),
        (
            Unit::Rate,
            "1/999999 ns",
            "the period of `1/999999 ns` is out of range; the period must be from 1 ms to 31 d",
        ),
        (
            Unit::Rate,
            "5/32 d",
            "the period of `5/32 d` is out of range; the period must be from 1 ms to 31 d",
        ),
        (
            Unit::Rate,
            "1/day burst 367",
            "`1/day burst 367` takes more than a year to refill; write a smaller burst or a larger \
             rate",
        ),
        (Unit::Rate, "5/0 s", "`5/0 s` is per no time at all; write it like `500/min`"),
        (Unit::Rate, "0.5/min", "`0.5/min` is finer than one; write fewer decimals"),
        (Unit::Rate, "5 s", "`s` is not a unit of a rate; units: `/s`, `/min`, `/h`, `/day`"),
        (
            Unit::Rate,
            "99999999999999999999G/s",
            "`99999999999999999999G/s` is too large; write it like `500/min`",
        ),
        (Unit::Share, "101 %", "`101 %` is more than 100 %; a share is between `0 %` and `100 %`"),
        (Unit::Share, "5", "`5` has no unit; write `5 %`"),
        (Unit::Factor, "4", "`4` is not a factor; write it like `x4`"),
        (Unit::Price, "0.15", "`0.15` has no unit; write `0.15 USD/Mtok`"),
        (
            Unit::Trip,
            "50 %",
            "`50 %` is not a share of failures; write it like `50 % of 10 in 60 s` or `off`",
        ),
        (
            Unit::Trip,
            "0 % of 0 in 0 s",
            "the share, the number of calls, the window of `0 % of 0 in 0 s` are out of range; \
             the share must be from 0.0001 % to 100 %, the number of calls must be from 1 to 1M, \
             the window must be from 10 ms to 1 d",
        ),
        (
            Unit::Trip,
            "50 % of 5 in 25 h",
            "the window of `50 % of 5 in 25 h` is out of range; the window must be from 10 ms to 1 d",
        ),
        (
            Unit::Budget,
            "20 % + 2/min",
            "`20 % + 2/min` is not a unit of a retry budget; units: `%` and `/s`",
        ),
    ];
    for (unit, text, message) in cases {
        let bad = unit.parse(text).expect_err(text);
        assert_eq!(format!("{}; {}", bad.reason, bad.hint), message);
    }
}

#[test]
fn every_example_is_read() {
    for unit in UNITS {
        for example in unit.example().split("` or `") {
            assert!(unit.parse(example).is_ok(), "{example}");
        }
    }
}

pub(super) fn span() -> impl Strategy<Value = Span> {
    let nanos = prop_oneof![
        0..u64::MAX,
        (1..1_000_u64).prop_map(|s| s * 1_000_000_000),
        (1..100_000_u64).prop_map(|ms| ms * 1_000_000),
    ];
    nanos.prop_map(Span::from_nanos)
}

fn quantity() -> impl Strategy<Value = (Unit, Quantity)> {
    let period = || span().prop_filter("a period is some time", |span| !span.is_zero());
    // What takes a year to refill is refused.
    let rate = (1..=1_000_000_000_000_u64, 1..=31 * 86_400_000_u64, prop::option::of(1..=11_u64));
    let window = (10..=86_400_000_u64).prop_map(Span::from_millis);
    let trip = (1..=1_000_000_u32, 1..=1_000_000_u32, window);
    prop_oneof![
        span().prop_map(|span| (Unit::Time, Quantity::Time(span))),
        Just((Unit::Timeout, Quantity::Time(Span::MAX))),
        rate.prop_map(|(amount, ms, times)| {
            let period = Span::from_millis(ms);
            let burst = times.map(|times| (amount * times).min(1_000_000_000_000));
            (Unit::Rate, Quantity::Rate(Rate { amount, period, burst }))
        }),
        (any::<u64>(), period()).prop_map(|(micros, period)| {
            (Unit::Frequency, Quantity::Frequency(Frequency { micros, period }))
        }),
        (0..=1_000_000_u32).prop_map(|ppm| (Unit::Share, Quantity::Share(ppm))),
        any::<u64>().prop_map(|micros| (Unit::Factor, Quantity::Factor(micros))),
        any::<u64>().prop_map(|pico| (Unit::Price, Quantity::Price(pico))),
        trip.prop_map(|(failures, calls_min, window)| {
            (Unit::Trip, Quantity::Trip(Some(Trip { failures, calls_min, window })))
        }),
        any::<(u32, u32)>().prop_map(|(ratio, per_second)| {
            (Unit::Budget, Quantity::Budget(Some(Budget { ratio, per_second })))
        }),
    ]
}

proptest! {
    #[test]
    fn what_is_printed_reads_back((unit, quantity) in quantity()) {
        prop_assert_eq!(unit.parse(&quantity.to_string()), Ok(quantity));
    }

    #[test]
    fn no_text_makes_a_unit_panic(text in "[-0-9.xkMG%+/ a-z]{0,30}|\\PC{0,20}") {
        for unit in UNITS {
            if let Ok(quantity) = unit.parse(&text) {
                prop_assert_eq!(unit.parse(&quantity.to_string()), Ok(quantity));
            }
        }
    }
}
