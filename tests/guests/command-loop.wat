;; Never ends.
(module
  (memory (export "memory") 2)
  (func (export "wasi:cli/run@0.2.0#run") (result i32)
    (loop $forever (br $forever))
    (unreachable)))
