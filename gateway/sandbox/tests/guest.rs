//! The real `cofferdam-guest` process, driven over its socket as a role does it.

#[cfg(test)]
#[path = "../src/tests/encode.rs"]
mod encode;

#[cfg(test)]
#[path = "../../../tests/guests/mutate.rs"]
mod mutate;

#[cfg(test)]
mod process {
    use super::encode::{built, folder};
    use super::mutate::{Dice, mutated};
    use cofferdam_core::protocol::role_guest::{
        Compute, Computed, GuestKind, Handle, Observed, Performed, Trial, Tried,
    };
    use cofferdam_process::frame::{self, Frame};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    /// One guest process, and the asking role's end of its socket.
    struct Guest {
        socket: UnixStream,
        child: Child,
    }

    fn start() -> Guest {
        let (socket, theirs) = UnixStream::pair().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_cofferdam-guest"))
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Guest { socket, child }
    }

    impl Guest {
        fn send<T: serde::Serialize>(&self, header: &T, body: Vec<u8>) {
            let header = serde_json::to_vec(header).unwrap();
            frame::write(&mut &self.socket, &Frame { header, body }).unwrap();
        }

        fn receive(&self) -> (Computed, Vec<u8>) {
            let frame = frame::read(&mut &self.socket)
                .unwrap()
                .expect("the guest process ended without an answer");
            (serde_json::from_slice(&frame.header).unwrap(), frame.body)
        }

        /// Waits for the end of the process. Returns whether it served.
        fn ended(mut self) -> bool {
            drop(self.socket);
            let until = Instant::now() + Duration::from_secs(120);
            loop {
                if let Some(status) = self.child.try_wait().unwrap() {
                    return status.success();
                }
                assert!(Instant::now() < until, "the guest process does not end");
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }

    fn ask(compute: &Compute, body: Vec<u8>) -> (Computed, Vec<u8>) {
        let guest = start();
        guest.send(compute, body);
        let answer = guest.receive();
        assert!(guest.ended());
        answer
    }

    fn compiled(name: &str) -> Vec<u8> {
        let guest = built(name);
        artefact(name, &Compute::Compile { kind: guest.kind }, guest.wasm)
    }

    fn artefact(name: &str, compile: &Compute, wasm: Vec<u8>) -> Vec<u8> {
        match ask(compile, wasm) {
            (Computed::Artefact { engine }, artefact) if engine.starts_with("wasmtime 48.") => {
                artefact
            }
            (answer, _) => panic!("{name}: {answer:?}"),
        }
    }

    fn code(answer: &Computed) -> &str {
        match answer {
            Computed::Failed { code, detail } => {
                eprintln!("{code}: {detail}");
                code
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn it_compiles_plans_and_decides_one_request_each() {
        let plan = || Compute::Plan { arguments: "{}".into() };
        match ask(&plan(), compiled("tool-answer.wat")).0 {
            Computed::Planned { draft } => assert_eq!(draft.summary, "hello"),
            other => panic!("{other:?}"),
        }
        assert!(matches!(ask(&plan(), compiled("tool-refuses.wat")).0, Computed::Declined { .. }));
        assert_eq!(code(&ask(&plan(), compiled("tool-loop-in-plan.wat")).0), "time");
        assert_eq!(code(&ask(&plan(), compiled("tool-memory-bomb.wat")).0), "memory");
        assert_eq!(code(&ask(&plan(), compiled("tool-recursion.wat")).0), "stack");
        assert_eq!(code(&ask(&Compute::Define, compiled("tool-unreachable.wat")).0), "trap");

        let decide = || Compute::Decide {
            entrypoint: "cofferdam/call/decision".into(),
            data: "{}".into(),
            input: "{}".into(),
        };
        match ask(&decide(), compiled("policy-allows.wat")).0 {
            Computed::Decided { output } => assert_eq!(output, r#"{"effect":"allow"}"#),
            other => panic!("{other:?}"),
        }
        assert_eq!(code(&ask(&decide(), compiled("policy-endless.wat")).0), "time");
        assert_eq!(code(&ask(&decide(), compiled("policy-memory-bomb.wat")).0), "memory");
    }

    fn more(guest: &Guest, compute: &Compute) -> Option<Computed> {
        let header = serde_json::to_vec(compute).unwrap();
        frame::write(&mut &guest.socket, &Frame { header, body: Vec::new() }).ok()?;
        let answer = frame::read(&mut &guest.socket).ok()??;
        Some(serde_json::from_slice(&answer.header).unwrap())
    }

    #[test]
    fn one_process_answers_several_requests_over_its_component_each_in_a_fresh_instance() {
        let plan = Compute::Plan { arguments: "{}".into() };
        let guest = start();
        guest.send(&plan, compiled("tool-answer.wat"));
        let first = guest.receive().0;
        assert!(matches!(first, Computed::Planned { .. }), "{first:?}");
        for request in 2..=64 {
            assert_eq!(more(&guest, &plan).as_ref(), Some(&first), "{request}");
        }
        assert_eq!(more(&guest, &plan), None, "its last request was the 64th");
        assert!(guest.ended());

        let decide = |data: &str| Compute::Decide {
            entrypoint: "cofferdam/call/decision".into(),
            data: data.into(),
            input: "{}".into(),
        };
        let policy = compiled("policy-allows.wat");
        // A policy with its data: other data, another kind or another component is another process.
        let begin = || {
            let guest = start();
            guest.send(&decide("{}"), policy.clone());
            let first = guest.receive().0;
            assert_eq!(more(&guest, &decide("{}")), Some(first));
            guest
        };
        for other in [decide(r#"{"a":1}"#), plan.clone(), Compute::Define] {
            let guest = begin();
            assert_eq!(more(&guest, &other), None, "{other:?}");
            assert!(!guest.ended());
        }
        let guest = begin();
        guest.send(&decide("{}"), policy.clone());
        assert_eq!(frame::read(&mut &guest.socket).ok().flatten(), None);
        assert!(!guest.ended());

        // After an error of the component there is no further request.
        let guest = start();
        guest.send(&plan, compiled("tool-loop-in-plan.wat"));
        assert_eq!(code(&guest.receive().0), "time");
        assert_eq!(more(&guest, &plan), None);
        assert!(guest.ended());
    }

    /// Malformed components that are tried. Each is a process, and takes some hundredths of a
    /// second.
    const CASES: usize = 250;

    /// Longest time of one process, on a busy machine.
    const SOON: Duration = Duration::from_secs(60);

    #[test]
    fn whatever_a_file_holds_the_process_answers_in_time_and_does_not_crash() {
        let names = std::fs::read_dir(folder())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names
            .filter(|name| {
                name.ends_with(".wat")
                    && ["tool-", "executor-", "component-"]
                        .iter()
                        .any(|kind| name.starts_with(kind))
            })
            .collect();
        names.sort();
        let seeds: Vec<Vec<u8>> = names.iter().map(|name| built(name).wasm).collect();
        let mut dice = Dice::new();
        let mut answers = std::collections::BTreeMap::new();
        for case in 0..CASES {
            let began = Instant::now();
            let (answer, artefact) = ask(&Compute::Examine, mutated(&seeds, &mut dice));
            let word = match answer {
                Computed::Examined { kind: GuestKind::Tool, .. } => {
                    match ask(&Compute::Define, artefact).0 {
                        Computed::Defined { .. } => "defined".to_owned(),
                        Computed::Failed { code, .. } => code,
                        other => panic!("case {case}: {other:?}"),
                    }
                }
                Computed::Examined { .. } => "examined".to_owned(),
                Computed::Failed { code, .. } => code,
                other => panic!("case {case}: {other:?}"),
            };
            assert!(began.elapsed() < SOON, "case {case} took {:?}", began.elapsed());
            *answers.entry(word).or_insert(0) += 1;
        }
        eprintln!("{answers:?}");
        assert!(
            answers.len() > 2 && answers["malformed"] < CASES,
            "every case was refused alike: {answers:?}"
        );
    }

    #[test]
    fn a_component_is_examined_for_what_it_is() {
        let examine = |name: &str| ask(&Compute::Examine, built(name).wasm).0;
        assert_eq!(
            examine("tool-answer.wat"),
            Computed::Examined { kind: GuestKind::Tool, imports: vec![], unused: vec![] }
        );
        let Computed::Examined { kind: GuestKind::Executor, imports, .. } =
            examine("executor-backwards.wat")
        else {
            panic!()
        };
        assert_eq!(imports.len(), 2);
        assert!(matches!(
            examine("command-echo.wat"),
            Computed::Examined { kind: GuestKind::Command, .. }
        ));
        assert_eq!(code(&examine("component-imports-socket.wat")), "import");
        assert_eq!(code(&examine("component-exports-nothing.wat")), "malformed");
        assert_eq!(code(&examine("component-async.wat")), "unsupported");
        assert_eq!(code(&examine("component-many-memories.wat")), "malformed");
    }

    #[test]
    fn trials_of_a_policy_are_answered_one_by_one() {
        let trial = |entrypoint: &str, test| Trial {
            entrypoint: entrypoint.to_owned(),
            input: Some("{}".to_owned()),
            test,
        };
        let trials = vec![
            trial("cofferdam/call/decision", false),
            trial("team/test_more", true),
            trial("cofferdam/call/decision", true),
        ];
        let attempt = |name: &str| {
            let counted = artefact(name, &Compute::CompileTrial, built(name).wasm);
            let (answer, body) =
                ask(&Compute::Try { data: "{}".to_owned(), trials: trials.clone() }, counted);
            assert_eq!(answer, Computed::Tried);
            serde_json::from_slice::<Vec<Tried>>(&body).unwrap()
        };
        let tried = attempt("policy-allows.wat");
        let codes: Vec<_> = tried
            .iter()
            .map(|tried| tried.fault.as_ref().map_or("answered", |(code, _)| code.as_str()))
            .collect();
        assert_eq!(codes, ["answered", "undefined", "answered"]);
        assert!(
            tried.iter().all(|tried| tried.answer.is_some() != tried.fault.is_some()),
            "{tried:?}"
        );
    }

    #[test]
    fn a_policy_says_what_it_can_be_asked() {
        let judge = |data: &str| {
            ask(&Compute::Judge { data: data.to_owned() }, compiled("policy-allows.wat")).0
        };
        let Computed::Judging { entrypoints } = judge("{}") else { panic!() };
        assert!(
            entrypoints.iter().any(|name| name == "cofferdam/call/decision"),
            "{entrypoints:?}"
        );
        assert_eq!(code(&judge("[]")), "malformed");
    }

    #[test]
    fn what_does_not_belong_to_its_world_is_not_compiled() {
        let compile = |name| {
            let guest = built(name);
            ask(&Compute::Compile { kind: guest.kind }, guest.wasm).0
        };
        assert_eq!(code(&compile("component-imports-socket.wat")), "import");
        assert_eq!(code(&compile("policy-needs-http.wat")), "builtin");
        assert_eq!(code(&compile("policy-endless-start.wat")), "time");
        assert_eq!(
            code(&ask(&Compute::Compile { kind: GuestKind::Tool }, b"garbage".to_vec()).0),
            "malformed"
        );
        assert_eq!(
            code(&ask(&Compute::Plan { arguments: "{}".into() }, b"garbage".to_vec()).0),
            "artefact"
        );
    }

    #[test]
    fn a_command_runs_with_all_rights_given_up() {
        let run = |name: &str, input: &str| {
            ask(
                &Compute::Run { name: "lint".into(), input: input.into(), guest_ms: 200 },
                compiled(name),
            )
            .0
        };
        let ran = |output: &str, note: &str, code| Computed::Ran {
            output: output.into(),
            note: note.into(),
            code,
        };
        // Longer than one write of its library's buffer.
        let long = "line\n".repeat(10_000);
        assert_eq!(run("command-echo.wat", &long), ran(&long, "", 0));
        assert_eq!(run("command-looks-around.wat", ""), ran("", "", 0));
        assert_eq!(run("command-exits.wat", ""), ran("half", "", 1));
        assert_eq!(code(&run("command-loop.wat", "")), "time");
        assert_eq!(code(&run("command-flood.wat", "")), "output");
        assert_eq!(code(&run("command-sleeps.wat", "")), "denied");
        assert_eq!(code(&run("command-memory-bomb.wat", "")), "memory");
        assert_eq!(code(&run("command-panics.wat", "")), "trap");
        assert_eq!(
            code(
                &ask(
                    &Compute::Compile { kind: GuestKind::Command },
                    built("command-connects.wat").wasm
                )
                .0
            ),
            "import"
        );
    }

    fn execute(name: &str) -> (Guest, Vec<Handle>) {
        let guest = start();
        let handles = vec![Handle { index: 0, after: vec![] }, Handle { index: 1, after: vec![0] }];
        guest.send(&Compute::Execute { handles: handles.clone(), guest_ms: 200 }, compiled(name));
        (guest, handles)
    }

    #[test]
    fn an_executor_asks_for_each_effect_and_waits_for_it() {
        let (guest, _) = execute("executor-undoes.wat");
        assert_eq!(guest.receive().0, Computed::Perform { index: 0, undo: false });
        // Longer than its own time: waiting in the host is not the guest's time.
        std::thread::sleep(Duration::from_millis(400));
        guest.send(&Performed::Done { undo: true }, Vec::new());
        assert_eq!(guest.receive().0, Computed::Perform { index: 0, undo: true });
        guest.send(&Performed::Done { undo: false }, Vec::new());
        assert_eq!(guest.receive().0, Computed::Finished { stop: None });
        assert!(guest.ended());
    }

    #[test]
    fn an_executor_waits_until_what_it_did_is_ready() {
        let (guest, _) = execute("executor-observes.wat");
        assert_eq!(guest.receive().0, Computed::Perform { index: 0, undo: false });
        guest.send(&Performed::Done { undo: false }, Vec::new());
        assert_eq!(guest.receive().0, Computed::Observe { index: 0, wait_ms: 60_000 });
        // Longer than its own time: waiting in the host is not the guest's time.
        std::thread::sleep(Duration::from_millis(400));
        guest.send(&Observed::progressing("0 of 2 pods are ready"), Vec::new());
        assert_eq!(guest.receive().0, Computed::Progress { note: "0 of 2 pods are ready".into() });
        assert_eq!(guest.receive().0, Computed::Observe { index: 0, wait_ms: 0 });
        guest.send(&Observed::Ready, Vec::new());
        assert_eq!(guest.receive().0, Computed::Perform { index: 1, undo: false });
        guest.send(&Performed::Failed { failure: "refused".into() }, Vec::new());
        assert_eq!(guest.receive().0, Computed::Finished { stop: None });
        assert!(guest.ended());

        let (guest, _) = execute("executor-observes.wat");
        assert_eq!(guest.receive().0, Computed::Perform { index: 0, undo: false });
        guest.send(&Performed::Done { undo: false }, Vec::new());
        assert_eq!(guest.receive().0, Computed::Observe { index: 0, wait_ms: 60_000 });
        guest.send(&Observed::Failed { note: "a\u{202e}b".into() }, Vec::new());
        assert_eq!(code(&guest.receive().0), "engine");
        assert!(guest.ended());
    }

    #[test]
    fn a_guest_out_of_time_has_the_answer_of_every_effect_it_began() {
        let (guest, _) = execute("executor-loop.wat");
        assert_eq!(guest.receive().0, Computed::Perform { index: 0, undo: false });
        guest.send(&Performed::Done { undo: false }, Vec::new());
        assert_eq!(code(&guest.receive().0), "time");
        assert!(guest.ended());
    }

    #[test]
    fn it_ends_when_its_role_is_gone() {
        let (guest, _) = execute("executor-undoes.wat");
        assert_eq!(guest.receive().0, Computed::Perform { index: 0, undo: false });
        assert!(!guest.ended());
        let silent = start();
        assert!(silent.ended());
        let babble = start();
        babble.send(&"no request", Vec::new());
        assert!(!babble.ended());
    }

    fn links(folder: &std::path::Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap().flatten();
        entries
            .filter_map(|entry| std::fs::read_link(entry.path()).ok())
            .map(|to| to.to_string_lossy().into_owned())
            .collect()
    }

    #[test]
    fn while_foreign_code_runs_the_process_holds_nothing() {
        let (guest, _) = execute("executor-undoes.wat");
        assert_eq!(guest.receive().0, Computed::Perform { index: 0, undo: false });
        let about = |file: &str| {
            std::path::Path::new("/proc").join(guest.child.id().to_string()).join(file)
        };
        let status = std::fs::read_to_string(about("status")).unwrap();
        assert!(
            status.contains("\nSeccomp:\t2\n") && status.contains("\nNoNewPrivs:\t1\n"),
            "{status}"
        );
        // Root alone may read the environment of a process that cannot be dumped.
        assert_eq!(std::fs::read(about("environ")).unwrap_or_default(), b"");
        // The test runner may have left descriptors open, which are inherited here. A role starts
        // with nothing but its socket.
        let inherited = links(std::path::Path::new("/proc/self/fd"));
        for to in links(&about("fd")).into_iter().filter(|to| !inherited.contains(to)) {
            assert!(
                to.starts_with("socket:") || to == "/dev/null" || to.starts_with("/memfd:"),
                "{to}"
            );
        }
        guest.send(&Performed::Failed { failure: "stopped".into() }, Vec::new());
        // The guest goes on as its code says. The socket is its only output.
        let _answer = guest.receive();
        let _ended = guest.ended();
    }
}
