//! The cost of a fresh sandbox against a reused one, and the best arrangement of engines for two
//! threads. `cargo bench -p cofferdam-sandbox`.
//! `COFFERDAM_COMPONENTS` names a folder with `deployment_scale.wasm`, and `COFFERDAM_POLICY` a
//! folder that `scripts/build-policy` made of `policies/example`. Without them the bench uses the
//! smallest guests of the tests, which show the sandbox alone.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark that cannot be set up has nothing to measure"
)]

#[path = "../src/tests/encode.rs"]
mod encode;

use cofferdam_core::protocol::role_guest::GuestKind;
use cofferdam_sandbox::engine::{Ticker, engine, shared};
use cofferdam_sandbox::load::{Artefact, compile};
use cofferdam_sandbox::policy::Policy;
use cofferdam_sandbox::tool::Tool;
use criterion::{Criterion, criterion_group, criterion_main};
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

fn policies(c: &mut Criterion) {
    let read = |file| given("COFFERDAM_POLICY", file);
    // A hand-made policy does not measure a real one, and cannot be used twice.
    let Some(wasm) = read("policy.wasm") else {
        println!("policy: skipped; COFFERDAM_POLICY names the folder of a built policy");
        return;
    };
    let guest = Built { kind: GuestKind::Policy, wasm };
    let data =
        read("data.json").map_or_else(|| "{}".into(), |bytes| String::from_utf8(bytes).unwrap());
    let input = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../policies/example/testdata/scale_to_5.json");
    let input = std::fs::read_to_string(input).unwrap_or_else(|_| "{}".into());
    let ticker = Ticker::start().unwrap();
    let engine = engine(GuestKind::Policy).unwrap();
    ticker.add(&engine);
    let policy = Policy::load(&engine, &artefact(&guest), &data).unwrap();
    let mut group = c.benchmark_group("policy");
    group.bench_function("fresh decision", |bench| {
        bench.iter(|| black_box(policy.evaluate("cofferdam/call/decision", &input).unwrap()))
    });
    let mut warm = Some(policy.warm().unwrap());
    group.bench_function("warm decision, not isolated", |bench| {
        bench.iter(|| {
            let (output, again) =
                warm.take().unwrap().evaluate("cofferdam/call/decision", &input).unwrap();
            warm = Some(again);
            black_box(output)
        });
    });
    group.finish();
}

criterion_group!(benches, tools, policies);
criterion_main!(benches);
