//! What replicas overshoot together when their store forgets and their clocks differ.

use super::*;

/// Four replicas, of whom each is sent a quarter of forty calls a second, 120 tokens each.
fn scenario(replicas: &str, more: &str) -> Entry {
    let text = format!(
        "[demand.\"*\"]
normal = {{ rate = \"40/s\", lasts = \"3 min\", tokens = {{ input = 100, output = 20 }}, client = \"once\" }}
output_max = 20
subjects = {{ org = {{ acme = \"100 %\" }} }}
[provider.\"*\"]
service = {{ constant = \"20 ms\" }}
concurrency = \"unlimited\"
[replicas]
count = 4
publish = \"200 ms\"
delay = \"50 ms\"
{replicas}
{more}
[expect]
\"users are answered\" = \"success.rate >= 1 %\"
"
    );
    Entry { name: "replicas", text: text.leak() }
}

/// `acme` may use so many tokens a minute: by a budget, or by a rate.
fn router(on_outage: &str, acme: &str) -> Entry {
    let text = format!(
        "[router]
peers = {{ replicas = 4, on_outage = \"{on_outage}\" }}
[deployment.a]
provider = \"acme\"
model = \"m\"
[group.chat]
members = {{ a = 1 }}
[subject.\"org=acme\"]
{acme}
"
    );
    Entry { name: "router", text: text.leak() }
}

const BUDGET: &str = "budget = \"60k tokens/min\"";

fn over(scenario: Entry, router: Entry) -> (u64, u64) {
    let figures = flown(scenario, router).0;
    let replicas = figures.replicas.as_ref().expect("there are four");
    let tokens = replicas.budget_tokens.iter().map(|(_, most)| *most).max().unwrap_or(0);
    (tokens, figures.whole.calls.answered)
}

#[test]
fn clocks_that_differ_overshoot_a_budget_by_what_comes_in_that_time() {
    // 4,800 tokens come per second; a quarter of a second of what three others do is not known.
    let untold = 3_600 / 4 + 3 * 120;
    let mut last = 0;
    for skew in [0, 2, 5, 10] {
        let scenario = scenario(&format!("skew = \"{skew} s\""), "");
        let (tokens, answered) = over(scenario, router("open", BUDGET));
        assert!(tokens <= untold + 4_800 * skew, "{tokens} at {skew} s");
        assert!(tokens >= last, "more skew, more overshoot: {tokens} after {last}");
        assert!(skew == 0 || tokens > 1_200 * skew, "{tokens} at {skew} s");
        last = tokens;
        // Three budgets of 500 calls each, and no fourth: nothing rolls twice.
        assert!((1_450..=1_500 + (tokens / 120)).contains(&answered), "{answered} at {skew} s");
        let (shared, _) = over(scenario, router("share", BUDGET));
        assert!(shared <= 4_800 * skew, "each has its part early, and no more: {shared}");
    }
}

#[test]
fn what_the_store_throws_away_is_older_news_and_no_more() {
    let of = |evict: &str, on_outage: &str| {
        over(scenario(&format!("evict = \"{evict}\""), ""), router(on_outage, BUDGET))
    };
    let (none, half) = (of("0 %", "open").0, of("50 %", "open").0);
    assert!(none <= 1_260 && half > none && half <= 15 * 1_260, "{none} {half}");
    assert_eq!(of("50 %", "share").0, 0);
    // If nothing is ever heard each spends it all, or nobody anything.
    let (all, _) = of("100 %", "open");
    assert_eq!(all, 3 * 60_000);
    let (closed, answered) = of("100 %", "closed");
    // Five seconds of silence are none; 200 calls come in them, give or take a few.
    assert!(closed == 0 && (170..=230).contains(&answered), "{closed} {answered}");
}

#[test]
fn a_restart_refills_what_the_store_has_thrown_away_and_nothing_else() {
    let restart = "[fault.deploy]\non = \"router\"\nrestart = \"empty\"\nat = \"40.02 s\"\n";
    let evict = "[fault.lost]\non = \"store\"\nstore = \"evict\"\nat = \"40.01 s\"\n";
    let of = |faults: &[&str]| over(scenario("", &faults.concat()), router("open", BUDGET)).0;
    let (calm, kept, lost) = (of(&[]), of(&[restart]), of(&[evict, restart]));
    assert!(calm <= 1_260 && kept <= 2 * 1_260, "{calm} {kept}");
    assert!(lost > 55_000, "{lost}");
}

#[test]
fn clocks_that_differ_by_a_period_are_refused() {
    let refusal = |skew: &str| {
        let scenario = scenario(&format!("skew = \"{skew}\""), "");
        let router = router("open", BUDGET);
        let file = crate::router::read(router.name, router.text).expect("it is right");
        let fleet = Fleet { config: &file.config, endpoints: &file.endpoints, then: &[] };
        let (name, text) = (scenario.name, scenario.text);
        let read = crate::resolve::read_and_resolve(name, text, fleet, &Override::default());
        read.err().map(|found| found.iter().map(ToString::to_string).collect::<String>())
    };
    assert_eq!(refusal("59 s"), None);
    let said = "replicas:12:8: clocks differ by 1 min, but the budget of `org=acme` is per 1 min
   12 | skew = \"1 min\"
      |        ^^^^^^
hint: less than 1 min: replicas must agree on which period it is, but for its ends
";
    assert_eq!(refusal("60 s").as_deref(), Some(said.replace("\"1 min\"", "\"60 s\"")).as_deref());
}
