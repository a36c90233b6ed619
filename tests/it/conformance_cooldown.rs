//! When a deployment rests, where the reference design has a rule of its own. Each test stands in
//! `docs/conformance.md`.

use router_core::{Failure, FailureKind, Observation};
use tests::stage::{Stage, ms, retry_after, sent, spec, spec_with_backup};

use crate::conformance::rests;

#[test]
fn with_cooldowns_off_only_what_a_provider_asks_for_rests() {
    let mut off = spec_with_backup(&[1]);
    off.groups[0].cooldown.enabled = false;
    let mut stage = Stage::new(&off);
    for n in 0..100 {
        stage.submit(ms(n), n);
        let kind = if n % 2 == 0 { FailureKind::Server } else { FailureKind::RateLimit };
        stage.fail(ms(n), n, 1, Failure::new(kind, 500));
        stage.complete(ms(n), n, 2, 1);
    }
    assert_eq!(rests(&stage), []);
    stage.submit(ms(100), 100);
    stage.fail(ms(100), 100, 1, retry_after(FailureKind::RateLimit, 429, 7));
    assert_eq!(rests(&stage), [(0, ms(7_100))]);
}

#[test]
fn one_rate_limit_rests_its_key_at_once_alone_or_not() {
    for mut spec in [spec(&[1]), spec(&[1, 0]), spec_with_backup(&[1])] {
        spec.deployments[0].keys = 2;
        let mut stage = Stage::new(&spec);
        stage.submit(ms(0), 1);
        stage.fail(ms(0), 1, 1, Failure::new(FailureKind::RateLimit, 429));
        let told = stage.observations().find_map(|observation| {
            let Observation::Rested { deployment, key, until, .. } = observation else {
                return None;
            };
            Some((deployment.index(), key, until))
        });
        assert_eq!(told, Some((0, Some(0), ms(5_000))));
        assert_eq!(sent(&stage.submit(ms(1), 2)).map(|(place, _)| place), Some(0), "by key 1");
    }
}

#[test]
fn half_of_enough_calls_rest_a_deployment_and_less_do_not() {
    let mut stage = Stage::new(&spec_with_backup(&[1]));
    for n in 0..40 {
        stage.submit(ms(n), n);
        stage.complete(ms(n), n, 1, 1);
    }
    for n in 40..80 {
        assert_eq!(rests(&stage), [], "{} of {n} failed", n - 40);
        stage.submit(ms(n), n);
        stage.crash(ms(n), n, 1);
        stage.complete(ms(n), n, 2, 1);
    }
    assert_eq!(rests(&stage), [(0, ms(5_079))]);
}
