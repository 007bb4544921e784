//! A process of its own for the tests of several processes: does one job on a session and says so on standard output.
//!
//! `worker CONFIG TOKEN increment N` adds 1 to `n`, N times, one commit each.
//! `worker CONFIG TOKEN full` finds its files limited to 2 KiB, as a full disk would: a commit that grows must fail, one that
//! does not must work, and the failed one must work when there is room again.
//! `worker CONFIG - make TIMES LENGTH` makes a session whose `text` has LENGTH bytes, written TIMES times, and what a sweep
//! takes.
//! `worker CONFIG TOKEN operate OPERATION` does one operation between two marks, and once more if it failed; says what came.
//! `worker CONFIG - check TOKEN...` says what a reader finds, writes to it, and sweeps when everything has ended.
//! `worker CONFIG - state TOKEN...` only says what a reader finds.
//! `worker CONFIG - fill STEP` fills its file system with sessions whose lengths go by STEP, and uses it while it is full.
//! `worker CONFIG - descriptors N` does N operations in 64 threads that have 32 descriptors.
//! `worker CONFIG - acknowledge N` creates, updates and regenerates N times, and says so each time it was answered.
//! `worker CONFIG TOKEN insist N` adds 1 to `n` N times, and says how often that was saved and how often it was refused.
//! `worker CONFIG - refused` is not to be given a manager, and says why.
//! `worker CONFIG - hostile FILE` opens the tokens of a file.
//! `worker CONFIG - follow PLAN` does what each two characters of PLAN say to one of ten sessions, a minute after the last:
//! a digit for the session, then `w` to add 1 to `n` and change the length of `text`, `t` to touch, `r` to regenerate, `x` to write and regenerate,
//! `d` to destroy. After each commit that was acknowledged it prints the session, its token (`-` for none), its `n` and the
//! time.
//! `worker CONFIG - obey` does the requests that it reads from standard input: a token, then the operations of the commit,
//! one a line; and answers each with a line.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a process that says what it did and cannot go on otherwise"
)]

use holdall::{Manager, OpenOptions};

mod hostile;
mod operation;
mod request;
mod storage;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let manager = Manager::new(&arguments[1]);
    if arguments[3] == "refused" {
        return println!("refused {}", manager.expect_err("it should have been").kind().name());
    }
    let manager = manager.expect("the configuration");
    let token = &arguments[2];
    match arguments[3].as_str() {
        "increment" => {
            let times: u64 = arguments[4].parse().expect("a number");
            for _ in 0..times {
                let mut session = manager.open_token(token).expect("open");
                session.increment("n", 1).expect("increment");
                let commit = session.commit().expect("commit");
                assert_eq!(commit.outcome().name(), "saved");
            }
        }
        "full" => full(&manager, token),
        "make" => {
            let [times, length] = [4, 5].map(|place| arguments[place].parse().expect("a number"));
            operation::make(&manager, times, length).expect("a store that works");
        }
        "operate" => {
            operation::operate(&manager, token, &arguments[4]).expect("a store that works round the operation")
        }
        "follow" => follow(&manager, &arguments[4]),
        "obey" => {
            let mut lines = std::io::stdin().lines().map_while(Result::ok);
            while let Some(token) = lines.next() {
                let (session, all) = request::load(&manager, &token);
                println!("{all}");
                let Some(operations) = lines.next() else { return };
                println!("{}", request::commit(session, &operations));
            }
        }
        "check" => operation::check(&manager, &arguments[4..]).expect("a store that works"),
        "state" => operation::read(&manager, &arguments[4..]),
        "fill" => {
            let step = arguments[4].parse().expect("a number");
            storage::fill(&manager, &arguments[1], step).expect("a store that works when it is full");
        }
        "descriptors" => {
            let operations = arguments[4].parse().expect("a number");
            storage::descriptors_short(&manager, &arguments[1], operations).expect("a store that works");
        }
        "acknowledge" => {
            let times = arguments[4].parse().expect("a number");
            operation::acknowledge(&manager, times).expect("a store that works");
        }
        "insist" => {
            let times = arguments[4].parse().expect("a number");
            hostile::insist(&manager, token, times);
        }
        "hostile" => hostile::open(&manager, &arguments[4]).expect("absent, and no error"),
        other => panic!("no such job: {other}"),
    }
}

fn follow(manager: &Manager, plan: &str) {
    let mut tokens = [const { String::new() }; 10];
    let mut now_ms = 1_700_000_000_000;
    for step in plan.as_bytes().chunks(2) {
        now_ms += 60_000;
        let token = &mut tokens[usize::from(step[0] - b'0')];
        let mut session =
            manager.open_token_with(token.as_bytes(), OpenOptions::new().at(now_ms)).expect("a session to open");
        match step[1] {
            b'w' | b'x' => {
                let n = session.increment("n", 1).expect("increment");
                let length = usize::try_from(n * 2711 % 6000).expect("positive");
                session.set("text", &"x".repeat(length)).expect("set");
                if step[1] == b'x' {
                    session.regenerate().expect("regenerate");
                }
            }
            b't' => session.touch().expect("touch"),
            b'r' => session.regenerate().expect("regenerate"),
            _ => session.destroy_at(now_ms).expect("destroy"),
        }
        drop(session.commit_at(now_ms).expect("commit"));
        let n: i64 = session.get_or("n", 0).expect("readable");
        *token = match step[1] {
            b'd' => String::new(),
            _ => session.id().expect("an id").expect("an id").as_str().to_owned(),
        };
        let shown = if token.is_empty() { "-" } else { token.as_str() };
        println!("{} {shown} {n} {now_ms}", char::from(step[0]));
    }
}

fn full(manager: &Manager, token: &str) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    // SAFETY: ignoring a signal installs no handler. The write then fails with EFBIG, instead of ending the process.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    let before = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: Some(2048), ..before }).expect("a lower limit");

    let mut growing = manager.open_token(token).expect("open");
    growing.set("text", &"x".repeat(5422)).expect("set");
    growing.increment("n", 1).expect("increment");
    let error = growing.commit().expect_err("there is no room");
    assert_eq!(error.kind().name(), "unavailable");
    assert!(error.is_retryable() && !error.may_have_written());

    let mut small = manager.open_token(token).expect("open");
    assert_eq!(small.get::<i64>("n").expect("readable"), Some(0));
    small.increment("n", 1).expect("increment");
    assert_eq!(small.commit().expect("there is room for this").outcome().name(), "saved");

    setrlimit(Resource::Fsize, before).expect("the old limit");
    assert_eq!(growing.commit().expect("there is room again").outcome().name(), "saved");
    let session = manager.open_token(token).expect("open");
    assert_eq!(session.get::<i64>("n").expect("readable"), Some(2));
}
