;; Writes its input back, piece by piece.
(module
  (import "wasi:cli/stdin@0.2.0" "get-stdin" (func $get-stdin (result i32)))
  (import "wasi:cli/stdout@0.2.0" "get-stdout" (func $get-stdout (result i32)))
  (import "wasi:io/streams@0.2.0" "[method]input-stream.blocking-read" (func $read (param i32 i64 i32)))
  (import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-write-and-flush" (func $write (param i32 i32 i32 i32)))
  (memory (export "memory") 8)
  (global $free (mut i32) (i32.const 65536))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (global.get $free)
    (global.set $free (i32.and (i32.add (i32.add (global.get $free) (local.get 3)) (i32.const 7)) (i32.const -8))))
  (func (export "wasi:cli/run@0.2.0#run") (result i32)
    (local $in i32) (local $out i32)
    (local.set $in (call $get-stdin))
    (local.set $out (call $get-stdout))
    (loop $more
      (call $read (local.get $in) (i64.const 4096) (i32.const 0))
      ;; An error is the end of the input.
      (if (i32.eqz (i32.load8_u (i32.const 0)))
        (then
          (call $write (local.get $out) (i32.load (i32.const 4)) (i32.load (i32.const 8)) (i32.const 16))
          (br $more))))
    (i32.const 0)))
