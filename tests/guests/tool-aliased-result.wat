;; A thousand fields that are all the same one MiB: small in the guest, 1 GiB in the host.
(module
  (memory (export "memory") 32)
  (data (i32.const 1024) "hello")
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096))
  (func (export "cofferdam:tool/tool@0.1.0#define") (result i32) unreachable)
  (func (export "cofferdam:tool/tool@0.1.0#plan") (param i32 i32) (result i32)
    (local $at i32)
    (local.set $at (i32.const 8192))
    (loop $fill
      (i32.store (local.get $at) (i32.const 1048576))
      (i32.store offset=4 (local.get $at) (i32.const 1048576))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (br_if $fill (i32.lt_u (local.get $at) (i32.const 16192))))
    ;; One step at 256: a `read` (case 0) of an object without names, its list of fields at 8192.
    (i32.store (i32.const 300) (i32.const 8192))
    (i32.store (i32.const 304) (i32.const 1000))
    (i32.store (i32.const 64) (i32.const 0))
    (i32.store (i32.const 68) (i32.const 1024))
    (i32.store (i32.const 72) (i32.const 5))
    (i32.store (i32.const 76) (i32.const 0))
    (i32.store (i32.const 88) (i32.const 256))
    (i32.store (i32.const 92) (i32.const 1))
    (i32.const 64)))
