//! What replicas overshoot by, against how old their news is: `docs/replicas.md` and its chart.
//!
//! The bound is `(N - 1) * (rate * staleness + burst)`. Each replica is sent as much as the whole
//! limit grants, so that nothing but word of the others keeps them to it.

use std::fmt::Write as _;
use std::path::Path;

use reports::{Expectation, Fold, Staleness, Verdict};
use router_core::Driver;
use scenarios::resolve::{Fleet, Override, resolve};
use sim::{Replicas, World};

const COUNTS: [u16; 3] = [2, 4, 8];
/// How often each publishes, in milliseconds; it takes 50 ms more to arrive.
const PUBLISH: [u32; 6] = [200, 500, 1_000, 2_000, 4_000, 8_000];
const DELAY: u32 = 50;
const RATE: f64 = 20.0;

/// By how many requests so many replicas overshoot 20 a second.
fn overshoot(count: u16, publish: u32, on_outage: &str) -> f64 {
    let router = format!(
        "[router]\npeers = {{ replicas = {count}, stale = \"1 min\", on_outage = \"{on_outage}\" }}
[deployment.paid]\nprovider = \"openai\"\nmodel = \"gpt-4o-mini\"
limit = {{ requests = \"1200/min burst {count}\" }}
[group.chat]\nmembers = {{ paid = 1 }}\n"
    );
    let rate = f64::from(count) * RATE;
    let scenario = format!(
        "seed = 67\n[replicas]\ncount = {count}\npublish = \"{publish} ms\"\ndelay = \"{DELAY} ms\"
[demand.\"*\"]\nnormal = {{ rate = \"{rate}/s\", lasts = \"3 min\", client = \"once\", \
tokens = {{ input = 100, output = 20 }} }}
[provider.\"*\"]\nservice = {{ constant = \"100 ms\" }}\nconcurrency = \"unlimited\"
[expect]\n\"it ends\" = \"success.rate >= 0 %\"\n"
    );
    let router = scenarios::router::read("router", &router).expect("it is valid");
    let scenario = scenarios::scenario::read("scenario", &scenario).expect("it is valid");
    let fleet = Fleet { config: &router.config, endpoints: &router.endpoints, then: &[] };
    let resolved = resolve(&scenario, fleet, &Override::default()).expect("it is valid");
    let brain = Replicas::new(&resolved.plan, &router.config, 67, |_, _| ());
    let fold = Fold::new(std::sync::Arc::clone(&router.config), resolved.frame.clone());
    let mut world = World::new(&resolved.plan, Driver::new(brain, fold));
    world.run();
    let end = world.now();
    let replicas = resolved.replicas(world.driver().brain(), &router.config);
    let figures = world.into_driver().into_journal().finish(end);
    let figures = reports::Figures { replicas, ..figures };
    let asked = Expectation::parse("limits.overshoot >= 0").expect("it is a metric");
    let judged = asked.judge(&figures);
    assert_eq!(judged.verdict, Verdict::Pass);
    judged.measured.expect("there is a limit")
}

fn bound(count: u16, publish: u32) -> f64 {
    let stale = f64::from(publish + DELAY) / 1_000.0;
    f64::from(count - 1) * (RATE * stale + f64::from(count))
}

fn page(all: &[Staleness]) -> String {
    let heads = COUNTS.map(|count| format!(" {count} replicas | of at most |"));
    let mut page = format!("| news is at most |{}\n|---|", heads.concat());
    page += &"---|---|".repeat(COUNTS.len());
    for (row, publish) in PUBLISH.iter().enumerate() {
        let stale = f64::from(publish + DELAY) / 1_000.0;
        write!(page, "\n| {stale} s old |").expect("to memory");
        for curve in all {
            let (_, measured, most) = curve.points[row];
            write!(page, " {measured:.0} | {most:.0} |").expect("to memory");
        }
    }
    page + "\n"
}

#[test]
fn replicas_overshoot_by_no_more_than_their_news_is_old() {
    let curve = |count: u16| {
        let point = |&publish: &u32| {
            let measured = overshoot(count, publish, "open");
            (f64::from(publish + DELAY) / 1_000.0, measured, bound(count, publish))
        };
        Staleness { replicas: count, points: PUBLISH.iter().map(point).collect() }
    };
    let all: Vec<Staleness> = COUNTS.into_iter().map(curve).collect();
    for Staleness { replicas, points } in &all {
        for (stale, measured, most) in points {
            assert!(measured <= most, "{measured} of {most}: {replicas} replicas, {stale} s");
            // They publish in turns, so that somebody is heard of long before all are; what one
            // sends before that shows nevertheless.
            let least = if *stale < 1.0 { 1.0 } else { RATE * stale / 4.0 };
            assert!(*measured >= least, "{measured}: {replicas}, {stale} s");
        }
        assert!(points.is_sorted_by(|a, b| a.1 <= b.1), "older news, more overshoot: {points:?}");
    }
    for count in COUNTS {
        assert_eq!(overshoot(count, 8_000, "share"), 0.0, "a share needs no word of anybody");
    }
    let chart = reports::staleness(
        "Replicas overshoot a limit by what the others sent since they were last heard",
        "requests beyond 20 a second in any window, by how old news of the others may be; each is \
         sent 20 a second",
        &all,
    );
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let text = std::fs::read_to_string(docs.join("replicas.md")).expect("the page is there");
    let (before, rest) = text.split_once("<!-- measured -->\n").expect("where it is told");
    let (_, after) = rest.split_once("<!-- end of measured -->").expect("where that ends");
    let told = page(&all);
    let whole = format!("{before}<!-- measured -->\n{told}<!-- end of measured -->{after}");
    if std::env::var_os("SEAWALL_VALIDATION").is_some() {
        std::fs::write(docs.join("replicas.md"), &whole).expect("it can be written");
        std::fs::write(docs.join("replicas.svg"), chart.svg()).expect("it can be written");
        std::fs::write(std::env::temp_dir().join("replicas.png"), chart.png()).expect("to look at");
    }
    let text = std::fs::read_to_string(docs.join("replicas.md")).expect("the page is there");
    assert_eq!(text, whole, "SEAWALL_VALIDATION=write writes it");
    let drawn = std::fs::read_to_string(docs.join("replicas.svg")).expect("the chart is there");
    assert!(drawn == chart.svg(), "SEAWALL_VALIDATION=write draws it");
}
