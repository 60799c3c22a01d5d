;; Takes all table elements there are.
(module
  (memory (export "memory") 2)
  (table $table 1 funcref)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096))
  (func (export "cofferdam:tool/tool@0.1.0#define") (result i32) unreachable)
  (func (export "cofferdam:tool/tool@0.1.0#plan") (param i32 i32) (result i32)
    (loop $more
      (br_if $more (i32.ne (table.grow $table (ref.null func) (i32.const 100)) (i32.const -1))))
    (unreachable)))
