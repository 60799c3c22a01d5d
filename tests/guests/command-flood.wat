;; Writes output for as long as it may.
(module
  (import "wasi:cli/stdout@0.2.0" "get-stdout" (func $get-stdout (result i32)))
  (import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-write-and-flush" (func $write (param i32 i32 i32 i32)))
  (memory (export "memory") 2)
  (func (export "wasi:cli/run@0.2.0#run") (result i32)
    (local $out i32)
    (local.set $out (call $get-stdout))
    (loop $more
      (call $write (local.get $out) (i32.const 1024) (i32.const 4096) (i32.const 0))
      (br $more))
    (unreachable)))
