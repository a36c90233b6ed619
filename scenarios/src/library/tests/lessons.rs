//! What each lesson shows, in numbers: with the policy that it is about, and without.

use reports::{Expectation, Recovery};
use router_core::Span;

use super::*;

/// A run of a lesson, on either of its routers.
struct Run(Figures);

fn cured(name: &str) -> Run {
    let Lesson { scenario, cured, .. } = lesson(name);
    Run(flown(scenario, cured).0)
}

fn careless(name: &str) -> Run {
    let Lesson { scenario, careless, .. } = lesson(name);
    Run(flown(scenario, careless).0)
}

fn lesson(name: &str) -> Lesson {
    lessons()
        .into_iter()
        .find(|lesson| lesson.scenario.name == name)
        .expect("there is such a lesson")
}

/// `entry` with texts replaced, each of which it has.
fn but(entry: Entry, changes: &[(&str, &str)]) -> Entry {
    let text = changes.iter().fold(entry.text.to_owned(), |text, (old, new)| {
        assert!(text.contains(old), "{}: {old}", entry.name);
        text.replace(old, new)
    });
    Entry { name: entry.name, text: text.leak() }
}

impl Run {
    /// A metric as expectations name it: a share of one, seconds, or a factor.
    fn measure(&self, metric: &str) -> f64 {
        let expectation = Expectation::parse(&format!("{metric} > 0")).or_else(|_| {
            Expectation::parse(&format!("{metric} > 0 s"))
                .or_else(|_| Expectation::parse(&format!("{metric} > 0 %")))
                .or_else(|_| Expectation::parse(&format!("{metric} > 0 USD")))
        });
        let expectation = expectation.unwrap_or_else(|wrong| panic!("{metric}: {wrong:?}"));
        expectation.judge(&self.0).measured.unwrap_or_else(|| panic!("no data for {metric}"))
    }

    /// How many seconds after the fault users were well again.
    fn recovery(&self, fault: &str) -> Option<f64> {
        match self.0.recovery(fault) {
            Recovery::After(span) => Some(span.as_nanos() as f64 / 1e9),
            Recovery::Never => None,
            Recovery::NoData(why) => panic!("{fault}: {why}"),
        }
    }

    /// Calls answered per second, and attempts per call, of those that came within the last
    /// minute but one: calls of the very last may not have ended.
    fn late(&self) -> (f64, f64) {
        let beats = &self.0.pulse.beats;
        assert_eq!(self.0.pulse.step, Span::from_secs(1));
        let late = &beats[beats.len() - 120..beats.len() - 60];
        let sum = |count: fn(&reports::Beat) -> u64| late.iter().map(count).sum::<u64>() as f64;
        (sum(|beat| beat.answered) / 60.0, sum(|beat| beat.attempts) / sum(|beat| beat.ended))
    }
}

#[test]
fn every_careless_router_fails_what_its_lesson_expects() {
    for Lesson { scenario, careless, .. } in lessons() {
        assert!(!unmet(scenario, careless).is_empty(), "{}", careless.name);
    }
}

/// A provider that can take C calls a second and 1 + R attempts each is safe up to C / (1 + R).
#[test]
fn a_retry_storm_outlives_its_cause_unless_a_budget_bounds_it() {
    let (storm, calm) = (careless("retry-storm"), cured("retry-storm"));
    let (goodput, attempts) = storm.late();
    assert_eq!(storm.recovery("slow"), None);
    assert!(goodput < 1.0 && attempts > 3.95, "{goodput} {attempts}");
    let (goodput, attempts) = calm.late();
    assert!((65.0..75.0).contains(&goodput) && attempts < 1.02, "{goodput} {attempts}");
    let took = calm.recovery("slow").expect("it heals");
    assert!((15.0..60.0).contains(&took), "{took}");
}

#[test]
fn the_hidden_capacity_of_four_attempts_is_a_quarter() {
    let Lesson { scenario, careless, .. } = lesson("retry-storm");
    let at = |rate: &str| Run(flown(but(scenario, &[("70/s", rate)]), careless).0).recovery("slow");
    for rate in ["15/s", "20/s"] {
        assert!(at(rate).expect("below a quarter of 100/s it heals") < 30.0, "{rate}");
    }
    for rate in ["27/s", "50/s"] {
        assert_eq!(at(rate), None, "{rate}");
    }
}

#[test]
fn cooldowns_pass_errors_on_unless_few_may_rest_at_once() {
    let Lesson { scenario, cured, careless } = lesson("cooldown-cascade");
    let median = |rate: &str, router: Entry| {
        let took = |seed: u64| {
            let seed = format!("seed = {seed}");
            let changes = [("seed = 31", seed.as_str()), ("110/s", rate), ("4 min", "3 min")];
            // What takes longer than the run takes at least as long.
            Run(flown(but(scenario, &changes), router).0).recovery("brownout").unwrap_or(110.0)
        };
        let mut took: Vec<f64> = (31..38).map(took).collect();
        took.sort_by(f64::total_cmp);
        took[3]
    };
    let (busy, without, with) =
        (median("80/s", careless), median("110/s", careless), median("110/s", cured));
    assert!(busy < 15.0 && without > 20.0 && with < 5.0, "{busy} {without} {with}");
}

#[test]
fn a_few_errors_in_a_thousand_keep_a_fleet_away_for_good() {
    let Lesson { scenario, cured, careless } = lesson("cooldown-cascade");
    let forever = ("at = \"60 s\"\nlasts = \"10 s\"", "");
    let chronic = but(scenario, &[("30 %", "0.5 %"), ("110/s", "100/s"), forever]);
    let shed = |router| 1.0 - Run(flown(chronic, router).0).measure("success.rate");
    let (with, without) = (shed(cured), shed(careless));
    assert!(with < 0.01 && without > 0.2, "{with} {without}");
}

#[test]
fn four_fail_over_to_three_below_three_quarters_of_their_load_and_collapse_above() {
    let Lesson { scenario, cured, careless } = lesson("failover-cascade");
    let below = Run(flown(but(scenario, &[("156/s", "120/s")]), careless).0);
    assert!(below.recovery("outage").expect("there is room for one's load") < 10.0);
    let collapsed = Run(flown(scenario, careless).0);
    assert_eq!(collapsed.recovery("outage"), None);
    // Of 156 a second: a quarter to a third of what three can take.
    let (goodput, _) = collapsed.late();
    assert!(goodput < 60.0, "{goodput}");
    let one_at_a_time = but(cured, &[("limit = { parallel = 35 }", "")]);
    let took = Run(flown(scenario, one_at_a_time).0).recovery("outage").expect("it heals");
    assert!((15.0..100.0).contains(&took), "{took}");
    let took = Run(flown(scenario, cured).0).recovery("outage").expect("it heals");
    assert!(took < 15.0, "{took}");
}

/// The sooner of a lognormal answer and another one 3.14 s later has its p99 at 4.05 s; one alone
/// at 6.21 s.
#[test]
fn hedges_cut_the_tail_and_without_bounds_become_the_load() {
    let Lesson { scenario, cured, careless } = lesson("hedging");
    let p99 = |run: &Run| run.measure("ttft.p99 {during=normal}");
    let quiet = but(
        scenario,
        &[("lasts = \"20 s\"", "lasts = \"1 s\""), ("ttft = \"x3\"", "ttft = \"x1\"")],
    );
    let alone = Run(flown(quiet, but(cured, &[("hedge = ", "# hedge = ")])).0);
    assert!((p99(&alone) / 6.21 - 1.0).abs() < 0.1, "{}", p99(&alone));
    for router in [cured, careless] {
        let hedged = Run(flown(quiet, router).0);
        assert!((p99(&hedged) / 4.05 - 1.0).abs() < 0.1, "{}: {}", router.name, p99(&hedged));
        assert!(hedged.measure("hedges.share") < 0.06);
    }
    assert_eq!(Run(flown(scenario, careless).0).recovery("hiccup"), None);
    assert!(Run(flown(scenario, cured).0).recovery("hiccup").expect("it heals") < 30.0);
}

#[test]
fn what_fails_at_once_is_passed_over_by_who_looks_at_load() {
    let attempts = |run: &Run| run.measure("failures.server {during=broken}");
    let (with, without) =
        (attempts(&cured("fast-fail-black-hole")), attempts(&careless("fast-fail-black-hole")));
    assert!(with < 0.06 && without > 0.2, "{with} {without}");
    let Lesson { scenario, careless, .. } = lesson("fast-fail-black-hole");
    for strategy in ["least-in-flight", "power-of-two", "latency", "usage", "cost"] {
        let wary = but(careless, &[("\"weighted\"", &format!("\"{strategy}\""))]);
        let run = Run(flown(scenario, wary).0);
        assert!(attempts(&run) < 0.02, "{strategy}: {}", attempts(&run));
        assert!(run.recovery("broken").expect("it heals") < 10.0, "{strategy}");
    }
}

/// Attempts are bounded whatever leads back to what.
#[test]
fn a_mesh_of_fallbacks_ends_and_asks_few_in_vain() {
    let attempts = |run: &Run| run.measure("amplification {during=outage}");
    let (with, without) =
        (attempts(&cured("fallback-cycle")), attempts(&careless("fallback-cycle")));
    assert!(with < 1.0 && (6.0..=16.0).contains(&without), "{with} {without}");
    let Lesson { scenario, careless, .. } = lesson("fallback-cycle");
    let four = but(careless, &[("attempts = 16", "attempts = 4")]);
    let four = attempts(&Run(flown(scenario, four).0));
    assert!((3.5..=4.0).contains(&four), "{four}");
}

#[test]
fn a_share_that_429s_moved_is_given_back() {
    let share = |run: &Run| run.measure("share {deployment=az-eu}");
    let (with, without) = (share(&cured("weight-flapping")), share(&careless("weight-flapping")));
    assert!((0.685..0.705).contains(&with) && (0.55..0.64).contains(&without), "{with} {without}");
}

#[test]
fn a_burst_is_divided_and_with_affinity_is_not() {
    let most = |run: &Run| {
        let sent = run.0.phase("spike").expect("there is one").deployments.iter();
        let sent: Vec<u64> = sent.map(|attempts| attempts.dispatched).collect();
        (*sent.iter().max().expect("there are four"), sent.iter().sum::<u64>())
    };
    let ((with, all), (without, same)) =
        (most(&cured("burst-herd")), most(&careless("burst-herd")));
    assert!(4 * with <= all + 8 && without == same && all == same, "{with} {without} of {all}");
}

/// A turn finds its prompt if the last one on the same deployment was within the cache's time: of
/// turns that come at random `rate` times a second, `1 - exp(-rate * time)`, and less until the
/// caches have been in use for that long.
#[test]
fn a_prompt_is_found_as_often_as_turns_come_where_it_is_kept() {
    let (lasts, kept) = (900.0, 300.0);
    let share = |rate: f64| {
        let gone = 1.0 - (-rate * kept).exp();
        (kept - gone / rate + (lasts - kept) * gone) / lasts
    };
    let (with, without) = (cured("cold-caches"), careless("cold-caches"));
    for (run, deployments) in [(&with, 1.0), (&without, 4.0)] {
        let expected = share(20.0 / 4_000.0 / deployments);
        let found = run.measure("cached.share");
        assert!((found - expected).abs() < 0.015, "{found}, not {expected}");
    }
    // 4,096 tokens at 0.40 or 0.10 USD and 100 at 1.60 USD per million.
    let cost = |found: f64| (4_096.0 * (0.4 - 0.3 * found) + 160.0) / 1e3;
    for run in [&with, &without] {
        let (paid, due) = (run.measure("cost.per_1k"), cost(run.measure("cached.share")));
        assert!((paid / due - 1.0).abs() < 0.01, "{paid}, not {due}");
    }
    let saved = without.measure("ttft.mean") - with.measure("ttft.mean");
    let read = 0.4096 * (with.measure("cached.share") - without.measure("cached.share"));
    assert!((saved - read).abs() < 0.03 && saved > 0.1, "{saved} s, not {read} s");
    assert!(with.measure("cost.per_1k") < 0.7 * without.measure("cost.per_1k"));
}

#[test]
fn broken_streams_count_whatever_broke_them() {
    for phase in ["stalled", "reset", "short", "overloaded"] {
        let metric = format!("success.rate {{during={phase}}}");
        let with = cured("gray-streams").measure(&metric);
        let without = careless("gray-streams").measure(&metric);
        assert!(with > 0.8 && (0.5..0.66).contains(&without), "{phase}: {with} {without}");
    }
}

#[test]
fn timeouts_near_what_calls_take_and_a_deadline_bound_what_hanging_costs() {
    let longest = |run: &Run| run.measure("ttft.max");
    let (with, without) =
        (longest(&cured("timeout-blow-up")), longest(&careless("timeout-blow-up")));
    assert!(with < 30.0 && without > 120.0, "{with} {without}");
}

/// Seeds are not chosen so that a lesson comes out.
#[test]
fn lessons_do_not_hang_on_their_seeds() {
    for Lesson { scenario, cured, careless } in lessons() {
        let seed = crate::scenario::read(scenario.name, scenario.text).unwrap().seed.unwrap();
        let other =
            but(scenario, &[(&format!("seed = {seed}"), &format!("seed = {}", seed + 1000))]);
        assert_eq!(unmet(other, cured), Vec::<String>::new(), "{}", scenario.name);
        assert!(!unmet(other, careless).is_empty(), "{}", careless.name);
    }
}

#[test]
fn one_slow_provider_restarts_an_application_whose_router_waits() {
    let Lesson { scenario, cured, careless } = lesson("app-restart-loop");
    let (looped, spared) = (Run(flown(scenario, careless).0), Run(flown(scenario, cured).0));
    let search = "success.rate {group=search, during=slow}";
    assert!(looped.measure("app.restarts") >= 8.0 && looped.measure("app.down") > 0.05);
    // It never asks the provider that is slow, and has the same router.
    assert!(looped.measure(search) < 0.7, "{}", looped.measure(search));
    assert_eq!(spared.measure("app.restarts"), 0.0);
    // Who finds no room there is a user as well.
    assert_eq!(looped.0.whole.calls.offered, looped.0.whole.calls.ended);
    assert!(spared.measure(search) > 0.999);
    // With connections enough for all who wait nobody is restarted, whatever the router.
    let roomy = but(scenario, &[("pool = 30", "pool = 200")]);
    assert_eq!(Run(flown(roomy, careless).0).measure("app.restarts"), 0.0);
}

#[test]
fn a_restart_that_knows_nothing_spends_the_burst_again_and_a_restored_one_does_not() {
    let Lesson { scenario, careless: usual, .. } = lesson("deploy-mid-spike");
    let refused = |run: &Run| run.measure("failures.rate_limit");
    let (storm, calm) = (careless("deploy-mid-spike"), cured("deploy-mid-spike"));
    assert!((0.06..0.1).contains(&refused(&storm)), "{}", refused(&storm));
    assert!(refused(&calm) < 0.001 && calm.0.rests.is_empty());
    assert!((80..180).contains(&storm.0.rests.len()), "{}", storm.0.rests.len());
    let kept = but(scenario, &[("\"empty\"", "\"restored\"")]);
    let kept = Run(flown(kept, usual).0);
    assert!(refused(&kept) < 0.001, "{}", refused(&kept));
    assert!(kept.measure("success.rate {during=spike}") > 0.86, "the burst is of use, too");
    // The file that follows moves all of the traffic, and cuts nobody.
    assert!(kept.measure("share {deployment=c}") > 0.1);
}

/// The limit of `replica-staleness`: a burst of 40, 20 a second, three replicas.
fn bound(publish: f64, delay: f64) -> f64 {
    2.0 * (40.0 + 20.0 * (publish + delay))
}

#[test]
fn replicas_overshoot_by_what_they_cannot_know_yet_and_shares_by_nothing() {
    let Lesson { scenario, cured, careless } = lesson("replica-staleness");
    let overshoot = |scenario, router| Run(flown(scenario, router).0).measure("limits.overshoot");
    let (calm, storm) = (overshoot(scenario, cured), overshoot(scenario, careless));
    assert!((1.0..=20.0).contains(&calm) && storm > 2_000.0, "{calm} {storm}");
    let shares = but(cured, &[("replicas = 3", "replicas = 3, on_outage = \"share\"")]);
    let mut last = 0.0;
    for (publish, secs) in [("100 ms", 0.1), ("1 s", 1.0), ("4 s", 4.0)] {
        let publish = format!("publish = \"{publish}\"");
        let news = [("publish = \"200 ms\"", publish.as_str()), ("10 %", "0 %")];
        // What comes is half as much again as the limit, or many times that.
        for (rate, tight) in [("30/s", true), ("200/s", false)] {
            let changes = [news[0], news[1], ("30/s", rate)];
            let scenario = but(scenario, &changes);
            let most = overshoot(scenario, cured);
            let rate_alone = 2.0 * 20.0 * (secs + 0.05);
            let bound = if tight { rate_alone } else { bound(secs, 0.05) };
            assert!(most <= bound, "{most} of {bound} at {rate}, {publish}");
            if tight {
                assert!(most >= last, "older news, more overshoot: {most} after {last}");
                last = most;
            }
            assert_eq!(overshoot(scenario, shares), 0.0, "{rate}, {publish}");
        }
    }
    assert!(last > 10.0, "{last}");
}

#[test]
fn without_word_of_each_other_replicas_close_overshoot_or_never_cared() {
    let Lesson { scenario, cured, careless } = lesson("store-outage");
    let of = |router| {
        let run = Run(flown(scenario, router).0);
        (run.measure("limits.overshoot"), run.0.whole.deployments[0].dispatched)
    };
    let closed = but(careless, &[("open", "closed")]);
    let [(shared, all), (open, _), (shut, some)] = [of(cured), of(careless), of(closed)];
    assert!(shared < 1.0 && open > 900.0 && shut < 20.0, "{shared} {open} {shut}");
    // 20 a second in 300 seconds; and in 185, for the first five of the silence are no outage.
    assert!(all > 5_900 && (3_600..3_850).contains(&some), "{all} {some}");
}

#[test]
fn a_quota_that_comes_back_at_the_minute_is_met_by_all_who_waited() {
    let (herd, even) = (careless("fixed-window-herd"), cured("fixed-window-herd"));
    let refused = |run: &Run| run.measure("failures.server") + run.measure("failures.rate_limit");
    assert!(refused(&herd) > 0.5 && refused(&even) == 0.0);
    assert!(herd.measure("success.rate") < 0.6 && even.measure("success.rate") > 0.999);
}

/// With T to live, an answer to what is asked r times a second is found in r T / (1 + r T) of the
/// calls; with a single flight there is one call at once for each question at most.
#[test]
fn a_flushed_cache_fills_again_only_if_its_origin_is_left_room() {
    let Lesson { scenario, cured, careless: bare } = lesson("cache-flush");
    let (storm, calm) = (careless("cache-flush"), self::cured("cache-flush"));
    let (goodput, attempts) = storm.late();
    assert_eq!((storm.recovery("flush"), goodput), (None, 0.0));
    assert!(attempts > 2.95, "{attempts}");
    let took = calm.recovery("flush").expect("it heals");
    assert!((3.0..15.0).contains(&took), "{took}");
    let share = |metric: &str| calm.measure(metric);
    assert!((0.002..0.03).contains(&share("rungs.degraded")), "{}", share("rungs.degraded"));
    assert!(share("rungs.smaller") > 0.0 && share("rungs.static") > 0.0);
    // At 150 calls a second, in the last two minutes.
    let popularity: Vec<f64> = (1..=2_000).map(|k| f64::from(k).powf(-0.8)).collect();
    let whole: f64 = popularity.iter().sum();
    let found = |part: &f64| {
        let asked = 150.0 * part / whole * 60.0;
        part / whole * asked / (1.0 + asked)
    };
    let expected: f64 = popularity.iter().map(found).sum();
    let bins = &calm.0.bins[calm.0.bins.len() * 2 / 3..];
    let sum = |of: fn(&reports::CallsInBin) -> u64| -> u64 {
        bins.iter().flat_map(|bin| &bin.groups).map(of).sum()
    };
    let measured = sum(|calls| calls.rungs.fresh) as f64 / sum(|calls| calls.offered) as f64;
    assert!((measured - expected).abs() < 0.015, "{measured}, not {expected}");
    // Each alone: limits heal, and so does a single flight; a ladder does not, nor do fewer tries.
    let limit = "limit = { parallel = 20 }";
    let limited = but(bare, &[("model = \"gpt-4o\"\n", &format!("model = \"gpt-4o\"\n{limit}\n"))]);
    assert!(Run(flown(scenario, limited).0).recovery("flush").expect("it heals") < 30.0);
    let flight = but(scenario, &[("[cache]\n", "[cache]\nsingle_flight = true\n")]);
    assert!(Run(flown(flight, bare).0).recovery("flush").expect("it heals") < 40.0);
    for router in [but(cured, &[(limit, "")]), but(bare, &[("attempts = 3", "attempts = 1")])] {
        assert_eq!(Run(flown(scenario, router).0).recovery("flush"), None, "{}", router.text);
    }
}

#[test]
fn a_budget_ends_a_loop_to_the_cent_and_a_limit_leaves_room_for_the_others() {
    let (with, without) = (cured("spend-runaway"), careless("spend-runaway"));
    let bill = |run: &Run| run.measure("cost.total {org=acme}");
    // One more call would have been too much, and costs 0.114 cents, of which all is reserved.
    assert!((9.998..=10.0).contains(&bill(&with)), "{}", bill(&with));
    assert!(bill(&without) > 50.0, "{}", bill(&without));
    let others = |run: &Run| run.measure("success.rate {org=*}");
    assert!(others(&with) >= 0.999 && others(&without) < 0.85, "{}", others(&without));
    assert_eq!(with.measure("refused.share {org=*}"), 0.0);
    assert_eq!((with.0.budgets.times[1], without.0.budgets.times[1]), (1, 1), "both were told");
    // Without the limit it is the others who pay with 429s until the budget ends it.
    let Lesson { scenario, cured, .. } = lesson("spend-runaway");
    let limit = "limit = { requests = \"60/min\" }";
    let budget_alone = Run(flown(scenario, but(cured, &[(limit, "")])).0);
    assert!(bill(&budget_alone) <= 10.0);
    let (alone, both) = (others(&budget_alone), others(&with));
    assert!(alone < both - 0.01, "{alone} {both}");
    // Nothing is counted twice or lost.
    let money = |text: &str| with.measure(text);
    let sum = money("cost.total {org=acme}") + money("cost.total {org=*}");
    assert!((sum - money("cost.total")).abs() < 1e-9, "{sum}");
    let sum = money("cost.total {feature=chat}") + money("cost.total {feature=agent}");
    assert!((sum - money("cost.total")).abs() < 1e-9, "{sum}");
}

#[test]
fn taking_turns_costs_whoever_sends_most_what_the_others_need() {
    let (with, without) = (cured("noisy-tenant"), careless("noisy-tenant"));
    for org in ["acme", "globex", "initech"] {
        let answered = format!("success.rate {{org={org}, during=spike}}");
        assert_eq!(with.measure(&answered), 1.0, "{org}");
        assert!(without.measure(&answered) < 0.3, "{org}");
    }
    // Fifty calls a second are done either way: what it gets is what is left.
    let job = |run: &Run| run.measure("success.rate {org=loop, during=spike}") * 200.0;
    assert!((job(&with) - (50.0 - 15.0)).abs() < 5.0, "{}", job(&with));
    let all = |run: &Run| run.measure("success.rate");
    assert!((all(&with) / all(&without) - 1.0).abs() < 0.02, "{} {}", all(&with), all(&without));
    // A heavier weight is worth what it says: three turns for one.
    let Lesson { scenario, cured, .. } = lesson("noisy-tenant");
    let heavier = "[subject.\"org=loop\"]\nweight = 3\n\n[subject.\"org=*\"]";
    let heavier = Run(flown(scenario, but(cured, &[("[subject.\"org=*\"]", heavier)])).0);
    let answered = heavier.measure("success.rate {org=acme, during=spike}");
    assert!(answered >= 0.999, "three times as much is still less than there is left: {answered}");
}
