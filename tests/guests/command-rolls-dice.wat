;; Asks for random bytes: what it makes of them could be checked by nobody.
(module
  (import "wasi:random/random@0.2.0" "get-random-bytes" (func $random (param i64 i32)))
  (memory (export "memory") 2)
  (global $free (mut i32) (i32.const 65536))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (global.get $free)
    (global.set $free (i32.and (i32.add (i32.add (global.get $free) (local.get 3)) (i32.const 7)) (i32.const -8))))
  (func (export "wasi:cli/run@0.2.0#run") (result i32)
    (call $random (i64.const 32) (i32.const 0))
    (i32.const 0)))
