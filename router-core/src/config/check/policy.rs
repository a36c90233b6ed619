//! What a group does: its policies, each by itself and against each other.

use alloc::format;

use super::{Checker, LONGEST, Problem, subject};
use crate::config::{
    BreakerMode, BreakerSpec, BreakerWindow, CooldownSpec, GroupSpec, HedgeAfter, HedgeSpec,
    Jitter, Queue, QueueSpec, RestAfter, RouterSpec, Spec, Strategy,
};
use crate::{FailureClass, Span};

const MS: Span = Span::from_millis(1);
const CALLS_MAX: u64 = 1_000_000;
/// Windows of time.
const WINDOW: (Span, Span) = (Span::from_millis(10), Span::from_secs(86_400));

impl Checker {
    pub(super) fn policies(&mut self, path: &str, written: &GroupSpec, router: &RouterSpec) {
        if let Strategy::Latency { explore } = written.strategy {
            self.share(format!("{path}.strategy.explore"), explore);
        }
        self.timeouts(path, written);
        for class in FailureClass::ALL {
            let most = u64::from(written.retry.most(class));
            self.range(format!("{path}.retry.{}", class.name()), most, 0, 15);
        }
        self.span(format!("{path}.backoff.base"), written.backoff.base, Span::ZERO, LONGEST);
        self.span(format!("{path}.backoff.max"), written.backoff.max, Span::ZERO, LONGEST);
        self.range(format!("{path}.backoff.factor"), u64::from(written.backoff.factor), 1, 16);
        // A constant wait does not grow, so nothing caps it.
        if written.backoff.jitter != Jitter::Constant && written.backoff.base > written.backoff.max
        {
            self.fault(format!("{path}.backoff.base"), Problem::Order("base", "max"));
        }
        self.cooldown(&format!("{path}.cooldown"), &written.cooldown);
        if let Some(breaker) = &written.breaker {
            self.breaker(&format!("{path}.breaker"), breaker);
        }
        self.share(format!("{path}.ejected_max"), written.ejected_max);
        self.share(format!("{path}.panic"), written.panic);
        if let Some(hedge) = &written.hedge {
            self.hedge(&format!("{path}.hedge"), hedge, written, router);
        }
        if let Some(most) = written.in_flight {
            self.range(format!("{path}.in_flight"), most.into(), 1, router.in_flight.into());
        }
    }

    pub(super) fn queue(&mut self, path: &str, written: &GroupSpec, spec: &Spec) -> Option<Queue> {
        let QueueSpec { size, timeout, order, ref fair } = *written.queue.as_ref()?;
        let path = format!("{path}.queue");
        self.range(format!("{path}.size"), size.into(), 1, spec.router.in_flight.into());
        if timeout != Span::MAX {
            self.span(format!("{path}.timeout"), timeout, MS, LONGEST);
        }
        let kinds = subject::kinds(spec);
        let fair = fair.as_ref().and_then(|name| {
            let place = kinds.iter().position(|kind| kind == name);
            if place.is_none() {
                let known = kinds.iter().map(|kind| (*kind).into()).collect();
                let (kind, name) = ("kind of subject", name.clone());
                self.fault(format!("{path}.fair"), Problem::Unknown { kind, name, known });
            }
            place.map(|place| place as u8)
        });
        Some(Queue { size, timeout, order, fair })
    }

    fn timeouts(&mut self, path: &str, written: &GroupSpec) {
        let times = &written.timeouts;
        let named = [
            ("connect", times.connect),
            ("first_token", times.first_token),
            ("idle", times.idle),
            ("total", times.total),
        ];
        for (name, value) in named {
            if value != Span::MAX {
                let path = format!("{path}.timeouts.{name}");
                self.span(path, value, MS, LONGEST);
            }
        }
        if times.total != Span::MAX {
            for (name, value) in &named[..3] {
                if *value != Span::MAX && *value > times.total {
                    let path = format!("{path}.timeouts.{name}");
                    self.fault(path, Problem::Order(name, "total"));
                }
            }
        }
    }

    fn cooldown(&mut self, path: &str, cooldown: &CooldownSpec) {
        self.threshold(format!("{path}.failures"), cooldown.failures);
        self.range(format!("{path}.calls_min"), u64::from(cooldown.calls_min), 1, CALLS_MAX);
        self.span(format!("{path}.window"), cooldown.window, WINDOW.0, WINDOW.1);
        self.span(format!("{path}.rest"), cooldown.rest, MS, LONGEST);
        self.span(format!("{path}.max"), cooldown.max, MS, LONGEST);
        self.range(format!("{path}.grow"), u64::from(cooldown.grow), 1, 16);
        self.share(format!("{path}.jitter"), cooldown.jitter);
        if cooldown.rest > cooldown.max {
            self.fault(format!("{path}.rest"), Problem::Order("rest", "max"));
        }
        for class in FailureClass::ALL {
            let Some(entry) = cooldown.classes.of(class) else { continue };
            let path = format!("{path}.{}", class.name());
            if let RestAfter::Count(count) = entry.after {
                self.range(format!("{path}.after"), u64::from(count), 1, CALLS_MAX);
            }
            if let Some(rest) = entry.rest {
                self.span(format!("{path}.rest"), rest, MS, LONGEST);
                if rest > cooldown.max {
                    self.fault(format!("{path}.rest"), Problem::Order("rest", "cooldown.max"));
                }
            }
        }
    }

    fn breaker(&mut self, path: &str, breaker: &BreakerSpec) {
        self.range(format!("{path}.consecutive"), breaker.consecutive.into(), 0, CALLS_MAX);
        let after = format!("{path}.after");
        if let Some(share) = breaker.failures {
            self.threshold(after.clone(), share);
        }
        if let Some(share) = breaker.slow {
            self.threshold(format!("{path}.slow.share"), share);
            if breaker.slow_over == Span::MAX {
                self.fault(format!("{path}.slow"), Problem::SlowWithoutOver);
            } else {
                self.span(format!("{path}.slow.over"), breaker.slow_over, MS, LONGEST);
            }
        }
        let calls_min = breaker.calls_min;
        self.range(after.clone(), calls_min.into(), 1, CALLS_MAX);
        match breaker.window {
            BreakerWindow::Time(span) => self.span(after, span, WINDOW.0, WINDOW.1),
            BreakerWindow::Calls(kept) => {
                self.range(after.clone(), kept.into(), 1, 10_000);
                if calls_min > kept {
                    self.fault(after, Problem::FewCalls { calls_min, kept });
                }
            }
        }
        self.span(format!("{path}.open"), breaker.open, MS, LONGEST);
        self.span(format!("{path}.max"), breaker.max, MS, LONGEST);
        if breaker.open > breaker.max {
            self.fault(format!("{path}.open"), Problem::Order("open", "max"));
        }
        self.range(format!("{path}.grow"), breaker.grow.into(), 1, 16);
        self.share(format!("{path}.jitter"), breaker.jitter);
        self.range(format!("{path}.probes"), breaker.probes.into(), 1, 10_000);
        self.range(format!("{path}.successes"), breaker.successes.into(), 1, 10_000);
        self.span(format!("{path}.ramp"), breaker.ramp, Span::ZERO, LONGEST);
        let judges = match breaker.mode {
            BreakerMode::Enforce | BreakerMode::Observe => true,
            BreakerMode::Disabled | BreakerMode::ForcedOpen => false,
        };
        let nothing =
            breaker.consecutive == 0 && breaker.failures.is_none() && breaker.slow.is_none();
        if judges && nothing {
            self.fault(path, Problem::NeverTrips);
        }
    }

    fn hedge(&mut self, path: &str, hedge: &HedgeSpec, group: &GroupSpec, router: &RouterSpec) {
        self.threshold(format!("{path}.utilisation_max"), hedge.utilisation_max);
        let path = format!("{path}.after");
        match hedge.after {
            HedgeAfter::Quantile(share) => {
                if share.is_zero() || share.numerator() >= share.denominator() {
                    self.fault(path, Problem::Quantile);
                }
            }
            HedgeAfter::Delay(after) => {
                self.span(path.clone(), after, MS, LONGEST);
                let ends = [
                    (group.timeouts.first_token, "timeouts.first_token"),
                    (group.timeouts.total, "timeouts.total"),
                    (router.deadline, "router.deadline"),
                ];
                let first = ends.into_iter().min_by_key(|(end, _)| *end);
                if let Some((end, by)) = first.filter(|(end, _)| after >= *end) {
                    self.fault(path, Problem::HedgeTooLate { after, end, by });
                }
            }
        }
    }
}
