;; Says why on its standard error, with characters that cannot be seen, and ends with an error.
(module
  (import "wasi:cli/stderr@0.2.0" "get-stderr" (func $get-stderr (result i32)))
  (import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-write-and-flush" (func $write (param i32 i32 i32 i32)))
  (memory (export "memory") 2)
  (data (i32.const 1024) "line one\0atwo\e2\80\ae!\0a")
  (func (export "wasi:cli/run@0.2.0#run") (result i32)
    (call $write (call $get-stderr) (i32.const 1024) (i32.const 18) (i32.const 0))
    (i32.const 1)))
