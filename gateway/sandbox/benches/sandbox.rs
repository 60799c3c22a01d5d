//! The cost of a fresh sandbox against a reused one, and the best arrangement of engines for two
//! threads. `cargo bench -p cofferdam-sandbox`.
//! `COFFERDAM_COMPONENTS` names a folder with the shipped tools, and `COFFERDAM_ASSETS` a folder with
//! `policy-example` and `policy-single`, as `scripts/build-policy` makes them. Without them the bench
//! uses the smallest guests of the tests, which show the sandbox alone.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark that cannot be set up has nothing to measure"
)]

#[path = "../src/tests/encode.rs"]
mod encode;

use cofferdam_core::model::json::canonical;
use cofferdam_core::protocol::role_guest::GuestKind;
use cofferdam_sandbox::engine::{Ticker, engine, for_tools, shared};
use cofferdam_sandbox::load::{Artefact, compile};
use cofferdam_sandbox::policy::Policy;
use cofferdam_sandbox::tool::Tool;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use encode::Built;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};
use wasmtime::component::{Component, Linker, Val};
use wasmtime::{Engine, Store};

/// Arguments that `deployment_scale` plans from. The small guest does not read them.
const ARGUMENTS: &str = r#"{"name":"web","namespace":"team-a","replicas":3}"#;

fn given(variable: &str, file: &str) -> Option<Vec<u8>> {
    std::fs::read(Path::new(&std::env::var_os(variable)?).join(file)).ok()
}

fn tool() -> Built {
    match given("COFFERDAM_COMPONENTS", "deployment_scale.wasm") {
        Some(wasm) => Built { kind: GuestKind::Tool, wasm },
        None => encode::built("tool-answer.wat"),
    }
}

fn artefact(built: &Built) -> Artefact {
    compile(built.kind, &built.wasm).unwrap().0
}

fn tools(c: &mut Criterion) {
    let guest = tool();
    let ticker = Ticker::start().unwrap();
    let own = engine(GuestKind::Tool).unwrap();
    ticker.add(&own);
    let made = artefact(&guest);
    let fresh = Tool::load(&own, &made).unwrap();

    let mut group = c.benchmark_group("tool");
    group.bench_function("fresh sandbox and plan", |bench| {
        bench.iter(|| black_box(fresh.plan(ARGUMENTS).unwrap()))
    });
    // Values stay as the engine lifts them. Only the fresh call converts them to types of the core.
    let reused_engine = engine(GuestKind::Tool).unwrap();
    ticker.add(&reused_engine);
    group.bench_function("reused instance, not isolated", |bench| {
        let component = Component::new(&reused_engine, &guest.wasm).unwrap();
        let interface = component.get_export_index(None, "cofferdam:tool/tool@0.1.0").unwrap();
        let plan = component.get_export_index(Some(&interface), "plan").unwrap();
        let start = || {
            let mut store = Store::new(&reused_engine, ());
            store.set_epoch_deadline(u64::MAX / 2);
            let instance = Linker::new(&reused_engine).instantiate(&mut store, &component).unwrap();
            let plan = instance.get_func(&mut store, plan).unwrap();
            (store, plan)
        };
        // A guest never frees memory, so an instance lasts for some calls only. Its new start is
        // not measured.
        bench.iter_custom(|times| {
            let mut spent = Duration::ZERO;
            let mut left = times;
            while left > 0 {
                let (mut store, plan) = start();
                let calls = left.min(20);
                let began = Instant::now();
                for _ in 0..calls {
                    let mut results = [Val::Bool(false)];
                    plan.call(&mut store, &[Val::String(ARGUMENTS.into())], &mut results).unwrap();
                    black_box(results);
                }
                spent += began.elapsed();
                left -= calls;
            }
            spent
        });
    });
    mixed(&mut group);
    group.finish();

    let mut group = c.benchmark_group("threads");
    for (name, threads, engines) in
        [("one", 1, 1), ("two, one shared engine", 2, 1), ("two, an engine each", 2, 2)]
    {
        let engines: Vec<Engine> = (0..engines)
            .map(|_| shared(GuestKind::Tool, if engines == 1 { threads } else { 1 }).unwrap())
            .collect();
        engines.iter().for_each(|engine| ticker.add(engine));
        let loaded: Vec<Tool> = engines
            .iter()
            .cycle()
            .take(threads as usize)
            .map(|engine| Tool::load(engine, &made).unwrap())
            .collect();
        // Time per call of all threads together: half of "one" is perfect.
        group.bench_function(name, |bench| {
            bench.iter_custom(|times| {
                let each = times.div_ceil(u64::from(threads));
                let began = Instant::now();
                std::thread::scope(|scope| {
                    for tool in &loaded {
                        scope.spawn(move || {
                            (0..each).for_each(|_| drop(black_box(tool.plan(ARGUMENTS).unwrap())))
                        });
                    }
                });
                began.elapsed()
            });
        });
    }
    group.finish();
}

/// Every shipped tool in turn, each with the first example of its definition.
fn mixed(group: &mut BenchmarkGroup<'_, WallTime>) {
    let Some(folder) = std::env::var_os("COFFERDAM_COMPONENTS") else {
        println!("mixed: skipped; COFFERDAM_COMPONENTS names the folder of the shipped tools");
        return;
    };
    let ticker = Ticker::start().unwrap();
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "wasm"));
    files.sort();
    let engine = for_tools(files.len()).unwrap();
    ticker.add(&engine);
    let calls: Vec<(Tool, String)> = files
        .iter()
        .map(|file| {
            let built = Built { kind: GuestKind::Tool, wasm: std::fs::read(file).unwrap() };
            let tool = Tool::load(&engine, &artefact(&built)).unwrap();
            let definition = tool.define().unwrap();
            let example = definition.examples.first().unwrap();
            (tool, canonical(&example.arguments).unwrap())
        })
        .collect();
    let mut turn = calls.iter().cycle();
    group.bench_function("fresh sandbox and plan, shipped tools mixed", |bench| {
        bench.iter(|| {
            let (tool, arguments) = turn.next().unwrap();
            black_box(tool.plan(arguments).unwrap())
        })
    });
}

/// The folder of inputs that the Rego tests of the shipped policies use too.
const INPUTS: &str = "../../policies/example/testdata";

/// A denial, an allow, and a list of five tools. Both shipped policies answer each of them.
const QUESTIONS: [(&str, &str, &str); 4] = [
    ("deny", "cofferdam/call/decision", "scale_to_40.json"),
    ("deny uncovered", "cofferdam/call/decision", "scale_as_viewer.json"),
    ("allow", "cofferdam/call/decision", "scale_to_5.json"),
    ("list of five tools", "cofferdam/list/visible", "list_as_operator.json"),
];

fn policies(c: &mut Criterion) {
    // A hand-made policy does not measure a real one, and cannot be used twice.
    let Some(assets) = std::env::var_os("COFFERDAM_ASSETS") else {
        println!("policy: skipped; COFFERDAM_ASSETS names the folder of the built policies");
        return;
    };
    let ticker = Ticker::start().unwrap();
    for name in ["example", "single"] {
        let folder = Path::new(&assets).join(format!("policy-{name}"));
        let wasm = std::fs::read(folder.join("policy.wasm")).unwrap();
        let data = std::fs::read_to_string(folder.join("data.json")).unwrap();
        let engine = engine(GuestKind::Policy).unwrap();
        ticker.add(&engine);
        let made = artefact(&Built { kind: GuestKind::Policy, wasm });
        let policy = Policy::load(&engine, &made, &data).unwrap();
        let mut group = c.benchmark_group(format!("policy {name}"));
        for (question, entrypoint, file) in QUESTIONS {
            let input = Path::new(env!("CARGO_MANIFEST_DIR")).join(INPUTS).join(file);
            let input = std::fs::read_to_string(input).unwrap();
            group.bench_function(format!("{question}, fresh"), |bench| {
                bench.iter(|| black_box(policy.evaluate(entrypoint, &input).unwrap()))
            });
            let mut warm = Some(policy.warm().unwrap());
            group.bench_function(format!("{question}, warm, not isolated"), |bench| {
                bench.iter(|| {
                    let (output, again) =
                        warm.take().unwrap().evaluate(entrypoint, &input).unwrap();
                    warm = Some(again);
                    black_box(output)
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, tools, policies);
criterion_main!(benches);
