;; Takes observations and keeps them.
(module
  (import "cofferdam:executor/operations@0.1.0" "[method]operation.index" (func $index (param i32) (result i32)))
  (import "cofferdam:executor/operations@0.1.0" "[static]operation.perform" (func $perform (param i32 i32)))
  (import "cofferdam:executor/operations@0.1.0" "[resource-drop]operation" (func $drop (param i32)))
  (import "cofferdam:executor/observation@0.1.0" "observe" (func $observe (param i32 i32)))
  (import "cofferdam:executor/observation@0.1.0" "[method]observation.ready" (func $ready (param i32 i32 i32)))
  (import "cofferdam:executor/observation@0.1.0" "[resource-drop]observation" (func $forget (param i32)))
  (import "cofferdam:executor/progress@0.1.0" "report" (func $report (param i32 i32)))
  (memory (export "memory") 2)
  ;; Notes land at 8192, and the list of handles at 4096.
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (select (i32.const 4096) (i32.const 8192) (i32.eq (local.get 2) (i32.const 4))))
  ;; The list of handles at the first address; the result at 64: 0 is "all done".
  (func (export "cofferdam:executor/executor@0.1.0#run") (param $list i32) (param $count i32) (result i32)
    (call $perform (i32.load (local.get $list)) (i32.const 128))
    (loop $again (call $observe (i32.const 0) (i32.const 160)) (br $again))
    (i32.const 64)))
