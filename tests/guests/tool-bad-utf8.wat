;; Its summary is not UTF-8.
(module
  (memory (export "memory") 2)
  (data (i32.const 1024) "\ff\fe\fd\fc")
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096))
  (func (export "cofferdam:tool/tool@0.1.0#define") (result i32) unreachable)
  (func (export "cofferdam:tool/tool@0.1.0#plan") (param i32 i32) (result i32)
    (i32.store (i32.const 64) (i32.const 0))
    (i32.store (i32.const 68) (i32.const 1024))
    (i32.store (i32.const 72) (i32.const 4))
    (i32.store (i32.const 76) (i32.const 0))
    (i32.store (i32.const 88) (i32.const 0))
    (i32.store (i32.const 92) (i32.const 0))
    (i32.const 64)))
