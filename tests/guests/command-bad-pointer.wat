;; Writes what lies beyond its memory.
(module
  (import "wasi:cli/stdout@0.2.0" "get-stdout" (func $get-stdout (result i32)))
  (import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-write-and-flush" (func $write (param i32 i32 i32 i32)))
  (memory (export "memory") 2)
  (func (export "wasi:cli/run@0.2.0#run") (result i32)
    (call $write (call $get-stdout) (i32.const 0x7fff0000) (i32.const 64) (i32.const 0))
    (i32.const 0)))
