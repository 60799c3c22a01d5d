;; Writes a MiB on its standard error, and ends well.
(module
  (import "wasi:cli/stderr@0.2.0" "get-stderr" (func $get-stderr (result i32)))
  (import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-write-and-flush" (func $write (param i32 i32 i32 i32)))
  (memory (export "memory") 2)
  (func (export "wasi:cli/run@0.2.0#run") (result i32)
    (local $err i32) (local $left i32)
    (local.set $err (call $get-stderr))
    (local.set $left (i32.const 256))
    (memory.fill (i32.const 1024) (i32.const 0x78) (i32.const 4096))
    (loop $more
      (call $write (local.get $err) (i32.const 1024) (i32.const 4096) (i32.const 0))
      (br_if $more (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (i32.const 0)))
