//! Runs tests/vectors over every driver, through the Rust API. The grammar is in tests/vectors/README.md.

use holdall::{CommitOptions, ErrorKind, FlashPolicy, Manager, Mode, OpenOptions, Result, Session};
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

const BEGINNING_MS: u64 = 1_700_000_000_000;

/// The drivers every vector runs over, with the options the runner chooses; "sealed" ones keep their records encrypted.
const DRIVERS: [&str; 5] = ["memory", "file", "cookie", "sealed memory", "sealed file"];
/// For tests; not a secret.
const KEY: &str = "7hT8wC5Zf1m0u9Jq2rXyKdLpBvN4sGaE6oQiRkWzMxc";

fn main() {
    let arguments = Arguments::from_args();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let mut trials = Vec::new();
    let mut files: Vec<_> =
        std::fs::read_dir(folder).expect("tests/vectors").map(|e| e.expect("entry").path()).collect();
    files.sort();
    for path in files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "json")) {
        let text = std::fs::read_to_string(path).expect("a vector file");
        let file: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(file["source"].is_string(), "{} names no source", path.display());
        let stem = path.file_stem().expect("a name").to_string_lossy().into_owned();
        for vector in file["vectors"].as_array().expect("vectors") {
            for driver in DRIVERS {
                let name = format!("{driver}: {stem}: {}", vector["name"].as_str().expect("a name"));
                let vector = vector.clone();
                trials.push(Trial::test(name, move || run(&vector, driver)));
            }
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn run(vector: &Value, driver: &str) -> Result<(), Failed> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (is_sealed, kind) = match driver.strip_prefix("sealed ") {
        Some(kind) => (true, kind),
        None => (false, driver),
    };
    let options = match kind {
        "file" => json!({ "type": "file", "path": directory.path().join("sessions") }),
        name => json!({ "type": name }),
    };
    let mut config = json!({ "default": "main", "drivers": { "main": options }, "keys": [KEY] });
    if is_sealed {
        config["at_rest"] = "sealed_only".into();
    }
    for (field, value) in vector["config"].as_object().unwrap_or(&Map::new()) {
        config[field] = value.clone();
    }
    let manager = Manager::new(&config.to_string()).map_err(|error| format!("config: {error}"))?;
    let capabilities: Value =
        serde_json::from_str::<Value>(&manager.stats()).expect("stats")["drivers"]["main"]["capabilities"].take();
    for need in vector["needs"].as_array().unwrap_or(&Vec::new()) {
        let need = need.as_str().expect("a capability");
        let has = capabilities[need.trim_start_matches('!')].as_bool().expect("a capability");
        if has == need.starts_with('!') {
            return Ok(());
        }
    }
    let mut world = World {
        manager,
        now_ms: BEGINNING_MS,
        handles: HashMap::new(),
        visitors: HashMap::new(),
        kept: HashMap::new(),
    };
    for (index, step) in vector["steps"].as_array().expect("steps").iter().enumerate() {
        world
            .step(step.as_array().expect("a step is an array"))
            .map_err(|why| format!("step {index} {step}: {why}"))?;
    }
    Ok(())
}

type Visitors = HashMap<String, BTreeMap<String, String>>;

struct World {
    manager: Manager,
    now_ms: u64,
    handles: HashMap<String, Handle>,
    /// The cookies of each browser by their names, as `name=value`.
    visitors: Visitors,
    kept: HashMap<String, String>,
}

struct Handle {
    session: Session,
    visitor: Option<String>,
    last: Last,
}

/// What the last commit of a handle answered.
#[derive(Default)]
struct Last {
    headers: Vec<(String, String)>,
    conflicts: Value,
}

enum Expected {
    Anything,
    Answer(Value),
    Error(String),
    Keep(String),
}

impl World {
    fn step(&mut self, step: &[Value]) -> Result<(), String> {
        let (step, expected) = match step {
            [rest @ .., mark, value] if mark == "=>" => (rest, Expected::Answer(self.filled(value))),
            [rest @ .., mark, Value::String(kind)] if mark == "!" => (rest, Expected::Error(kind.clone())),
            [rest @ .., mark, Value::String(name)] if mark == "->" => (rest, Expected::Keep(name.clone())),
            rest => (rest, Expected::Anything),
        };
        let operation = step[0].as_str().expect("an operation");
        let arguments: Vec<Value> = step[1..].iter().map(|argument| self.filled(argument)).collect();
        let answer = self.perform(operation, &arguments);
        match (answer, expected) {
            (Ok(_), Expected::Anything) => Ok(()),
            (Ok(answer), Expected::Answer(wanted)) if answer == wanted => Ok(()),
            (Ok(answer), Expected::Answer(wanted)) => Err(format!("expected {wanted}, got {answer}")),
            (Ok(Value::String(answer)), Expected::Keep(name)) => {
                self.kept.insert(name, answer);
                Ok(())
            }
            (Ok(answer), Expected::Keep(_)) => Err(format!("cannot keep {answer}")),
            (Ok(answer), Expected::Error(kind)) => Err(format!("expected the error {kind}, got {answer}")),
            (Err(error), Expected::Error(kind)) if error.kind().name() == kind => Ok(()),
            (Err(error), _) => Err(format!("{error:?}")),
        }
    }

    /// `$name` becomes what was kept under the name.
    fn filled(&self, value: &Value) -> Value {
        match value {
            Value::String(text) if text.contains('$') => {
                let mut names: Vec<&String> = self.kept.keys().collect();
                names.sort_by_key(|name| std::cmp::Reverse(name.len()));
                Value::String(
                    names.iter().fold(text.clone(), |text, name| text.replace(&format!("${name}"), &self.kept[*name])),
                )
            }
            other => other.clone(),
        }
    }

    fn perform(&mut self, operation: &str, arguments: &[Value]) -> Result<Value> {
        let text = |index: usize| arguments[index].as_str().expect("text");
        match operation {
            "at" => {
                self.now_ms = BEGINNING_MS + arguments[0].as_u64().expect("milliseconds");
                return Ok(Value::Null);
            }
            "sweep" => {
                let limit = usize::try_from(arguments[0].as_u64().expect("a limit")).expect("small");
                return Ok(self.manager.sweep_at(limit, self.now_ms)?.removed.into());
            }
            "records" => {
                let mut count = 0;
                self.manager.iterate_at(self.now_ms, |_| {
                    count += 1;
                    true
                })?;
                return Ok(count.into());
            }
            "open" | "open_header" | "open_token" | "open_keyed" => {
                let options = self.open_options(arguments.get(2));
                let visitor = (operation == "open").then(|| text(1).to_owned());
                let session = match operation {
                    "open" => {
                        let cookies: Vec<&str> = self
                            .visitors
                            .get(text(1))
                            .iter()
                            .flat_map(|jar| jar.values())
                            .map(String::as_str)
                            .collect();
                        self.manager.open_with(cookies.join("; ").as_bytes(), options)?
                    }
                    "open_header" => self.manager.open_with(text(1).as_bytes(), options)?,
                    "open_token" => self.manager.open_token_with(text(1).as_bytes(), options)?,
                    _ => self.manager.open_keyed_with(text(1).as_bytes(), options)?,
                };
                self.handles.insert(text(0).to_owned(), Handle { session, visitor, last: Last::default() });
                return Ok(Value::Null);
            }
            "free" => {
                self.handles.remove(text(0));
                return Ok(Value::Null);
            }
            _ => {}
        }
        let now_ms = self.now_ms;
        let handle = self.handles.get_mut(text(0)).expect("an open handle");
        if operation == "commit" {
            return handle.commit(arguments.get(1), now_ms, &mut self.visitors);
        }
        handle.perform(operation, &arguments[1..], now_ms)
    }

    fn open_options(&self, given: Option<&Value>) -> OpenOptions {
        let mut options = OpenOptions::new().at(self.now_ms);
        for (name, value) in given.and_then(Value::as_object).unwrap_or(&Map::new()) {
            options = match (name.as_str(), value.as_str().unwrap_or_default()) {
                ("mode", "shared") => options.mode(Mode::Shared),
                ("mode", "exclusive") => options.mode(Mode::Exclusive),
                ("mode", "read_only") => options.mode(Mode::ReadOnly),
                ("flash", "next_request") => options.flash(FlashPolicy::NextRequest),
                ("flash", "on_read") => options.flash(FlashPolicy::OnRead),
                ("flash", "explicit") => options.flash(FlashPolicy::Explicit),
                ("lock_timeout_ms", _) => options.lock_timeout_ms(value.as_u64().expect("milliseconds")),
                ("secure", _) => options.request_is_secure(value.as_bool().expect("truth")),
                other => panic!("no such option: {other:?}"),
            };
        }
        options
    }
}

impl Handle {
    fn commit(&mut self, given: Option<&Value>, now_ms: u64, visitors: &mut Visitors) -> Result<Value> {
        let mut options = CommitOptions::new().at(now_ms);
        if let Some(ages) = given.and_then(|given| given["age_flash"].as_bool()) {
            options = options.age_flash(ages);
        }
        let commit = self.session.commit_with(options)?;
        self.last.headers =
            commit.headers().iter().map(|(name, value)| ((*name).to_owned(), value.to_string())).collect();
        self.last.conflicts = commit.conflicts().iter().map(|c| json!([c.key, c.reason.name()])).collect();
        if let Some(visitor) = &self.visitor {
            let cookies = visitors.entry(visitor.clone()).or_default();
            for line in self.last.set_cookies() {
                let name = line.split('=').next().expect("a name").to_owned();
                if line.contains("; Max-Age=0") {
                    cookies.remove(&name);
                } else {
                    cookies.insert(name, line.split(';').next().expect("a pair").to_owned());
                }
            }
        }
        Ok(commit.outcome().name().into())
    }

    fn perform(&mut self, operation: &str, arguments: &[Value], now_ms: u64) -> Result<Value> {
        let session = &mut self.session;
        let text = |index: usize| arguments[index].as_str().expect("text");
        let number = |index: usize| arguments[index].as_i64().expect("a number");
        let list = |index: usize| -> Vec<&str> {
            arguments[index].as_array().expect("a list").iter().map(|item| item.as_str().expect("text")).collect()
        };
        let seconds = |index: usize| Some(arguments[index].as_u64().expect("seconds")).filter(|seconds| *seconds != 0);
        let done = |()| Value::Null;
        Ok(match operation {
            "get" => session.get_json(text(0))?.into(),
            "data" => session.data_json(text(0))?.into(),
            "old" => session.old(text(0))?.into(),
            "has" => session.has(text(0))?.into(),
            "exists" => session.exists(text(0))?.into(),
            "missing" => session.missing(text(0))?.into(),
            "all" => session.all()?.into(),
            "only" => session.only(&list(0))?.into(),
            "except" => session.except(&list(0))?.into(),
            "set" => done(session.set_json(text(0), text(1))?),
            "push" => done(session.push_json(text(0), text(1))?),
            "replace" => done(session.replace_json(text(0), text(1))?),
            "flash" => done(session.flash_json(text(0), text(1))?),
            "flash_now" => done(session.flash_now_json(text(0), text(1))?),
            "remember" => session.remember_json(text(0), || Ok(text(1).to_owned()))?.into(),
            "pull" => session.pull_json(text(0))?.into(),
            "delete" => done(session.delete(&list(0))?),
            "keep" => done(session.keep(&list(0))?),
            "increment" => session.increment(text(0), number(1))?.into(),
            "decrement" => session.decrement(text(0), number(1))?.into(),
            "flush" => done(session.flush()?),
            "reset" => done(session.reset(arguments[0].as_bool().expect("truth"))?),
            "reflash" => done(session.reflash()?),
            "flash_input" => done(session.flash_input(text(0))?),
            "id" => session.id()?.map(|id| id.as_str()).into(),
            "is_new" => session.is_new()?.into(),
            "regenerate" => done(session.regenerate()?),
            "invalidate" => done(session.invalidate()?),
            "destroy" => done(session.destroy_at(now_ms)?),
            "touch" => done(session.touch()?),
            "set_idle_timeout" => done(session.set_idle_timeout(seconds(0))?),
            "set_absolute_timeout" => done(session.set_absolute_timeout(seconds(0))?),
            "set_persistent" => done(session.set_persistent(arguments[0].as_bool().expect("truth"))?),
            "csrf_token" => session.csrf_token()?.into(),
            "csrf_matches" => session.csrf_matches(text(0))?.into(),
            "regenerate_csrf_token" => done(session.regenerate_csrf_token()?),
            "previous_url" => session.previous_url()?.into(),
            "set_previous_url" => done(session.set_previous_url(text(0))?),
            "cookie" => self.last.cookie().into(),
            "max_age" => self.last.max_age().into(),
            "attributes" => self.last.set_cookie().and_then(|line| line.split_once("; ")).map(|(_, rest)| rest).into(),
            "headers" => self.last.headers.iter().map(|(name, _)| name.as_str()).collect(),
            "conflicts" => self.last.conflicts.clone(),
            other => panic!("no such operation: {other}"),
        })
    }
}

impl Last {
    fn set_cookies(&self) -> impl Iterator<Item = &str> {
        self.headers.iter().filter(|(name, _)| name == "Set-Cookie").map(|(_, line)| line.as_str())
    }

    fn set_cookie(&self) -> Option<&str> {
        self.set_cookies().next()
    }

    fn cookie(&self) -> &'static str {
        match self.set_cookie() {
            None => "none",
            Some(line) if line.contains("; Max-Age=0") => "removed",
            Some(_) => "set",
        }
    }

    fn max_age(&self) -> Option<u64> {
        self.set_cookie()?.split("; ").find_map(|part| part.strip_prefix("Max-Age=")?.parse().ok())
    }
}

// The kinds that vectors name must exist, or a misspelt one would only be found when it is missed.
const _: [ErrorKind; 9] = ErrorKind::ALL;
