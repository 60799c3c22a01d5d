;; Declines: a refusal is an answer, not a fault.
(module
  (memory (export "memory") 2)
  (data (i32.const 1024) "no such thing.")
  (data (i32.const 1040) "name another")
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096))
  (func (export "cofferdam:tool/tool@0.1.0#define") (result i32) unreachable)
  (func (export "cofferdam:tool/tool@0.1.0#plan") (param i32 i32) (result i32)
    (i32.store (i32.const 64) (i32.const 1))
    (i32.store (i32.const 68) (i32.const 1024))
    (i32.store (i32.const 72) (i32.const 14))
    (i32.store (i32.const 76) (i32.const 1040))
    (i32.store (i32.const 80) (i32.const 12))
    (i32.const 64)))
