//! Random configurations and news.

use std::format;
use std::string::String;
use std::vec::Vec;

mod names;
mod peers;

use crate::{
    AdaptiveSpec, BackoffSpec, BreakerMode, BreakerSpec, BreakerWindow, BudgetSpec, BudgetUnit,
    ClassRest, ClassRests, Config, CooldownSpec, DeploymentSpec, Failure, FailureKind,
    FallbacksSpec, GroupSpec, HedgeAfter, HedgeSpec, Jitter, LimitSpec, Load, MemberSpec, Order,
    Price, QueueSpec, Rate, Ratio, RestAfter, RungSpec, Span, Spec, Strategy, Stream, SubjectSpec,
    TagMatch, TimeoutsSpec, Upstream, Usage,
};

/// Draws for a world.
pub(super) struct Dice(pub(super) Stream);

impl Dice {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0.below(bound)
    }

    /// Once in `n` times.
    pub(super) fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    pub(super) fn ms(&mut self, bound: u64) -> Span {
        Span::from_millis(1 + self.below(bound))
    }

    /// What a peer says is left of a rest; now and then absurdly much.
    pub(super) fn remaining(&mut self) -> Span {
        if self.once_in(6) { Span::from_secs(1 << 20) } else { self.ms(2_000) }
    }

    fn ratio(&mut self) -> Ratio {
        Ratio::from_ppm(self.below(1_000_001) as u32)
    }

    fn rate(&mut self, scale: u64) -> Option<Rate> {
        let amount = 1 + self.below(scale);
        let burst = self.once_in(2).then(|| 1 + self.below(2 * scale));
        self.once_in(2).then(|| Rate { amount, period: self.ms(3_000), burst })
    }

    fn limit(&mut self) -> LimitSpec {
        let mut limit = LimitSpec::default();
        match self.below(5) {
            0 => limit.requests = self.rate(20),
            1 => limit.tokens = self.rate(20_000),
            2 => limit.parallel = Some(1 + self.below(4) as u32),
            3 => {
                limit.input_tokens = self.rate(10_000);
                limit.output_tokens = self.rate(10_000);
            }
            _ => {
                limit.requests = self.rate(30);
                limit.parallel = Some(1 + self.below(8) as u32);
            }
        }
        limit
    }

    fn cooldown(&mut self) -> CooldownSpec {
        let rest = self.ms(3_000);
        let max = rest + self.ms(20_000);
        CooldownSpec {
            enabled: !self.once_in(5),
            failures: Ratio::from_ppm(1 + self.below(1_000_000) as u32),
            calls_min: 1 + self.below(6) as u32,
            window: self.ms(20_000) + Span::from_millis(10),
            rest,
            grow: self.pick(&[1, 2, 3]),
            max,
            jitter: if self.once_in(2) { Ratio::ZERO } else { self.ratio() },
            lone: self.once_in(2),
            classes: self.classes(max),
        }
    }

    fn classes(&mut self, max: Span) -> ClassRests {
        if self.once_in(2) {
            return ClassRests::default();
        }
        let mut class = || {
            let count = 1 + self.below(4) as u32;
            let after = [RestAfter::Common, RestAfter::Count(count), RestAfter::Never];
            let rest = self.once_in(2).then(|| self.ms(4_000).min(max));
            ClassRest { after: self.pick(&after), rest }
        };
        let [rate_limit, server] = [class(), class()];
        ClassRests { rate_limit, server, connection: class(), timeout: class() }
    }

    fn strategy(&mut self) -> Strategy {
        let explore = if self.once_in(2) { Ratio::ZERO } else { self.ratio() };
        self.pick(&[
            Strategy::Weighted { catch_up: false },
            Strategy::Weighted { catch_up: true },
            Strategy::LeastInFlight,
            Strategy::PowerOfTwo(Load::InFlight),
            Strategy::PowerOfTwo(Load::PeakEwma),
            Strategy::Latency { explore },
            Strategy::Usage,
            Strategy::Cost,
            Strategy::Sticky,
        ])
    }

    fn breaker(&mut self) -> BreakerSpec {
        let window = if self.once_in(2) {
            BreakerWindow::Time(self.ms(20_000) + Span::from_millis(10))
        } else {
            BreakerWindow::Calls(8 + self.below(20) as u32)
        };
        let open = self.ms(3_000);
        let share = |dice: &mut Self| Ratio::from_ppm(1 + dice.below(1_000_000) as u32);
        let shares = [(); 2].map(|()| self.once_in(2).then(|| share(self)));
        let least = u32::from(shares == [None, None]);
        BreakerSpec {
            mode: self.mode(),
            consecutive: least + self.below(4) as u32,
            failures: shares[0],
            slow_over: self.ms(1_000),
            slow: shares[1],
            window,
            calls_min: 1 + self.below(6) as u32,
            open,
            grow: self.pick(&[1, 2, 3]),
            max: open + self.ms(10_000),
            jitter: if self.once_in(2) { Ratio::ZERO } else { self.ratio() },
            probes: 1 + self.below(2) as u32,
            successes: 1 + self.below(3) as u32,
            ramp: self.ms(4_000),
        }
    }

    /// Rungs in an order that makes sense, each there or not.
    fn ladder(&mut self, own: u64, groups: u64) -> Vec<RungSpec> {
        let mut ladder = Vec::new();
        if self.once_in(2) {
            ladder.push(RungSpec::Full);
            return ladder;
        }
        let fresh = self.below(3);
        let stale = if fresh == 1 && self.once_in(4) { 1 } else { self.below(3) };
        for (rung, place) in [(RungSpec::Fresh, fresh), (RungSpec::Stale, stale)] {
            if place == 1 {
                ladder.push(rung);
            }
        }
        ladder.push(RungSpec::Full);
        if fresh == 2 && stale == 0 {
            ladder.push(RungSpec::Fresh);
        }
        let early = self.once_in(2);
        if early && stale == 2 {
            ladder.push(RungSpec::Stale);
        }
        for other in (0..groups).filter(|other| *other != own) {
            if self.once_in(2) {
                ladder.push(RungSpec::Group(format!("g{other}")));
            }
        }
        if !early && stale == 2 {
            ladder.push(RungSpec::Stale);
        }
        if self.once_in(3) {
            ladder.push(RungSpec::Static);
        }
        ladder
    }

    fn mode(&mut self) -> BreakerMode {
        use BreakerMode::{Disabled, Enforce, ForcedOpen, Observe};
        self.pick(&[Enforce, Enforce, Enforce, Enforce, Observe, Observe, Disabled, ForcedOpen])
    }

    /// What may change while a router runs, of what a group does beyond plain routing.
    fn policies(&mut self, group: &mut GroupSpec) {
        group.ejected_max = self.ratio();
        group.panic = if self.once_in(2) { Ratio::ZERO } else { self.ratio() };
        if self.once_in(3) {
            group.retry.most = core::array::from_fn(|_| self.below(3) as u8);
        }
        group.in_flight = self.once_in(4).then(|| 1 + self.below(4) as u32);
        group.hedge = self.once_in(2).then(|| {
            let delay = HedgeAfter::Delay(self.ms(100));
            let quantile = HedgeAfter::Quantile(Ratio::from_ppm(1 + self.below(999_999) as u32));
            let utilisation_max = self.pick(&[Ratio::from_ppm(300_000), Ratio::ONE]);
            HedgeSpec { after: self.pick(&[delay, delay, quantile]), utilisation_max }
        });
    }

    fn queue(&mut self) -> QueueSpec {
        QueueSpec {
            size: self.pick(&[1, 2, 4, 4]),
            timeout: self.patience(),
            order: self.pick(&[Order::Fifo, Order::Lifo, Order::Deadline]),
            // A kind that nobody is of is taken out again.
            fair: self.once_in(2).then(|| self.pick(&["org", "user"]).into()),
        }
    }

    /// Another queue, another room or order in it, or none.
    fn requeue(&mut self, group: &mut GroupSpec) {
        match &mut group.queue {
            Some(queue) if !self.once_in(4) => {
                let next = self.queue();
                queue.size = next.size;
                if self.once_in(2) {
                    queue.order = next.order;
                }
                if self.once_in(2) {
                    queue.fair = next.fair;
                }
            }
            queue => *queue = self.once_in(2).then(|| self.queue()),
        }
    }

    fn patience(&mut self) -> Span {
        if self.once_in(6) { Span::MAX } else { self.ms(3_000) }
    }

    /// Where a deployment is, and what it is fit for.
    fn place(&mut self, deployment: &mut DeploymentSpec) {
        if self.once_in(2) {
            deployment.context = Some(500 + self.below(3_000) as u32);
        }
        for tag in ["default", "blue", "green"] {
            if self.once_in(6) {
                deployment.tags.push(tag.into());
            }
        }
        let region = self.pick(&[None, None, Some("east"), Some("west")]);
        deployment.region = region.map(String::from);
        deployment.breaker = self.once_in(6).then(|| self.mode());
        deployment.price = self.price();
        deployment.adaptive = self.adaptive();
    }

    fn price(&mut self) -> Price {
        let most = self.pick(&[1, 100]);
        Price { input: self.below(most), cached: self.below(most), output: self.below(most) }
    }

    fn adaptive(&mut self) -> Option<AdaptiveSpec> {
        let min = 1 + self.below(3) as u32;
        let max = min + self.below(20) as u32;
        let start = min + self.below(u64::from(max - min + 1)) as u32;
        self.once_in(4).then_some(AdaptiveSpec { min, max, start })
    }

    fn timeouts(&mut self) -> TimeoutsSpec {
        let total = if self.once_in(6) { Span::MAX } else { self.ms(20_000) };
        let mut part = |bound| if self.once_in(6) { Span::MAX } else { self.ms(bound).min(total) };
        let (connect, first_token, idle) = (part(500), part(5_000), part(2_000));
        TimeoutsSpec { connect, first_token, idle, total, partial: self.once_in(2) }
    }

    fn group(&mut self, index: u64, deployments: u64, groups: u64) -> GroupSpec {
        let mut group = GroupSpec::new(format!("g{index}"));
        for deployment in 0..deployments {
            if self.once_in(2) || (deployment + 1 == deployments && group.members.is_empty()) {
                let weight = if self.once_in(5) { 0 } else { 1 + self.below(5) as u32 };
                let tier = self.pick(&[0, 0, 1]);
                let deployment = format!("d{deployment}");
                group.members.push(MemberSpec { deployment, weight, tier });
            }
        }
        group.members[0].weight = group.members[0].weight.max(1);
        group.strategy = self.strategy();
        group.timeouts = self.timeouts();
        let base = self.ms(500);
        let jitter = self.pick(&[Jitter::Full, Jitter::Equal, Jitter::Constant]);
        group.backoff = BackoffSpec { base, factor: self.pick(&[1, 2, 3]), max: base * 4, jitter };
        group.cooldown = self.cooldown();
        group.breaker = self.once_in(2).then(|| self.breaker());
        group.tag_match = self.pick(&[TagMatch::Any, TagMatch::All]);
        self.policies(&mut group);
        group.ladder = self.ladder(index, groups);
        group.queue = self.once_in(2).then(|| self.queue());
        for other in (0..groups).filter(|other| *other != index) {
            let FallbacksSpec { any, context_window, content_policy } = &mut group.fallbacks;
            for list in [any, context_window, content_policy] {
                if self.once_in(3) {
                    list.push(format!("g{other}"));
                }
            }
        }
        group
    }

    fn deployment(&mut self, index: u64, shares: bool) -> DeploymentSpec {
        let mut deployment = DeploymentSpec::new(format!("d{index}"));
        deployment.keys = self.pick(&[1, 1, 2, 3]);
        self.place(&mut deployment);
        deployment.limit = self.once_in(2).then(|| self.limit());
        if shares && self.once_in(2) {
            deployment.shared.push("shared".into());
        }
        deployment
    }

    /// What one subject may use: mostly little, though no less than one request may cost.
    pub(super) fn subject(&mut self, subject: &mut SubjectSpec) {
        subject.weight = self.pick(&[1, 1, 2, 3]);
        subject.limit = if self.once_in(4) { LimitSpec::default() } else { self.limit() };
        subject.budgets.clear();
        for _ in 0..self.below(3) {
            let (usd, tokens) = (70_000 + self.below(500_000), 700 + self.below(20_000));
            let unit = self.pick(&[BudgetUnit::Usd, BudgetUnit::Tokens]);
            let amount = if unit == BudgetUnit::Usd { usd } else { tokens };
            let odd = Span::from_secs(1) + self.ms(20_000);
            let period = self.pick(&[odd, Span::from_secs(5), Span::from_secs(10)]);
            let soft = Ratio::from_ppm(1 + self.below(1_000_000) as u32);
            let hard = !self.once_in(4);
            subject.budgets.push(BudgetSpec { unit, amount, period, soft, hard });
        }
    }

    fn subjects(&mut self, spec: &mut Spec) {
        spec.router.accounts = self.pick(&[1, 3, 50, 1_000, 1_000]);
        spec.router.periods_began = self.ms(50_000);
        if self.once_in(2) {
            return;
        }
        for kind in ["org", "user"].iter().take(1 + self.below(2) as usize) {
            let named = self.below(3);
            let names = (0..named).map(|name| Some(format!("s{name}")));
            for name in names.chain((named == 0 || !self.once_in(3)).then_some(None)) {
                let mut subject = SubjectSpec::new((*kind).into(), name);
                self.subject(&mut subject);
                spec.subjects.push(subject);
            }
        }
    }

    pub(super) fn spec(&mut self) -> Spec {
        let mut spec = Spec::default();
        let (deployments, groups) = (1 + self.below(5), 1 + self.below(3));
        if self.once_in(2) {
            spec.limits.push(("shared".into(), self.limit()));
        }
        for index in 0..deployments {
            let deployment = self.deployment(index, !spec.limits.is_empty());
            spec.deployments.push(deployment);
        }
        for index in 0..groups {
            let group = self.group(index, deployments, groups);
            spec.groups.push(group);
        }
        spec.router.deadline = if self.once_in(4) { Span::MAX } else { self.ms(30_000) };
        spec.router.attempts = 1 + self.below(5) as u8;
        spec.router.retry_after_max = self.ms(10_000);
        spec.router.in_flight = self.pick(&[4, 64, 1_024]);
        spec.router.priorities = self.priorities();
        spec.router.output_reserve = self.below(600) as u32;
        let budget = &mut spec.router.retry_budget;
        budget.ratio = (!self.once_in(4)).then(|| self.ratio());
        budget.per_second = self.below(3) as u32;
        budget.window = Span::from_secs(1 + self.below(10));
        self.subjects(&mut spec);
        spec.router.peers = self.peers();
        prune(&mut spec);
        spec
    }

    fn priorities(&mut self) -> Vec<String> {
        let mut names: Vec<String> = (0..self.below(4)).map(|class| format!("p{class}")).collect();
        if !names.is_empty() {
            let turn = self.below(names.len() as u64) as usize;
            names.rotate_left(turn);
        }
        names
    }

    /// The same names and sizes, other policies.
    pub(super) fn respec(&mut self, spec: &Spec) -> Spec {
        let mut next = spec.clone();
        for limit in next.deployments.iter_mut().filter_map(|d| d.limit.as_mut()) {
            if self.once_in(2) {
                *limit = self.limit();
            }
        }
        for deployment in &mut next.deployments {
            if self.once_in(4) {
                deployment.breaker = self.once_in(2).then(|| self.mode());
            }
            if self.once_in(8) {
                deployment.adaptive = self.adaptive();
            }
        }
        for subject in &mut next.subjects {
            match self.below(4) {
                0 => self.subject(subject),
                1 => subject.budgets.iter_mut().for_each(|budget| budget.amount += 700),
                _ => {}
            }
        }
        if self.once_in(4) {
            next.deployments.iter_mut().for_each(|d| d.price = self.price());
        }
        let groups = next.groups.len() as u64;
        for (places, group) in (0..).zip(&mut next.groups) {
            let window = group.cooldown.window;
            if self.once_in(2) {
                group.cooldown = CooldownSpec { window, ..self.cooldown() };
            }
            self.policies(group);
            if self.once_in(3) {
                self.requeue(group);
            } else if let Some(queue) = &mut group.queue {
                queue.timeout = self.patience();
            }
            if let Some(breaker) = &mut group.breaker {
                *breaker = BreakerSpec { window: breaker.window, ..self.breaker() };
            }
            for member in &mut group.members[1..] {
                member.weight = self.below(4) as u32;
            }
            if self.once_in(2) {
                group.ladder = self.ladder(places, groups);
            }
            group.timeouts.partial ^= true;
            if self.once_in(2) {
                group.timeouts = self.timeouts();
            }
        }
        if self.once_in(8) {
            next.router.in_flight = self.pick(&[2, 4, 64, 1_100]);
        }
        next.router.attempts = 1 + self.below(5) as u8;
        if self.once_in(2) {
            next.router.priorities = self.priorities();
        }
        next.router.output_reserve = self.below(600) as u32;
        if self.once_in(4) {
            next.router.peers = self.peers();
        }
        prune(&mut next);
        next
    }

    fn failure(&mut self) -> Failure {
        let kind = if self.once_in(3) {
            self.pick(&FailureKind::ALL)
        } else {
            self.pick(&[FailureKind::Server, FailureKind::RateLimit, FailureKind::Reset])
        };
        let mut failure = Failure::new(kind, 500);
        failure.retry_after = self.once_in(4).then(|| {
            // Whole milliseconds, odd nanoseconds, and longer than 32 bits of milliseconds.
            let units = [1_000_000, 999_999, 1_000_000_000_000];
            let unit = self.pick(&units);
            Span::from_nanos(unit * self.below(12_000))
        });
        failure.should_retry = self.once_in(8).then(|| self.once_in(2));
        failure.usage = self.once_in(8).then(|| self.usage());
        failure
    }

    fn usage(&mut self) -> Usage {
        let tokens = self.pick(&[100, 1_000, 5_000]);
        let (input, output) = (self.below(tokens) as u32, self.below(tokens) as u32);
        let cached_tokens = if self.once_in(4) { self.below(tokens) as u32 } else { 0 };
        Usage { input_tokens: input, cached_tokens, output_tokens: output }
    }

    pub(super) fn news(&mut self, tokens: &mut Option<u32>, ill: bool) -> Upstream {
        let failure = self.failure();
        // What has been heard of cannot fail to connect.
        let plausible = failure.kind != FailureKind::Connect || tokens.is_none();
        match self.below(if ill { 4 } else { 10 }) {
            0..=1 if plausible && (ill || self.once_in(2)) => Upstream::Fail(failure),
            0..=3 => Upstream::Complete(self.usage()),
            news => {
                let seen = tokens.get_or_insert(0);
                match news {
                    4 => Upstream::Connected,
                    5 => Upstream::Headers(crate::Quota::default()),
                    6 => Upstream::FirstToken,
                    _ => {
                        *seen += self.below(200) as u32;
                        Upstream::Progress(*seen)
                    }
                }
            }
        }
    }
}

/// Takes out what a configuration may not have: hedges that would come too late, rungs that lead
/// nowhere, bounds that nothing could reach, and replicas that would have nothing of a limit.
fn prune(spec: &mut Spec) {
    let names: Vec<String> = spec.groups.iter().map(|group| group.name.clone()).collect();
    for group in &mut spec.groups {
        let own = &group.name;
        group.ladder.retain(|rung| match rung {
            RungSpec::Group(name) => name != own && names.contains(name),
            RungSpec::Fresh | RungSpec::Full | RungSpec::Stale | RungSpec::Static => true,
        });
        let most = spec.router.in_flight;
        group.in_flight = group.in_flight.map(|bound| bound.min(most));
        if let Some(queue) = &mut group.queue {
            queue.size = queue.size.min(most);
            queue.fair.take_if(|fair| spec.subjects.iter().all(|subject| subject.kind != *fair));
        }
        let TimeoutsSpec { first_token, total, .. } = group.timeouts;
        let end = first_token.min(total).min(spec.router.deadline);
        group.hedge = group.hedge.filter(|hedge| match hedge.after {
            HedgeAfter::Delay(delay) => delay < end,
            HedgeAfter::Quantile(_) => true,
        });
    }
    if spec.router.peers.is_some() && Config::new(spec).is_err() {
        spec.router.peers = None;
    }
}
