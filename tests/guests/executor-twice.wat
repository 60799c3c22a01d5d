;; Performs one handle twice.
(module
  (import "cofferdam:executor/operations@0.1.0" "[method]operation.index" (func $index (param i32) (result i32)))
  (import "cofferdam:executor/operations@0.1.0" "[method]operation.after" (func $after (param i32 i32)))
  (import "cofferdam:executor/operations@0.1.0" "[static]operation.perform" (func $perform (param i32 i32)))
  (import "cofferdam:executor/operations@0.1.0" "[resource-drop]operation" (func $drop (param i32)))
  (import "cofferdam:executor/progress@0.1.0" "report" (func $report (param i32 i32)))
  (memory (export "memory") 2)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096))
  ;; The list of handles at the first address; the result at 64: 0 is "all done".
  (func (export "cofferdam:executor/executor@0.1.0#run") (param $list i32) (param $count i32) (result i32)
    (call $perform (i32.load (local.get $list)) (i32.const 128))
    (call $perform (i32.load (local.get $list)) (i32.const 128))
    (i32.const 64)))
