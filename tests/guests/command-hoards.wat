;; Takes its output again and again, and gives none back.
(module
  (import "wasi:cli/stdout@0.2.0" "get-stdout" (func $get-stdout (result i32)))
  (memory (export "memory") 2)
  (func (export "wasi:cli/run@0.2.0#run") (result i32)
    (loop $more
      (drop (call $get-stdout))
      (br $more))
    (unreachable)))
