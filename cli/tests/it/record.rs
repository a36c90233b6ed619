//! Records of whole runs, read back and replayed.

use std::sync::Arc;

use router_core::{Brain, Line, Output, Router, Seed, Time, fingerprint};
use scenarios::library;

use crate::Desk;

/// The router alone, fed with the inputs of a record, says every output of it again.
#[test]
fn a_recorded_run_replays_line_by_line() {
    let desk = Desk::new();
    desk.seawall("run rate-limit-storm --record --first 4000").ended(0);
    let text = desk.text("runs/latest/record");
    let starter = scenarios::router::read("starter", library::STARTER.text).expect("it is right");
    let config = starter.config;
    let mut router = Router::new(Arc::clone(&config), Seed::from_u64(13), Time::ZERO);
    let mut awaited: Vec<(Time, Output)> = Vec::new();
    let (mut inputs, mut outputs) = (0, 0);
    for (number, text) in (1..).zip(text.lines()) {
        let line = Line::parse(text, &[]).unwrap_or_else(|bad| panic!("line {number}: {bad}"));
        assert_eq!(line.to_string(), text);
        match line {
            Line::Input(now, input) => {
                assert_eq!(awaited, [], "more was said before line {number} than is recorded");
                awaited = router.handle(now, input).map(|output| (now, output)).collect();
                awaited.reverse();
                inputs += 1;
            }
            Line::Output(at, output) => {
                assert_eq!(awaited.pop(), Some((at, output)), "line {number}");
                outputs += 1;
            }
            Line::Config(hash) => assert_eq!(hash, fingerprint(&config)),
            Line::Version(_) | Line::Start(_) => {}
            Line::Group(..) | Line::Deployment(..) | Line::Limit(..) => {}
        }
    }
    assert_eq!(awaited, []);
    assert!(inputs > 4_000 && outputs > 12_000, "{inputs} inputs, {outputs} outputs");
}
