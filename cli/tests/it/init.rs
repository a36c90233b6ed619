//! The first minute: `init`, and what it says to do next.

use crate::Desk;

#[test]
fn what_init_writes_is_right_and_is_what_runs_then() {
    let desk = Desk::new();
    let said = desk.seawall("init").ended(0);
    assert!(said.out.ends_with("\nnext: seawall run viral-spike --open\n"), "{}", said.out);
    assert_eq!(desk.names("."), [".github", "router.toml", "seawall.toml"]);
    let checked = desk.seawall("check").ended(0);
    insta::assert_snapshot!(checked.whole());
    let said = desk.seawall("run viral-spike").ended(0);
    // The suite's router and objectives, without a word about them on the command line.
    assert!(said.out.contains("\nviral-spike, router router.toml, seed 7\n"), "{}", said.out);
    assert!(said.out.contains("\nPASS     no retry storm (seawall.toml): "), "{}", said.out);
}

#[test]
fn init_overwrites_nothing() {
    let desk = Desk::new().with("router.toml", "mine");
    let said = desk.seawall("init").ended(2);
    assert!(said.err.starts_with("there already: router.toml\nhint: "), "{}", said.err);
    assert_eq!(desk.names("."), ["router.toml"]);
    assert_eq!(desk.text("router.toml"), "mine");
    let said = desk.seawall("init router.toml").ended(7);
    assert!(said.err.starts_with("cannot write router.toml/router.toml: "), "{}", said.err);
    let said = desk.seawall("init team").ended(0);
    assert!(said.out.contains("wrote team/seawall.toml\n"), "{}", said.out);
    desk.seawall("check team/seawall.toml").ended(0);
}
