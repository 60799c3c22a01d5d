//! How long it takes to read and to edit manifests: time must grow as the size does. Run with
//! `cargo bench --package cofferdam-backend-directory --bench tree`.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot prepare its input has nothing to measure"
)]

use cofferdam_backend_directory::edit::{delete, patch};
use cofferdam_backend_directory::index::Index;
use cofferdam_backend_directory::objects::Position;
use cofferdam_backend_directory::read::Format;
use cofferdam_core::model::operation::Target;
use cofferdam_core::model::path::FieldPath;
use cofferdam_process::rooted_fs::Root;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::json;
use std::fs;
use std::hint::black_box;

const DEPLOYMENT: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: NAME\n  namespace: \
     storefront\nspec:\n  replicas: 1\n  template:\n    spec:\n      containers:\n      - name: \
     web\n        image: registry.example.com/storefront/operator:1.0.0\n";

/// A bundle as operators ship it: definitions of resources, then one Deployment.
fn bundle(bytes: usize) -> String {
    let mut text = String::new();
    let mut field = 0;
    while text.len() + DEPLOYMENT.len() < bytes {
        if field % 1000 == 0 {
            let head = "---\napiVersion: apiextensions.k8s.io/v1\nkind: \
                        CustomResourceDefinition\nmetadata:\n  name: things.example.com\nspec:\n  \
                        properties:\n";
            text.push_str(head);
        }
        field += 1;
        text.push_str(&format!(
            "    f{field}:\n      description: |-\n        Field {field}, and a sentence or two \
             about it.\n      type: string\n"
        ));
    }
    format!("{text}---\n{}", DEPLOYMENT.replace("NAME", "operator"))
}

fn files(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("file");
    group.sample_size(10);
    let replicas = FieldPath::parse("spec.replicas").unwrap();
    let annotation = FieldPath::parse("spec.template.metadata.annotations.at").unwrap();
    for (name, bytes) in [("10 KiB", 10 << 10), ("100 KiB", 100 << 10), ("1 MiB", 1 << 20)] {
        for (kind, text) in
            [("ASCII", bundle(bytes)), ("other", format!("# ü\n{}", bundle(bytes - 8)))]
        {
            let documents = Format::Yaml.read(&text).unwrap().len();
            let last = Position { document: documents - 1, items: vec![] };
            let of = |what: &str| BenchmarkId::new(format!("{what}, {kind}"), name);
            group.throughput(Throughput::Bytes(text.len() as u64));
            group.bench_with_input(of("read"), &text, |bencher, text| {
                bencher.iter(|| Format::Yaml.read(black_box(text)).unwrap())
            });
            let changes =
                [(replicas.clone(), Some(json!(2))), (annotation.clone(), Some(json!("now")))];
            group.bench_with_input(of("edit of two fields"), &text, |bencher, text| {
                bencher.iter(|| patch(Format::Yaml, black_box(text), &last, &changes).unwrap());
            });
            group.bench_with_input(of("delete"), &text, |bencher, text| {
                bencher.iter(|| delete(Format::Yaml, black_box(text), &last).unwrap());
            });
        }
    }
    group.finish();
}

fn tree(criterion: &mut Criterion) {
    let place = tempfile::tempdir().unwrap();
    let mut bytes = 0;
    for at in 0..10_000_u32 {
        let folder = place.path().join(format!("team-{}", at / 100));
        fs::create_dir_all(&folder).unwrap();
        let text = DEPLOYMENT.replace("NAME", &format!("web-{at}"));
        bytes += text.len() as u64;
        fs::write(folder.join(format!("{at}.yaml")), text).unwrap();
    }
    let root = Root::open(place.path()).unwrap();
    let mut group = criterion.benchmark_group("tree of 10,000 files");
    group.sample_size(10).throughput(Throughput::Bytes(bytes));
    group
        .bench_function("first look", |bencher| bencher.iter(|| Index::read(&root, None).unwrap()));
    let index = Index::read(&root, None).unwrap();
    group.bench_function("further look", |bencher| {
        bencher.iter(|| Index::read(&root, Some(&index)).unwrap())
    });
    group.bench_function("list of a namespace", |bencher| {
        bencher.iter(|| index.list("apps", "v1", "Deployment", "storefront").found.len());
    });
    let target = Target {
        group: "apps".into(),
        version: "v1".into(),
        kind: "Deployment".into(),
        namespace: "storefront".into(),
        name: "web-5000".into(),
    };
    group.bench_function("find", |bencher| bencher.iter(|| index.find(&target).unwrap().place()));
    group.finish();
}

criterion_group!(benches, files, tree);
criterion_main!(benches);
