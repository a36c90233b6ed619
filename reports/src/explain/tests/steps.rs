//! Stories of a real router's calls that step down a ladder.

use router_core::{Cached, QueueSpec, RungSpec};

use super::*;

const MINI: &str = "group:mini";

/// `chat` on `a` and `mini` on `m`, which takes one call at once; a router of two calls at once.
struct Play {
    router: Router,
    story: Story,
}

impl Play {
    fn new(attempts: u8, ladder: &[&str]) -> Self {
        Self::with(attempts, ladder, |_| {})
    }

    fn with(attempts: u8, ladder: &[&str], change: impl FnOnce(&mut GroupSpec)) -> Self {
        let mut spec = Spec::default();
        (spec.router.attempts, spec.router.in_flight) = (attempts, 2);
        spec.router.deadline = Span::from_secs(3);
        spec.router.priorities = ["now".to_owned(), "later".to_owned()].into();
        for (group, deployment) in [("chat", "a"), ("mini", "m")] {
            let mut new = DeploymentSpec::new(deployment.to_owned());
            new.limit = Some(LimitSpec { parallel: Some(1), ..LimitSpec::default() });
            spec.deployments.push(new);
            let mut group = GroupSpec::new(group.to_owned());
            group.cooldown.enabled = false;
            group.retry.most = [0; 6];
            let member = MemberSpec { deployment: deployment.to_owned(), weight: 1, tier: 0 };
            group.members.push(member);
            spec.groups.push(group);
        }
        spec.groups[0].ladder = ladder
            .iter()
            .map(|rung| match *rung {
                "fresh" => RungSpec::Fresh,
                "full" => RungSpec::Full,
                "stale" => RungSpec::Stale,
                "static" => RungSpec::Static,
                _ => RungSpec::Group("mini".to_owned()),
            })
            .collect();
        change(&mut spec.groups[0]);
        let config = Arc::new(Config::new(&spec).expect("it holds"));
        let router = Router::new(Arc::clone(&config), Seed::from_u64(1), Time::ZERO);
        Self { router, story: Story::new(config, id(17)) }
    }

    fn hear(mut self, at: u64, input: Input) -> Self {
        self.story.input(ms(at), &input);
        let outputs: Vec<Output> = self.router.handle(ms(at), input).collect();
        outputs.iter().for_each(|output| self.story.output(ms(at), output));
        self
    }

    fn submit(self, number: u64, group: usize, cached: Cached) -> Self {
        let request = Request::new(id(number), GroupId::at(group), 100);
        self.hear(0, Input::Submit(Request { cached, ..request }))
    }

    fn fails(self, ordinal: u8) -> Self {
        let news = Upstream::Fail(Failure::new(FailureKind::Server, 503));
        self.hear(500, Input::Upstream(attempt(ordinal), news))
    }

    /// What is said of steps, a consequence with two spaces before it.
    fn told(&self) -> Vec<String> {
        let text = |line: &super::super::story::Line| "  ".repeat(line.depth) + &line.text;
        self.story.lines.iter().skip(1).map(text).collect()
    }
}

const ALL: [&str; 5] = ["fresh", "full", "stale", MINI, "static"];

#[test]
fn what_spares_the_full_answer_is_told_as_such() {
    let play = Play::new(3, &ALL).submit(17, 0, Cached::Fresh);
    let text = "its ladder has an answer from the cache, within its time to live: nobody is asked";
    assert_eq!(play.told(), [text]);
}

#[test]
fn each_rung_that_is_passed_has_its_reason() {
    let left = |play: Play| play.told().split_off(2);
    let once = "gives up: it had its 1 attempts (`router.attempts`)";
    let none = "  not `stale`: the cache has no answer to it";
    let spent = "  not `group:mini`: it had its 1 attempts (`router.attempts`)";
    let text = "its ladder has the static text";
    let play = Play::new(1, &ALL).submit(17, 0, Cached::None).fails(1);
    assert_eq!(left(play), [once, text, none, spent]);
    let play = Play::new(1, &ALL).submit(17, 0, Cached::Stale).fails(1);
    let stale = "its ladder has an answer from the cache, past its time to live";
    assert_eq!(left(play), [once, stale]);
    // Somebody else is where it might go.
    let busy = Play::new(3, &ALL).submit(1, 1, Cached::None).submit(17, 0, Cached::None).fails(1);
    let told = busy.told();
    let nobody = "  not `group:mini`: nobody there can take it";
    assert_eq!(told[told.len() - 3..], [text, none, nobody]);
    assert!(told.iter().any(|line| line.starts_with("nobody of `mini` can take it")), "{told:?}");
}

#[test]
fn a_smaller_group_is_told_and_what_follows_when_it_fails_too() {
    let play = Play::new(3, &ALL).submit(17, 0, Cached::None).fails(1);
    let down = "its ladder leads down to the group `mini`";
    let told = play.told();
    let at = told.iter().position(|line| line == down).expect("it steps down");
    assert_eq!(told[at + 1], "  not `stale`: the cache has no answer to it");
    assert!(told[at + 2].starts_with("attempt 2 (a step down its ladder) goes to m of `mini`"));
    let told = play.fails(2).told();
    assert_eq!(told.last().map(String::as_str), Some("its ladder has the static text"));
}

#[test]
fn without_room_or_time_it_is_told_that_there_was_none() {
    let full = Play::new(3, &ALL).submit(1, 0, Cached::None).submit(2, 1, Cached::None);
    let full = full.submit(17, 0, Cached::None).told();
    let room = "no room: `router.in_flight` is 2, and as many are in flight";
    let place = "  not `group:mini`: who has no place in the router is sent to nobody";
    let none = "  not `stale`: the cache has no answer to it";
    assert_eq!(full, [room, "its ladder has the static text", none, place]);
    let late = Play::new(3, &ALL).submit(17, 0, Cached::None).hear(3_000, Input::Tick).told();
    let late: Vec<&str> = late.iter().map(String::as_str).skip(2).collect();
    let came = "its deadline came after 3.00 s, before an answer";
    let mini = "  not `group:mini`: its deadline has come";
    assert_eq!(late, [came, "its ladder has the static text", none, mini]);
}

#[test]
fn what_a_queue_has_no_room_or_no_time_for_is_told_as_such() {
    let queue = |size| QueueSpec { timeout: Span::from_secs(1), ..QueueSpec::new(size) };
    let text = "its ladder has the static text";
    let none = "  not `stale`: the cache has no answer to it";
    let nobody = "  not `group:mini`: nobody there can take it";
    let ladder = ["full", "stale", MINI, "static"];
    let mut play = Play::with(3, &ladder, |chat| chat.queue = Some(queue(2)));
    play = play.submit(1, 0, Cached::None).submit(17, 0, Cached::None);
    let told = play.hear(1_000, Input::Tick).told();
    let over = "its wait in the queue is over after 1.00 s (`queue.timeout`)";
    let down = "its ladder leads down to the group `mini`";
    assert!(told.windows(3).any(|lines| *lines == [over, down, none]), "{told:?}");
    let mut play = Play::with(3, &ladder, |chat| (chat.in_flight, chat.queue) = (Some(1), None));
    play = play.submit(1, 0, Cached::None).submit(17, 0, Cached::None);
    let full = "its group has `in_flight` requests on their way";
    let home = "  not `group:mini`: the group asked for is full, or a limit of its subjects is";
    let told = play.told();
    assert_eq!(told, [full, text, none, home], "and not {nobody}");
}

#[test]
fn who_is_not_softened_is_told_why() {
    let ladder = ["full", "stale", MINI];
    let play = Play::new(1, &ladder).submit(17, 0, Cached::None).fails(1);
    let told = play.told();
    let none = "  not `stale`: the cache has no answer to it";
    let spent = "  not `group:mini`: it had its 1 attempts (`router.attempts`)";
    assert_eq!(told[3..6], ["no rung of its ladder has something", none, spent]);
    let invalid = Upstream::Fail(Failure::new(FailureKind::BadRequest, 400));
    let play = Play::new(3, &ladder).submit(17, 0, Cached::None);
    let told = play.hear(500, Input::Upstream(attempt(1), invalid)).told();
    assert!(told.iter().any(|line| line == "no rung of its ladder is for that"), "{told:?}");
}

#[test]
fn who_waits_is_told_as_what_behind_whom_and_for_how_long() {
    let queue = |timeout| Some(QueueSpec { timeout, ..QueueSpec::new(2) });
    let lines = |timeout, priority| {
        let mut play = Play::with(3, &["full"], |chat| chat.queue = queue(timeout));
        play = play.submit(1, 0, Cached::None);
        let request = Request::new(id(17), CHAT, 100);
        let end = Upstream::Complete(Usage::default());
        let first = AttemptId { request: id(1), ordinal: 1 };
        let play = play.hear(100, Input::Submit(Request { priority, ..request }));
        play.hear(400, Input::Upstream(first, end)).told()
    };
    let told = lines(Span::from_secs(1), 1);
    let waits = "waits in the queue as `later`, with nobody ahead, for 1.00 s at most";
    assert!(told.iter().any(|line| line == waits), "{told:?}");
    assert!(told.iter().any(|line| line == "leaves the queue after 300 ms"), "{told:?}");
    let told = lines(Span::MAX, 0);
    let waits = "waits in the queue as `now`, with nobody ahead";
    assert!(told.iter().any(|line| line == waits), "{told:?}");
}
