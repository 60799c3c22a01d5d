//! Steps of the journey that must not compile: no stage can be skipped, repeated, copied or made up. Each file is one forbidden step.

#[test]
fn forbidden_steps_do_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
