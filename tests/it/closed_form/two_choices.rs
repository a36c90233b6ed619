//! Ten queues of which the shorter of two random ones takes each arrival (Mitzenmacher, "The Power
//! of Two Choices in Randomized Load Balancing", IEEE TPDS 2001), solved as a Markov chain: his
//! 2.614 at a load of 0.9 is for infinitely many queues.
//!
//! Who is in which queue does not matter, so a state is the lengths from the longest to the
//! shortest. Two bounds make the chain finite, and change the answer by about 0.01 %: states in
//! which the longest queue has over [`SPREAD`] more than the shortest are passed by, and beyond
//! [`MOST`] customers the servers are as busy as with [`MOST`].

use std::iter;

const SERVERS: usize = 10;
const SPREAD: u8 = 9;
const MOST: usize = 60;

/// Lengths, from the longest to the shortest.
type State = [u8; SERVERS];
/// Whereto, as a place in the list of the next or the previous total, and at which rate.
type Moves = Vec<(usize, f64)>;

/// All states of so many customers, and what is known of them.
struct Level {
    states: Vec<State>,
    ups: Vec<Moves>,
    downs: Vec<Moves>,
    busy: Vec<f64>,
    /// Probabilities, up to a factor that is the same everywhere.
    weights: Vec<f64>,
}

/// The mean time in the system, in service times, at `rate` arrivals a service time.
pub(super) fn mean_time(rate: f64) -> f64 {
    // Of 45 pairs as many have the i-th longest for their shorter as there are longer ones.
    solved(rate, |i| i as f64 / 45.0)
}

/// The same if the i-th longest queue is joined with `chance(i)`.
fn solved(rate: f64, chance: impl Fn(usize) -> f64) -> f64 {
    let mut levels = levels(rate, chance);
    let (mut before, mut now) = (0.0, balanced(&mut levels, rate));
    while f64::abs(now - before) > 1e-7 {
        (0..=MOST).chain((0..MOST).rev()).for_each(|total| relax(&mut levels, rate, total));
        (before, now) = (now, balanced(&mut levels, rate));
    }
    now
}

/// Gives the states of one level what flows in from the levels beside it, over what flows out.
fn relax(levels: &mut [Level], rate: f64, total: usize) {
    let mut inflow = vec![0.0; levels[total].states.len()];
    let mut flow = |from: &Level, moves: &[Moves]| {
        for (weight, moves) in from.weights.iter().zip(moves) {
            moves.iter().for_each(|&(to, rate)| inflow[to] += weight * rate);
        }
    };
    if let Some(below) = total.checked_sub(1) {
        flow(&levels[below], &levels[below].ups);
    }
    if let Some(above) = levels.get(total + 1) {
        flow(above, &above.downs);
    }
    let arrivals = if total < MOST { rate } else { 0.0 };
    let level = &mut levels[total];
    for ((weight, inflow), busy) in level.weights.iter_mut().zip(inflow).zip(&level.busy) {
        *weight = inflow / (arrivals + busy);
    }
}

/// Weighs the levels against each other, as a birth and death process whose deaths are the busy
/// servers, and gives the mean time in the system by Little's law. (Relaxing alone would take
/// thousands of rounds: what changes slowly is the total.)
fn balanced(levels: &mut [Level], rate: f64) -> f64 {
    let (mut weight, mut all, mut customers) = (1.0, 0.0, 0.0);
    let mut ratio = 1.0;
    for (total, level) in levels.iter_mut().enumerate() {
        let sum: f64 = level.weights.iter().sum();
        let busy: f64 =
            level.weights.iter().zip(&level.busy).map(|(weight, busy)| weight * busy).sum();
        if total > 0 {
            ratio = rate * sum / busy;
            weight *= ratio;
        }
        level.weights.iter_mut().for_each(|one| *one *= weight / sum);
        all += weight;
        customers += weight * total as f64;
    }
    // The levels beyond the last are a geometric series.
    let beyond = weight * ratio / (1.0 - ratio);
    all += beyond;
    customers += beyond * (MOST as f64 + 1.0 / (1.0 - ratio));
    customers / all / rate
}

fn levels(rate: f64, chance: impl Fn(usize) -> f64) -> Vec<Level> {
    let states: Vec<Vec<State>> = (0..=MOST).map(states).collect();
    let find = |total: usize, mut state: State| {
        state.sort_unstable_by(|a, b| b.cmp(a));
        states[total].binary_search(&state).expect("every state within bounds is listed")
    };
    let up = |total: usize, state: &State| {
        let joined = (0..SERVERS).filter(|_| total < MOST).map(|i| {
            let far = state[i] + 1 - state[SERVERS - 1] > SPREAD;
            let mut next = *state;
            next[if far { SERVERS - 1 } else { i }] += 1;
            (find(total + 1, next), rate * chance(i))
        });
        joined.collect()
    };
    let down = |total: usize, state: &State| {
        let served = (0..SERVERS).filter(|&i| state[i] > 0).map(|i| {
            let far = state[0] - (state[i] - 1) > SPREAD;
            let mut next = *state;
            next[if far { 0 } else { i }] -= 1;
            (find(total - 1, next), 1.0)
        });
        served.collect()
    };
    let level = |(total, listed): (usize, &Vec<State>)| Level {
        states: listed.clone(),
        ups: listed.iter().map(|state| up(total, state)).collect(),
        downs: listed.iter().map(|state| down(total, state)).collect(),
        busy: listed
            .iter()
            .map(|s| s.iter().filter(|length| **length > 0).count() as f64)
            .collect(),
        weights: vec![1.0; listed.len()],
    };
    states.iter().enumerate().map(level).collect()
}

/// The states of so many customers, in order.
fn states(total: usize) -> Vec<State> {
    let mut found = Vec::new();
    for longest in 0..=u8::try_from(total).expect("few customers") {
        let mut state = [0; SERVERS];
        state[0] = longest;
        fill(&mut state, 1, total - usize::from(longest), &mut found);
    }
    found
}

/// Adds to `found` every way to share `left` among the queues from `at` on.
fn fill(state: &mut State, at: usize, left: usize, found: &mut Vec<State>) {
    let (least, most) = (state[0].saturating_sub(SPREAD), state[at - 1]);
    let rest = SERVERS - at;
    if left < usize::from(least) * rest || left > usize::from(most) * rest {
        return;
    }
    if rest == 0 {
        found.push(*state);
        return;
    }
    for length in iter::successors(Some(least), |length| length.checked_add(1)) {
        if length > most || usize::from(length) > left {
            break;
        }
        state[at] = length;
        fill(state, at + 1, left - usize::from(length), found);
    }
}

#[test]
fn queues_that_are_joined_at_random_are_ten_queues_of_their_own() {
    let alone = solved(3.0, |_| 0.1);
    assert!((alone * (1.0 - 0.3) - 1.0).abs() < 1e-3, "{alone} is not 1 / (1 - 0.3)");
}

#[test]
fn two_choices_lie_between_infinitely_many_queues_and_one() {
    let two = mean_time(9.0);
    assert!((two - 2.983).abs() < 1e-3, "{two}");
    let one_queue = 1.0 + super::theory::erlang_c(SERVERS as u32, 9.0);
    assert!(2.614 < two && one_queue < two, "{two} and {one_queue}");
}
