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

/// Every replica is started anew, one after the other, in the middle of the first minute, 1 ms
/// after it has told what it has spent. It is spent after 12.5 s.
fn rolling(restart: &str, from: u64) -> String {
    let fault = |replica: u64| {
        let at = from * 1_000 + 1 + 2_050 * replica;
        format!(
            "[fault.deploy-{replica}]\non = \"router\"\nrestart = \"{restart}\"\n\
             replica = {replica}\nat = \"{at} ms\"\n"
        )
    };
    (1..=4).map(fault).collect()
}

#[test]
fn a_rolling_restart_overspends_no_more_than_what_nobody_was_told() {
    let of = |faults: &str, on_outage: &str| over(scenario("", faults), router(on_outage, BUDGET));
    let untold = 3_600 / 4 + 3 * 120;
    for (restart, on_outage) in
        [("empty", "closed"), ("empty", "open"), ("restored", "closed"), ("restored", "share")]
    {
        // While it is being spent, and when it is spent.
        for from in [2, 20] {
            let (tokens, answered) = of(&rolling(restart, from), on_outage);
            let most = if on_outage == "share" { 0 } else { untold };
            assert!(tokens <= most, "{tokens} with {restart} under {on_outage} from {from} s");
            // A few are cut; three budgets of 500 calls each are spent all the same.
            assert!((1_440..=1_510).contains(&answered), "{answered} {restart} {on_outage}");
        }
    }
    // Each counts its own part alone, which nobody else can give back: that takes a snapshot.
    let (parts, _) = of(&rolling("empty", 20), "share");
    assert!(parts > 15_000 && parts <= 60_000, "{parts}");
}

#[test]
fn one_replica_that_is_started_anew_cuts_nobody_elses_calls() {
    let cut = |which: &str| {
        let fault = format!(
            "[fault.deploy]\non = \"router\"\nrestart = \"empty\"\n{which}at = \"5.02 s\"\n"
        );
        let entry = scenario("", &fault);
        let slow = entry.text.replace("20 ms", "2 s");
        let figures = flown(Entry { text: slow.leak(), ..entry }, router("open", "")).0;
        figures.whole.calls.failed
    };
    let all = cut("");
    let each: Vec<u64> = (1..=4).map(|n| cut(&format!("replica = {n}\n"))).collect();
    assert!(all >= 75 && each.iter().all(|some| (5..=35).contains(some)), "{all} {each:?}");
    assert_eq!(each.iter().sum::<u64>(), all);
}

fn refused(scenario: Entry) -> Option<String> {
    let router = router("open", BUDGET);
    let file = crate::router::read(router.name, router.text).expect("it is right");
    let fleet = Fleet { config: &file.config, endpoints: &file.endpoints, then: &[] };
    let (name, text) = (scenario.name, scenario.text);
    let read = crate::resolve::read_and_resolve(name, text, fleet, &Override::default());
    read.err().map(|found| found.iter().map(ToString::to_string).collect::<String>())
}

#[test]
fn a_restart_names_a_replica_that_there_is() {
    let said =
        |more: &str| refused(scenario("", &format!("[fault.x]\n{more}"))).unwrap_or_default();
    let restart = "on = \"router\"\nat = \"5 s\"\nrestart = \"empty\"\n";
    assert_eq!(said(&format!("{restart}replica = 4")), "");
    let wrong = [
        said(&format!("{restart}replica = 5")),
        said(&format!("{restart}replica = 0")),
        said("on = \"*\"\noutage = \"503\"\nreplica = 2"),
        refused(alone(&format!("[fault.x]\n{restart}replica = 2\n"))).unwrap_or_default(),
    ];
    insta::assert_snapshot!(wrong.join("\n"));
}

#[test]
fn a_store_is_several_routers_and_its_mistakes_are_told_once() {
    let store = "[fault.x]\non = \"store\"\nat = \"5 s\"\nstore = \"down\"\n";
    let of = |was: &str, is: &str| {
        let entry = scenario("", store);
        let text = entry.text.replacen(was, is, 1);
        refused(Entry { text: text.leak(), ..entry }).unwrap_or_default()
    };
    let mut told: Vec<String> = ["1", "0", "1001", "\"many\""]
        .map(|count| of("count = 4", &format!("count = {count}")))
        .into();
    told.extend(["0 s", "-1 s", "32 d"].map(|time| of("200 ms", time)));
    let skew = |skew: &str| of("delay", &format!("skew = \"{skew}\"\ndelay"));
    told.extend(["-1 s", "1000000000 s", "1 min"].map(skew));
    told.push(of("delay", "evict = \"200 %\"\ndelay"));
    told.push(refused(alone(store)).unwrap_or_default());
    insta::assert_snapshot!(told.join("\n"));
}

/// The same without `[replicas]`.
fn alone(more: &str) -> Entry {
    let entry = scenario("", more);
    let several = "[replicas]\ncount = 4\npublish = \"200 ms\"\ndelay = \"50 ms\"\n";
    Entry { text: entry.text.replace(several, "").leak(), ..entry }
}

#[test]
fn clocks_that_differ_by_a_period_are_refused() {
    let refusal = |skew: &str| refused(scenario(&format!("skew = \"{skew}\""), ""));
    assert_eq!(refusal("59 s"), None);
    let said = "replicas:12:8: clocks differ by 1 min, but the budget of `org=acme` is per 1 min
   12 | skew = \"1 min\"
      |        ^^^^^^
hint: less than 1 min: replicas must agree on which period it is, but for its ends
";
    assert_eq!(refusal("60 s").as_deref(), Some(said.replace("\"1 min\"", "\"60 s\"")).as_deref());
}
