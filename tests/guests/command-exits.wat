;; Ends in the middle of its work, by the function for it, with an error.
(module
  (import "wasi:cli/stdout@0.2.0" "get-stdout" (func $get-stdout (result i32)))
  (import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-write-and-flush" (func $write (param i32 i32 i32 i32)))
  (import "wasi:cli/exit@0.2.0" "exit" (func $exit (param i32)))
  (memory (export "memory") 2)
  (data (i32.const 1024) "half")
  (func (export "wasi:cli/run@0.2.0#run") (result i32)
    (call $write (call $get-stdout) (i32.const 1024) (i32.const 4) (i32.const 0))
    (call $exit (i32.const 1))
    (unreachable)))
